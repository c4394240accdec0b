package argocd

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// call is one request of a known token.
type call struct {
	server *Server
	rights []string
	r      *http.Request
	body   map[string]any
}

// text is a parameter, from the body of a POST or the query of a GET.
func (c *call) text(key string) string {
	if c.r.Method == http.MethodGet {
		return c.r.URL.Query().Get(key)
	}
	s, _ := c.body[key].(string)
	return s
}

func (c *call) may(right string) bool { return len(c.rights) == 0 || slices.Contains(c.rights, right) }

// application finds the application of the path, if the token has the right. The caller holds the lock.
func (c *call) application(w http.ResponseWriter, right string) *Application {
	name := strings.Split(strings.TrimPrefix(c.r.URL.Path, c.server.Path+"/api/v1/applications/"), "/")[0]
	project := c.text("project")
	denied := func() { fail(w, 7, "permission denied") }
	if !c.may(right) {
		denied()
		return nil
	}
	for _, a := range c.server.apps {
		if a.Name == name && or(a.Namespace, "argocd") == or(c.text("appNamespace"), "argocd") && (project == "" || project == or(a.Project, "default")) {
			return a
		}
	}
	if project == "" {
		denied()
	} else {
		fail(w, 5, fmt.Sprintf("applications.argoproj.io %q not found", name))
	}
	return nil
}

func (c *call) get(w http.ResponseWriter, r *http.Request) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	a := c.application(w, "get")
	if a == nil {
		return
	}
	switch refresh := c.text("refresh"); refresh {
	case "":
	case "normal", "hard":
		c.server.reconcile(a)
	default:
		fail(w, 3, "unknown refresh type")
		return
	}
	answer(w, http.StatusOK, a.show())
}

func (c *call) sync(w http.ResponseWriter, _ *http.Request) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	a := c.application(w, "sync")
	switch {
	case a == nil:
		return
	case a.asked || a.LastPhase == "Running":
		fail(w, 9, "another operation is already in progress")
		return
	}
	a.asked = true
	c.server.done = append(c.server.done, "sync "+a.Name)
	answer(w, http.StatusOK, a.show())
}

// resource finds the resource of a request. The caller holds the lock.
func (c *call) resource(w http.ResponseWriter, a *Application) *Resource {
	for _, r := range a.Resources {
		if r.Group == c.text("group") && r.Kind == c.text("kind") && r.Namespace == c.text("namespace") && r.Name == c.text("resourceName") {
			if r.Version == c.text("version") {
				return r
			}
		}
	}
	fail(w, 3, fmt.Sprintf("%s %s %s not found as part of application %s", c.text("kind"), c.text("group"), c.text("resourceName"), a.Name))
	return nil
}

// offers are the actions that a resource has (resource_customizations/*/*/actions).
func (r *Resource) offers() []string {
	if r.Actions != nil {
		return r.Actions
	}
	switch r.Group + "/" + r.Kind {
	case "apps/Deployment":
		return []string{"pause", "restart", "scale"}
	case "apps/StatefulSet", "apps/DaemonSet":
		return []string{"restart"}
	case "batch/CronJob":
		return []string{"create-job", "resume", "suspend"}
	case "external-secrets.io/ExternalSecret":
		return []string{"refresh"}
	}
	return nil
}

func (c *call) actions(w http.ResponseWriter, _ *http.Request) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	a := c.application(w, "get")
	if a == nil {
		return
	}
	r := c.resource(w, a)
	if r == nil {
		return
	}
	list := []any{}
	for _, name := range r.offers() {
		list = append(list, map[string]any{"name": name})
	}
	answer(w, http.StatusOK, map[string]any{"actions": list})
}

func (c *call) action(w http.ResponseWriter, _ *http.Request) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	name := c.text("action")
	a := c.application(w, "action/"+c.text("group")+"/"+c.text("kind")+"/"+name)
	if a == nil {
		return
	}
	r := c.resource(w, a)
	switch {
	case r == nil:
		return
	case !slices.Contains(r.offers(), name):
		fail(w, 2, "error getting Lua resource action: built-in script does not exist")
		return
	}
	at := c.server.now()
	switch name {
	case "restart":
		r.restarted = at.Truncate(time.Second)
	case "create-job":
		job := r.Name + "-" + at.UTC().Format("0601021504")
		if r.jobs[job] {
			fail(w, 6, fmt.Sprintf("jobs.batch %q already exists", job))
			return
		}
		if r.jobs == nil {
			r.jobs = map[string]bool{}
		}
		r.jobs[job] = true
	}
	c.server.done = append(c.server.done, name+" "+r.String())
	if c.server.OnAction != nil {
		if after := c.server.OnAction(a.Name, name, *r); after != "" {
			a.After = after
		}
	}
	answer(w, http.StatusOK, map[string]any{})
}

func (c *call) canI(w http.ResponseWriter, _ *http.Request) {
	part := strings.SplitN(strings.TrimPrefix(c.r.URL.Path, c.server.Path+"/api/v1/account/can-i/"), "/", 3)
	value := "no"
	if len(part) == 3 && part[0] == "applications" && c.may(part[1]) {
		value = "yes"
	}
	answer(w, http.StatusOK, map[string]any{"value": value})
}
