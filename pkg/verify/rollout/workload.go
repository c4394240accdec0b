package rollout

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/verify/internal/objects"
)

// This file judges the state of a workload as kubectl rollout status does (kubectl, pkg/polymorphichelpers), but for
// what kubectl calls done and proves nothing.

// kind is a kind of workload.
type kind struct {
	word string // for messages
	gvr  schema.GroupVersionResource
}

var (
	deployment  = kind{"deployment", objects.Deployments}
	statefulSet = kind{"statefulset", objects.StatefulSets}
	daemonSet   = kind{"daemonset", objects.DaemonSets}
)

// stampKey is the annotation of the pod template by which kubectl restarts a workload.
const stampKey = "kubectl.kubernetes.io/restartedAt"

// workload is what is looked at of a Deployment, StatefulSet or DaemonSet; each has some of the fields.
type workload struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Replicas       *int64
		Paused         bool
		Selector       metav1.LabelSelector
		UpdateStrategy struct {
			Type          string
			RollingUpdate struct{ Partition int64 }
		}
		Template struct {
			metav1.ObjectMeta `json:"metadata"`
			Spec              podSpec
		}
	}
	Status struct {
		ObservedGeneration int64
		Conditions         []objects.Condition

		Replicas, UpdatedReplicas, ReadyReplicas, AvailableReplicas     int64
		DesiredNumberScheduled, UpdatedNumberScheduled, NumberAvailable int64
		CurrentRevision, UpdateRevision                                 string
	}
}

func (w workload) stamp() string { return w.Spec.Template.Annotations[stampKey] }

// empty reports that the workload has no pods. Of a DaemonSet only its status can tell, once that is current.
func (w workload) empty(k kind) bool {
	if k == daemonSet {
		return w.Status.ObservedGeneration >= w.Generation && w.Status.ObservedGeneration > 0 && w.Status.DesiredNumberScheduled == 0
	}
	return w.Spec.Replicas != nil && *w.Spec.Replicas == 0
}

// hindrance says why a rollout of the workload cannot be seen through, or cannot begin; "" if it can.
func (w workload) hindrance(k kind) string {
	switch {
	case k == deployment && w.Spec.Paused:
		return "it is paused, so that no rollout begins; kubectl rollout resume deployment/" + w.Name
	case k != deployment && w.Spec.UpdateStrategy.Type == "OnDelete":
		return "its update strategy is OnDelete, so that its pods go on with what they read when they started; delete them by hand, or use RollingUpdate"
	case k == statefulSet && w.Spec.UpdateStrategy.RollingUpdate.Partition > 0:
		return fmt.Sprintf("its update strategy has the partition %d, so that the pods below it are not restarted", w.Spec.UpdateStrategy.RollingUpdate.Partition)
	}
	return ""
}

// judge says whether the rollout of the workload as it is now is done and, if not, how far it is. An error is a rollout
// that failed.
func (w workload) judge(k kind) (done bool, progress string, err error) {
	s := w.Status
	if s.ObservedGeneration == 0 || s.ObservedGeneration < w.Generation {
		return false, "the controller has not yet seen the change", nil
	}
	want := int64(1) // the API's default
	if w.Spec.Replicas != nil {
		want = *w.Spec.Replicas
	}
	switch k {
	case deployment:
		if c := objects.Find(s.Conditions, "Progressing"); c.Reason == "ProgressDeadlineExceeded" {
			return false, "", fmt.Errorf("the rollout exceeded its progress deadline (%d of %d replicas updated, %d available): %s", s.UpdatedReplicas, want, s.AvailableReplicas, httpx.Clean(c.Message, 200))
		}
		switch {
		case w.Spec.Replicas != nil && s.UpdatedReplicas < want:
			return false, fmt.Sprintf("%d of %d replicas updated", s.UpdatedReplicas, want), nil
		case s.Replicas > s.UpdatedReplicas:
			return false, fmt.Sprintf("%d old replicas not yet gone", s.Replicas-s.UpdatedReplicas), nil
		case s.AvailableReplicas < s.UpdatedReplicas:
			return false, fmt.Sprintf("%d of %d updated replicas available", s.AvailableReplicas, s.UpdatedReplicas), nil
		}
	case statefulSet:
		switch {
		case s.ReadyReplicas < want:
			return false, fmt.Sprintf("%d of %d replicas ready", s.ReadyReplicas, want), nil
		case s.UpdatedReplicas < want && s.UpdateRevision != s.CurrentRevision:
			return false, fmt.Sprintf("%d of %d replicas updated", s.UpdatedReplicas, want), nil
		case s.UpdateRevision != s.CurrentRevision:
			return false, "the last replicas are being updated", nil
		}
	case daemonSet:
		switch {
		case s.UpdatedNumberScheduled < s.DesiredNumberScheduled:
			return false, fmt.Sprintf("%d of %d pods updated", s.UpdatedNumberScheduled, s.DesiredNumberScheduled), nil
		case s.NumberAvailable < s.DesiredNumberScheduled:
			return false, fmt.Sprintf("%d of %d pods available", s.NumberAvailable, s.DesiredNumberScheduled), nil
		}
	}
	return true, "", nil
}
