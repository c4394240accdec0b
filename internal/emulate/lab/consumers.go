package lab

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/remint-dev/remint/internal/emulate/kube"
)

// This file plays what runs in a cluster: workloads that take the credential from Secrets, or fetch it when they
// start. What they run with is settled then; whether it works is asked of the provider.

// workload is a Deployment, StatefulSet, DaemonSet or CronJob that the configuration speaks of.
type workload struct {
	kind, namespace, name string
	secret                string // that it must read; "": what its rotations write
	labels                map[string]string
	reload                bool // restarts by itself when its Secret changes
	by                    []use
}

// use is a verifier of a rotation that looks at something.
type use struct {
	r *rotation
	v *verifier
}

// stored is a sink whose value is in a Secret of a cluster.
type stored struct {
	in                   *kubernetes
	namespace, name, key string
}

// remote is a sink whose value External Secrets would read under a key of a store, perhaps as a property of what is
// there.
type remote struct {
	key, property string
	whole         func() string
}

// at finds or makes a workload.
func (k *kubernetes) at(kind, namespace, name string) *workload {
	id := kind + " " + namespace + "/" + name
	w := k.workloads[id]
	if w == nil {
		w = &workload{kind: kind, namespace: namespace, name: name, labels: map[string]string{}}
		k.workloads[id] = w
	}
	return w
}

// of finds the workload of a pod; nil: none.
func (k *kubernetes) of(p kube.Pod) *workload {
	kind, name := p.Kind, p.Owner
	if kind == "Job" {
		kind, name = "CronJob", p.Labels["app"]
	}
	return k.workloads[kind+" "+p.Namespace+"/"+name]
}

// people puts what runs into the clusters, when the sinks hold what they held before the rehearsal.
func (l *Lab) people() {
	for _, k := range l.clustersByName {
		for _, x := range k.externals {
			k.Add("externalsecrets", x.object())
		}
		for _, w := range k.workloads {
			k.cover(w)
		}
		k.Settle()
		for _, w := range k.workloads {
			resource := strings.ToLower(w.kind) + "s"
			o := kube.Workload(w.kind, w.namespace, w.name, k.takes(w))
			if w.kind != "CronJob" {
				template := o["spec"].(map[string]any)["template"].(map[string]any)["metadata"].(map[string]any)["labels"].(map[string]any)
				for key, value := range w.labels {
					template[key] = value
				}
			}
			if w.reload {
				o["metadata"].(map[string]any)["annotations"] = map[string]any{"reloader.stakater.com/auto": "true"}
			}
			k.Add(resource, o)
		}
		k.Settle()
	}
}

// takes are the variables that a workload takes from Secrets: those that its rotations write into its namespace.
func (k *kubernetes) takes(w *workload) map[string]string {
	env := map[string]string{}
	for _, u := range w.by {
		for i, s := range u.r.sinks {
			if s.stored != nil && s.stored.in == k && s.stored.namespace == w.namespace && (w.secret == "" || w.secret == s.stored.name) {
				env[variable(u.r, i)] = s.stored.name + "/" + s.stored.key
			}
		}
		for _, x := range k.externals {
			for _, f := range x.feeds {
				if f.r == u.r && x.namespace == w.namespace && (w.secret == "" || w.secret == x.name) {
					env[variable(u.r, f.sink)] = x.name + "/" + f.secretKey
				}
			}
		}
	}
	return env
}

// variable names what a workload holds of one sink.
func variable(r *rotation, sink int) string {
	return fmt.Sprintf("%s_%d", strings.ToUpper(strings.ReplaceAll(address(r.ID), "-", "_")), sink+1)
}

// cover makes the Secret that a workload must read, if nothing of the configuration writes it: something else does
// then, at once.
func (k *kubernetes) cover(w *workload) {
	if w.secret == "" || len(k.takes(w)) > 0 {
		return
	}
	x := k.external(w.namespace, w.secret)
	x.often = true
	for _, u := range w.by {
		x.feed(u.r, &verifier{}, "")
	}
	k.Add("externalsecrets", x.object())
}

