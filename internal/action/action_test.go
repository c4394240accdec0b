package action

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
)

// env are the variables by which runners are told apart.
var env = map[Platform]map[string]string{
	None:    {},
	GitHub:  {"GITHUB_ACTIONS": "true", "GITHUB_API_URL": "https://api.github.com"},
	Forgejo: {"GITHUB_ACTIONS": "true", "FORGEJO_ACTIONS": "true", "GITEA_ACTIONS": "true", "ACT": "true", "GITHUB_API_URL": "https://code.example/api/v1"},
	Gitea:   {"GITHUB_ACTIONS": "true", "GITEA_ACTIONS": "true", "GITHUB_API_URL": "https://gitea.example/api/v1"},
	Act:     {"GITHUB_ACTIONS": "true", "ACT": "true", "GITHUB_API_URL": "https://api.github.com"},
}

func on(p Platform, more ...string) (*Runner, *strings.Builder) {
	var out strings.Builder
	return &Runner{Out: &out, Getenv: func(key string) string {
		for i := 0; i < len(more); i += 2 {
			if more[i] == key {
				return more[i+1]
			}
		}
		return env[p][key]
	}}, &out
}

func TestPlatform(t *testing.T) {
	for want := range env {
		if r, _ := on(want); r.Platform() != want || r.Present() != (want != None) {
			t.Errorf("%q: got %q, present %t", want, r.Platform(), r.Present())
		}
	}
	for _, c := range []struct {
		name string
		env  []string
		want Platform
	}{
		{"GitHub Enterprise", []string{"GITHUB_ACTIONS", "true", "GITHUB_API_URL", "https://ghe.example/api/v3"}, GitHub},
		{"an old Forgejo runner", []string{"GITHUB_ACTIONS", "true", "ACT", "true", "GITHUB_API_URL", "https://code.example/api/v1/"}, Forgejo},
		{"a shell with leftovers", []string{"FORGEJO_ACTIONS", "true", "GITHUB_API_URL", "https://code.example/api/v1"}, None},
	} {
		if r, _ := on(None, c.env...); r.Platform() != c.want {
			t.Errorf("%s: got %q, want %q", c.name, r.Platform(), c.want)
		}
	}
}

func TestInput(t *testing.T) {
	for _, c := range []struct {
		variable, value, name, want string
	}{
		{"INPUT_CONFIG", "  remint.yaml\n", "config", "remint.yaml"},
		{"INPUT_API-TOKEN", "x", "api-token", "x"},
		{"INPUT_TWO_WORDS", "x", "two words", "x"},
		{"INPUT_A.B", "github", "a.b", "github"},
		{"INPUT_A_B", "forgejo", "a.b", "forgejo"},
		{"INPUT_BLANK", " \n", "blank", ""},
		{"INPUT_OTHER", "x", "config", ""},
	} {
		r, _ := on(GitHub, c.variable, c.value)
		if got, ok := r.Input(c.name); got != c.want || ok != (c.want != "") {
			t.Errorf("%s=%q: input %s is %q, %t", c.variable, c.value, c.name, got, ok)
		}
	}
}

func TestMask(t *testing.T) {
	for _, c := range []struct {
		platform     Platform
		secret, want string
	}{
		{None, "tok-123456", ""},
		{GitHub, "1234567", ""},
		{GitHub, "      a       ", ""},
		{GitHub, "12345678", "::add-mask::12345678\n"},
		{GitHub, "50%-and-more\nline two", "::add-mask::50%25-and-more%0Aline two\n"},
		{GitHub, "left::right-side", "::add-mask::left::right-side\n"},
		{Gitea, "12345678\r\n}\r\nabcdefgh", "::add-mask::12345678\n::add-mask::abcdefgh\n"},
		{Gitea, "50%-and-more", "::add-mask::50%25-and-more\n"},
		{Forgejo, "50%-and-more", "::add-mask::50%25-and-more\n::add-mask::50%-and-more\n"},
		{Forgejo, "50%25-and-more", "::add-mask::50%2525-and-more\n"},
		{Forgejo, "FlyV1 fm2_abcdefgh,fm2_ijkl", "::add-mask::FlyV1 fm2_abcdefgh,fm2_ijkl\n"},
		{Act, "leftleft::right-side", "::add-mask::leftleft\n::add-mask::right-side\n"},
		{Act, ":leftleft:::right-side:", "::add-mask::leftleft\n::add-mask::right-side\n"},
	} {
		r, out := on(c.platform)
		r.Mask(c.secret)
		if out.String() != c.want {
			t.Errorf("%s, %q:\n got %q\nwant %q", c.platform, c.secret, out, c.want)
		}
	}
}

