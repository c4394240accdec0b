package kubernetessecret

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file looks whether a write would succeed and last, with two requests, and changes nothing.

// Check implements [rotate.Checker].
func (s *Secret) Check(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.look(ctx)
	var errs []error
	switch {
	case err == nil:
		errs = s.refusals(now)
		s.doubts(now.object)
	case errors.Is(err, rotate.ErrNotFound):
		return s.fault("check", fmt.Errorf("%w; create the Secret first, or correct its name or the namespace", err))
	case errors.Is(err, rotate.ErrDenied):
		errs = append(errs, err) // whether patch is allowed can still be said
	default:
		return s.fault("check", err)
	}
	namespace, name, _ := s.place()
	if err := s.Cluster.Permitted(ctx, "patch", "", "secrets", namespace, name); err != nil {
		errs = append(errs, err)
	}
	for i, err := range errs {
		errs[i] = s.fault("check", err)
	}
	return errors.Join(errs...)
}

// refusals says what forbids writing.
func (s *Secret) refusals(now *sight) []error {
	var errs []error
	no := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{rotate.ErrConfig}, args...)...))
	}
	o := now.object
	if at := o.GetDeletionTimestamp(); at != nil {
		no("it is being deleted since %s", at.UTC().Format("2006-01-02 15:04"))
	}
	if fixed, _, _ := unstructured.NestedBool(o.Object, "immutable"); fixed {
		no("it is immutable, which cannot be taken back; make a new Secret without immutable: true and let consumers read that")
	}
	if who := owner(o); who != "" {
		no("it belongs to %s, which would put its own value back; write the credential where that takes it from", who)
	}
	_, _, key := s.place()
	if kind, _, _ := unstructured.NestedString(o.Object, "type"); formed(kind, key) {
		no("in a Secret of type %s the key %s does not hold a bare token; name another key or another Secret", httpx.Clean(kind, 100), key)
	}
	if !now.has && !s.CreateKey {
		errs = append(errs, s.noKey(now))
	}
	if _, err := s.mark(now); err != nil && !errors.Is(err, errByHand) {
		errs = append(errs, err)
	}
	if err := s.unsuited(now); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// owner names what controls the Secret's content; "" if nothing is known to.
func owner(o *unstructured.Unstructured) string {
	for _, ref := range o.GetOwnerReferences() {
		if ref.Kind == "ExternalSecret" || ref.Kind == "SealedSecret" || ref.Controller != nil && *ref.Controller {
			return "the " + httpx.Clean(ref.Kind, 80) + " " + httpx.Clean(ref.Name, 100)
		}
	}
	if o.GetLabels()["reconcile.external-secrets.io/managed"] == "true" { // external-secrets, apis/externalsecrets/v1
		return "an ExternalSecret"
	}
	return ""
}

// formed reports that the type of a Secret says what the value of the key looks like, and that it is no bare token: a
// configuration of a registry, a certificate, what a controller of Kubernetes or Helm keeps there
// (kubernetes.io, "Secrets", types of Secret).
func formed(kind, key string) bool {
	switch kind {
	case "kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1":
		return true
	case "kubernetes.io/dockerconfigjson":
		return key == ".dockerconfigjson"
	case "kubernetes.io/dockercfg":
		return key == ".dockercfg"
	case "kubernetes.io/tls":
		return key == "tls.crt" || key == "tls.key"
	case "kubernetes.io/ssh-auth":
		return key == "ssh-privatekey"
	}
	return false
}

// doubts warns of what may put an old value back.
func (s *Secret) doubts(o *unstructured.Unstructured) {
	labels, notes := o.GetLabels(), o.GetAnnotations()
	byHelm := notes["meta.helm.sh/release-name"] != "" || labels["app.kubernetes.io/managed-by"] == "Helm"
	switch {
	case notes["argocd.argoproj.io/tracking-id"] != "", labels["argocd.argoproj.io/instance"] != "":
		s.warnings.Add("Argo CD tracks it; if the Secret with its data is in Git, the next sync puts the old value back")
	case labels["app.kubernetes.io/instance"] != "" && !byHelm:
		s.warnings.Add("Argo CD may track it (label app.kubernetes.io/instance); if the Secret with its data is in Git, the next sync puts the old value back")
	}
	if byHelm {
		s.warnings.Add("Helm made it; a release that changes this value puts its own there")
	}
	if strings.Contains(notes["kubectl.kubernetes.io/last-applied-configuration"], `"data"`) {
		s.warnings.Add("it was made with kubectl apply, whose annotation keeps the old value; applying that file again puts it back")
	}
}

// noKey reports that the Secret lacks the key, and says which it has.
func (s *Secret) noKey(now *sight) error {
	_, _, key := s.place()
	data, _ := now.object.Object["data"].(map[string]any)
	var keys []string
	for k := range data {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	has := "none"
	if len(keys) > 0 {
		has = httpx.Clean(strings.Join(keys, ", "), 200)
	}
	return fmt.Errorf("%w: the Secret lacks the key %s (it has %s); see that it is written right, or set create-key", rotate.ErrNotFound, key, has)
}
