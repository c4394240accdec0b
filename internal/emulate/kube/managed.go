package kube

import (
	"maps"
	"slices"
	"strings"
)

// This file keeps metadata.managedFields of Secrets: who wrote which key of the data, and when. A manager's time moves
// when a value that it owns changes. Fields of other objects, and others of Secrets, are not told.

// manage writes down that manager made new out of old; old is nil for a new object.
func (s *Server) manage(old, o object, manager string) {
	was, now := texts(old, "data"), texts(o, "data")
	var mine []string
	entries := []any{}
	for _, e := range items(old, "metadata", "managedFields") {
		e = clone(e)
		data := child(e, "fieldsV1", "f:data")
		for field := range data {
			key := strings.TrimPrefix(field, "f:")
			if _, there := now[key]; field != "." && (!there || now[key] != was[key]) {
				delete(data, field)
			} else if field != "." && e["manager"] == manager {
				mine = append(mine, key)
			}
		}
		if len(data) > 1 && e["manager"] != manager {
			entries = append(entries, e)
		}
	}
	changed := false
	for key := range now {
		if before, there := was[key]; !there || before != now[key] {
			mine, changed = append(mine, key), true
		}
	}
	if !changed && maps.Equal(was, now) {
		delete(child(o, "metadata"), "managedFields") // a client's own account of it does not count
		if old != nil && dig(old, "metadata", "managedFields") != nil {
			child(o, "metadata")["managedFields"] = clone(old)["metadata"].(object)["managedFields"]
		}
		return
	}
	fields := object{".": object{}}
	for _, key := range slices.Compact(slices.Sorted(slices.Values(mine))) {
		fields["f:"+key] = object{}
	}
	if len(fields) > 1 {
		entries = append(entries, object{"manager": manager, "operation": "Update", "apiVersion": "v1", "time": s.stamp(), "fieldsType": "FieldsV1", "fieldsV1": object{"f:data": fields}})
	}
	child(o, "metadata")["managedFields"] = entries
}