// A runner that does not understand a mask prints it.
func FuzzMask(f *testing.F) {
	for _, s := range []string{"tok-123456", "a::b::cccccccccccc", "50%0A::add-mask::x", "x\n::error::yyyyyyyyyy", ": :: ::: ::::12345678", "a b::c d ::12345678"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, secret string) {
		for p := range env {
			r, out := on(p)
			r.Mask(secret)
			for line := range strings.Lines(out.String()) {
				line = strings.TrimSuffix(line, "\n")
				read := actLine
				if p == GitHub {
					read = githubLine
				}
				if c := read(line); c == nil || c.name != "add-mask" {
					t.Fatalf("%s: %q prints %q, which is read as %+v", p, secret, line, c)
				}
			}
		}
	})
}

func TestGroup(t *testing.T) {
	for p, want := range map[Platform]string{
		None:   "web: : x : :stop\n",
		GitHub: "::group::web: : x : :stop\n::endgroup::\n",
		Gitea:  "::group::web: : x : :stop\n::endgroup::\n",
	} {
		r, out := on(p)
		r.Group("::web:: x\n::stop")
		r.EndGroup()
		if out.String() != want {
			t.Errorf("%q: %q", p, out)
		}
	}
}

func TestLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "\n",
		"  ✓ write   a: b   212ms":        "  ✓ write   a: b   212ms\n",
		"100% of ::x":                     "100% of ::x\n",
		"::error::x":                      ": :error::x\n",
		" \u00a0::set-env name=PATH::x":   " \u00a0: :set-env name=PATH::x\n",
		"\u200b::error::x":                ": :error::x\n",
		"see ##[error]x":                  "see ## [error]x\n",
		"###\u2060[group]x":               "### [group]x\n",
		"a\r::error::x\r\n##[add-path]/x": "a\n: :error::x\n## [add-path]/x\n",
		"a\vb\x1b[31mred\x00":             "a b [31mred \n",
		"\xff::x::":                       "\uFFFD::x::\n",
		"one\n\ntwo\n":                    "one\n\ntwo\n",
		"right to left \u202eevil":        "right to left evil\n",
		"\u2028::error::line separator":   " : :error::line separator\n",
	} {
		r, out := on(GitHub)
		r.Line(text)
		if out.String() != want {
			t.Errorf("%q:\n got %q\nwant %q", text, out, want)
		}
	}
}

func FuzzLine(f *testing.F) {
	for _, s := range []string{"::error::x", " \t::set-env name=A::b", "x##[error]y", "\u200b:\u200b:error::x", "##\u200b[error]x", ":::error::", "####[group]x",
		"a\r\n::group::b", "\ufe0f::error::x", "\u0085::add-path::x", "\xff\xfe::debug::", "::add-mask::\n::stop-commands::x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for p := range env {
			r, out := on(p)
			r.Line(text)
			r.Summary(text) // no file: must not print either
			for _, a := range []Annotation{{Text: text}, {Title: text, File: text, Text: text}} {
				if p != GitHub {
					r.Notice(a)
					r.Warning(a)
					r.Error(a)
				}
			}
			if p == None {
				r.Group(text)
			}
			r.Flush()
			for line := range strings.SplitSeq(out.String(), "\n") {
				if strings.ContainsAny(line, "\r\x00\x1b") {
					t.Fatalf("%q: control characters in %q", text, line)
				}
				if c := githubLine(line); c != nil {
					t.Fatalf("%q: GitHub's runner takes %q for %+v", text, line, c)
				}
				if c := actLine(line); c != nil {
					t.Fatalf("%q: other runners take %q for %+v", text, line, c)
				}
			}
		}
	})
}

// On GitHub a text is in one command, whatever it says.
func FuzzAnnotation(f *testing.F) {
	f.Add("remint.yaml", "a title", "what is wrong")
	f.Add("a,line=3::x", "t\n::error::x", "100%\r\n::add-mask::x%0A")
	f.Fuzz(func(t *testing.T, file, title, text string) {
		r, out := on(GitHub)
		r.Error(Annotation{File: file, Line: 7, Column: 3, Title: title, Text: text})
		r.Group(text)
		got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(got) != 2 {
			t.Fatalf("%d lines: %q", len(got), got)
		}
		c := githubLine(got[0])
		if c == nil || c.name != "error" || c.props["line"] != "7" || c.props["col"] != "3" || c.props["file"] != oneLine(file) || c.props["title"] != oneLine(title) {
			t.Fatalf("%q is read as %+v", got[0], c)
		}
		if want := strings.Join(lines(cut(text)), "\n"); c.data != want {
			t.Fatalf("%q is read as %q, want %q", got[0], c.data, want)
		}
		if c := githubLine(got[1]); c == nil || c.name != "group" {
			t.Fatalf("%q is read as %+v", got[1], c)
		}
		if c := actLine(got[1]); c == nil || c.name != "group" {
			t.Fatalf("%q is read as %+v", got[1], c)
		}
	})
}

