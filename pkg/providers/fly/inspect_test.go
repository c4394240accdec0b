package fly

import (
	"errors"
	"strings"
	"testing"
	"time"

	emulated "github.com/remint-dev/remint/internal/emulate/fly"
	"github.com/remint-dev/remint/pkg/rotate"
)

// TestInspect hands in tokens that a person made.
func TestInspect(t *testing.T) {
	w := newWorld(t)
	now := time.Now().UTC().Truncate(time.Second)
	made := func(r emulated.Row) rotate.Secret {
		r.Created = now.Add(-time.Minute)
		_, text := w.AddToken(r)
		w.secrets = append(w.secrets, text)
		return rotate.NewSecret(text)
	}
	_, right := w.legacy("right", time.Hour)
	_, wide := w.legacyOrg("wide", 2*time.Hour)
	for _, tt := range []struct {
		name   string
		p      *Provider
		secret rotate.Secret
		kind   error
		says   string
	}{
		{"what was asked for", w.app(), right, nil, ""},
		{"of the whole organisation, for an app", w.app(), wide, rotate.ErrConflict, "another app or profile"},
		{"of the whole organisation, as asked for", w.org(), wide, nil, ""},
		{"of an app, for the organisation", w.org(), right, rotate.ErrConflict, "not for the whole organisation"},
		{"too short-lived", w.app(), made(emulated.Row{Name: "short", App: "web", Expires: now.Add(30 * 24 * time.Hour)}), rotate.ErrConflict, "was asked for"},
		{"never ending", w.app(), made(emulated.Row{Name: "forever", App: "web"}), rotate.ErrConflict, "was asked for"},
		{"of another organisation's app", w.app(), made(emulated.Row{Name: "shop", App: "shop", Expires: now.Add(life)}), rotate.ErrConflict, ""},
		{"no token of Fly.io", w.app(), rotate.NewSecret("fo1_something"), rotate.ErrDenied, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.p.Inspect(ctx(t), tt.secret)
			if !errors.Is(err, tt.kind) || tt.kind == nil && err != nil || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %v that says %q", err, tt.kind, tt.says)
			}
			w.clean(t, err)
		})
	}
	steps := strings.Join(w.app().Instructions("web deploy 20260101T000000Z-abcdefghijklmn"), "\n")
	if want := `fly tokens create deploy --app web --name "web deploy 20260101T000000Z-abcdefghijklmn" --expiry 2160h`; !strings.Contains(steps, want) {
		t.Errorf("the instructions %q lack %q", steps, want)
	}
}
