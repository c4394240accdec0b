package rotatetest

import (
	"cmp"
	"context"
	"fmt"

	"github.com/remint-dev/remint/internal/keeping"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file plays a place whose value, former value and note change in one step. What makes a sink of it is what the
// adapters use too.

type keeper struct {
	*sink
	store *object
	keeping.Sink
}

func newKeeper(s *sink) *keeper {
	o := &object{sink: s}
	return &keeper{sink: s, store: o, Sink: keeping.Sink{Store: o}}
}

func (k *keeper) Keeps() bool { return true }

func (k *keeper) Held(ctx context.Context) (rotate.Holding, error) {
	k.store.op = "held keeper"
	return k.Sink.Held(ctx)
}

func (k *keeper) Read(ctx context.Context) (rotate.Secret, error) {
	k.store.op = "read"
	return k.Sink.Read(ctx)
}

func (k *keeper) Write(ctx context.Context, c rotate.Credential) error {
	k.store.op, k.store.effect = "write", "write "+k.name
	return k.Sink.Write(ctx, c)
}

func (k *keeper) Undo(ctx context.Context) error {
	k.store.op, k.store.effect = "undo", "undo "+k.name
	return k.Sink.Undo(ctx)
}

func (k *keeper) Mark(ctx context.Context, t rotate.Token) error {
	k.store.op, k.store.effect = "mark", "mark "+k.name
	return k.Sink.Mark(ctx, t)
}

func (k *keeper) Forget(ctx context.Context, t rotate.Token) error {
	k.store.op, k.store.effect = "forget", "revoke "+cmp.Or(t.Name, "token "+t.ID)
	return k.Sink.Forget(ctx, t)
}

// object is the place.
type object struct {
	*sink
	op     string // what the sink is about to do
	effect string // what that is called
}

func (o *object) Place() string { return "world" }

func (o *object) now() keeping.Seen {
	return keeping.Seen{State: keeping.State{Value: o.p.content, Former: o.p.former, Note: o.p.mark}, Version: o.p.version}
}

func (o *object) Load(ctx context.Context) (seen keeping.Seen, err error) {
	op := o.op
	if op != "held keeper" {
		op = "read"
	}
	old := o.x.sees(op) == Stale
	err = o.x.at(ctx, op, func() {
		if seen = o.now(); old {
			seen = keeping.Seen{State: keeping.State{Value: o.p.stale.content, Former: o.p.stale.former, Note: o.p.stale.mark}, Version: o.p.version - 1}
		}
	})
	return seen, err
}

// Swap also asks the promise about what is accepted no longer.
func (o *object) Swap(ctx context.Context, was keeping.Seen, to keeping.State) (seen keeping.Seen, err error) {
	w, p := o.x.w, o.p
	failed := o.x.at(ctx, o.op, func() {
		if p.version != was.Version {
			err = fmt.Errorf("%w: it is of another version", rotate.ErrConflict)
			return
		}
		if why := NoGapByWriting(w, p, to.Value); why != "" && p.content != to.Value {
			w.breaks("%s", why)
		}
		if t := w.bySecret(to.Value); t != nil {
			w.ever[t.ID] = true
		}
		p.remember()
		if p.content != to.Value {
			p.queued = p.content
		}
		gone := []string{p.content, p.former}
		p.content, p.former, p.mark = to.Value, to.Former, to.Note
		p.version++
		o.x.effect("%s", o.effect)
		for _, secret := range gone {
			t := w.bySecret(secret)
			if t == nil || secret == to.Value || secret == to.Former {
				continue
			}
			o.x.revokes++
			for _, why := range []string{NobodyElses(w, o.x, t), NoGapByRevoking(w, t)} {
				if why != "" {
					w.breaks("%s", why)
				}
			}
		}
		seen = o.now()
	})
	if failed != nil {
		return keeping.Seen{}, failed
	}
	return seen, err
}

// noted makes the note name what the place holds, as verified.
func (k *keeper) noted(t rotate.Token) error {
	ctx := context.Background()
	k.p.content, k.p.former = "", ""
	c := rotate.Credential{Token: t, Secret: rotate.NewSecret(k.x.w.byID(t.ID).secret)}
	if err := k.Write(ctx, c); err != nil {
		return err
	}
	return k.Mark(ctx, t)
}
