package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// This file reads and replaces the file as a whole. A write that is killed leaves the old file, and perhaps
// a temporary file that only the owner can read; the next write removes what is left of those.

// content is a file as it was found. The zero value is a file that is not there.
type content struct {
	stat fs.FileInfo // nil: not there
	text rotate.Secret
}

// change is what a write did, for Undo.
type change struct{ before, after content }

// staleAfter is how old a temporary file must be to be nobody's who still works on it.
const staleAfter = time.Hour

// look reads the file.
func (f *File) look() (content, error) {
	stat, err := os.Lstat(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return content{}, nil
	}
	if err != nil {
		return content{}, explain(err)
	}
	no := func(what string) (content, error) { return content{}, fmt.Errorf("%w: %s", rotate.ErrConfig, what) }
	switch mode := stat.Mode(); {
	case mode&fs.ModeSymlink != 0:
		to, _ := os.Readlink(f.Path)
		return no(fmt.Sprintf("it is a symbolic link to %q; name the file itself, since replacing the link would miss it", to))
	case mode.IsDir():
		return no("it is a folder")
	case !mode.IsRegular():
		return no("it is not a regular file but a device, pipe or socket")
	case stat.Size() > MaxSize:
		return no(fmt.Sprintf("it has %d bytes; more than %d are no file of credentials", stat.Size(), MaxSize))
	case links(stat) > 1:
		return no("it has further hard links, which would keep the old content; remove them")
	}
	file, err := os.Open(f.Path)
	if err != nil {
		return content{}, explain(err)
	}
	defer func() { _ = file.Close() }()
	if opened, err := file.Stat(); err != nil || !os.SameFile(stat, opened) {
		return content{}, fmt.Errorf("%w: it was replaced while it was read", rotate.ErrTemporary)
	}
	text, err := io.ReadAll(io.LimitReader(file, MaxSize+1))
	if err != nil {
		return content{}, explain(err)
	}
	if len(text) > MaxSize {
		return no("it grew beyond what is a file of credentials")
	}
	return content{stat, rotate.NewSecret(string(text))}, nil
}

// valueIn returns the credential in what was read, "" if there is none.
func (f *File) valueIn(c content) (string, error) {
	text := c.text.Reveal()
	if f.Key == "" {
		body, _ := cutEnd(text)
		return body, nil
	}
	a, err := locate(text, f.Key)
	if errors.Is(err, errNoKey) {
		if c.stat == nil || f.CreateKey {
			return "", nil
		}
		return "", f.noKey()
	}
	return a.value, err
}

func (f *File) noKey() error {
	return fmt.Errorf("%w: no line sets %s; see that it is written right, or set create-key", rotate.ErrNotFound, f.Key)
}

// cutEnd cuts the line break at the end of a text.
func cutEnd(text string) (body, end string) {
	if body, ok := strings.CutSuffix(text, "\r\n"); ok {
		return body, "\r\n"
	}
	if body, ok := strings.CutSuffix(text, "\n"); ok {
		return body, "\n"
	}
	return text, ""
}

// compose returns the whole text that the file is to hold.
func (f *File) compose(was content, secret rotate.Secret) (string, error) {
	text := was.text.Reveal()
	if f.Key == "" {
		body, end := cutEnd(text)
		if strings.Contains(body, "\n") && !strings.Contains(secret.Reveal(), "\n") {
			return "", fmt.Errorf("%w: it has several lines, which would all be lost; set key to replace the value of one, or empty the file", rotate.ErrConfig)
		}
		return secret.Reveal() + end, nil
	}
	doc, err := splice(text, f.Key, secret.Reveal(), f.CreateKey || was.stat == nil)
	if errors.Is(err, errNoKey) {
		return "", f.noKey()
	}
	if len(doc) > MaxSize {
		return "", fmt.Errorf("%w: with the new value the file would have %d bytes, %d are allowed", rotate.ErrLimit, len(doc), MaxSize)
	}
	return doc, err
}