func TestAnnotations(t *testing.T) {
	for _, c := range []struct {
		errors      int
		annotations int
		last        string
		lines       int // of the log, that are no commands
	}{
		{0, 0, "", 0},
		{9, 9, "message 9", 0},
		{10, 10, "message 10", 1},
		{12, 10, "and 3 more: remint.yaml:10: message 10; remint.yaml:11: message 11; remint.yaml:12: message 12", 3},
	} {
		r, out := on(GitHub)
		for i := range c.errors {
			r.Error(Annotation{File: "remint.yaml", Line: i + 1, Text: fmt.Sprintf("message %d", i+1)})
		}
		r.Warning(Annotation{Text: "other kinds count for themselves"})
		r.Flush()
		r.Flush()
		var found []string
		plain := 0
		for line := range strings.Lines(strings.TrimSuffix(out.String(), "\n")) {
			switch p := githubLine(strings.TrimSuffix(line, "\n")); {
			case p == nil:
				plain++
			case p.name == "error":
				found = append(found, p.data)
			}
		}
		if len(found) != c.annotations || plain != c.lines || c.last != "" && found[len(found)-1] != c.last {
			t.Errorf("%d errors: %d annotations, %d lines: %q", c.errors, len(found), plain, found)
		}
	}
}

func TestLateAnnotation(t *testing.T) {
	r, out := on(GitHub)
	for range mostShown {
		r.Error(Annotation{Text: "x"})
	}
	r.Flush()
	before := out.Len()
	r.Error(Annotation{Text: "late"})
	r.Flush()
	if got := out.String()[before:]; got != "error: late\n" {
		t.Errorf("%q", got)
	}
}

func TestAnnotationsElsewhere(t *testing.T) {
	for _, p := range []Platform{None, Forgejo, Gitea, Act} {
		r, out := on(p)
		for range 12 {
			r.Error(Annotation{File: "remint.yaml", Line: 7, Column: 13, Title: "web", Text: "two\nlines"})
		}
		r.Flush()
		if want := strings.Repeat("error: remint.yaml:7:13: web: two\n  lines\n", 12); out.String() != want {
			t.Errorf("%q: %q", p, out)
		}
	}
}

func TestLongAnnotation(t *testing.T) {
	r, out := on(GitHub)
	r.Notice(Annotation{Text: strings.Repeat("é", 5000)})
	if out.Len() > longestText+100 || !strings.HasSuffix(out.String(), "é…\n") {
		t.Errorf("%d bytes", out.Len())
	}
}

func file(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestOutput(t *testing.T) {
	path := file(t)
	r, out := on(GitHub, outputFile, path)
	want := []setting{{"rotated", `["web"]`}, {"next", ""}, {"result", "a\n\n_GitHubActionsFileCommandDelimeter_\nx=y\nEOF\n"}}
	for _, s := range want {
		if err := r.Output(s.key, s.value); err != nil {
			t.Fatal(err)
		}
	}
	for _, parse := range []func(string) ([]setting, error){githubFile, forgejoFile} {
		if got, err := parse(read(t, path)); err != nil || !slices.Equal(got, want) {
			t.Errorf("read as %q, %v", got, err)
		}
	}
	if out.Len() > 0 {
		t.Errorf("the log has %q", out)
	}
}

func TestOutputRefuses(t *testing.T) {
	path := file(t)
	r, _ := on(GitHub, outputFile, path)
	for _, c := range []struct{ key, value, because string }{
		{"", "x", "name"},
		{"a=b", "x", "name"},
		{"a<<b", "x", "name"},
		{"a\nb", "x", "name"},
		{"ä", "x", "name"},
		{"a", "x\x00y", "control"},
		{"a", "x\r\ny", "control"},
		{"a", "\x1b[31m", "control"},
		{"a", "\nx", "empty line"},
		{"a", "\n", "empty line"},
		{"a", "\xff", "UTF-8"},
		{"a", "x\n" + strings.Repeat("y", 64<<10), "line of 65536 bytes"},
	} {
		if err := r.Output(c.key, c.value); err == nil || !strings.Contains(err.Error(), c.because) {
			t.Errorf("%q=%.20q: %v", c.key, c.value, err)
		}
	}
	if got := read(t, path); got != "" {
		t.Errorf("written: %q", got)
	}
	for _, c := range []setting{{"delim", "x"}, {"a", "xdelimx"}} {
		if _, err := command(c.key, c.value, "delim"); err == nil {
			t.Errorf("%v: a delimiter inside is accepted", c)
		}
	}
}

func FuzzOutput(f *testing.F) {
	f.Add("result", `{"rotations":[]}`)
	f.Add("a", "x\n\ny\n")
	f.Add("a", "_GitHubActionsFileCommandDelimeter_\nb=c")
	f.Add("a", "x\r")
	f.Add("a<<b", "")
	f.Add("a", "\n\nx")
	f.Add("a", "\ufeffx\u0085y\u2028z")
	f.Fuzz(func(t *testing.T, key, value string) {
		text, err := command(key, value, "remint_XYZ")
		if err != nil {
			return
		}
		around := "before=1\n" + text + "after<<E\n2\nE\n"
		want := []setting{{"before", "1"}, {key, value}, {"after", "2"}}
		for name, parse := range map[string]func(string) ([]setting, error){"GitHub": githubFile, "Forgejo": forgejoFile} {
			if got, err := parse(around); err != nil || !slices.Equal(got, want) {
				t.Fatalf("%s reads %q as %q, %v", name, around, got, err)
			}
		}
	})
}

func TestFiles(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	r, _ := on(GitHub, outputFile, missing, summaryFile, file(t))
	for what, err := range map[string]error{"output": r.Output("a", "b"), "check": r.Check()} {
		if !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), "GITHUB_OUTPUT") || !strings.Contains(err.Error(), "does not exist in this container") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := os.Stat(missing); !os.IsNotExist(err) {
		t.Error("the file was made")
	}
	r, _ = on(None)
	if err := r.Check(); err == nil || strings.Count(err.Error(), "not set") != 2 {
		t.Errorf("check: %v", err)
	}
	r, _ = on(GitHub, outputFile, file(t), summaryFile, file(t))
	if err := r.Check(); err != nil {
		t.Error(err)
	}
	if os.Getuid() != 0 {
		denied := file(t)
		_ = os.Chmod(denied, 0o400)
		r, _ = on(GitHub, outputFile, denied)
		if err := r.Output("a", "b"); err == nil || !strings.Contains(err.Error(), "runs as root") {
			t.Error(err)
		}
	}
	r, _ = on(GitHub, outputFile, t.TempDir())
	if err := r.Output("a", "b"); err == nil {
		t.Error("wrote to a folder")
	}
}

