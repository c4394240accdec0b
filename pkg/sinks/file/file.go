// Package file writes a credential into a file: as its whole content, or as one line of a dotenv file.
// Its rules:
//
//   - A file is replaced at once (temporary file beside it, fsync, rename), never written in place, so a
//     reader sees the old content or the new. Owner and group are kept.
//   - The file ends up with mode 0600, or what mode says, or less; a wider mode is narrowed, with a warning.
//   - Symbolic links, further hard links, directories, devices and files over 1 MiB are refused: replacing
//     would break or miss what readers look at.
//   - Of a dotenv file, the bytes of one value change and no others (dotenv.go).
//   - There is no marker beside the file: what it holds is settled by reading it.
//
// It is what a person tries first, and right for a machine that reads its own file. The file is as safe
// as the disk it is on.
package file

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/internal/warn"
	"github.com/remint-dev/remint/pkg/rotate"
)

// MaxSize is the largest file in bytes that is read or written.
const MaxSize = 1 << 20

// File is a file that holds a credential. It is safe for concurrent use; other processes that write the
// file at the very moment of a write may be overwritten.
type File struct {
	Path      string `yaml:"path" required:"true" scalar:"true" example:"/etc/web/fly-token" doc:"The file. Its folder must exist; the file need not. A new file holds the credential without a line break; one that is there keeps the line break at its end, or the lack of it."`
	Key       string `yaml:"key" example:"FLY_API_TOKEN" doc:"Variable of a dotenv file (KEY=VALUE lines); all other lines are kept byte for byte. Without it the credential is the whole content."`
	CreateKey bool   `yaml:"create-key" doc:"Add the variable if a file that is there lacks it. Without this a missing variable is an error."`
	Mode      string `yaml:"mode" default:"0600" example:"\"0640\"" doc:"Widest permissions that the file may have, in octal; nobody beyond owner and group is ever let in. A file with narrower ones keeps them."`

	mu       sync.Mutex
	undo     *change
	warnings warn.List
}

var (
	_ rotate.Sink     = (*File)(nil)
	_ rotate.Holder   = (*File)(nil)
	_ rotate.Reader   = (*File)(nil)
	_ rotate.Undoer   = (*File)(nil)
	_ rotate.Checker  = (*File)(nil)
	_ rotate.Warner   = (*File)(nil)
	_ rotate.Accepter = (*File)(nil)
)

// String implements [rotate.Sink]: "file:/path" or "file:/path#KEY".
func (f *File) String() string {
	if f.Key != "" {
		return "file:" + f.Path + "#" + f.Key
	}
	return "file:" + f.Path
}

var variable = pattern.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Validate reports all that is wrong with the fields, without looking at the file.
func (f *File) Validate() error {
	var errs []error
	switch {
	case f.Path == "":
		errs = append(errs, rotate.Field("path", "give the path of the file"))
	case strings.ContainsFunc(f.Path, unicode.IsControl):
		errs = append(errs, rotate.Field("path", "%q has control characters", f.Path))
	case strings.HasSuffix(f.Path, "/") || filepath.Base(f.Path) == "." || filepath.Base(f.Path) == "..":
		errs = append(errs, rotate.Field("path", "%q names a folder, not a file", f.Path))
	}
	if f.Key != "" && !variable.MatchString(f.Key) {
		errs = append(errs, rotate.Field("key", "%q is not a name of a variable: letters, digits and _, not beginning with a digit", f.Key))
	}
	if f.CreateKey && f.Key == "" {
		errs = append(errs, rotate.Field("create-key", "there is no key to create"))
	}
	if _, err := f.mode(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// mode returns the widest permissions.
func (f *File) mode() (uint32, error) {
	if f.Mode == "" {
		return 0o600, nil
	}
	m, err := strconv.ParseUint(f.Mode, 8, 32)
	if err != nil || m&^0o660 != 0 || m&0o400 == 0 {
		return 0, rotate.Field("mode", "%q: an octal number such as 0600, 0640 or 0400; the owner must be able to read, others never", f.Mode)
	}
	return uint32(m), nil
}

// Accept implements [rotate.Accepter].
func (f *File) Accept(c rotate.Credential) error {
	text := c.Secret.Reveal()
	no := func(format string, args ...any) error {
		return f.fault("write", fmt.Errorf("%w: "+format, append([]any{rotate.ErrConfig}, args...)...))
	}
	switch {
	case text == "":
		return no("there is no secret to write")
	case len(text) > MaxSize-2:
		return f.fault("write", fmt.Errorf("%w: the credential has %d bytes, a file at most %d", rotate.ErrLimit, len(text), MaxSize))
	case f.Key == "" && strings.HasSuffix(text, "\n"):
		return no("the credential ends in a line break, which could not be told from the file's own")
	case f.Key != "" && (!utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl)):
		return no("the credential has line breaks, control characters or invalid UTF-8, which readers of dotenv files do not agree on")
	}
	if f.Key != "" {
		if _, err := quote(text, single, false); err != nil {
			return f.fault("write", err)
		}
	}
	return nil
}

// Held implements [rotate.Holder] by reading the file.
func (f *File) Held(ctx context.Context) (rotate.Holding, error) {
	s, err := f.read(ctx)
	return rotate.Holding{Secret: s}, f.fault("held", err)
}

// Read implements [rotate.Reader]. A file that is not there holds nothing.
func (f *File) Read(ctx context.Context) (rotate.Secret, error) {
	s, err := f.read(ctx)
	return s, f.fault("read", err)
}

func (f *File) read(ctx context.Context) (rotate.Secret, error) {
	if err := errors.Join(ctx.Err(), f.Validate()); err != nil {
		return rotate.Secret{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	was, err := f.look()
	if err != nil {
		return rotate.Secret{}, err
	}
	text, err := f.valueIn(was)
	return rotate.NewSecret(text), err
}

// Warnings implements [rotate.Warner].
func (f *File) Warnings() []string { return f.warnings.Take() }

func (f *File) fault(op string, err error) error {
	if err == nil {
		return nil
	}
	return &rotate.Error{Op: op, At: f.String(), Err: err}
}
