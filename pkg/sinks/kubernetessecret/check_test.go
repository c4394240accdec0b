package kubernetessecret

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// TestCheck: what would fail, or be reverted, is refused or warned of before anything is minted.
func TestCheck(t *testing.T) {
	owned := func(kind string, controller bool) func(map[string]any) {
		return func(o map[string]any) {
			meta(o)["ownerReferences"] = []any{map[string]any{"apiVersion": "example.com/v1", "kind": kind, "name": "theirs", "uid": "u", "controller": controller}}
		}
	}
	for _, tt := range []struct {
		name   string
		edit   func(o map[string]any)
		change func(*Secret)
		want   error
		says   string // in the error, or in a warning
	}{
		{name: "fine"},
		{name: "immutable", edit: func(o map[string]any) { o["immutable"] = true }, want: rotate.ErrConfig, says: "immutable"},
		{name: "of an ExternalSecret", edit: owned("ExternalSecret", true), want: rotate.ErrConfig, says: "the ExternalSecret theirs"},
		{name: "of an ExternalSecret that merges", edit: func(o map[string]any) { put(meta(o), "labels", "reconcile.external-secrets.io/managed", "true") }, want: rotate.ErrConfig, says: "an ExternalSecret"},
		{name: "of a SealedSecret", edit: owned("SealedSecret", false), want: rotate.ErrConfig, says: "the SealedSecret theirs"},
		{name: "of another controller", edit: owned("Certificate", true), want: rotate.ErrConfig, says: "the Certificate theirs"},
		{name: "of something that only cleans up", edit: owned("Release", false)},
		{name: "being deleted", edit: func(o map[string]any) {
			meta(o)["deletionTimestamp"] = time.Now().UTC().Format(time.RFC3339)
			meta(o)["finalizers"] = []any{"example.com/x"}
		}, want: rotate.ErrConfig, says: "being deleted"},
		{name: "a registry's", edit: func(o map[string]any) {
			o["type"] = "kubernetes.io/dockerconfigjson"
			put(o, "data", ".dockerconfigjson", encoded("{}"))
		}, change: func(s *Secret) { s.Secret = "web/.dockerconfigjson" }, want: rotate.ErrConfig, says: "kubernetes.io/dockerconfigjson"},
		{name: "beside a registry's", edit: func(o map[string]any) { o["type"] = "kubernetes.io/dockerconfigjson" }},
		{name: "of a service account", edit: func(o map[string]any) { o["type"] = "kubernetes.io/service-account-token" }, want: rotate.ErrConfig, says: "service-account-token"},
		{name: "basic auth", edit: func(o map[string]any) { o["type"] = "kubernetes.io/basic-auth" }},
		{name: "no such key", change: func(s *Secret) { s.Secret = "web/NONE" }, want: rotate.ErrNotFound, says: "lacks the key NONE (it has OTHER, TOKEN)"},
		{name: "a key to be made", change: func(s *Secret) { s.Secret, s.CreateKey = "web/NONE", true }},
		{name: "no such Secret", change: func(s *Secret) { s.Namespace = "default" }, want: rotate.ErrDenied, says: "in namespace default"},
		{name: "Argo CD", edit: func(o map[string]any) {
			put(meta(o), "annotations", "argocd.argoproj.io/tracking-id", "web:/Secret:apps/web")
		}, says: "Argo CD tracks it"},
		{name: "Argo CD, perhaps", edit: func(o map[string]any) { put(meta(o), "labels", "app.kubernetes.io/instance", "web") }, says: "Argo CD may track it"},
		{name: "Helm", edit: func(o map[string]any) {
			put(meta(o), "labels", "app.kubernetes.io/instance", "web")
			put(meta(o), "labels", "app.kubernetes.io/managed-by", "Helm")
		}, says: "Helm"},
		{name: "kubectl apply", edit: func(o map[string]any) {
			put(meta(o), "annotations", "kubectl.kubernetes.io/last-applied-configuration", `{"data":{"TOKEN":"`+encoded(byHand)+`"}}`)
		}, says: "kubectl apply"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed()
			if tt.edit != nil {
				b.edit(t, tt.edit)
			}
			var changes []func(*Secret)
			if tt.change != nil {
				changes = append(changes, tt.change)
			}
			before, _ := b.Object("secrets", "apps", "web")
			s := b.sink(changes...)
			err := s.Check(t.Context())
			text := strings.Join(s.Warnings(), "\n")
			if tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Fatalf("Check: %v, want %v", err, tt.want)
			}
			if err != nil {
				text += err.Error()
			}
			if !strings.Contains(text, tt.says) || tt.says == "" && text != "" {
				t.Errorf("said %q, want %q", text, tt.says)
			}
			silent(t, text)
			after, _ := b.Object("secrets", "apps", "web")
			if meta(before)["resourceVersion"] != meta(after)["resourceVersion"] {
				t.Error("Check changed the Secret")
			}
		})
	}
}

// TestCheckAll reports everything at once.
func TestCheckAll(t *testing.T) {
	b := newBed()
	b.AddToken(bearer, "rotator", web, web)
	b.edit(t, func(o map[string]any) {
		o["immutable"], o["type"] = true, "helm.sh/release.v1"
		put(meta(o), "annotations", Annotation("NONE"), "not ours")
	})
	err := b.sink(func(s *Secret) { s.Secret = "web/NONE" }).Check(t.Context())
	if err == nil || !hasAll(err.Error(), "immutable", "helm.sh/release.v1", "lacks the key", "not a mark") {
		t.Errorf("Check: %v", err)
	}
}
