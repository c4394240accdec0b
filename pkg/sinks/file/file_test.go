//go:build unix

package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

func credential(text string) rotate.Credential {
	return rotate.Credential{Token: rotate.Token{ID: "b"}, Secret: rotate.NewSecret(text)}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// seed makes a file with exactly these permissions, whatever the umask.
func seed(t *testing.T, text string, perm fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	check(t, os.WriteFile(path, []byte(text), 0o600))
	check(t, os.Chmod(path, perm))
	return path
}

func content2(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	check(t, err)
	return string(b)
}

func perm(t *testing.T, path string) fs.FileMode {
	t.Helper()
	stat, err := os.Lstat(path)
	check(t, err)
	return stat.Mode().Perm()
}

// alone fails if anything but the file is left in its folder.
func alone(t *testing.T, path string, want int) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	check(t, err)
	if len(entries) != want {
		t.Errorf("left in the folder: %v", entries)
	}
}

func TestWrite(t *testing.T) {
	for _, c := range []struct {
		name, key  string
		create     bool
		before     string
		after      string
		mode       string
		perm, want fs.FileMode
		warns      bool
	}{
		{name: "no line break", before: "old", after: "new-token", perm: 0o600, want: 0o600},
		{name: "line break", before: "old\n", after: "new-token\n", perm: 0o600, want: 0o600},
		{name: "CRLF", before: "old\r\n", after: "new-token\r\n", perm: 0o600, want: 0o600},
		{name: "empty", before: "", after: "new-token", perm: 0o600, want: 0o600},
		{name: "wider", before: "old", after: "new-token", perm: 0o644, want: 0o600, warns: true},
		{name: "wider than mode", before: "old", after: "new-token", mode: "0640", perm: 0o664, want: 0o640, warns: true},
		{name: "as mode", before: "old", after: "new-token", mode: "0640", perm: 0o640, want: 0o640},
		{name: "narrower", before: "old", after: "new-token", perm: 0o400, want: 0o400},
		{name: "dotenv", key: "K", before: "A=1\nK=old\n", after: "A=1\nK=new-token\n", perm: 0o600, want: 0o600},
		{name: "dotenv, new variable", key: "K", create: true, before: "A=1", after: "A=1\nK=new-token\n", perm: 0o600, want: 0o600},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := seed(t, c.before, c.perm)
			f := &File{Path: path, Key: c.key, CreateKey: c.create, Mode: c.mode}
			ctx := t.Context()
			check(t, f.Check(ctx))
			if content2(t, path) != c.before || perm(t, path) != c.perm {
				t.Error("Check changed the file")
			}
			check(t, f.Write(ctx, credential("new-token")))
			if got := content2(t, path); got != c.after {
				t.Errorf("holds %q, want %q", got, c.after)
			}
			if got := perm(t, path); got != c.want {
				t.Errorf("has mode %#o, want %#o", got, c.want)
			}
			if w := f.Warnings(); (len(w) == 1) != c.warns || len(f.Warnings()) != 0 {
				t.Errorf("warnings: %q", w)
			}
			h, err := f.Held(ctx)
			if err != nil || !h.Secret.Equal(rotate.NewSecret("new-token")) {
				t.Errorf("Held: %v", err)
			}
			before, err := os.Stat(path)
			check(t, err)
			check(t, f.Write(ctx, credential("new-token")))
			if after, _ := os.Stat(path); !os.SameFile(before, after) {
				t.Error("what is held already was written again")
			}
			check(t, f.Undo(ctx))
			if content2(t, path) != c.before || perm(t, path) != c.perm {
				t.Errorf("after Undo %q %#o, want %q %#o", content2(t, path), perm(t, path), c.before, c.perm)
			}
			if err := f.Undo(ctx); !errors.Is(err, rotate.ErrConflict) {
				t.Errorf("second Undo: %v", err)
			}
			alone(t, path, 1)
		})
	}
}

func TestNewFile(t *testing.T) {
	for _, c := range []struct{ key, want string }{{"", "new-token"}, {"K", "K=new-token\n"}} {
		path := filepath.Join(t.TempDir(), "token")
		f := &File{Path: path, Key: c.key}
		check(t, f.Check(t.Context()))
		if s, err := f.Read(t.Context()); err != nil || !s.IsZero() {
			t.Errorf("Read of nothing: %v", err)
		}
		alone(t, path, 0)
		check(t, f.Write(t.Context(), credential("new-token")))
		if content2(t, path) != c.want || perm(t, path) != 0o600 {
			t.Errorf("%q %#o", content2(t, path), perm(t, path))
		}
		check(t, f.Undo(t.Context()))
		alone(t, path, 0)
	}
}

