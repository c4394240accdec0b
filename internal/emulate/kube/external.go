package kube

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// This file plays External Secrets: an ExternalSecret is read again when its spec, labels or annotations have
// changed since status.syncedResourceVersion, when its interval is over, or when somebody changed its Secret;
// never if its policy forbids it. Templates are not played: the Secret has the keys as they were read.

const (
	managed  = "reconcile.external-secrets.io/managed"
	dataHash = "reconcile.external-secrets.io/data-hash"
)

// sync takes one step with an ExternalSecret.
func (s *Server) sync(k Kind, o object) {
	p := s.knows(o)
	version := synced(o)
	if p.version != version {
		p.version = version // acted on at the next step
		return
	}
	target := s.goal(o)
	secrets := s.named("secrets")
	where := secrets.at(text(o, "metadata", "namespace"), target)
	have, there := s.objects[where]
	intact := there && text(have, "metadata", "annotations", dataHash) == digest(decoded(have))
	if !s.due(o, version) && (intact || text(o, "spec", "refreshPolicy") == "CreatedOnce") {
		return
	}
	data, err := s.fetch(o)
	if err != nil {
		s.change(k, o, func(o object) {
			s.condition(o, "Ready", "False", "SecretSyncedError", "could not get secret data from provider: "+err.Error())
		})
		return
	}
	if !there {
		have = object{"metadata": object{"name": target, "namespace": where.namespace, "ownerReferences": owner(k, o)}, "type": "Opaque"}
		s.add(secrets, have)
	}
	s.change(secrets, have, func(o object) {
		o["data"] = encoded(data)
		s.manage(have, o, "externalsecrets.external-secrets.io")
		child(o, "metadata", "labels")[managed] = "true"
		child(o, "metadata", "annotations")[dataHash] = digest(data)
	})
	s.change(k, o, func(o object) {
		st := child(o, "status")
		st["refreshTime"], st["syncedResourceVersion"] = s.stamp(), version
		st["binding"] = object{"name": target}
		s.condition(o, "Ready", "True", "SecretSynced", "secret synced")
	})
}

// goal is the name of the Secret that an ExternalSecret writes.
func (s *Server) goal(o object) string {
	if name := text(o, "spec", "target", "name"); name != "" {
		return name
	}
	return text(o, "metadata", "name")
}

// synced is what status.syncedResourceVersion becomes: the generation and a hash of labels and annotations.
func synced(o object) string {
	sum := sha256.Sum256(append(encode(texts(o, "metadata", "labels")), encode(texts(o, "metadata", "annotations"))...))
	return strconv.Itoa(number(o, 0, "metadata", "generation")) + "-" + hex.EncodeToString(sum[:])[:56]
}

func digest(data map[string]string) string {
	sum := sha256.Sum256(encode(data))
	return hex.EncodeToString(sum[:])
}

// due reports whether an ExternalSecret is to be read.
func (s *Server) due(o object, version string) bool {
	last := text(o, "status", "syncedResourceVersion")
	if last == "" {
		return true
	}
	changed := last != version
	switch text(o, "spec", "refreshPolicy") {
	case "CreatedOnce":
		return false
	case "OnChange":
		return changed
	}
	every, err := time.ParseDuration(text(o, "spec", "refreshInterval"))
	if err != nil && text(o, "spec", "refreshInterval") == "" {
		every = time.Hour
	}
	if every <= 0 {
		return false
	}
	at, _ := time.Parse(time.RFC3339, text(o, "status", "refreshTime"))
	return changed || s.now().After(at.Add(every))
}

// fetch reads what an ExternalSecret speaks of.
func (s *Server) fetch(o object) (map[string]string, error) {
	store := text(o, "spec", "secretStoreRef", "name")
	remote := func(key, property string) (string, error) {
		if s.Remote != nil {
			if value, ok := s.Remote(store, key, property); ok {
				return value, nil
			}
		}
		return "", fmt.Errorf("Secret does not exist: %s", strings.TrimSuffix(key+"/"+property, "/")) //nolint:staticcheck // as the store says it
	}
	out := map[string]string{}
	for _, from := range items(o, "spec", "dataFrom") {
		key, property := text(from, "extract", "key"), text(from, "extract", "property")
		if key == "" {
			return nil, fmt.Errorf("the emulation plays no dataFrom but extract")
		}
		value, err := remote(key, property)
		if err != nil {
			return nil, err
		}
		var all map[string]any
		if err := json.Unmarshal([]byte(value), &all); err != nil {
			return nil, fmt.Errorf("unable to unmarshal secret %s: not a JSON object", key)
		}
		for name, v := range all {
			if t, ok := v.(string); ok {
				out[name] = t
			} else {
				out[name] = strings.TrimSpace(string(encode(v)))
			}
		}
	}
	direct := map[string]string{}
	for i, d := range items(o, "spec", "data") {
		value, err := remote(text(d, "remoteRef", "key"), text(d, "remoteRef", "property"))
		if err != nil {
			return nil, fmt.Errorf("error processing spec.data[%d] (key: %s), err: %w", i, text(d, "remoteRef", "key"), err)
		}
		direct[text(d, "secretKey")] = value
	}
	maps.Copy(out, direct)
	return out, nil
}
