package lab

import (
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/remint-dev/remint/internal/emulate/kube"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/kubernetessecret"
	"github.com/remint-dev/remint/pkg/verify/externalsecret"
	"github.com/remint-dev/remint/pkg/verify/job"
	"github.com/remint-dev/remint/pkg/verify/podlogs"
	"github.com/remint-dev/remint/pkg/verify/rollout"
)

// This file makes what the adapters for Kubernetes speak of. A failure that is planted is one of the cluster: the
// operator cannot read the newborn, pods that run with it do not become ready, a Job with it fails, a log says so.

// fitSecret makes the Secret, with another key beside.
func (l *Lab) fitSecret(s *kubernetessecret.Secret) *sink {
	k := l.clusterOf(s.Cluster)
	namespace := s.Cluster.Scope(s.Namespace)
	name, key, beside := strings.Cut(s.Secret, "/")
	if !beside {
		key = s.Key
	}
	if _, there := k.Secret(namespace, name, "neighbour"); !there {
		k.AddSecret(namespace, name, map[string]string{"neighbour": "of another program"})
	}
	k.AddSecret(namespace, name, map[string]string{key: "nothing yet"})
	out := &sink{
		stored: &stored{k, namespace, name, key},
		look:   func() string { text, _ := k.Secret(namespace, name, key); return text },
		hold: func(c rotate.Credential, byHand bool) error {
			if byHand {
				k.AddSecret(namespace, name, map[string]string{key: c.Secret.Reveal()})
				return nil
			}
			return write(twin(s), c)
		},
	}
	if s.Keeps() {
		out.beside = func() (former, note string) {
			former, _ = k.Secret(namespace, name, s.Previous)
			o, _ := k.Object("secrets", namespace, name)
			notes, _ := o["metadata"].(map[string]any)["annotations"].(map[string]any)
			note, _ = notes[kubernetessecret.Annotation(key)].(string)
			return former, note
		}
	}
	out.refuse = func() {
		k.refused.Store("/api/v1/namespaces/"+namespace+"/secrets/"+name, kube.Refusal(http.StatusForbidden, "Forbidden",
			`secrets "`+name+`" is forbidden: User "remint" cannot patch resource "secrets" in API group "" in the namespace "`+namespace+`"`, -1))
	}
	return out
}

// fitExternalSecret makes an ExternalSecret that reads what the rotation keeps outside of clusters.
func (l *Lab) fitExternalSecret(r *rotation, s *externalsecret.Sync) *verifier {
	v := &verifier{}
	k := l.clusterOf(s.Cluster)
	k.external(s.Cluster.Scope(s.Namespace), s.Name).feed(r, v, s.Key)
	s.Interval, s.Timeout = interval, patience/2
	return v
}

// fitRollout makes a workload.
func (l *Lab) fitRollout(r *rotation, x *rollout.Rollout) *verifier {
	v := &verifier{}
	k := l.clusterOf(x.Cluster)
	kind, name := "Deployment", x.Deployment
	switch {
	case x.StatefulSet != "":
		kind, name = "StatefulSet", x.StatefulSet
	case x.DaemonSet != "":
		kind, name = "DaemonSet", x.DaemonSet
	case name == "":
		name = "reads-" + address(x.Secret)
	}
	w := k.at(kind, x.Cluster.Scope(x.Namespace), name)
	if x.Secret != "" {
		w.secret = x.Secret
	}
	w.reload = w.reload || !x.Restart
	r.consume(k, w, v)
	x.Interval, x.Timeout = interval, patience
	return v
}

// fitJob makes a CronJob whose Jobs use the credential and fail if it does not work.
func (l *Lab) fitJob(r *rotation, j *job.Run) *verifier {
	v := &verifier{}
	k := l.clusterOf(j.Cluster)
	r.consume(k, k.at("CronJob", j.Cluster.Scope(j.Namespace), j.CronJob), v)
	j.Interval, j.Timeout = interval, patience
	return v
}

// fitLogs makes pods that log whether the provider accepts what they run with, and looks for that instead of what
// the configuration looks for.
func (l *Lab) fitLogs(r *rotation, x *podlogs.Logs) *verifier {
	v := &verifier{}
	k := l.clusterOf(x.Cluster)
	namespace := x.Cluster.Scope(x.Namespace)
	w := (*workload)(nil)
	if x.Deployment != "" {
		w = k.at("Deployment", namespace, x.Deployment)
	} else {
		for _, c := range r.consumers {
			if c.in == k && c.w.namespace == namespace && c.w.kind != "CronJob" {
				w = c.w
			}
		}
		if w == nil {
			w = k.at("Deployment", namespace, "logs-"+address(x.Selector))
		}
		label(w, x.Selector)
	}
	if len(w.by) == 0 {
		w.reload = true // else nothing would ever make it take the credential up
	}
	r.consume(k, w, v)
	if len(x.Refuse) > 0 {
		x.Refuse = []string{refused}
	}
	if len(x.Require) > 0 {
		x.Require = []string{accepted}
	}
	x.Watch, x.Timeout, x.Interval = interval, patience, interval
	return v
}

// label gives a workload labels that a selector matches; what it must not have it has not.
func label(w *workload, selector string) {
	parsed, err := labels.Parse(selector)
	if err != nil {
		return
	}
	wanted, _ := parsed.Requirements()
	for _, want := range wanted {
		switch want.Operator() {
		case selection.Equals, selection.DoubleEquals, selection.In:
			w.labels[want.Key()] = want.ValuesUnsorted()[0]
		case selection.Exists:
			w.labels[want.Key()] = "yes"
		}
	}
}
