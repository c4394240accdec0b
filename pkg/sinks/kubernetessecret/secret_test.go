package kubernetessecret

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/remint-dev/remint/internal/emulate/kube"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
)

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Secret)
		want   string // "": valid
	}{
		{"name/key", func(*Secret) {}, ""},
		{"name and key", func(s *Secret) { s.Secret, s.Key = "web", "TOKEN" }, ""},
		{"dots", func(s *Secret) { s.Secret = "web.example.com/a.b-c_D" }, ""},
		{"nothing", func(s *Secret) { s.Secret = "" }, "secret"},
		{"no key", func(s *Secret) { s.Secret = "web" }, "key"},
		{"a key twice", func(s *Secret) { s.Key = "TOKEN" }, "secret"},
		{"capitals", func(s *Secret) { s.Secret = "Web/TOKEN" }, "secret"},
		{"two slashes", func(s *Secret) { s.Secret = "apps/web/TOKEN" }, "key"},
		{"a long name", func(s *Secret) { s.Secret = strings.Repeat("a", 254) + "/TOKEN" }, "secret"},
		{"a parent", func(s *Secret) { s.Secret = "web/..TOKEN" }, "key"},
		{"a space", func(s *Secret) { s.Secret = "web/THE TOKEN" }, "key"},
		{"namespace", func(s *Secret) { s.Namespace = "Apps" }, "namespace"},
		{"no cluster", func(s *Secret) { s.Cluster = nil }, "cluster"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newBed().sink(tt.change)
			err := s.Validate()
			if tt.want == "" {
				must(t, err)
				return
			}
			var field *rotate.Error
			if !errors.Is(err, rotate.ErrConfig) || !errors.As(err, &field) || field.At != tt.want {
				t.Errorf("Validate: %v, want the field %s", err, tt.want)
			}
			if _, err := s.Held(t.Context()); !errors.Is(err, rotate.ErrConfig) {
				t.Errorf("Held of what is not valid: %v", err)
			}
		})
	}
}

