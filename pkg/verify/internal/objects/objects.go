// Package objects is how the verifiers that look into a cluster read and change its objects: each as the few fields
// that are looked at, decoded from what the dynamic client brings. Its rules:
//
//   - An answer that is not understood is an error, never a panic and never a zero value taken for a fact.
//   - Every error has passed cluster.Fault: no text of the API server that could hold a Secret's data.
//   - No text of an answer gets into an error for being malformed.
package objects

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
)

// Kinds that the verifiers look at.
var (
	Secrets      = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	Pods         = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	Deployments  = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	StatefulSets = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}
	DaemonSets   = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}
	CronJobs     = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "cronjobs"}
	Jobs         = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
)

// TokenKey is the annotation, and where the value allows it the label, that names the token for which an object was
// made or restarted.
const TokenKey = "remint.dev/token"

// pageSize is how many objects one answer of a list holds.
const pageSize = 500

// Condition is one of an object's status.conditions.
type Condition struct {
	Type, Status, Reason, Message string
	LastTransitionTime            metav1.Time
}

// Find returns the condition of a type; the zero Condition if there is none.
func Find(all []Condition, kind string) Condition {
	for _, c := range all {
		if c.Type == kind {
			return c
		}
	}
	return Condition{}
}

// Place is a namespace of a cluster.
type Place struct {
	Cluster   *cluster.Cluster
	Namespace string // as configured; "": the cluster's
}

// Scope is the namespace in effect.
func (p Place) Scope() string {
	if p.Cluster == nil {
		return p.Namespace
	}
	return p.Cluster.Scope(p.Namespace)
}

// Validate reports what every verifier in a cluster has to refuse: none, and waits below zero, by their keys.
func (p Place) Validate(waits map[string]time.Duration) error {
	var errs []error
	for _, field := range slices.Sorted(maps.Keys(waits)) {
		if waits[field] < 0 {
			errs = append(errs, rotate.Field(field, "must not be negative"))
		}
	}
	if p.Cluster == nil {
		errs = append(errs, rotate.Field("cluster", "the cluster is missing: give the rotation a cluster, or this verifier"))
	}
	return errors.Join(errs...)
}

// May asks whether the verb is permitted; name "" means all objects of the namespace. An error says what to grant.
func (p Place) May(ctx context.Context, verb string, kind schema.GroupVersionResource, name string) error {
	return p.Cluster.Permitted(ctx, verb, kind.Group, kind.Resource, p.Scope(), name)
}

func (p Place) client(ctx context.Context, kind schema.GroupVersionResource) (dynamic.ResourceInterface, error) {
	if p.Cluster == nil {
		return nil, rotate.Field("cluster", "the cluster is missing")
	}
	d, err := p.Cluster.Dynamic(ctx)
	if err != nil {
		return nil, err
	}
	return d.Resource(kind).Namespace(p.Scope()), nil
}

// Get reads one object.
func Get[T any](ctx context.Context, p Place, kind schema.GroupVersionResource, name string) (T, error) {
	return one[T](ctx, p, "get", kind, name, func(c dynamic.ResourceInterface) (*unstructured.Unstructured, error) {
		return c.Get(ctx, name, metav1.GetOptions{})
	})
}

// Merge changes one object by a merge patch and returns what it became. The patch must be one that done twice is done
// once: it is sent again if its answer was lost.
func Merge[T any](ctx context.Context, p Place, kind schema.GroupVersionResource, name string, patch any) (T, error) {
	body, err := json.Marshal(patch)
	if err != nil {
		var none T
		return none, fmt.Errorf("%w: the change cannot be written as JSON", rotate.ErrConfig)
	}
	return one[T](ctx, p, "patch", kind, name, func(c dynamic.ResourceInterface) (*unstructured.Unstructured, error) {
		return c.Patch(httpx.Repeatable(ctx), name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: "remint"})
	})
}

// Create makes an object and returns what it became. It is sent once.
func Create[T any](ctx context.Context, p Place, kind schema.GroupVersionResource, object map[string]any) (T, error) {
	u := &unstructured.Unstructured{Object: object}
	return one[T](ctx, p, "create", kind, u.GetName(), func(c dynamic.ResourceInterface) (*unstructured.Unstructured, error) {
		return c.Create(ctx, u, metav1.CreateOptions{FieldManager: "remint"})
	})
}

func one[T any](ctx context.Context, p Place, verb string, kind schema.GroupVersionResource, name string, call func(dynamic.ResourceInterface) (*unstructured.Unstructured, error)) (T, error) {
	var none T
	c, err := p.client(ctx, kind)
	if err != nil {
		return none, err
	}
	u, err := call(c)
	if err != nil {
		return none, p.Cluster.Fault(err, verb, kind.Resource, p.Scope(), name)
	}
	t, err := Decode[T](u.Object)
	if err != nil {
		return none, fmt.Errorf("%s %s/%s: %w", verb, kind.Resource, name, err)
	}
	return t, nil
}

// List reads all objects that the selector of labels matches; "" matches all.
func List[T any](ctx context.Context, p Place, kind schema.GroupVersionResource, selector string) ([]T, error) {
	c, err := p.client(ctx, kind)
	if err != nil {
		return nil, err
	}
	var all []T
	options := metav1.ListOptions{LabelSelector: selector, Limit: pageSize}
	for {
		page, err := c.List(ctx, options)
		if err != nil {
			return nil, p.Cluster.Fault(err, "list", kind.Resource, p.Scope(), "")
		}
		for _, u := range page.Items {
			t, err := Decode[T](u.Object)
			if err != nil {
				return nil, fmt.Errorf("list %s: %w", kind.Resource, err)
			}
			all = append(all, t)
		}
		next := page.GetContinue()
		if next == "" {
			return all, nil
		}
		if next == options.Continue {
			return nil, fmt.Errorf("%w: list %s: the next page is the same page", rotate.ErrTemporary, kind.Resource)
		}
		options.Continue = next
	}
}

// Decode reads the fields that T names from an object. What has another type there than it should is an error.
func Decode[T any](object map[string]any) (T, error) {
	var t T
	text, err := json.Marshal(object)
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	if err != nil { // its text may repeat a value
		var none T
		return none, fmt.Errorf("%w: the API server's answer is not understood", rotate.ErrTemporary)
	}
	return t, nil
}

// Unproven makes an error one that shows nothing of the credential.
func Unproven(err error) error {
	if err == nil || errors.Is(err, rotate.ErrUnproven) {
		return err
	}
	return fmt.Errorf("%w: %w", rotate.ErrUnproven, err)
}
