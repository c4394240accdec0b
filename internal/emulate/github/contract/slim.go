package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// operations is what of GitHub's description is kept: what remint calls and the emulation answers.
var operations = map[string][]string{
	"/user": {"get"},

	"/repos/{owner}/{repo}":                                                       {"get"},
	"/repos/{owner}/{repo}/environments/{environment_name}":                       {"get"},
	"/repos/{owner}/{repo}/actions/workflows/{workflow_id}":                       {"get"},
	"/repos/{owner}/{repo}/actions/workflows/{workflow_id}/enable":                {"put"},
	"/repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches":            {"post"},
	"/repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs":                  {"get"},
	"/repos/{owner}/{repo}/actions/runs":                                          {"get"},
	"/repos/{owner}/{repo}/actions/runs/{run_id}":                                 {"get"},
	"/repos/{owner}/{repo}/actions/runs/{run_id}/cancel":                          {"post"},
	"/repos/{owner}/{repo}/actions/secrets/public-key":                            {"get"},
	"/repos/{owner}/{repo}/actions/secrets/{secret_name}":                         {"get", "put", "delete"},
	"/repos/{owner}/{repo}/actions/variables":                                     {"post"},
	"/repos/{owner}/{repo}/actions/variables/{name}":                              {"get", "patch", "delete"},
	"/repos/{owner}/{repo}/environments/{environment_name}/secrets/public-key":    {"get"},
	"/repos/{owner}/{repo}/environments/{environment_name}/secrets/{secret_name}": {"get", "put", "delete"},
	"/repos/{owner}/{repo}/environments/{environment_name}/variables":             {"post"},
	"/repos/{owner}/{repo}/environments/{environment_name}/variables/{name}":      {"get", "patch", "delete"},
	"/orgs/{org}/actions/secrets/public-key":                                      {"get"},
	"/orgs/{org}/actions/secrets/{secret_name}":                                   {"get", "put", "delete"},
	"/orgs/{org}/actions/secrets/{secret_name}/repositories":                      {"get"},
	"/orgs/{org}/actions/variables":                                               {"post"},
	"/orgs/{org}/actions/variables/{name}":                                        {"get", "patch", "delete"},
	"/repos/{owner}/{repo}/installation":                                          {"get"},
	"/orgs/{org}/installation":                                                    {"get"},
	"/app/installations/{installation_id}/access_tokens":                          {"post"},
	"/installation/token":                                                         {"delete"},
}

// Slim cuts GitHub's OpenAPI description down to the operations above and what they refer to, without prose
// and examples. The result is the same for the same origin, byte for byte.
func Slim(origin []byte) ([]byte, error) {
	var doc struct {
		OpenAPI    string                               `json:"openapi"`
		Info       map[string]any                       `json:"info"`
		Paths      map[string]map[string]any            `json:"paths"`
		Components map[string]map[string]map[string]any `json:"components"`
	}
	dec := json.NewDecoder(bytes.NewReader(origin))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("the description is not as expected: %w", err)
	}
	paths := map[string]map[string]any{}
	components := map[string]map[string]any{}
	var missing []string
	var keep func(v any)
	keep = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				keep(x)
			}
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				part := strings.Split(strings.TrimPrefix(ref, "#/components/"), "/")
				kind, name := part[0], part[len(part)-1]
				if components[kind] == nil {
					components[kind] = map[string]any{}
				}
				if components[kind][name] == nil {
					x := doc.Components[kind][name]
					if x == nil {
						missing = append(missing, ref)
						return
					}
					components[kind][name] = bare(x, strings.TrimSuffix(kind, "s")) // "response"
					keep(components[kind][name])
				}
			}
			for _, x := range v {
				keep(x)
			}
		}
	}
	for path, methods := range operations {
		paths[path] = map[string]any{}
		for _, m := range methods {
			op, ok := doc.Paths[path][m]
			if !ok {
				missing = append(missing, m+" "+path)
				continue
			}
			paths[path][m] = bare(op, "")
			keep(paths[path][m])
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("the description lacks %s", strings.Join(missing, ", "))
	}
	return json.MarshalIndent(map[string]any{
		"openapi": doc.OpenAPI,
		"info": map[string]any{
			"title": "Extract of GitHub's REST API description: the operations that remint uses, without prose and examples", "version": doc.Info["version"],
			"license": doc.Info["license"], "contact": doc.Info["contact"],
		},
		"paths":      paths,
		"components": components,
	}, "", " ")
}

// bare drops what only people read. under is the key that v stands under: inside "properties" every key is
// a name of GitHub's and stays, and a response keeps a description, since it must have one.
func bare(v any, under string) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = bare(x, "")
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			switch {
			case under == "properties":
				out[k] = bare(x, "")
			case under == "responses":
				out[k] = bare(x, "response")
			case k == "description" && under == "response":
				out[k] = ""
			case prose[k], strings.HasPrefix(k, "x-"):
			default:
				out[k] = bare(x, k)
			}
		}
		return out
	}
	return v
}

var prose = map[string]bool{
	"description": true, "example": true, "examples": true, "externalDocs": true, "summary": true, "tags": true, "title": true,
}
