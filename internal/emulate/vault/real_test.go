package vault_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/emulate/vault"
)

// TestReal sends the same requests to a real Vault and to the emulation and compares the answers. e2e/vault/vault.sh
// starts one and says what to put into REMINT_VAULT_ADDR, REMINT_VAULT_TOKEN (root), REMINT_VAULT_READ and REMINT_VAULT_WRITE
// (may only read, or only write, secret/data/app/*).
func TestReal(t *testing.T) {
	address, root := os.Getenv("REMINT_VAULT_ADDR"), os.Getenv("REMINT_VAULT_TOKEN")
	reader, writer := os.Getenv("REMINT_VAULT_READ"), os.Getenv("REMINT_VAULT_WRITE")
	if address == "" || root == "" || reader == "" || writer == "" {
		t.Skip("no REMINT_VAULT_…")
	}
	s := vault.New()
	s.AddToken(vault.Token{Value: root})
	s.AddToken(vault.Token{Value: reader, Rights: map[string][]string{"secret/data/app/*": {"read"}}})
	s.AddToken(vault.Token{Value: writer, Rights: map[string][]string{"secret/data/app/*": {"create", "update"}}})
	fake := httptest.NewServer(s)
	defer fake.Close()
	run := fmt.Sprint(time.Now().UnixNano()) // a real server keeps what earlier runs did
	x, old := "app/"+run, "kv1-"+run
	s.AddMount(old, 1)
	ask(t, address, root, "POST", "sys/mounts/"+old, "", `{"type":"kv","options":{"version":"1"}}`)

	const merge = "application/merge-patch+json"
	steps := []struct{ token, method, path, kind, body string }{
		{root, "GET", "secret/data/" + x, "", ""},
		{root, "GET", "sys/internal/ui/mounts/secret", "", ""},
		{root, "GET", "sys/internal/ui/mounts/" + old, "", ""},
		{root, "GET", "sys/internal/ui/mounts/none", "", ""},
		{reader, "GET", "sys/internal/ui/mounts/secret", "", ""},
		{reader, "GET", "sys/internal/ui/mounts/" + old, "", ""},
		{root, "PATCH", "secret/metadata/" + x, merge, `{"custom_metadata":{"a":"b"}}`},
		{writer, "POST", "secret/data/" + x, "", `{"data":{"k":"v","n":1.50,"big":12345678901234567890,"list":[1,null,{"a":true}]},"options":{"cas":0}}`},
		{writer, "GET", "secret/data/" + x, "", ""},
		{reader, "GET", "secret/data/" + x, "", ""},
		{reader, "POST", "secret/data/" + x, "", `{"data":{"k":"w"}}`},
		{"none-of-theirs", "GET", "secret/data/" + x, "", ""},
		{root, "POST", "secret/data/" + x, "", `{"data":{"k":"w"},"options":{"cas":0}}`},
		{root, "POST", "secret/data/" + x, "", `{"data":{"k":"w"},"options":{"cas":7}}`},
		{root, "POST", "secret/data/" + x, "", `{"data":{"k":"w"},"options":{"cas":1}}`},
		{reader, "PATCH", "secret/metadata/" + x, merge, `{"custom_metadata":{"a":"b"}}`},
		{root, "PATCH", "secret/metadata/" + x, "application/json", `{"custom_metadata":{"a":"b"}}`},
		{root, "PATCH", "secret/metadata/" + x, merge, `{"custom_metadata":{"a":"{\"remint\":1,\"id\":\"x\"}","b":"c"}}`},
		{root, "PATCH", "secret/metadata/" + x, merge, `{"custom_metadata":{"b":null,"c":null}}`},
		{root, "PATCH", "secret/metadata/" + x, merge, `{"custom_metadata":{"b":"` + strings.Repeat("x", 513) + `"}}`},
		{root, "PATCH", "secret/metadata/" + x, merge, `{"custom_metadata":{"b":""}}`},
		{root, "GET", "secret/data/" + x, "", ""},
		{reader, "POST", "sys/capabilities-self", "", `{"paths":["secret/data/` + x + `","secret/metadata/` + x + `"]}`},
		{writer, "POST", "sys/capabilities-self", "", `{"paths":["secret/data/` + x + `","secret/metadata/` + x + `"]}`},
		{root, "POST", "sys/capabilities-self", "", `{"paths":["secret/data/` + x + `"]}`},
		{"none-of-theirs", "POST", "sys/capabilities-self", "", `{"paths":["secret/data/x"]}`},
		{root, "GET", "none/data/x", "", ""},
		{root, "GET", "secret/" + x, "", ""},
		{root, "POST", old + "/data/x", "", `{"k":"v"}`},
		{root, "GET", old + "/data/x", "", ""},
		{root, "GET", old + "/data/none", "", ""},
		{root, "PATCH", old + "/metadata/x", merge, `{"custom_metadata":{"a":"b"}}`},
		{root, "POST", "auth/jwt-none/login", "", `{"role":"r","jwt":"x"}`},
	}
	compare := func(name, token, method, path, kind, body string) {
		t.Helper()
		code, got := ask(t, fake.URL, token, method, path, kind, body)
		wantCode, want := ask(t, address, token, method, path, kind, body)
		if code != wantCode {
			t.Errorf("%s: %d, Vault %d", name, code, wantCode)
		}
		if a, b := show(got), show(want); a != b {
			t.Errorf("%s:\n%s\nVault:\n%s", name, a, b)
		}
	}
	for i, step := range steps {
		compare(fmt.Sprint(i, " ", step.method, " ", step.path), step.token, step.method, step.path, step.kind, step.body)
	}
	s.Delete("secret", x, false)
	ask(t, address, root, "DELETE", "secret/data/"+x, "", "")
	compare("deleted", root, "GET", "secret/data/"+x, "", "")
	compare("cas 0 after a deletion", root, "POST", "secret/data/"+x, "", `{"data":{"k":"w"},"options":{"cas":0}}`)
	compare("cas 2 after a deletion", root, "POST", "secret/data/"+x, "", `{"data":{"k":"w"},"options":{"cas":2}}`)
	s.Delete("secret", x, true)
	ask(t, address, root, "PUT", "secret/destroy/"+x, "", `{"versions":[3]}`)
	compare("destroyed", root, "GET", "secret/data/"+x, "", "")
	compare("revoke-self of a token that is none", "none-of-theirs", "POST", "auth/token/revoke-self", "", "")
}

func ask(t *testing.T, address, token, method, path, kind, body string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequest(method, address+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", token)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return resp.StatusCode, nil
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatalf("%s %s: %s", method, path, text)
	}
	return resp.StatusCode, out
}

// show is an answer without what differs each time, or belongs to a build of Vault.
func show(answer map[string]any) string {
	var walk func(v any) any
	walk = func(v any) any {
		m, ok := v.(map[string]any)
		if !ok {
			return v
		}
		for k := range m {
			switch {
			case slices.Contains([]string{"request_id", "mount_type", "accessor", "uuid", "config", "deprecation_status", "description", "external_entropy_access", "local", "plugin_version", "running_plugin_version",
				"running_sha256", "seal_wrap"}, k):
				delete(m, k)
			case k == "created_time" || k == "deletion_time":
				if text, _ := m[k].(string); text != "" {
					if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
						m[k] = err.Error()
						break
					}
					m[k] = "some time"
				}
			default:
				m[k] = walk(m[k])
			}
		}
		return m
	}
	b, _ := json.Marshal(walk(answer))
	return string(b)
}