// fetch is what a workload reads for itself when it starts: what its rotations keep outside of clusters, if it takes
// nothing from Secrets.
func (k *kubernetes) fetch(namespace, kind, owner string) map[string]string {
	out := map[string]string{}
	if kind == "Job" {
		kind = "CronJob"
		for _, w := range k.workloads { // a Job's name begins with that of its CronJob
			if w.kind == kind && w.namespace == namespace && strings.HasPrefix(owner, w.name) {
				owner = w.name
			}
		}
	}
	w := k.workloads[kind+" "+namespace+"/"+owner]
	if w == nil || len(k.takes(w)) > 0 {
		return out
	}
	for _, u := range w.by {
		for i, s := range u.r.sinks {
			if s.stored == nil {
				out[variable(u.r, i)] = s.look()
			}
		}
	}
	return out
}

// holds are the texts that a pod runs with.
func holds(p kube.Pod) []string {
	var all []string
	for _, container := range slices.Sorted(maps.Keys(p.Env)) {
		for _, name := range slices.Sorted(maps.Keys(p.Env[container])) {
			all = append(all, p.Env[container][name])
		}
	}
	return all
}

// failed reports whether a failure was planted for what a pod runs with.
func (l *Lab) failed(k *kubernetes, p kube.Pod) bool {
	w := k.of(p)
	if w == nil {
		return false
	}
	return slices.ContainsFunc(w.by, func(u use) bool {
		return u.v.fails.Load() && slices.ContainsFunc(holds(p), func(text string) bool { return l.newborn(u.r.mint, text) })
	})
}

// accepted reports whether the providers accept all that a pod runs with of its rotations; false if that is nothing.
func (l *Lab) accepted(k *kubernetes, p kube.Pod) bool {
	w := k.of(p)
	if w == nil {
		return true
	}
	for _, u := range w.by {
		some := false
		for _, text := range holds(p) {
			if _, live, ok := u.r.mint.whose(text); ok {
				if some = true; !live {
					return false
				}
			}
		}
		if !some {
			return false
		}
	}
	return true
}

// exit is how the pod of a Job ends.
func (l *Lab) exit(k *kubernetes, p kube.Pod) int {
	if l.accepted(k, p) && !l.failed(k, p) {
		return 0
	}
	return 1
}

// What consumers log, in place of what the configuration's patterns would find.
const (
	accepted = "the provider accepts the token"
	refused  = "the provider refuses the token: 401 Unauthorized"
)

// output is what a pod logs.
func (l *Lab) output(k *kubernetes, p kube.Pod) string {
	if l.accepted(k, p) && !l.failed(k, p) {
		return accepted + "\n"
	}
	return refused + "\n"
}

// podsOf begins the name of a holding that is none of a sink.
const podsOf = "pods of "

// running is what the consumers of a rotation in clusters run with, and how they are called.
func (r *rotation) running() (texts, names []string) {
	for _, c := range r.consumers {
		if c.w.kind == "CronJob" {
			continue
		}
		for _, p := range c.in.Running(c.w.namespace) {
			if p.Kind != c.w.kind || p.Owner != c.w.name {
				continue
			}
			for _, text := range holds(p) {
				if _, _, ok := r.mint.whose(text); ok {
					texts = append(texts, text)
					names = append(names, fmt.Sprintf(podsOf+"%s/%s/%s/%s", c.in.name, c.w.namespace, strings.ToLower(c.w.kind), c.w.name))
				}
			}
		}
	}
	return texts, names
}

