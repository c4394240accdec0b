package signonsync

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	stand "github.com/remint-dev/remint/e2e/signon"
	"github.com/remint-dev/remint/pkg/providers/signon"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// These tests hold the sink to a real Doorkeeper and a real API server; they are skipped without REMINT_SIGNON and
// REMINT_KUBE_SERVER, _CA and _TOKEN.

// bed is a Signon in a cluster, and a provider and a sink as a new process has them.
func bed(t *testing.T, fail func(int) bool) (*stand.Signon, *stand.Kube, func() (*signon.Provider, *Sync)) {
	s := stand.New(t)
	k := s.Deploy()
	k.Sync(s)
	k.PlaySync(s, fail)
	return s, k, func() (*signon.Provider, *Sync) {
		p := &signon.Provider{User: stand.User, Application: stand.Application, URL: s.URL, Rails: s.Rails, Cluster: k.Cluster}
		return p, &Sync{Cluster: k.Cluster, Signon: p, Interval: 100 * time.Millisecond, Timeout: time.Minute}
	}
}

const name = "ours 20260101T000000Z-aaaaaaaabbbbbb"

func content(t *testing.T, s *Sync) rotate.Secret {
	t.Helper()
	got, err := s.Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWriteAndUndo(t *testing.T) {
	_, _, make := bed(t, func(nth int) bool { return nth == 0 }) // the first Job fails, and another is made
	p, s := make()
	ctx := t.Context()
	if s.Undo(ctx) == nil {
		t.Error("Undo without a Write succeeded")
	}
	if err := s.Check(ctx); err != nil {
		t.Fatal(err)
	}
	old := content(t, s)
	held, err := p.Identify(ctx, old)
	if err != nil || held.Name != "" {
		t.Fatalf("%+v, %v", held, err)
	}
	c, err := p.Mint(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(ctx, c); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(ctx, c); err != nil { // twice is once
		t.Fatal(err)
	}
	if h, err := s.Held(ctx); err != nil || !h.Secret.Equal(c.Secret) {
		t.Errorf("%+v, %v", h, err)
	}
	if err := s.Undo(ctx); err != nil {
		t.Fatal(err)
	}
	if !content(t, s).Equal(old) {
		t.Error("the Secret does not hold what it held before")
	}
	if _, err := p.Identify(ctx, c.Secret); !errors.Is(err, rotate.ErrDenied) {
		t.Errorf("the newborn lives on: %v", err)
	}
	rotatetest.Silent(t, s, []string{old.Reveal(), c.Secret.Reveal()})
}

func TestLongerLivedSibling(t *testing.T) {
	real, _, make := bed(t, nil)
	p, s := make()
	c, err := p.Mint(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	real.Run(`Doorkeeper::AccessToken.where.not(id: ` + c.ID + `).update_all(expires_in: 10.years.to_i)`)
	err = s.Write(t.Context(), c)
	if !errors.Is(err, rotate.ErrConflict) || !strings.Contains(err.Error(), "lives longer") {
		t.Errorf("got %v", err)
	}
}

// TestRotation is the whole of it: a token made by hand is replaced by the engine, and the next run has nothing to do.
func TestRotation(t *testing.T) {
	_, _, make := bed(t, nil)
	at := func() *rotate.Rotation {
		p, s := make()
		return &rotate.Rotation{ID: "test", Name: "short-url-manager publishing-api", Provider: p, Sinks: []rotate.Sink{s}, Every: 690 * rotate.Tick,
			Adopt: func(rotate.Token) bool { return true }}
	}
	first, err := at().Run(t.Context(), rotate.Options{})
	if err != nil || first.Outcome != rotate.Rotated || len(first.Revoked) != 1 || first.Revoked[0].Name != "" {
		t.Fatalf("%s, revoked %v: %v", first.Outcome, first.Revoked, err)
	}
	second, err := at().Run(t.Context(), rotate.Options{})
	if err != nil || second.Outcome != rotate.Idle || len(second.Live) != 1 || second.Live[0].ID != first.Newborn.ID {
		t.Errorf("%s, live %v: %v", second.Outcome, second.Live, err)
	}
}
