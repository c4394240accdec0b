package job

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

// This file makes a Job of a CronJob as kubectl does (kubectl, pkg/cmd/create/create_job.go), with three things more: a
// name with a random tail, the token that it is for, and an end to its keeping.

// cronJob is what is looked at of a CronJob. The template's spec is passed on as it is.
type cronJob struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		JobTemplate struct {
			metav1.ObjectMeta `json:"metadata"`
			Spec              map[string]any
		}
	}
}

// stuck reports that the CronJob's Jobs are made suspended.
func (c cronJob) stuck() bool {
	suspend, _ := c.Spec.JobTemplate.Spec["suspend"].(bool)
	return suspend
}

// batchJob is what is looked at of a Job.
type batchJob struct {
	metav1.ObjectMeta `json:"metadata"`
	Status            struct {
		Active, Succeeded, Failed int64
		Conditions                []objects.Condition
	}
}

// is reports a condition. Those that end a Job are Complete and Failed (k8s.io/api, batch/v1, JobConditionType).
func (j batchJob) is(kind string) bool {
	return objects.Find(j.Status.Conditions, kind).Status == "True"
}

// newJob returns the Job to create.
func newJob(c cronJob, token string, keep time.Duration) map[string]any {
	t := c.Spec.JobTemplate
	notes := map[string]any{}
	for k, v := range t.Annotations {
		notes[k] = v
	}
	notes["cronjob.kubernetes.io/instantiate"] = "manual"
	labels := map[string]any{}
	for k, v := range t.Labels {
		labels[k] = v
	}
	labels[objects.TokenKey] = label(token)
	if token != "" {
		notes[objects.TokenKey] = token
	}
	spec := maps.Clone(t.Spec)
	if spec == nil {
		spec = map[string]any{}
	}
	if spec["ttlSecondsAfterFinished"] == nil {
		spec["ttlSecondsAfterFinished"] = int64(keep / time.Second)
	}
	return map[string]any{
		"apiVersion": "batch/v1",
		"kind":       "Job",
		"metadata": map[string]any{
			"name":        jobName(c.Name),
			"annotations": notes,
			"labels":      labels,
			// No blockOwnerDeletion: it would need a right on cronjobs/finalizers.
			"ownerReferences": []any{map[string]any{"apiVersion": "batch/v1", "kind": "CronJob", "name": c.Name, "uid": string(c.UID), "controller": true}},
		},
		"spec": spec,
	}
}

// jobName is a name of at most 63 characters, as the label of the Job's pods takes.
func jobName(cron string) string {
	tail := "-remint-" + strings.ToLower(rand.Text()[:8])
	return strings.TrimRight(cron[:min(len(cron), 63-len(tail))], "-.") + tail
}

// labelRule is what the value of a label may be.
var labelRule = pattern.New(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)

// label is the token's id as the value of a label, or a digest of one that does not fit.
func label(token string) string {
	if labelRule.MatchString(token) {
		return token
	}
	sum := sha256.Sum256([]byte(token))
	return "sha256-" + hex.EncodeToString(sum[:16])
}

// newest returns the Job of the CronJob that was made last; false if there is none.
func newest(all []batchJob, cron cronJob) (batchJob, bool) {
	var last batchJob
	found := false
	for _, j := range all {
		if !ownedBy(j, cron) || j.DeletionTimestamp != nil {
			continue
		}
		if !found || cmp.Or(j.CreationTimestamp.Compare(last.CreationTimestamp.Time), strings.Compare(j.Name, last.Name)) > 0 {
			last, found = j, true
		}
	}
	return last, found
}

func ownedBy(j batchJob, cron cronJob) bool {
	for _, o := range j.OwnerReferences {
		if o.Kind == "CronJob" && o.UID == cron.UID {
			return true
		}
	}
	return false
}