// pods returns what the pods of a rotation run with: one entry for each workload and token.
func (r *rotation) pods() []Holding {
	texts, names := r.running()
	var out []Holding
	for i, text := range texts {
		t, live, _ := r.mint.whose(text)
		h := Holding{Rotation: r.Name, Sink: names[i], Token: t.Name, Works: live}
		if !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	return out
}

// consumer is a workload in a cluster.
type consumer struct {
	in *kubernetes
	w  *workload
}

// consume notes that a verifier of a rotation looks at a workload.
func (r *rotation) consume(k *kubernetes, w *workload, v *verifier) {
	w.by = append(w.by, use{r, v})
	if !slices.ContainsFunc(r.consumers, func(c consumer) bool { return c.w == w }) {
		r.consumers = append(r.consumers, consumer{k, w})
	}
}

// external is an ExternalSecret.
type external struct {
	namespace, name string
	often           bool // it is read all the time, not only when it is asked to
	feeds           []feed
}

// feed is one key of its Secret.
type feed struct {
	r         *rotation
	v         *verifier
	sink      int // of the rotation
	secretKey string
	remote
}

// external finds or makes an ExternalSecret.
func (k *kubernetes) external(namespace, name string) *external {
	x := k.externals[namespace+"/"+name]
	if x == nil {
		x = &external{namespace: namespace, name: name}
		k.externals[namespace+"/"+name] = x
	}
	return x
}

// feed lets the Secret have what a rotation keeps outside of clusters. The key is that of the first such sink, if
// it is given.
func (x *external) feed(r *rotation, v *verifier, key string) {
	for i, s := range r.sinks {
		if s.stored != nil || slices.ContainsFunc(x.feeds, func(f feed) bool { return f.r == r && f.sink == i }) {
			continue
		}
		from := remote{key: variable(r, i), whole: s.look}
		if s.remote != nil {
			from = *s.remote
		}
		name := cmp.Or(key, from.property, strings.ToLower(variable(r, i)))
		key = ""
		x.feeds = append(x.feeds, feed{r, v, i, name, from})
	}
}

// store is the name of its store, which nothing else reads.
func (x *external) store() string { return x.namespace + "-" + x.name }

// object makes the ExternalSecret: where it can, it copies all that is under a key, as many do.
func (x *external) object() map[string]any {
	spec := map[string]any{
		"refreshInterval": "1h",
		"secretStoreRef":  map[string]any{"name": x.store(), "kind": "ClusterSecretStore"},
		"target":          map[string]any{"name": x.name},
	}
	if x.often {
		spec["refreshInterval"] = "1s"
	}
	var from, data []any
	copied := map[string]bool{}
	for _, f := range x.feeds {
		switch {
		case f.property == "" || f.property != f.secretKey:
			ref := map[string]any{"key": f.key}
			if f.property != "" {
				ref["property"] = f.property
			}
			data = append(data, map[string]any{"secretKey": f.secretKey, "remoteRef": ref})
		case !copied[f.key]:
			copied[f.key] = true
			from = append(from, map[string]any{"extract": map[string]any{"key": f.key}})
		}
	}
	if data != nil {
		spec["data"] = data
	}
	if from != nil {
		spec["dataFrom"] = from
	}
	return map[string]any{"metadata": map[string]any{"name": x.name, "namespace": x.namespace}, "spec": spec}
}

// remote is how the External Secrets of a cluster read.
func (k *kubernetes) remote(l *Lab) func(store, key, property string) (string, bool) {
	return func(store, key, property string) (string, bool) {
		for _, x := range k.externals {
			if x.store() != store {
				continue
			}
			value, found := "", false
			for _, f := range x.feeds {
				if f.key != key {
					continue
				}
				value, found = f.whole(), true
				mine := value
				if f.property != "" {
					mine = fields(value)[f.property]
				}
				if f.v.fails.Load() && l.newborn(f.r.mint, mine) {
					return "", false
				}
			}
			if found && property != "" {
				value, found = fields(value)[property], fields(value)[property] != ""
			}
			return value, found
		}
		return "", false
	}
}
