package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// review is a SelfSubjectAccessReview (kubernetes.io, "Authorization", checking API access), which every user may make.
type review struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Spec       reviewSpec   `json:"spec"`
	Status     reviewStatus `json:"status,omitzero"`
}

type reviewSpec struct {
	Attributes attributes `json:"resourceAttributes"`
}

type attributes struct {
	Verb        string `json:"verb"`
	Group       string `json:"group,omitempty"`
	Resource    string `json:"resource"`
	Subresource string `json:"subresource,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	Name        string `json:"name,omitempty"`
}

type reviewStatus struct {
	Allowed bool `json:"allowed"`
}

const reviewPath = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

// Permitted asks the API server whether the credential has one right: nil if it has; an error that wraps
// [rotate.ErrDenied] and names the verb, the resource and what to grant if not; one that wraps [rotate.ErrTemporary] if
// that cannot be asked. A subresource is written as "pods/log". Nothing is changed.
func (c *Cluster) Permitted(ctx context.Context, verb, group, resource, namespace, name string) error {
	kind, sub, _ := strings.Cut(resource, "/")
	body, err := json.Marshal(review{APIVersion: "authorization.k8s.io/v1", Kind: "SelfSubjectAccessReview",
		Spec: reviewSpec{attributes{Verb: verb, Group: group, Resource: kind, Subresource: sub, Namespace: namespace, Name: name}}})
	if err != nil {
		return err
	}
	text, err := c.Raw(httpx.Repeatable(ctx), http.MethodPost, reviewPath, nil, body, "application/json")
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Code != http.StatusUnauthorized {
		return fmt.Errorf("%w: whether the credential may %s %s could not be asked (selfsubjectaccessreviews: %s)", rotate.ErrTemporary,
			verb, object(resource, namespace, name), summary(status.Status()))
	}
	if err != nil {
		return c.Fault(err, "create", "selfsubjectaccessreviews", "", "")
	}
	var said review
	if json.Unmarshal(text, &said) != nil || said.Kind != "SelfSubjectAccessReview" {
		return fmt.Errorf("%w: whether the credential may %s %s was asked, and the answer is not understood", rotate.ErrTemporary, verb, object(resource, namespace, name))
	}
	if !said.Status.Allowed {
		return denied(verb, group, resource, namespace, name)
	}
	return nil
}