func TestRefused(t *testing.T) {
	folder := t.TempDir()
	real := filepath.Join(folder, "real")
	check(t, os.WriteFile(real, []byte("old"), 0o600))
	at := func(name string) string { return filepath.Join(folder, name) }
	check(t, os.Symlink(real, at("link")))
	check(t, os.Symlink(at("nowhere"), at("dangling")))
	check(t, os.Mkdir(at("dir"), 0o700))
	check(t, syscall.Mkfifo(at("fifo"), 0o600))
	check(t, os.WriteFile(at("big"), make([]byte, MaxSize+1), 0o600))
	check(t, os.WriteFile(at("linked"), []byte("old"), 0o600))
	check(t, os.Link(at("linked"), at("again")))
	check(t, os.WriteFile(at("lines"), []byte("a\nb\n"), 0o600))
	check(t, os.WriteFile(at("env"), []byte("A=1\n"), 0o600))
	if l, err := net.Listen("unix", at("socket")); err == nil {
		defer func() { _ = l.Close() }()
	}
	for _, c := range []struct {
		f    *File
		err  error
		text string
	}{
		{&File{Path: at("link")}, rotate.ErrConfig, "symbolic link"},
		{&File{Path: at("dangling")}, rotate.ErrConfig, "symbolic link"},
		{&File{Path: at("dir")}, rotate.ErrConfig, "folder"},
		{&File{Path: at("fifo")}, rotate.ErrConfig, "not a regular file"},
		{&File{Path: at("socket")}, rotate.ErrConfig, "not a regular file"},
		{&File{Path: "/dev/null"}, rotate.ErrConfig, "not a regular file"},
		{&File{Path: at("big")}, rotate.ErrConfig, "bytes"},
		{&File{Path: at("linked")}, rotate.ErrConfig, "hard links"},
		{&File{Path: at("lines")}, rotate.ErrConfig, "several lines"},
		{&File{Path: at("env"), Key: "K"}, rotate.ErrNotFound, "no line sets K"},
		{&File{Path: at("none/token")}, rotate.ErrNotFound, "none"},
		{&File{Path: at("real/token")}, rotate.ErrConfig, "not a folder"},
		{&File{}, rotate.ErrConfig, "path"},
	} {
		t.Run(c.f.Path, func(t *testing.T) {
			before, _ := os.Lstat(c.f.Path)
			err := c.f.Check(t.Context())
			if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("Check: %v", err)
			}
			if err := c.f.Write(t.Context(), credential("new-token")); err == nil {
				t.Error("Write wrote it")
			}
			after, _ := os.Lstat(c.f.Path)
			if before != nil && (after == nil || !os.SameFile(before, after)) {
				t.Error("it was replaced")
			}
		})
	}
}

func TestNotWritable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	path := seed(t, "old", 0o600)
	folder := filepath.Dir(path)
	check(t, os.Chmod(folder, 0o500))
	defer func() { _ = os.Chmod(folder, 0o700) }()
	f := &File{Path: path}
	for _, err := range []error{f.Check(t.Context()), f.Write(t.Context(), credential("new-token"))} {
		if !errors.Is(err, rotate.ErrDenied) {
			t.Error(err)
		}
	}
}

func TestOwnerIsKept(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := seed(t, "old", 0o600)
	check(t, os.Chown(path, 1234, 2345))
	f := &File{Path: path}
	check(t, f.Check(t.Context()))
	check(t, f.Write(t.Context(), credential("new-token")))
	stat, err := os.Stat(path)
	check(t, err)
	if s := stat.Sys().(*syscall.Stat_t); s.Uid != 1234 || s.Gid != 2345 {
		t.Errorf("belongs to %d:%d", s.Uid, s.Gid)
	}
}

