package kube

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/remint-dev/remint/internal/pattern"
)

// This file refuses what the API server refuses, and fills in what it fills in, as far as remint can meet it.

const (
	maxSecret = 1 << 20 // bytes of all values of a Secret
	frozen    = "field is immutable when `immutable` is set"
)

var dataKey = pattern.New(`^[-._a-zA-Z0-9]+$`)

// unreadable says why the data of a Secret cannot be read; "": it can.
func unreadable(o object) string {
	for _, key := range slices.Sorted(maps.Keys(texts(o, "data"))) {
		if _, err := base64.StdEncoding.DecodeString(text(o, "data", key)); err != nil {
			return err.Error()
		}
	}
	return ""
}

// admit holds a new object to the rules of its kind; old is nil when it is created.
func admit(k Kind, old, o object) *failure {
	name := text(o, "metadata", "name")
	var list []cause
	switch k.Resource {
	case "secrets":
		if why := unreadable(o); why != "" {
			return badRequest("Secret in version \"v1\" cannot be handled as a Secret: %s", why)
		}
		for key, value := range texts(o, "stringData") {
			child(o, "data")[key] = base64.StdEncoding.EncodeToString([]byte(value))
		}
		delete(o, "stringData")
		if text(o, "type") == "" {
			o["type"] = "Opaque"
			if old != nil {
				o["type"] = old["type"]
			}
		}
		list = secretCauses(old, o)
	case "jobs":
		if old != nil && !same(dig(old, "spec", "template"), dig(o, "spec", "template")) {
			list = append(list, cause{"FieldValueInvalid", "spec.template", fmt.Sprintf("%s: field is immutable", strings.TrimSpace(string(encode(dig(o, "spec", "template")))))})
		}
		if policy := text(o, "spec", "template", "spec", "restartPolicy"); old == nil && policy != "Never" && policy != "OnFailure" {
			list = append(list, cause{"FieldValueRequired", "spec.template.spec.restartPolicy", "valid values: \"OnFailure\", \"Never\""})
		}
	case "deployments", "statefulsets", "daemonsets":
		if old != nil && !same(dig(old, "spec", "selector"), dig(o, "spec", "selector")) {
			list = append(list, cause{"FieldValueInvalid", "spec.selector", fmt.Sprintf("%s: field is immutable", strings.TrimSpace(string(encode(dig(o, "spec", "selector")))))})
		}
	}
	if len(list) > 0 {
		return invalid(k.Group, k.Name, name, list...)
	}
	return nil
}

func secretCauses(old, o object) []cause {
	var list []cause
	size := 0
	data := decoded(o)
	for _, key := range slices.Sorted(maps.Keys(data)) {
		size += len(data[key])
		if !dataKey.MatchString(key) {
			list = append(list, cause{"FieldValueInvalid", "data[" + key + "]", quote(key) + ": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"})
		}
	}
	if size > maxSecret {
		list = append(list, cause{"FieldValueTooLong", "data", fmt.Sprintf("may not be more than %d bytes", maxSecret)})
	}
	if old == nil {
		return list
	}
	if text(old, "type") != text(o, "type") {
		list = append(list, cause{"FieldValueInvalid", "type", quote(text(o, "type")) + ": field is immutable"})
	}
	if old["immutable"] == true {
		if o["immutable"] != true {
			list = append(list, cause{"FieldValueForbidden", "immutable", frozen})
		}
		if !maps.Equal(decoded(old), data) {
			list = append(list, cause{"FieldValueForbidden", "data", frozen})
		}
	}
	return list
}

// fill gives an object the defaults of its kind that somebody looks at.
func fill(k Kind, o object) {
	set := func(v any, path ...string) {
		last := len(path) - 1
		m := child(o, path[:last]...)
		if _, ok := m[path[last]]; !ok {
			m[path[last]] = v
		}
	}
	switch k.Resource {
	case "deployments":
		set(1, "spec", "replicas")
		set("RollingUpdate", "spec", "strategy", "type")
		if text(o, "spec", "strategy", "type") == "RollingUpdate" {
			set("25%", "spec", "strategy", "rollingUpdate", "maxSurge")
			set("25%", "spec", "strategy", "rollingUpdate", "maxUnavailable")
		}
		set(10, "spec", "revisionHistoryLimit")
		set(600, "spec", "progressDeadlineSeconds")
		set("Always", "spec", "template", "spec", "restartPolicy")
	case "statefulsets":
		set(1, "spec", "replicas")
		set("RollingUpdate", "spec", "updateStrategy", "type")
		if text(o, "spec", "updateStrategy", "type") == "RollingUpdate" {
			set(0, "spec", "updateStrategy", "rollingUpdate", "partition")
		}
		set("OrderedReady", "spec", "podManagementPolicy")
		set("Always", "spec", "template", "spec", "restartPolicy")
	case "daemonsets":
		set("RollingUpdate", "spec", "updateStrategy", "type")
		set("Always", "spec", "template", "spec", "restartPolicy")
	case "jobs":
		set(1, "spec", "completions")
		set(1, "spec", "parallelism")
		set(6, "spec", "backoffLimit")
		set(false, "spec", "suspend")
		set("NonIndexed", "spec", "completionMode")
	case "cronjobs":
		set("Allow", "spec", "concurrencyPolicy")
		set(false, "spec", "suspend")
		set(3, "spec", "successfulJobsHistoryLimit")
		set(1, "spec", "failedJobsHistoryLimit")
	}
	switch k.Resource {
	case "deployments", "statefulsets", "daemonsets", "jobs", "cronjobs":
		if o["status"] == nil {
			o["status"] = object{}
		}
	}
}

// born gives a new object what only the API server knows.
func born(k Kind, o object) {
	if k.Resource != "jobs" {
		return
	}
	uid, name := uidOf(o), text(o, "metadata", "name")
	labels := object{"batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name, "controller-uid": uid, "job-name": name}
	merge(child(o, "spec", "template", "metadata", "labels"), clone(labels))
	if len(texts(o, "metadata", "labels")) == 0 {
		child(o, "metadata")["labels"] = clone(labels)
	}
	child(o, "spec", "selector")["matchLabels"] = object{"batch.kubernetes.io/controller-uid": uid}
}
