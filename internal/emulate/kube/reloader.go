package kube

// This file plays Reloader: a workload with the annotation reloader.stakater.com/auto is restarted when the data of a
// Secret that its pods read changes.

const reload = "reloader.stakater.com/auto"

// reloads takes one step with a workload.
func (s *Server) reloads(k Kind, o object) {
	if text(o, "metadata", "annotations", reload) != "true" {
		return
	}
	p := s.knows(o)
	all := map[string]map[string]string{}
	for _, name := range reads(child(clone(o), "spec", "template", "spec")) {
		all[name], _ = s.contents("secrets", text(o, "metadata", "namespace"), name)
	}
	before := p.version
	if p.version = string(encode(all)); before == "" || before == p.version {
		return
	}
	s.change(k, o, func(o object) {
		child(o, "spec", "template", "metadata", "annotations")["reloader.stakater.com/last-reloaded-from"] = unique()
		child(o, "metadata")["generation"] = number(o, 0, "metadata", "generation") + 1
	})
}

// reads names the Secrets that the containers of a pod read.
func reads(spec object) []string {
	var names []string
	add := func(name string) {
		if name != "" {
			names = append(names, name)
		}
	}
	for _, x := range items(spec, "containers") {
		for _, e := range items(x, "env") {
			add(text(e, "valueFrom", "secretKeyRef", "name"))
		}
		for _, e := range items(x, "envFrom") {
			add(text(e, "secretRef", "name"))
		}
	}
	for _, v := range items(spec, "volumes") {
		add(text(v, "secret", "secretName"))
	}
	return names
}
