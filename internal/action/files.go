package action

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/remint-dev/remint/pkg/rotate"
)

// Outputs and the summary go through files that the runner reads when the step is over. What is written must mean
// the same to each of the parsers:
//
//   - GitHub's takes "NAME<<DELIMITER", lines, "DELIMITER"; "=" before "<<" makes another form (FileCommandManager.cs).
//   - Forgejo's and act's drop a carriage return before a line feed and the empty lines that begin a value, refuse an
//     empty line between values, and end the file, silently, at a line of 64 KiB (parse_env_file.go).
//   - A delimiter that could be guessed would let a value end itself and define further keys (CVE-2022-35954).
//
// So a value that one of them would change is refused here.

const (
	outputFile  = "GITHUB_OUTPUT"
	summaryFile = "GITHUB_STEP_SUMMARY"

	longestLine    = 64_000  // bytes of a line of a value
	longestSummary = 1 << 20 // bytes of a step's summary; the host drops a longer one as a whole
)

// Check reports whether outputs and the summary can be written, before anything else is done: a runner that starts a
// container action in a job that has no container names files which do not exist there, and reports success.
func (r *Runner) Check() error {
	var errs []error
	for _, name := range []string{outputFile, summaryFile} {
		f, err := r.open(name)
		if err == nil {
			err = f.Close()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Output sets an output of the step. The key is of letters, digits, "_" and "-". The value must be UTF-8 without
// ASCII control characters other than line feed and tab, must not begin with an empty line, and has lines of less
// than 64,000 bytes.
func (r *Runner) Output(key, value string) error {
	text, err := command(key, r.redacted(value), "remint_"+rand.Text())
	if err != nil {
		return &rotate.Error{Op: "output", At: oneLine(key), Err: err}
	}
	return r.append(outputFile, func(int64) string { return text })
}

func (r *Runner) redacted(text string) string {
	if r.Redact == nil {
		return text
	}
	return r.Redact(text)
}

// command returns the form in which a value stands in a command file.
func command(key, value, delimiter string) (string, error) {
	switch {
	case key == "" || strings.ContainsFunc(key, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-'
	}):
		return "", errors.New("the name of an output has only letters, digits, _ and -")
	case strings.Contains(key, delimiter), strings.Contains(value, delimiter):
		return "", errors.New("the name or the value contains the random delimiter")
	case !utf8.ValidString(value):
		return "", errors.New("the value is not UTF-8")
	case strings.HasPrefix(value, "\n"):
		return "", errors.New("the value begins with an empty line, which some runners lose")
	case strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\n' && c != '\t' || c == 0x7f }):
		return "", errors.New("the value contains control characters; encode it, in JSON for example")
	}
	for line := range strings.SplitSeq(value, "\n") {
		if len(line) >= longestLine {
			return "", fmt.Errorf("the value has a line of %d bytes; some runners read less than %d", len(line), longestLine)
		}
	}
	return key + "<<" + delimiter + "\n" + value + "\n" + delimiter + "\n", nil
}

// Summary adds Markdown to the summary of the step. What does not fit into the host's 1 MiB is cut at the end of a
// paragraph, with a note.
func (r *Runner) Summary(markdown string) error {
	all := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(r.redacted(markdown)), "\n")
	for i, line := range all {
		// Forgejo's runner prints the summary into its own log.
		all[i] = neutral(line)
	}
	text := strings.TrimRight(strings.Join(all, "\n"), "\n") + "\n"
	return r.append(summaryFile, func(size int64) string { return fit(text, longestSummary-size) })
}

const cutNote = "\n*The rest is left out: the summary of a step has at most 1 MiB. The log has everything.*\n"

// fit cuts a summary to a number of bytes, between paragraphs, or else lines, and never inside a fenced block.
func fit(text string, most int64) string {
	if int64(len(text)) <= most {
		return text
	}
	most -= int64(len(cutNote))
	if most <= 0 {
		return ""
	}
	text = text[:most]
	end := strings.LastIndexByte(text, '\n') + 1
	if i := strings.LastIndex(text, "\n\n"); i >= 0 && end-i < longestLine {
		end = i + 1
	}
	text = text[:end]
	if open := openFence(text); open >= 0 {
		text = text[:open]
	}
	return text + cutNote
}

// openFence returns where the fenced block begins that text leaves open, or -1.
func openFence(text string) int {
	open, at := -1, 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			if open < 0 {
				open = at
			} else {
				open = -1
			}
		}
		at += len(line)
	}
	return open
}

// append adds to a command file what text returns for the size that it has.
func (r *Runner) append(name string, text func(size int64) string) error {
	f, err := r.open(name)
	if err != nil {
		return err
	}
	size := int64(0)
	if stat, err := f.Stat(); err == nil {
		size = stat.Size()
	}
	_, err = f.WriteString(text(size))
	if err := errors.Join(err, f.Close()); err != nil {
		return &rotate.Error{Op: "write", At: name, Err: err}
	}
	return nil
}

// open opens a command file, which the runner made: if it is not there, making it would help nobody.
func (r *Runner) open(name string) (*os.File, error) {
	path := r.getenv(name)
	if path == "" {
		return nil, &rotate.Error{Op: "open", At: name, Err: fmt.Errorf("%w: the variable is not set, so this is no step of a workflow, or its runner is too old for command files", rotate.ErrConfig)}
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w: it names a file that does not exist in this container: the runner started the container action in a job that runs on the host itself; use a job whose runs-on label stands for a container image", rotate.ErrConfig)
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w: the file that it names cannot be written by user %d: a container action runs as root, so remove USER from its Dockerfile and --user from its options", rotate.ErrConfig, os.Getuid())
	default:
		err = fmt.Errorf("%w: %w", rotate.ErrConfig, err)
	}
	return nil, &rotate.Error{Op: "open", At: name, Err: err}
}
