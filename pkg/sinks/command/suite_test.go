//go:build unix

package command

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remint-dev/remint/pkg/protocol"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// python is how to start a program in Python. The system's own comes first: a wrapper in PATH may take longer than the program.
func python(path string) []string {
	const system = "/usr/bin/python3"
	if _, err := os.Stat(system); err == nil {
		return []string{system, path}
	}
	return []string{path}
}

// TestSuite holds the example program, and with it the adapter, to the contract that the engine relies on.
func TestSuite(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("sink.py is not run: there is no python3 on this machine")
	}
	path, err := filepath.Abs("../../../examples/sinks/sink.py")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "place")
	rotatetest.Sink(t, rotatetest.SinkUnderTest{
		New: func(*testing.T) rotate.Sink {
			s := &Sink{Program: protocol.Program{Run: python(path), With: map[string]string{"file": file},
				Secrets: map[string]rotate.Secret{"api": rotate.NewSecret("credential-of-the-program")}}, Can: []string{"held", "mark", "read", "undo"}}
			return s.Adapter()
		},
		Content: func(t *testing.T) string {
			var place struct{ Now struct{ Secret string } }
			text, err := os.ReadFile(file)
			if err != nil || json.Unmarshal(text, &place) != nil {
				t.Fatalf("the file: %v", err)
			}
			return place.Now.Secret
		},
		Credentials: []string{"credential-of-the-program"},
	})
}

func program(script string, can ...string) *Sink {
	return &Sink{Program: protocol.Program{Run: []string{"/bin/sh", "-c", script}}, Can: can}
}

// TestAdapter: the engine sees the optional interfaces that the program has, and no others.
func TestAdapter(t *testing.T) {
	for _, can := range [][]string{{"read"}, {"held", "mark"}, {"held", "mark", "read"}, {"held", "mark", "undo"}, {"read", "undo"}, {"held", "mark", "read", "undo"}} {
		s := program("exit 0", can...)
		if err := s.Validate(); err != nil {
			t.Errorf("%v: %v", can, err)
		}
		a := s.Adapter()
		_, held := a.(rotate.Holder)
		_, mark := a.(rotate.Marker)
		_, read := a.(rotate.Reader)
		_, undo := a.(rotate.Undoer)
		_, check := a.(rotate.Checker)
		_, accept := a.(rotate.Accepter)
		_, reach := a.(rotate.Connector)
		for verb, got := range map[string]bool{"held": held, "mark": mark, "read": read, "undo": undo} {
			if got != s.can(verb) {
				t.Errorf("%v: %s is %t", can, verb, got)
			}
		}
		if !check || !accept || !reach || a.String() != s.String() || a.(interface{ Configured() *Sink }).Configured() != s {
			t.Errorf("%v: the rest is lost in %T", can, a)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, can := range [][]string{nil, {"held"}, {"mark", "read"}, {"undo"}, {"identify", "read"}} {
		if err := program("exit 0", can...).Validate(); !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), "field can:") {
			t.Errorf("%v: %v", can, err)
		}
	}
}

// TestHeld: nothing known is no error, and a program that fails is one.
func TestHeld(t *testing.T) {
	for script, want := range map[string]string{
		`echo '{"remint":1}'`: "",
		`echo '{"remint":1,"token":{"id":"7"},"verified":true}'`: "7",
		`echo '{"remint":1,"token":{"name":"no id"}}'`:           "error",
		`echo '{"remint":1,"error":{"kind":"denied"}}'`:          "error",
		`echo '{"remint":1,"error":{"kind":"unsupported"}}'`:     "error",
	} {
		h, err := program(script, "held", "mark").Adapter().(rotate.Holder).Held(t.Context())
		if (err != nil) != (want == "error") || err == nil && (h.Mark.Token.ID != want || h.Mark.Verified != (want != "")) {
			t.Errorf("%s: %+v, %v", script, h, err)
		}
	}
}

// TestUndoOfAFailedWrite: what was not written for sure is not put back.
func TestUndoOfAFailedWrite(t *testing.T) {
	s := program(`echo '{"remint":1,"error":{"kind":"temporary"}}'`, "read", "undo").Adapter()
	c := rotate.Credential{Token: rotate.Token{ID: "7"}, Secret: rotate.NewSecret("abcdefgh")}
	if err := s.Write(t.Context(), c); !errors.Is(err, rotate.ErrTemporary) {
		t.Errorf("write: %v", err)
	}
	if err := s.(rotate.Undoer).Undo(t.Context()); !errors.Is(err, rotate.ErrConflict) {
		t.Errorf("undo: %v", err)
	}
	c.Secret = rotate.NewSecret(strings.Repeat("x", protocol.MaxSecret+1))
	if err := s.(rotate.Accepter).Accept(c); !errors.Is(err, rotate.ErrLimit) {
		t.Errorf("accept: %v", err)
	}
}