// Write implements [rotate.Sink].
func (f *File) Write(ctx context.Context, c rotate.Credential) error {
	if err := f.Accept(c); err != nil {
		return err
	}
	if err := errors.Join(ctx.Err(), f.Validate()); err != nil {
		return f.fault("write", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault("write", f.write(c))
}

func (f *File) write(c rotate.Credential) error {
	was, err := f.look()
	if err != nil {
		return err
	}
	text, err := f.compose(was, c.Secret)
	if err != nil {
		return err
	}
	perm := f.permissions(was)
	if was.stat != nil && text == was.text.Reveal() && was.stat.Mode().Perm() == perm {
		return nil
	}
	if err := f.replace(was, text, perm); err != nil {
		return err
	}
	is, err := f.look()
	if err != nil {
		return err
	}
	f.undo = &change{was, is}
	if got, err := f.valueIn(is); err != nil || got != c.Secret.Reveal() {
		return fmt.Errorf("%w: what was written is not what is read back; something else writes this file", rotate.ErrConflict)
	}
	return nil
}

// permissions returns what the file is to have: no more than it had, and no more than mode.
func (f *File) permissions(was content) fs.FileMode {
	m, _ := f.mode()
	perm := fs.FileMode(m)
	if was.stat == nil {
		return perm
	}
	had := was.stat.Mode().Perm()
	if had&^perm != 0 {
		f.warnings.Add("its permissions %#o are narrowed to %#o; set mode if a group must read it", had, had&perm)
	}
	return had & perm
}

// replace puts text in the place of what was found, if that is still there.
func (f *File) replace(was content, text string, perm fs.FileMode) (err error) {
	f.sweep()
	temp, err := os.CreateTemp(filepath.Dir(f.Path), f.tempPattern()) // with mode 0600
	if err != nil {
		return explain(err)
	}
	defer func() {
		if err != nil {
			_ = temp.Close()
			_ = os.Remove(temp.Name())
		}
	}()
	if _, err := io.WriteString(temp, text); err != nil {
		return explain(err)
	}
	if was.stat != nil {
		if err := own(temp, was.stat); err != nil {
			return fmt.Errorf("%w: it belongs to another user or group, which cannot be kept: run as its owner, or give the file to this user", rotate.ErrDenied)
		}
	}
	if err := errors.Join(temp.Chmod(perm), temp.Sync(), temp.Close()); err != nil {
		return explain(err)
	}
	if now, err := f.look(); err != nil || !same(now, was) {
		return fmt.Errorf("%w: something else wrote it in this very moment", rotate.ErrConflict)
	}
	if err := os.Rename(temp.Name(), f.Path); err != nil {
		return explain(err)
	}
	syncFolder(filepath.Dir(f.Path))
	return nil
}

// same reports whether both are the same file with the same content.
func same(a, b content) bool {
	if a.stat == nil || b.stat == nil {
		return a.stat == nil && b.stat == nil
	}
	return os.SameFile(a.stat, b.stat) && a.text.Equal(b.text)
}

// tempPattern is the form of the names of our temporary files.
func (f *File) tempPattern() string { return "." + filepath.Base(f.Path) + ".remint-*" }

// sweep removes temporary files that a killed run left.
func (f *File) sweep() {
	folder := filepath.Dir(f.Path)
	prefix, _, _ := strings.Cut(f.tempPattern(), "*")
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) || !e.Type().IsRegular() {
			continue
		}
		if stat, err := e.Info(); err == nil && time.Since(stat.ModTime()) > staleAfter {
			_ = os.Remove(filepath.Join(folder, e.Name()))
		}
	}
}

// syncFolder makes a rename last. Some file systems cannot; then it lasts when they see fit.
func syncFolder(path string) {
	if d, err := os.Open(path); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

// Undo implements [rotate.Undoer]: bytes and permissions come back; a file that was not there is removed.
func (f *File) Undo(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.undo
	if u == nil {
		return f.fault("undo", fmt.Errorf("%w: this process replaced nothing in it, so there is nothing to put back", rotate.ErrConflict))
	}
	if err := ctx.Err(); err != nil {
		return f.fault("undo", err)
	}
	now, err := f.look()
	if err != nil {
		return f.fault("undo", err)
	}
	if !same(now, u.after) {
		return f.fault("undo", fmt.Errorf("%w: something else wrote it since, so it was not put back", rotate.ErrConflict))
	}
	if u.before.stat == nil {
		err = explain(os.Remove(f.Path))
		syncFolder(filepath.Dir(f.Path))
	} else {
		err = f.replace(now, u.before.text.Reveal(), u.before.stat.Mode().Perm())
	}
	if err != nil {
		return f.fault("undo", err)
	}
	f.undo = nil
	return nil
}

// Check implements [rotate.Checker].
func (f *File) Check(ctx context.Context) error {
	if err := errors.Join(ctx.Err(), f.Validate()); err != nil {
		return f.fault("check", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	add := func(err error) {
		if err != nil {
			errs = append(errs, f.fault("check", err))
		}
	}
	folder := filepath.Dir(f.Path)
	switch stat, err := os.Stat(folder); {
	case err != nil:
		add(explain(err))
		return errors.Join(errs...)
	case !stat.IsDir():
		add(fmt.Errorf("%w: %s is not a folder", rotate.ErrConfig, folder))
		return errors.Join(errs...)
	default:
		if err := writable(folder); err != nil {
			add(fmt.Errorf("%w: the folder %s must be writable, since the file is replaced as a whole: %w", rotate.ErrDenied, folder, err))
		}
		if stat.Mode()&0o002 != 0 && stat.Mode()&fs.ModeSticky == 0 {
			f.warnings.Add("everybody may replace files in %s", folder)
		}
	}
	was, err := f.look()
	if err != nil {
		add(err)
		return errors.Join(errs...)
	}
	if _, err := f.valueIn(was); err != nil {
		add(err)
	} else if _, err := f.compose(was, rotate.NewSecret("x")); err != nil {
		add(err)
	}
	if was.stat != nil {
		if !ownable(was.stat) {
			add(fmt.Errorf("%w: it belongs to another user; run as that user, since the replacement would be ours", rotate.ErrDenied))
		}
		f.permissions(was)
	}
	return errors.Join(errs...)
}

// explain gives an error of the file system the fitting sentinel.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", rotate.ErrDenied, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", rotate.ErrNotFound, err)
	}
	return fmt.Errorf("%w: %w", rotate.ErrTemporary, err)
}