// TestRival: what somebody else wrote is neither overwritten nor taken for ours.
func TestRival(t *testing.T) {
	path := seed(t, "old", 0o600)
	f := &File{Path: path}
	check(t, f.Write(t.Context(), credential("new-token")))
	check(t, os.WriteFile(path, []byte("theirs"), 0o600))
	if err := f.Undo(t.Context()); !errors.Is(err, rotate.ErrConflict) || content2(t, path) != "theirs" {
		t.Errorf("%v, holds %q", err, content2(t, path))
	}
	was, err := f.look()
	check(t, err)
	check(t, os.WriteFile(path, []byte("once more"), 0o600))
	if err := f.replace(was, "mine", 0o600); !errors.Is(err, rotate.ErrConflict) || content2(t, path) != "once more" {
		t.Errorf("%v, holds %q", err, content2(t, path))
	}
	alone(t, path, 1)
}

// TestLeftovers: what a killed run left is removed, once it is nobody's.
func TestLeftovers(t *testing.T) {
	path := seed(t, "old", 0o600)
	old, young := filepath.Join(filepath.Dir(path), ".token.remint-1"), filepath.Join(filepath.Dir(path), ".token.remint-2")
	for _, p := range []string{old, young} {
		check(t, os.WriteFile(p, []byte("secret"), 0o600))
	}
	check(t, os.Chtimes(old, time.Time{}, time.Now().Add(-2*staleAfter)))
	check(t, (&File{Path: path}).Write(t.Context(), credential("new-token")))
	alone(t, path, 2)
	if _, err := os.Stat(young); err != nil {
		t.Error("a file that may be in use was removed")
	}
}

func TestCancelled(t *testing.T) {
	path := seed(t, "old", 0o600)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&File{Path: path}).Write(ctx, credential("new-token")); !errors.Is(err, context.Canceled) || content2(t, path) != "old" {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		f    *File
		want string
	}{
		{&File{Path: "token"}, ""},
		{&File{Path: "/a/.env", Key: "K_1", CreateKey: true, Mode: "0640"}, ""},
		{&File{Path: "/a/", Key: "1K", Mode: "644"}, "path key mode"},
		{&File{Path: "..", CreateKey: true, Mode: "x"}, "path create-key mode"},
		{&File{Path: "a\x00b", Mode: "0200"}, "path mode"},
	} {
		var fields []string
		var joined interface{ Unwrap() []error }
		if errors.As(c.f.Validate(), &joined) {
			for _, err := range joined.Unwrap() {
				var e *rotate.Error
				if errors.As(err, &e) {
					fields = append(fields, e.At)
				}
			}
		}
		if got := strings.Join(fields, " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.f.Path, got, c.want)
		}
	}
}

func TestAccept(t *testing.T) {
	for _, c := range []struct {
		key, text string
		want      error
	}{
		{"", "x", nil}, {"", "", rotate.ErrConfig}, {"", "a\nb", nil}, {"", "a\n", rotate.ErrConfig}, {"", strings.Repeat("x", MaxSize), rotate.ErrLimit},
		{"K", "FlyV1 fm2_x,fm2_y", nil}, {"K", "a\nb", rotate.ErrConfig}, {"K", "a\x00", rotate.ErrConfig}, {"K", "a\u0085", rotate.ErrConfig}, {"K", "\xff", rotate.ErrConfig},
		{"K", `it's`, nil}, {"K", `say "x"`, nil}, {"K", `it's $5`, rotate.ErrConfig},
	} {
		if err := (&File{Path: "x", Key: c.key}).Accept(credential(c.text)); !errors.Is(err, c.want) {
			t.Errorf("%q %.10q: %v", c.key, c.text, err)
		}
	}
}

func TestLeak(t *testing.T) {
	path := seed(t, "A='neighbour'\nK=old-secret\nK2=x y\n", 0o600)
	f := &File{Path: path, Key: "K"}
	check(t, f.Write(t.Context(), credential("new-secret")))
	var texts []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		texts = append(texts, fmt.Sprintf(verb, f), fmt.Sprintf(verb, f.undo), fmt.Sprintf(verb, *f.undo))
	}
	for _, doc := range []string{"K='neighbour\n", "K=old-secret$\n", "K=neighbour\nK=old-secret\n", "A=neighbour\n"} {
		check(t, os.WriteFile(path, []byte(doc), 0o600))
		_, err := f.Held(t.Context())
		texts = append(texts, fmt.Sprint(err), fmt.Sprint(f.Check(t.Context())), fmt.Sprint(f.Write(t.Context(), credential("new-secret"))), fmt.Sprint(f.Undo(t.Context())))
	}
	for _, text := range texts {
		for _, s := range []string{"old-secret", "new-secret", "neighbour"} {
			if strings.Contains(text, s) {
				t.Errorf("%q shows %s", text, s)
			}
		}
	}
}
