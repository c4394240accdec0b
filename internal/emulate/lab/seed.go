package lab

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/keeping"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file makes the past of a rotation: the token that its sinks hold when the rehearsal begins.

// seed makes a token that is due and puts it into every sink. No two are born in the same second, so that
// the provider can tell them apart as it usually can.
func (l *Lab) seed(r *rotation, nth int) error {
	name, due, err := usual(r.Rotation.Rotation)
	if err != nil {
		return err
	}
	born := l.began.UTC().Truncate(time.Second).Add(-due - late(r.Rotation.Rotation) - time.Duration(nth)*time.Second)
	byHand, adopts := manual(r.Rotation.Rotation)
	if !adopts {
		byHand = name(born)
	}
	r.past = r.mint.past(byHand, born)
	l.seeded[r.past.ID] = true
	for _, s := range r.sinks {
		if err := s.hold(r.past, adopts); err != nil {
			return err
		}
	}
	if r.HandIn != nil { // a person made its successor a minute ago
		if !adopts {
			byHand = r.Name + " handed in"
		}
		r.HandIn.Secret = r.mint.past(byHand, l.began.UTC().Truncate(time.Second).Add(-time.Minute-time.Duration(nth)*time.Second)).Secret
	}
	return nil
}

// late is how long the token has been due: a day, but not so long that its end is too near for it to be restored.
func late(r *rotate.Rotation) time.Duration {
	if l, ok := r.Provider.(rotate.Lifetime); ok && l.Life() > 0 {
		return min(rotate.Tick, max(time.Minute, (l.Life()-r.Every-2*rotate.Tick)/2))
	}
	return rotate.Tick
}

// manual returns a name that a person might have given to a token which the rotation adopts. Not every
// pattern can be guessed; ids never.
func manual(r *rotate.Rotation) (name string, ok bool) {
	if r.Adopt == nil {
		return "", false
	}
	for _, name := range []string{r.Name, r.Name + " by hand", r.Name + "-by-hand", r.Name + "by hand"} {
		if r.Adopt(rotate.Token{Name: name}) {
			return name, true
		}
	}
	return "", false
}

// usual asks the engine how it names the tokens of a rotation, and at which age it replaces them, by a
// rotation of the same identity with neither provider nor sink.
func usual(r *rotate.Rotation) (name func(born time.Time) string, due time.Duration, err error) {
	p := &nowhere{}
	q := &rotate.Rotation{ID: r.ID, Name: r.Name, Provider: p, Sinks: []rotate.Sink{p}, Every: r.Every, Spread: r.Spread}
	if _, err := q.Run(context.Background(), rotate.Options{}); !errors.Is(err, errNowhere) {
		return nil, 0, err
	}
	tail := p.name[strings.LastIndexByte(p.name, '-'):]
	name = func(born time.Time) string { return r.Name + " " + born.UTC().Format("20060102T150405Z") + tail }
	now := time.Now()
	p.token = rotate.Token{ID: "1", Name: name(now), Created: now}
	plan, err := q.Plan(context.Background(), rotate.Options{})
	return name, plan.Next.Sub(now), err
}

var errNowhere = errors.New("nowhere")

// nowhere is a provider that mints nothing, and a sink that holds what it lists.
type nowhere struct {
	name  string
	token rotate.Token
}

func (n *nowhere) Mint(_ context.Context, name string) (rotate.Credential, error) {
	n.name = name
	return rotate.Credential{}, errNowhere
}

func (n *nowhere) List(context.Context) ([]rotate.Token, error) {
	if n.token.ID == "" {
		return nil, nil
	}
	return []rotate.Token{n.token}, nil
}

func (n *nowhere) Held(context.Context) (rotate.Holding, error) {
	return rotate.Holding{Mark: rotate.Mark{Token: n.token, Verified: true}}, nil
}

func (n *nowhere) Revoke(context.Context, rotate.Token) error     { return errNowhere }
func (n *nowhere) Write(context.Context, rotate.Credential) error { return errNowhere }
func (n *nowhere) String() string                                 { return "nowhere" }

// twin returns a fresh adapter with the same configuration: the one of an earlier process.
func twin[T any](a *T) *T {
	b := new(T)
	exported(reflect.ValueOf(b).Elem(), reflect.ValueOf(a).Elem())
	return b
}

// exported copies the exported fields of a struct, and those that it embeds.
func exported(to, from reflect.Value) {
	for i := range from.NumField() {
		switch f := from.Type().Field(i); {
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			exported(to.Field(i), from.Field(i))
		case f.IsExported():
			to.Field(i).Set(from.Field(i))
		}
	}
}

// write makes a sink hold what an earlier process wrote and verified.
func write(s rotate.Sink, c rotate.Credential) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Write(ctx, c); err != nil {
		return err
	}
	if m, ok := s.(rotate.Marker); ok && c.ID != "" {
		if err := m.Mark(ctx, c.Token); err != nil {
			return err
		}
	}
	if k, ok := s.(rotate.Keeper); ok && k.Keeps() { // the placeholder that was there
		return k.Forget(ctx, rotate.Token{ID: keeping.ByHand})
	}
	return nil
}

// byBirth sorts tokens, oldest first.
func byBirth(list []rotate.Token) {
	slices.SortStableFunc(list, func(a, b rotate.Token) int { return a.Created.Compare(b.Created) })
}
