package lab

import (
	"cmp"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	argo "github.com/remint-dev/remint/internal/emulate/argocd"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/verify/argocd"
)

// This file makes an Argo CD and lets its actions do in a cluster what they say. An application is healthy, unless a
// failure was planted and something runs with the newborn, or, where nothing is known to run, a sink holds it.

// argoCD is one server, and what it looks after.
type argoCD struct {
	*argo.Server
	ticks atomic.Int64
	apps  map[string]*managed // by name and namespace
	in    map[string]*kubernetes
}

// managed is an application.
type managed struct {
	*argo.Application
	by []use
}

// argoKinds are the kinds of resources that actions do something to.
var argoKinds = map[string]struct{ group, version, resource string }{
	"Deployment":     {"apps", "v1", "deployments"},
	"StatefulSet":    {"apps", "v1", "statefulsets"},
	"DaemonSet":      {"apps", "v1", "daemonsets"},
	"CronJob":        {"batch", "v1", "cronjobs"},
	"ExternalSecret": {"external-secrets.io", "v1", "externalsecrets"},
}

// fitArgoCD makes an application and its resources. They are in the cluster of the rotation, if it has one.
func (l *Lab) fitArgoCD(r *rotation, a *argocd.Application) *verifier {
	v := &verifier{}
	text := a.Server
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	s := l.argo[text]
	if s == nil {
		s = &argoCD{Server: argo.New(), apps: map[string]*managed{}, in: map[string]*kubernetes{}}
		if u, err := url.Parse(text); err == nil {
			s.Path = strings.TrimSuffix(u.Path, "/")
		}
		// Its times have whole seconds, and a client waits until they differ.
		s.Now = func() time.Time { return l.began.Add(time.Duration(s.ticks.Load()) * 2 * time.Second) }
		s.OnAction = func(_, action string, x argo.Resource) string { s.act(action, x); return "" }
		l.argo[text] = s
	}
	s.AddToken(a.Token.Reveal())
	k, namespace := l.around(r, text)
	app := s.apps[a.AppNamespace+"/"+a.Name]
	if app == nil {
		app = &managed{Application: &argo.Application{Name: a.Name, Project: a.Project, Namespace: a.AppNamespace}}
		s.apps[a.AppNamespace+"/"+a.Name] = app
		s.Add(app.Application)
	}
	app.by = append(app.by, use{r, v})
	for _, x := range a.Actions {
		l.offer(s, app, x, k, cmp.Or(x.Namespace, namespace), use{r, v})
	}
	a.Interval, a.Timeout, a.CA = interval, patience, ""
	a.Transport = l.wire(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		s.ticks.Add(1)
		health := ""
		if slices.ContainsFunc(app.by, func(u use) bool { return u.v.fails.Load() && l.reborn(u.r) }) {
			health = "Degraded"
		}
		s.Change(app.Name, func(a *argo.Application) { a.Health = health })
		s.ServeHTTP(w, q)
	}), nil)
	return v
}

// offer makes the resource of an action, and what it stands for in the cluster.
func (l *Lab) offer(s *argoCD, app *managed, x argocd.Action, k *kubernetes, namespace string, u use) {
	kind := argoKinds[x.Kind]
	group, version := cmp.Or(x.Group, kind.group), cmp.Or(x.Version, kind.version, "v1")
	same := func(r *argo.Resource) bool {
		return r.Group == group && r.Kind == x.Kind && r.Namespace == namespace && r.Name == x.Resource
	}
	i := slices.IndexFunc(app.Resources, same)
	if i < 0 {
		app.Resources = append(app.Resources, &argo.Resource{Group: group, Version: version, Kind: x.Kind, Namespace: namespace, Name: x.Resource})
		i = len(app.Resources) - 1
	}
	if res := app.Resources[i]; !slices.Contains(res.Actions, x.Action) {
		res.Actions = append(res.Actions, x.Action)
	}
	s.in[x.Kind+" "+namespace+"/"+x.Resource] = k
	switch {
	case x.Kind == "ExternalSecret":
		k.external(namespace, x.Resource).feed(u.r, &verifier{}, "")
	case kind.resource != "":
		u.r.consume(k, k.at(x.Kind, namespace, x.Resource), &verifier{})
	}
}

// act does what an action says, and lets the cluster come to rest.
func (s *argoCD) act(action string, x argo.Resource) {
	k := s.in[x.Kind+" "+x.Namespace+"/"+x.Name]
	switch {
	case k == nil:
		return
	case action == "restart":
		k.Restart(argoKinds[x.Kind].resource, x.Namespace, x.Name)
	case action == "refresh":
		k.Refresh(x.Namespace, x.Name)
	}
	k.ticks.Add(1)
	k.Settle()
}

// reborn reports whether something runs with the newborn of a rotation, or, where nothing is known to run, a sink
// holds it.
func (l *Lab) reborn(r *rotation) bool {
	texts, _ := r.running()
	if len(r.consumers) == 0 {
		for _, s := range r.sinks {
			texts = append(texts, s.look())
		}
	}
	return slices.ContainsFunc(texts, func(text string) bool { return l.newborn(r.mint, text) })
}

// around finds the cluster that an adapter of the rotation names, and its namespace, or makes one that only Argo CD
// knows.
func (l *Lab) around(r *rotation, name string) (*kubernetes, string) {
	for _, a := range r.Adapters {
		v := reflect.Indirect(reflect.ValueOf(a.Value))
		if v.Kind() != reflect.Struct {
			continue
		}
		if f := v.FieldByName("Cluster"); f.IsValid() {
			if c, ok := f.Interface().(*cluster.Cluster); ok && c != nil {
				return l.clusterOf(c), c.Scope("")
			}
		}
	}
	return l.clusterNamed("the cluster of " + host(name)), "default"
}
