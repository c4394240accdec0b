package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// vault is a provider in memory whose secrets are "secret-of-" and the ID.
type vault struct {
	tokens []Token
	own    string // the ID of the credential in use
	sent   []string
	stays  bool // revoked tokens stay listed
	after  error
}

func (v *vault) String() string                                   { return "vault" }
func (v *vault) Mint(context.Context, string) (Credential, error) { panic("minted") }
func (v *vault) List(context.Context) ([]Token, error)            { return slices.Clone(v.tokens), nil }
func (v *vault) Revoke(_ context.Context, t Token) error {
	v.sent = append(v.sent, t.ID)
	if t.ID == v.own {
		return fmt.Errorf("%w: refusing to revoke the credential in use", ErrConflict)
	}
	if !v.stays {
		v.tokens = slices.DeleteFunc(v.tokens, func(x Token) bool { return x.ID == t.ID })
	}
	return v.after
}

func (v *vault) Identify(_ context.Context, s Secret) (Token, error) {
	for _, t := range v.tokens {
		if "secret-of-"+t.ID == s.Reveal() {
			return t, nil
		}
	}
	return Token{}, ErrDenied
}

// shelf is a sink in memory: with a mark, or readable.
type shelf struct {
	name   string
	mark   Mark
	secret string
	err    error
}

func (s *shelf) String() string                          { return s.name }
func (s *shelf) Write(context.Context, Credential) error { panic("written") }
func (s *shelf) Mark(context.Context, Token) error       { panic("marked") }
func (s *shelf) Held(context.Context) (Holding, error) {
	return Holding{Mark: s.mark, Secret: NewSecret(s.secret)}, s.err
}

// queue is a verifier that is never run, and knows whether consumers of older values are left.
type queue struct{ err error }

func (q queue) String() string                           { return "queue" }
func (q queue) Verify(context.Context, Credential) error { panic("verified") }
func (q queue) Drain(context.Context, time.Time) error   { return q.err }

