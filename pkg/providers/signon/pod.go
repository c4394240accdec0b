package signon

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file runs the script in a pod of Signon. The arguments, which are kept in audit logs, are always the same; the
// script and the request go over standard input, as one line each, since its end is not passed on by every server.

// starter reads both lines and runs the script.
const starter = `script = $stdin.gets.unpack1("m").force_encoding("UTF-8"); REMINT_LINE = $stdin.gets; eval(script, TOPLEVEL_BINDING, "remint")`

type inPod struct{ *Provider }

func (p inPod) run(ctx context.Context, request []byte) ([]byte, error) {
	pod, err := p.pod(ctx)
	if err != nil {
		return nil, err
	}
	input := base64.StdEncoding.EncodeToString([]byte(script)) + "\n" + string(request) + "\n"
	var output, complaints bytes.Buffer
	err = p.Cluster.Exec(ctx, p.namespace(), pod, cmp.Or(p.Container, defaultContainer), []string{cmp.Or(p.Rails, defaultRails), "runner", starter},
		strings.NewReader(input), &output, &complaints)
	var exit *cluster.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %w in pod %s", rotate.ErrTemporary, err, pod)
	}
	if last := lastLine(complaints.String()); err != nil && last != "" {
		err = fmt.Errorf("%w; it said: %s", err, last)
	}
	return output.Bytes(), err
}

// lastLine is the end of what a program complained of, fit to be shown.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		text = text[i+1:]
	}
	return httpx.Clean(encoded.ReplaceAllString(text, "…"), 200)
}

type deployment struct {
	Spec struct{ Selector metav1.LabelSelector }
}

type podList struct{ Items []pod }

type pod struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Containers []struct{ Name string }
	}
	Status struct {
		Phase      string
		Conditions []struct{ Type, Status string }
	}
}

// ready reports whether a program can be run in a container of the pod.
func (x pod) ready(container string) bool {
	return x.DeletionTimestamp == nil && x.Status.Phase == "Running" &&
		slices.ContainsFunc(x.Status.Conditions, func(c struct{ Type, Status string }) bool { return c.Type == "Ready" && c.Status == "True" }) &&
		slices.ContainsFunc(x.Spec.Containers, func(c struct{ Name string }) bool { return c.Name == container })
}

// pod chooses one: the youngest that is ready, since older ones may be about to be replaced.
func (p inPod) pod(ctx context.Context) (string, error) {
	name := cmp.Or(p.Deployment, defaultDeployment)
	d, err := get[deployment](ctx, p.Provider, "/apis/apps/v1", "deployments", name, nil)
	if err != nil {
		return "", err
	}
	selector, err := metav1.LabelSelectorAsSelector(&d.Spec.Selector)
	if err != nil || selector.Empty() {
		return "", fmt.Errorf("%w: the Deployment %s selects its pods in a way that is not understood", rotate.ErrConfig, name)
	}
	all, err := get[podList](ctx, p.Provider, "/api/v1", "pods", "", url.Values{"labelSelector": {selector.String()}, "limit": {"500"}})
	if err != nil {
		return "", err
	}
	container := cmp.Or(p.Container, defaultContainer)
	usable := slices.DeleteFunc(all.Items, func(x pod) bool { return !x.ready(container) })
	if len(usable) == 0 {
		return "", fmt.Errorf("%w: of %d pods of the Deployment %s none is ready and has a container %s", rotate.ErrTemporary, len(all.Items), name, container)
	}
	return slices.MaxFunc(usable, func(a, b pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	}).Name, nil
}

// get reads one object, or a list of those that a query selects.
func get[T any](ctx context.Context, p *Provider, group, resource, name string, query url.Values) (T, error) {
	var t T
	verb, path := "list", group+"/namespaces/"+p.namespace()+"/"+resource
	if name != "" {
		verb, path = "get", path+"/"+name
	}
	text, err := p.Cluster.Raw(ctx, http.MethodGet, path, query, nil, "")
	if err != nil {
		return t, p.Cluster.Fault(err, verb, resource, p.namespace(), name)
	}
	if json.Unmarshal(text, &t) != nil { // its text may repeat a value
		return t, fmt.Errorf("%w: %s %s: the API server's answer is not understood", rotate.ErrTemporary, verb, resource)
	}
	return t, nil
}