func TestString(t *testing.T) {
	s := newBed().sink()
	if got, want := s.String(), "kubernetes-secret:kube:kube.example/apps/web#TOKEN"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	s = &Secret{Secret: "web", Key: "TOKEN", Cluster: &cluster.Cluster{EKS: "production", Namespace: "monitoring"}}
	s.Cluster.Region = "eu-west-1"
	if got, want := s.String(), "kubernetes-secret:eks:eu-west-1/production/monitoring/web#TOKEN"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestBudget counts requests: what is known is not asked for again.
func TestBudget(t *testing.T) {
	b := newBed()
	s := b.sink()
	n := 0
	for _, step := range []struct {
		name string
		do   func() error
		want string
	}{
		{"check", func() error { return s.Check(t.Context()) }, "get secrets, review"},
		{"held", func() error { _, err := s.Held(t.Context()); return err }, "get secrets"},
		{"write", func() error { return s.Write(t.Context(), newer) }, "patch secrets"},
		{"write again", func() error { return s.Write(t.Context(), newer) }, "get secrets"},
		{"mark", func() error { return s.Mark(t.Context(), newer.Token) }, "patch secrets"},
		{"mark again", func() error { return s.Mark(t.Context(), newer.Token) }, ""},
		{"undo", func() error { return s.Undo(t.Context()) }, "patch secrets"},
		{"write of a new process", func() error { return b.sink().Write(t.Context(), newer) }, "get secrets, patch secrets"},
	} {
		must(t, step.do())
		if got := b.since(n); got != step.want {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
		n = len(b.Operations())
	}
}

// TestSiblings shows that a write changes its key and its marker and nothing else.
func TestSiblings(t *testing.T) {
	b := newBed()
	b.edit(t, func(o map[string]any) {
		put(meta(o), "annotations", "example.com/mine", "1")
		put(meta(o), "labels", "team", "a")
	})
	s, two := b.sink(), b.sink(func(s *Secret) { s.Secret = "web/OTHER" })
	must(t, s.Write(t.Context(), older))
	must(t, two.Write(t.Context(), newer))
	must(t, s.Mark(t.Context(), older.Token)) // the object changed since this sink saw it
	o, _ := b.Object("secrets", "apps", "web")
	notes := meta(o)["annotations"].(map[string]any)
	if len(notes) != 3 || notes["example.com/mine"] != "1" || meta(o)["labels"].(map[string]any)["team"] != "a" {
		t.Errorf("annotations %v, labels %v", notes, meta(o)["labels"])
	}
	for sink, want := range map[*Secret]rotate.Mark{s: {Token: older.Token, Verified: true}, two: {Token: newer.Token}} {
		h, err := sink.Held(t.Context())
		must(t, err)
		if h.Mark != want {
			t.Errorf("%s: marked as %+v, want %+v", sink, h.Mark, want)
		}
	}
	for name, text := range notes {
		silent(t, fmt.Sprint(name, text))
	}
}

// TestByHand shows that a marker beside a value that somebody changed is not believed.
func TestByHand(t *testing.T) {
	b := newBed()
	must(t, b.sink().Write(t.Context(), newer))
	b.AddSecret("apps", "web", map[string]string{"TOKEN": byHand})
	s := b.sink()
	h, err := s.Held(t.Context())
	must(t, err)
	if h.Mark.Token.ID != "" || !h.Secret.Equal(rotate.NewSecret(byHand)) {
		t.Errorf("held %+v", h)
	}
	w := strings.Join(s.Warnings(), "\n")
	if !strings.Contains(w, "by hand") {
		t.Errorf("warnings %q", w)
	}
	silent(t, w)
	if err := b.sink().Mark(t.Context(), newer.Token); !errors.Is(err, rotate.ErrConflict) {
		t.Errorf("a marker was written beside a value that is not known: %v", err)
	}
	must(t, s.Mark(t.Context(), older.Token)) // the engine asked the provider whose it is
	if h, err = b.sink().Held(t.Context()); err != nil || h.Mark.Token.ID != older.ID || !h.Mark.Verified {
		t.Errorf("held %+v, %v", h, err)
	}
}

// TestLineBreak: a value made with echo ends in a line break, which is none of the token's.
func TestLineBreak(t *testing.T) {
	b := newBed()
	for _, end := range []string{"\n", "\r\n"} {
		b.AddSecret("apps", "web", map[string]string{"TOKEN": byHand + end})
		s := b.sink()
		if got, err := s.Read(t.Context()); err != nil || got.Reveal() != byHand {
			t.Errorf("read %q, %v", got.Reveal(), err)
		}
		must(t, s.Write(t.Context(), newer))
		b.holds(t, "TOKEN", newer.Secret.Reveal())
		must(t, s.Undo(t.Context()))
		b.holds(t, "TOKEN", byHand+end)
	}
}

// TestNothing: a key that is missing or empty holds nothing, which is no error before the check.
func TestNothing(t *testing.T) {
	b := newBed()
	b.AddSecret("apps", "web", map[string]string{"EMPTY": ""})
	for _, key := range []string{"EMPTY", "MISSING"} {
		h, err := b.sink(func(s *Secret) { s.Secret = "web/" + key }).Held(t.Context())
		if err != nil || h.Mark.Token.ID != "" || !h.Secret.IsZero() {
			t.Errorf("%s: held %+v, %v", key, h, err)
		}
	}
	s := b.sink(func(s *Secret) { s.Secret, s.CreateKey = "web/NEW", true })
	must(t, s.Write(t.Context(), newer))
	must(t, s.Undo(t.Context()))
	if _, there := b.Secret("apps", "web", "NEW"); there {
		t.Error("a key that was made is still there after an undo")
	}
	if err := b.sink(func(s *Secret) { s.Secret = "web/NEW" }).Write(t.Context(), newer); !errors.Is(err, rotate.ErrNotFound) || !hasAll(err.Error(), "NEW", "TOKEN", "create-key") {
		t.Errorf("a key was made unasked, or not refused well: %v", err)
	}
}

// TestOtherMarker: an annotation that is somebody else's is not overwritten unseen.
func TestOtherMarker(t *testing.T) {
	b := newBed()
	b.edit(t, func(o map[string]any) { put(meta(o), "annotations", Annotation("TOKEN"), "mine") })
	if _, err := b.sink().Held(t.Context()); !errors.Is(err, rotate.ErrConflict) {
		t.Errorf("Held: %v", err)
	}
	if err := b.sink().Check(t.Context()); !errors.Is(err, rotate.ErrConflict) || !strings.Contains(err.Error(), Annotation("TOKEN")) {
		t.Errorf("Check: %v", err)
	}
	if err := b.sink().Mark(t.Context(), newer.Token); !errors.Is(err, rotate.ErrConflict) {
		t.Errorf("Mark: %v", err)
	}
}

// TestAnnotation: each key has a name of its own that Kubernetes takes.
func TestAnnotation(t *testing.T) {
	seen := map[string]string{}
	for _, key := range []string{"TOKEN", "token", ".token", "token.", "-token", "_", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 253)} {
		name := Annotation(key)
		if other, ok := seen[name]; ok {
			t.Errorf("%q and %q share %s", key, other, name)
		}
		seen[name] = key
		_, short, _ := strings.Cut(name, "/")
		if !qualified.MatchString(short) {
			t.Errorf("%q is no name of an annotation", name)
		}
	}
}

func TestAccept(t *testing.T) {
	b := newBed()
	s := b.sink()
	big := newer
	big.Secret = rotate.NewSecret(strings.Repeat("x", MaxSize-len(neighbor)+1))
	must(t, s.Accept(big)) // what the others take is not known yet
	if _, err := s.Held(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Accept(big); !errors.Is(err, rotate.ErrLimit) {
		t.Errorf("a Secret of more than 1 MiB: %v", err)
	}
	if err := s.Write(t.Context(), big); !errors.Is(err, rotate.ErrLimit) {
		t.Errorf("written: %v", err)
	}
	if err := s.Accept(rotate.Credential{Token: newer.Token}); !errors.Is(err, rotate.ErrConfig) {
		t.Errorf("nothing to write: %v", err)
	}
}

// TestNameless: a token that has no id is written without a marker, and an older one's marker does not stay.
func TestNameless(t *testing.T) {
	b := newBed()
	s := b.sink()
	must(t, s.Write(t.Context(), newer))
	c := older
	c.ID = ""
	must(t, s.Write(t.Context(), c))
	h, err := b.sink().Held(t.Context())
	if err != nil || h.Mark.Token.ID != "" || !h.Secret.Equal(c.Secret) {
		t.Errorf("held %+v, %v", h, err)
	}
	must(t, b.sink().Write(t.Context(), c))
	if err := s.Mark(t.Context(), c.Token); !errors.Is(err, rotate.ErrConfig) {
		t.Errorf("Mark: %v", err)
	}
}

func TestEndpoints(t *testing.T) {
	e := newBed().sink().Endpoints()
	if len(e) != 1 || e[0].Origin != "https://kube.example" || strings.Join(e[0].Methods, " ") != "GET PATCH POST" {
		t.Errorf("%+v", e)
	}
}

// TestDenied names what to grant.
func TestDenied(t *testing.T) {
	b := newBed(kube.Rule{Verbs: []string{"get"}, Resources: []string{"secrets"}, Names: []string{"web"}})
	err := b.sink().Check(t.Context())
	if !errors.Is(err, rotate.ErrDenied) || !hasAll(err.Error(), "may not patch secrets/web in namespace apps", "grant verb patch", "resourceNames: [web]") {
		t.Errorf("Check without patch: %v", err)
	}
	if err := b.sink().Write(t.Context(), newer); !errors.Is(err, rotate.ErrDenied) || !hasAll(err.Error(), "grant verb patch") {
		t.Errorf("Write without patch: %v", err)
	}
	s := b.sink()
	_ = s.Write(t.Context(), newer)
	if err := s.Undo(t.Context()); err == nil {
		t.Error("what was refused was undone")
	}
	b = newBed(kube.Rule{Verbs: []string{"list"}, Resources: []string{"secrets"}})
	err = b.sink().Check(t.Context())
	if !errors.Is(err, rotate.ErrDenied) || !hasAll(err.Error(), "grant verb get", "grant verb patch") {
		t.Errorf("Check without any right: %v", err)
	}
	wrong := b.sink(func(s *Secret) { s.Cluster.Token = rotate.NewSecret("another") })
	if _, err := wrong.Held(t.Context()); !errors.Is(err, rotate.ErrDenied) || !hasAll(err.Error(), "does not accept the credential") {
		t.Errorf("Held with a wrong token: %v", err)
	}
}