func TestWithdraw(t *testing.T) {
	marked := func(t Token, verified bool) *shelf {
		return &shelf{name: "a", mark: Mark{Token: t, Verified: verified}}
	}
	g := func(n int, age time.Duration) Token {
		x := gen(n, age)
		x.Created, x.Expires = time.Now().Add(-age), time.Now().Add(90*day-age)
		return x
	}
	hand := func(id, name string, age time.Duration) Token {
		return Token{ID: id, Name: name, Created: time.Now().Add(-age)}
	}
	tests := []struct {
		name    string
		change  func(*Rotation)
		o       WithdrawOptions
		vault   func() *vault
		sinks   func() []Sink
		id      string
		err     error
		says    string // in the error or the objections
		sent    bool
		revoked bool
		breaks  int
		warns   string
	}{
		{name: "superseded", vault: func() *vault { return &vault{tokens: []Token{g(1, 20*day), g(2, 10*day)}} }, sinks: func() []Sink { return []Sink{marked(g(2, 10*day), true)} },
			id: "1", sent: true, revoked: true},
		{name: "dry", o: WithdrawOptions{DryRun: true}, vault: func() *vault { return &vault{tokens: []Token{g(1, 20*day), g(2, 10*day)}} },
			sinks: func() []Sink { return []Sink{marked(g(2, 10*day), true)} }, id: "1"},
		{name: "in grace", change: func(r *Rotation) { r.Grace = 20 * day }, vault: func() *vault { return &vault{tokens: []Token{g(1, 20*day), g(2, 10*day)}} },
			sinks: func() []Sink { return []Sink{marked(g(2, 10*day), true)} }, id: "1", sent: true, revoked: true, warns: "in grace until"},
		{name: "adopted", change: adopt("old"), vault: func() *vault { return &vault{tokens: []Token{hand("9", "old", 20*day), g(2, 10*day)}} },
			sinks: func() []Sink { return []Sink{marked(g(2, 10*day), true)} }, id: "9", sent: true, revoked: true},
		{name: "adopted, of unknown age", change: adopt("old"), vault: func() *vault { return &vault{tokens: []Token{{ID: "9", Name: "old"}, g(2, 10*day)}} },
			sinks: func() []Sink { return []Sink{marked(g(2, 10*day), true)} }, id: "9", err: ErrConflict, says: "when it was made is not known"},
		{name: "held", vault: func() *vault { return &vault{tokens: []Token{g(2, 10*day)}} }, sinks: func() []Sink { return []Sink{marked(g(2, 10*day), true)} }, id: "2", err: ErrConflict, says: "a holds it", breaks: 1},
		{name: "held, insisted", o: WithdrawOptions{EvenIfHeld: true}, vault: func() *vault { return &vault{tokens: []Token{g(2, 10*day)}} }, sinks: func() []Sink { return []Sink{marked(g(2, 10*day), true)} },
			id: "2", says: "a holds it", sent: true, revoked: true, breaks: 1},
		{name: "held by one of two", vault: func() *vault { return &vault{tokens: []Token{g(1, 20*day), g(2, 10*day)}} },
			sinks: func() []Sink {
				b := marked(g(1, 20*day), true)
				b.name = "b"
				return []Sink{marked(g(2, 10*day), true), b}
			}, id: "1", err: ErrConflict, says: "b holds it", breaks: 1},
		{name: "foreign, insisted", o: WithdrawOptions{EvenIfHeld: true}, vault: func() *vault { return &vault{tokens: []Token{hand("9", "old", 20*day), g(2, 10*day)}} },
			sinks: func() []Sink { return []Sink{marked(g(2, 10*day), true)} }, id: "9", err: ErrDenied, says: "not minted by the rotation web"},
		{name: "of another identity, insisted", o: WithdrawOptions{EvenIfHeld: true}, vault: func() *vault {
			return &vault{tokens: []Token{{ID: "9", Name: "web 20260101T000000Z-zzzzzzzzaaaaaa", Created: time.Now().Add(-20 * day)}, g(2, 10*day)}}
		}, sinks: func() []Sink { return []Sink{marked(g(2, 10*day), true)} }, id: "9", err: ErrDenied, says: "not minted by the rotation web"},
		{name: "unknown", vault: func() *vault { return &vault{tokens: []Token{g(2, 10*day)}} }, sinks: func() []Sink { return []Sink{marked(g(2, 10*day), true)} }, id: "7", err: ErrNotFound, says: "no live token"},
		{name: "no ID", change: adopt("old"), vault: func() *vault { return &vault{tokens: []Token{{Name: "old"}, g(2, 10*day)}} }, sinks: func() []Sink { return []Sink{marked(g(2, 10*day), true)} }, id: "", err: ErrNotFound},
		{name: "the newest, held by nobody", vault: func() *vault { return &vault{tokens: []Token{g(1, 20*day), g(2, 10*day)}} }, sinks: func() []Sink { return []Sink{marked(g(1, 20*day), true)} },
			id: "2", err: ErrConflict, says: "newest generation"},
		// A run that was killed between secret and marker: the sink may hold it although it says otherwise.
		{name: "an orphan beside a marker", vault: func() *vault { return &vault{tokens: []Token{g(1, 30*day), g(2, 20*day), g(3, 10*day)}} },
			sinks: func() []Sink { return []Sink{marked(g(1, 30*day), true)} }, id: "2", err: ErrConflict, says: "not older than what a says it holds"},
		{name: "an orphan, and the sink was read", vault: func() *vault { return &vault{tokens: []Token{g(1, 30*day), g(2, 20*day), g(3, 10*day)}} },
			sinks: func() []Sink { return []Sink{&shelf{name: "a", secret: "secret-of-1"}} }, id: "2", sent: true, revoked: true},
		{name: "a sink that could not be asked", vault: func() *vault { return &vault{tokens: []Token{g(1, 20*day), g(2, 10*day)}} },
			sinks: func() []Sink { return []Sink{marked(g(2, 10*day), true), &shelf{name: "b", err: ErrTemporary}} }, id: "1", err: ErrConflict, says: "b holds it is not known"},
		{name: "a sink that says nothing", vault: func() *vault { return &vault{tokens: []Token{g(1, 20*day), g(2, 10*day)}} },
			sinks: func() []Sink { return []Sink{marked(g(2, 10*day), true), &shelf{name: "b"}} }, id: "1", err: ErrConflict, says: "no token that remint knows"},
		{name: "unverified", vault: func() *vault { return &vault{tokens: []Token{g(1, 20*day), g(2, 10*day)}} }, sinks: func() []Sink { return []Sink{marked(g(2, 10*day), false)} },
			id: "1", err: ErrConflict, says: "not verified yet"},
		{name: "a run may be alive", vault: func() *vault { return &vault{tokens: []Token{g(1, 20*day), g(2, 10*time.Minute)}} },
			sinks: func() []Sink { return []Sink{&shelf{name: "a", secret: "secret-of-2"}} }, id: "1", err: ErrConflict, says: "another run may be alive"},
		{name: "a run may be alive, but a person knows", o: WithdrawOptions{Options: Options{Alone: true}}, vault: func() *vault { return &vault{tokens: []Token{g(1, 20*day), g(2, 10*time.Minute)}} },
			sinks: func() []Sink { return []Sink{&shelf{name: "a", secret: "secret-of-2"}} }, id: "1", sent: true, revoked: true},
		{name: "consumers were queued", change: func(r *Rotation) { r.Verify = []Verifier{queue{ErrUnproven}} }, vault: func() *vault { return &vault{tokens: []Token{g(1, 20*day), g(2, 10*day)}} },
			sinks: func() []Sink { return []Sink{marked(g(2, 10*day), true)} }, id: "1", err: ErrConflict, says: "consumers that began earlier"},
		{name: "the credential in use", o: WithdrawOptions{EvenIfHeld: true}, vault: func() *vault { return &vault{tokens: []Token{g(1, 20*day), g(2, 10*day)}, own: "1"} },
			sinks: func() []Sink { return []Sink{marked(g(2, 10*day), true)} }, id: "1", err: ErrConflict, says: "credential in use", sent: true},
		{name: "still listed", vault: func() *vault { return &vault{tokens: []Token{g(1, 20*day), g(2, 10*day)}, stays: true} }, sinks: func() []Sink { return []Sink{marked(g(2, 10*day), true)} },
			id: "1", sent: true, revoked: true, warns: "still listed"},
		{name: "the answer is lost", vault: func() *vault { return &vault{tokens: []Token{g(1, 20*day), g(2, 10*day)}, after: ErrTemporary} }, sinks: func() []Sink { return []Sink{marked(g(2, 10*day), true)} },
			id: "1", err: ErrTemporary, sent: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := tt.vault()
				r := &Rotation{ID: "id", Name: "web", Every: 75 * day, Provider: v, Sinks: tt.sinks(), Verify: []Verifier{queue{}}}
				if tt.change != nil {
					tt.change(r)
				}
				w, err := r.Withdraw(t.Context(), tt.id, tt.o)
				if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
					t.Errorf("error %v, want %v", err, tt.err)
				}
				if said := fmt.Sprint(err, w.Objections); !strings.Contains(said, tt.says) {
					t.Errorf("says %s, want %s", said, tt.says)
				}
				if sent := len(v.sent) > 0; sent != tt.sent || w.Revoked != tt.revoked || sent && v.sent[0] != tt.id {
					t.Errorf("sent %v, revoked %t", v.sent, w.Revoked)
				}
				if len(w.Breaks) != tt.breaks {
					t.Errorf("breaks %q", w.Breaks)
				}
				if warned := strings.Join(w.Warnings, "; "); !strings.Contains(warned, tt.warns) || tt.warns == "" && warned != "" {
					t.Errorf("warnings %q", warned)
				}
			})
		})
	}
}