func TestSummary(t *testing.T) {
	path := file(t)
	r, _ := on(GitHub, summaryFile, path)
	for _, s := range []string{"# one\r\n\r\n::error::x ##[y]", "two\x00\n\n\n"} {
		if err := r.Summary(s); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := read(t, path), "# one\n\n: :error::x ## [y]\ntwo \n"; got != want {
		t.Errorf("got %q", got)
	}
}

func TestSummaryLimit(t *testing.T) {
	paragraph := strings.Repeat("é", 50) + "\n" + strings.Repeat("x", 100) + "\n\n"
	path := file(t)
	r, _ := on(GitHub, summaryFile, path)
	for range 2 {
		if err := r.Summary(strings.Repeat(paragraph, 4000)); err != nil {
			t.Fatal(err)
		}
	}
	got := read(t, path)
	if len(got) > longestSummary || len(got) < longestSummary-1000 || !strings.HasSuffix(got, "x\n"+cutNote) {
		t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-100:])
	}
	if err := r.Summary("more"); err != nil {
		t.Fatal(err)
	}
	if now := read(t, path); now != got && len(now) > longestSummary {
		t.Errorf("%d bytes", len(now))
	}

	for _, c := range []struct {
		name, text string
		most       int
		want       string
	}{
		{"fits", "abc\n", 4, "abc\n"},
		{"between paragraphs", "one\ntwo\n\nthree\nfour\n", 18, "one\ntwo\n"},
		{"between lines", "one\ntwo\nthree\n", 10, "one\ntwo\n"},
		{"not in a fence", "one\n\n```mermaid\ngantt\n\n  x\n```\n", 24, "one\n\n"},
		{"after a fence", "```\nx\n```\n\ntwo\n", 14, "```\nx\n```\n"},
		{"one long line", strings.Repeat("x", 30), 10, ""},
	} {
		most := int64(c.most)
		if c.want != c.text {
			most += int64(len(cutNote))
			c.want += cutNote
		}
		if len(c.text) > 4 {
			c.text += strings.Repeat("y", len(cutNote)) // so that it does not fit whole
		}
		if got := fit(c.text, most); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
	if got := fit("abcdef", 5); got != "" {
		t.Errorf("no room for the note: %q", got)
	}
}

type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestClosedLog(t *testing.T) {
	r := &Runner{Out: closed{}, Getenv: func(key string) string { return env[GitHub][key] }}
	r.Line("x")
	r.Mask("12345678")
	r.Group("x")
	r.EndGroup()
	r.Error(Annotation{Text: "x"})
	r.Flush()
}

func TestZeroRunner(t *testing.T) {
	t.Setenv("GITHUB_ACTIONS", "true")
	t.Setenv("INPUT_CONFIG", "x")
	var r Runner
	if v, ok := r.Input("config"); !r.Present() || !ok || v != "x" {
		t.Errorf("%t %q %t", r.Present(), v, ok)
	}
}
