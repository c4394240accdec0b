package contract

import (
	"context"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// SinkCase describes a sink for the suite.
type SinkCase struct {
	// New returns a sink as a new process would build it; all write the same place.
	New func(t T) rotate.Sink
	// Content returns what a consumer reads there; nil: that cannot be looked at.
	Content func(t T) string
	// Old and New are two credentials, New the younger one; zero: the suite's own.
	Old, Newer rotate.Credential
	// Credentials are the texts that must never be printed: what the sink authenticates with.
	Credentials []string
}

// Sink checks the contracts of [rotate.Sink] and of the optional interfaces that it has.
func Sink(t T, u SinkCase) {
	ctx := context.Background()
	now := time.Now().UTC().Truncate(time.Second)
	if u.Old.ID == "" {
		u.Old = rotate.Credential{Token: rotate.Token{ID: "suite-1", Name: "suite one", Created: now.Add(-75 * rotate.Tick), Expires: now.Add(15 * rotate.Tick)}, Secret: rotate.NewSecret("first-secret-of-the-suite")}
		u.Newer = rotate.Credential{Token: rotate.Token{ID: "suite-2", Name: "suite two", Created: now, Expires: now.Add(90 * rotate.Tick)}, Secret: rotate.NewSecret("second-secret-of-the-suite")}
	}
	older, newer := u.Old, u.Newer
	must := func(t T, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v", err)
		}
	}
	holds := func(t T, s rotate.Sink, c rotate.Credential, verified bool) {
		t.Helper()
		if u.Content != nil && u.Content(t) != c.Secret.Reveal() {
			t.Fatalf("a consumer does not read the secret of %s", c.Name)
		}
		h, ok := s.(rotate.Holder)
		if !ok {
			return
		}
		got, err := h.Held(ctx)
		must(t, err)
		other := newer
		if c.ID == newer.ID {
			other = older
		}
		switch {
		case got.Snapshot && got.Mark.Token.ID == "": // what the workflow handed in says nothing of what was written since
		case got.Mark.Token.ID != "":
			if got.Mark.Token.ID != c.ID || got.Mark.Verified != verified {
				t.Errorf("marked as %s, verified %t; want %s, %t", got.Mark.Token.ID, got.Mark.Verified, c.ID, verified)
			}
			if !got.Mark.Token.Created.Equal(c.Created) || !got.Mark.Token.Expires.Equal(c.Expires) || got.Mark.Token.Name != c.Name {
				t.Errorf("the mark says %+v of %+v", got.Mark.Token, c.Token)
			}
		case got.Is != nil:
			if !got.Is(c.Token) || got.Is(other.Token) {
				t.Errorf("Is(%s) = %t, Is(%s) = %t", c.ID, got.Is(c.Token), other.ID, got.Is(other.Token))
			}
			if got.Verified != verified {
				t.Errorf("verified %t, want %t", got.Verified, verified)
			}
		case !got.Secret.IsZero():
			if !got.Secret.Equal(c.Secret) {
				t.Errorf("Held returns another secret")
			}
		}
		if r, ok := s.(rotate.Reader); ok {
			secret, err := r.Read(ctx)
			must(t, err)
			if !secret.Equal(c.Secret) {
				t.Errorf("Read returns another secret")
			}
		}
	}
	t.Run("undo without a write", func(t T) {
		if un, ok := u.New(t).(rotate.Undoer); ok {
			if un.Undo(ctx) == nil {
				t.Errorf("Undo without a Write succeeded")
			}
		}
	})
	t.Run("check", func(t T) {
		if c, ok := u.New(t).(rotate.Checker); ok {
			must(t, c.Check(ctx))
		}
	})
	t.Run("write", func(t T) {
		s := u.New(t)
		must(t, s.Write(ctx, older))
		holds(t, s, older, false)
		holds(t, u.New(t), older, false)
		must(t, s.Write(ctx, newer))
		must(t, s.Write(ctx, newer)) // twice is once
		holds(t, s, newer, false)
		holds(t, u.New(t), newer, false)
	})
	t.Run("mark", func(t T) {
		s := u.New(t)
		m, ok := s.(rotate.Marker)
		if !ok {
			t.Skip("cannot")
		}
		if h, ok := s.(rotate.Holder); ok {
			if _, err := h.Held(ctx); err != nil {
				t.Fatalf("%v", err)
			}
		}
		must(t, m.Mark(ctx, newer.Token))
		holds(t, s, newer, true)
		holds(t, u.New(t), newer, true)
	})
	t.Run("back to an older one", func(t T) {
		s := u.New(t)
		must(t, s.Write(ctx, older))
		holds(t, u.New(t), older, false)
	})
	t.Run("undo", func(t T) {
		s := u.New(t)
		un, ok := s.(rotate.Undoer)
		if !ok {
			t.Skip("cannot")
		}
		must(t, s.Write(ctx, newer))
		must(t, un.Undo(ctx))
		holds(t, u.New(t), older, false)
		later := newer // a later attempt is not confused by what was undone
		later.ID, later.Created, later.Secret = later.ID+"-later", later.Created.Add(time.Hour), rotate.NewSecret("third-secret-of-the-suite")
		must(t, u.New(t).Write(ctx, later))
		holds(t, u.New(t), later, false)
	})
	t.Run("cancelled", func(t T) {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		before, other := "", newer
		if u.Content != nil {
			before = u.Content(t)
		}
		if before == newer.Secret.Reveal() {
			other = older
		}
		if u.New(t).Write(ended, other) == nil {
			t.Errorf("Write with a context that ended succeeded")
		}
		if u.Content != nil && u.Content(t) != before {
			t.Errorf("a cancelled Write wrote")
		}
	})
	Silent(t, u.New(t), append(u.Credentials, older.Secret.Reveal(), newer.Secret.Reveal()))
}
