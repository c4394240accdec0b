package signon

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file runs the script as a Job made from the template of a CronJob of Signon, as kubectl create job --from does,
// with another command. Its answer is read from the pod's log, which is shipped elsewhere and kept: no value stands
// there that is not sealed. The Job's random name finds it again if the answer to its creation was lost.

// jobStarter runs the script out of the Job's environment. Base64 keeps Kubernetes from expanding $(…) in it.
const jobStarter = `REMINT_LINE = ENV.fetch("REMINT_REQUEST").unpack1("m"); eval(ENV.fetch("REMINT_SCRIPT").unpack1("m").force_encoding("UTF-8"), TOPLEVEL_BINDING, "remint")`

const (
	logBytes = 1 << 20 // of a Job's log that are read
	jobKept  = 600     // seconds that a Job stays after its end
)

type asJob struct{ *Provider }

type cronJob struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		JobTemplate struct {
			metav1.ObjectMeta `json:"metadata"`
			Spec              map[string]any
		}
	}
}

type batchJob struct {
	metav1.ObjectMeta `json:"metadata"`
	Status            struct {
		Conditions []struct{ Type, Status string }
	}
}

func (j batchJob) is(kind string) bool {
	return slices.ContainsFunc(j.Status.Conditions, func(c struct{ Type, Status string }) bool { return c.Type == kind && c.Status == "True" })
}

func (p asJob) run(ctx context.Context, request []byte) ([]byte, error) {
	cron, err := get[cronJob](ctx, p.Provider, "/apis/batch/v1", "cronjobs", cmp.Or(p.CronJob, defaultCronJob), nil)
	if err != nil {
		return nil, err
	}
	job, container, err := p.job(cron, request)
	if err != nil {
		return nil, err
	}
	name := job["metadata"].(map[string]any)["name"].(string)
	if err := p.create(ctx, job, name); err != nil {
		return nil, err
	}
	failed, err := p.follow(ctx, name)
	if err != nil {
		return nil, err
	}
	output, err := p.log(ctx, name, container)
	if err == nil && failed {
		err = fmt.Errorf("%w: the Job %s failed; see its log", rotate.ErrTemporary, name)
	}
	return output, err
}

// job is what to create, and the container that runs the script.
func (p asJob) job(cron cronJob, request []byte) (job map[string]any, container string, err error) {
	var spec map[string]any
	text, err := json.Marshal(cron.Spec.JobTemplate.Spec)
	if err == nil {
		err = json.Unmarshal(text, &spec) // a copy
	}
	bad := func(what string) (map[string]any, string, error) {
		return nil, "", fmt.Errorf("%w: the template of the CronJob %s %s", rotate.ErrConfig, cron.Name, what)
	}
	if err != nil {
		return bad("is not understood")
	}
	if suspended, _ := spec["suspend"].(bool); suspended {
		return bad("has suspend: true, so that its Jobs never begin")
	}
	template, _ := spec["template"].(map[string]any)
	inner, _ := template["spec"].(map[string]any)
	containers, _ := inner["containers"].([]any)
	if len(containers) != 1 {
		return bad(fmt.Sprintf("has %d containers, not one", len(containers)))
	}
	c, _ := containers[0].(map[string]any)
	container, _ = c["name"].(string)
	if c == nil || container == "" {
		return bad("is not understood")
	}
	c["command"], c["args"] = []any{cmp.Or(p.Rails, defaultRails)}, []any{"runner", jobStarter}
	env, _ := c["env"].([]any)
	c["env"] = append(env, variable("REMINT_SCRIPT", []byte(script)), variable("REMINT_REQUEST", request))
	spec["ttlSecondsAfterFinished"], spec["backoffLimit"] = jobKept, 0 // tried again it could mint twice
	inner["restartPolicy"] = "Never"
	labels := maps.Clone(cron.Spec.JobTemplate.Labels)
	notes := maps.Clone(cron.Spec.JobTemplate.Annotations)
	if notes == nil {
		notes = map[string]string{}
	}
	notes["cronjob.kubernetes.io/instantiate"] = "manual"
	tail := "-remint-" + strings.ToLower(rand.Text()[:10])
	return map[string]any{
		"apiVersion": "batch/v1",
		"kind":       "Job",
		"metadata": map[string]any{
			"name": strings.TrimRight(cron.Name[:min(len(cron.Name), 63-len(tail))], "-.") + tail, "labels": labels, "annotations": notes,
			// No blockOwnerDeletion: it would need a right on cronjobs/finalizers.
			"ownerReferences": []any{map[string]any{"apiVersion": "batch/v1", "kind": "CronJob", "name": cron.Name, "uid": string(cron.UID), "controller": true}},
		},
		"spec": spec,
	}, container, nil
}

