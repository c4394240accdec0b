package protocol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file runs a program in a pod, by exec. Its rules: the pod is one that is there and ready; the request is one line,
// since the end of standard input may never reach the program; a program that outlives its timeout is cut off, and whether
// it ends then is the container runtime's business.

// Pod says in which pod of a Kubernetes cluster a program runs. The zero value is none: the program runs here.
type Pod struct {
	Cluster   *cluster.Cluster `yaml:"cluster" doc:"The cluster of pod or selector; by default the rotation's."`
	Namespace string           `yaml:"namespace" doc:"Namespace of the pod; by default the cluster's, else default."`
	Pod       string           `yaml:"pod" example:"web-0" doc:"Run the program in this pod instead of on this machine, by exec. That needs the right to create pods/exec."`
	Selector  string           `yaml:"selector" example:"app=web" doc:"Instead of pod: labels; the first ready pod that has them, by name, is taken. That also needs the right to list pods."`
	Container string           `yaml:"container" doc:"Container of the pod; by default its first."`
}

// Remote reports whether the program runs in a pod.
func (p *Pod) Remote() bool { return p.Pod != "" || p.Selector != "" }

func (p *Pod) place() string {
	name := p.Pod
	if name == "" {
		name = p.Selector
	}
	namespace := p.Namespace
	if p.Cluster != nil {
		namespace = p.Cluster.Scope(p.Namespace)
	}
	if p.Container != "" {
		name += "/" + p.Container
	}
	return namespace + "/" + name
}

// Validate reports all that is wrong with the fields, without a call.
func (p *Pod) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) { errs = append(errs, rotate.Field(field, format, args...)) }
	switch {
	case !p.Remote() && p.Container != "":
		bad("container", "it is a container of which pod? give pod or selector too")
	case p.Pod != "" && p.Selector != "":
		bad("selector", "give pod or selector, not both")
	case p.Pod != "" && !pattern.DNSName.MatchString(p.Pod):
		bad("pod", "%q is not the name of a pod: small letters, digits, - and .", p.Pod)
	}
	if p.Selector != "" {
		if _, err := metav1.ParseToLabelSelector(p.Selector); err != nil {
			bad("selector", "%q is no selector of labels, such as app=web", p.Selector)
		}
	}
	if p.Remote() && p.Cluster == nil {
		bad("cluster", "give the cluster of the pod, here or once for the rotation")
	}
	return errors.Join(errs...)
}

func (p *Pod) reach() []rotate.Endpoint {
	if p.Cluster == nil {
		return nil
	}
	methods := []string{http.MethodGet, http.MethodPost}
	return p.Cluster.Reach("runs programs in pods of "+p.Cluster.String(), methods...)
}

// permitted makes sure that exec is allowed.
func (p *Pod) permitted(ctx context.Context) error {
	namespace := p.Cluster.Scope(p.Namespace)
	err := p.Cluster.Permitted(ctx, "create", "", "pods/exec", namespace, p.Pod)
	if p.Selector != "" {
		err = errors.Join(err, p.Cluster.Permitted(ctx, "list", "", "pods", namespace, ""))
	}
	return err
}

// Permitted makes sure that the program could be run in its pod; of one on this machine there is nothing to ask.
func (p *Pod) Permitted(ctx context.Context) error {
	if !p.Remote() {
		return nil
	}
	return p.permitted(ctx)
}

// inPod runs the program in its pod.
func (p *Program) inPod(ctx context.Context, request []byte, out, errs io.Writer, o *over) {
	namespace := p.Cluster.Scope(p.Namespace)
	name, err := p.find(ctx, namespace)
	if err != nil {
		o.never = fmt.Errorf("nothing was run: %w", err)
		return
	}
	err = p.Cluster.Exec(ctx, namespace, name, p.Container, p.Run, strings.NewReader(string(request)), out, errs)
	var exit *cluster.ExitError
	switch {
	case err == nil, ctx.Err() != nil:
	case errors.As(err, &exit):
		o.exit = fmt.Sprintf("it ended with exit status %d", exit.Code)
	case errors.Is(err, rotate.ErrTemporary), errors.Is(err, rotate.ErrLimit):
		o.lost = fmt.Errorf("exec in pod %s/%s: %w", namespace, name, err)
	default: // it was refused
		o.never = fmt.Errorf("nothing was run: %w", err)
	}
}

// find returns the name of the pod.
func (p *Pod) find(ctx context.Context, namespace string) (string, error) {
	if p.Pod != "" {
		return p.Pod, nil
	}
	api, err := p.Cluster.Dynamic(ctx)
	if err != nil {
		return "", err
	}
	found, err := api.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: p.Selector})
	if err != nil {
		return "", p.Cluster.Fault(err, "list", "pods", namespace, "")
	}
	var ready []string
	for _, pod := range found.Items {
		if isReady(pod.Object) && pod.GetDeletionTimestamp() == nil {
			ready = append(ready, pod.GetName())
		}
	}
	if len(ready) == 0 {
		return "", fmt.Errorf("%w: none of the %d pods with %s in namespace %s is ready", rotate.ErrTemporary, len(found.Items), p.Selector, namespace)
	}
	return slices.Min(ready), nil
}

func isReady(pod map[string]any) bool {
	conditions, _, _ := unstructured.NestedSlice(pod, "status", "conditions")
	return slices.ContainsFunc(conditions, func(c any) bool {
		m, _ := c.(map[string]any)
		return m["type"] == "Ready" && m["status"] == "True"
	})
}