func variable(name string, value []byte) map[string]any {
	return map[string]any{"name": name, "value": base64.StdEncoding.EncodeToString(value)}
}

// create creates the Job, once. If the answer was lost it looks whether it is there.
func (p asJob) create(ctx context.Context, job map[string]any, name string) error {
	body, err := json.Marshal(job)
	if err != nil {
		return fmt.Errorf("%w: the Job cannot be written as JSON", rotate.ErrConfig)
	}
	_, err = p.Cluster.Raw(ctx, http.MethodPost, "/apis/batch/v1/namespaces/"+p.namespace()+"/jobs", nil, body, "application/json")
	if err == nil {
		return nil
	}
	err = p.Cluster.Fault(err, "create", "jobs", p.namespace(), name)
	if !errors.Is(err, rotate.ErrTemporary) || p.pause(ctx) != nil {
		return err
	}
	if _, look := get[batchJob](ctx, p.Provider, "/apis/batch/v1", "jobs", name, nil); look != nil {
		return fmt.Errorf("whether the Job %s was made is not known: %w", name, err)
	}
	return nil
}

// follow waits for the end of the Job. Whatever goes wrong meanwhile may heal until the time is over.
func (p asJob) follow(ctx context.Context, name string) (failed bool, err error) {
	for {
		j, err := get[batchJob](ctx, p.Provider, "/apis/batch/v1", "jobs", name, nil)
		switch {
		case err == nil && j.is("Complete"):
			return false, nil
		case err == nil && j.is("Failed"):
			return true, nil
		case err != nil && !errors.Is(err, rotate.ErrTemporary):
			return false, fmt.Errorf("the Job %s was made, but how it ended is not known: %w", name, err)
		}
		if err := p.pause(ctx); err != nil {
			return false, fmt.Errorf("the Job %s did not end in time: %w", name, err)
		}
	}
}

// log is what the Job's pod wrote.
func (p asJob) log(ctx context.Context, job, container string) ([]byte, error) {
	pods, err := get[podList](ctx, p.Provider, "/api/v1", "pods", "", url.Values{"labelSelector": {"job-name=" + job}, "limit": {"10"}})
	if err != nil {
		return nil, err
	}
	if len(pods.Items) != 1 {
		return nil, fmt.Errorf("%w: the Job %s has %d pods, not one, so that its answer cannot be read", rotate.ErrTemporary, job, len(pods.Items))
	}
	name := pods.Items[0].Name
	query := url.Values{"container": {container}, "limitBytes": {fmt.Sprint(logBytes)}}
	text, err := p.Cluster.Raw(ctx, http.MethodGet, "/api/v1/namespaces/"+p.namespace()+"/pods/"+name+"/log", query, nil, "")
	if err != nil {
		return nil, p.Cluster.Fault(err, "get", "pods/log", p.namespace(), name)
	}
	return text, nil
}

func (p asJob) pause(ctx context.Context) error {
	return httpx.Sleep(ctx, cmp.Or(p.Interval, defaultInterval))
}
