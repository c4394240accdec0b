package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/keeping"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file sends requests and says what became of them. A text of Vault's gets into an error only if the request
// carried no secret in its body: Vault may repeat what it was sent.

// maxAnswer is the largest answer in bytes that is read: a secret has 1 MiB at the most.
const maxAnswer = 2 << 20

// authorize sets the headers of a request.
func (s *Secret) authorize(r *http.Request) error {
	token := s.Token
	if s.Auth != nil {
		token = s.session
	}
	if !token.IsZero() {
		r.Header.Set("X-Vault-Token", token.Reveal())
	}
	if n := strings.Trim(s.Namespace, "/"); n != "" {
		r.Header.Set("X-Vault-Namespace", n)
	}
	r.Header.Set("X-Vault-Request", "true") // a Vault agent in between may demand it
	return nil
}

// refusal is an error after which nothing was changed.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

func refused(err error) bool {
	var r refusal
	return errors.As(err, &r)
}

// reply is an answer of Vault.
type reply struct {
	status   int
	ID       string          `json:"request_id"` // in every answer that has data
	Data     json.RawMessage `json:"data"`
	Auth     json.RawMessage `json:"auth"`
	Errors   []string        `json:"errors"`
	Warnings []string        `json:"warnings"`
}

// path joins parts of a path of the API, each escaped.
func path(parts ...string) string {
	var all []string
	for _, p := range strings.Split(strings.Join(parts, "/"), "/") {
		all = append(all, url.PathEscape(p))
	}
	return strings.Join(all, "/")
}

// call sends one request and returns the answer, whatever its status. kind is the content type of the body.
func (s *Secret) call(ctx context.Context, method, at string, body any, kind string) (*reply, *http.Response, error) {
	var sent []byte
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", rotate.ErrConfig, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, s.wire.URL().String()+"v1/"+at, bytes.NewReader(sent))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: not a path: %s", rotate.ErrConfig, httpx.Clean(at, 200))
	}
	if body != nil {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := s.wire.Client().Do(req)
	if err != nil {
		if err = httpx.Wrap(err); errors.Is(err, rotate.ErrConfig) { // a redirect, which alone is refused here
			err = refusal{fmt.Errorf("%w; a standby of Vault so points to the active node: give the address of that, or of a load balancer that forwards", err)}
		}
		return nil, nil, err
	}
	text, err := httpx.Drain(resp)
	if err != nil {
		return nil, nil, fmt.Errorf("%s v1/%s: %w", method, at, err)
	}
	out := &reply{status: resp.StatusCode}
	if resp.StatusCode == http.StatusNoContent {
		return out, resp, nil
	}
	if json.Unmarshal(text, out) != nil && resp.StatusCode < 300 { // what the decoder says may repeat a part of the answer
		return nil, nil, strange(method, at, resp.StatusCode)
	}
	return out, resp, nil
}

// strange reports an answer that is none of Vault's.
func strange(method, at string, status int) error {
	return fmt.Errorf("%w: %s v1/%s: %d, with what Vault does not answer; is address that of Vault, and does a proxy stand before it?", rotate.ErrTemporary, method, at, status)
}

// explain says why a request was refused. message is what Vault said, as far as it may be shown.
func explain(method, at string, resp *http.Response, message, hint string) error {
	err := httpx.Status(method, "v1/"+at, resp, message)
	if err == nil {
		return strange(method, at, resp.StatusCode)
	}
	if hint != "" {
		err = fmt.Errorf("%w; %s", err, hint)
	}
	if c := resp.StatusCode; c >= 400 && c < 500 && c != http.StatusRequestTimeout {
		return refusal{err}
	}
	return err
}

// said is Vault's explanation.
func (r *reply) said() string { return strings.Join(r.Errors, "; ") }

// sight is the secret as it was read. No one but this package's requests sees what is in it.
type sight struct {
	version int64
	data    map[string]json.RawMessage
	has     bool // the key is there
	value   rotate.Secret
	marker  string
	former  string // under the key previous, if there is to be one
	note    string // under the key of the note, then
}

// same reports whether both have the same value under the key.
func (n *sight) same(m *sight) bool { return n.has == m.has && n.value.Equal(m.value) }

// look reads the latest version, and what stands in the custom metadata.
func (s *Secret) look(ctx context.Context) (*sight, error) {
	s.last = nil
	if err := s.login(ctx); err != nil {
		return nil, err
	}
	at := path(s.mount(), "data", s.Path)
	r, resp, err := s.call(ctx, http.MethodGet, at, nil, "")
	if err != nil {
		return nil, err
	}
	switch r.status {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, s.absent(ctx, r)
	case http.StatusForbidden:
		return nil, explain(http.MethodGet, at, resp, r.said(), s.needs("read"))
	default:
		return nil, explain(http.MethodGet, at, resp, r.said(), "")
	}
	n, err := s.read(r.Data)
	if err != nil {
		return nil, err
	}
	s.last = n
	return n, nil
}

func (s *Secret) needs(rights string) string {
	return fmt.Sprintf("the token is wrong or expired, or its policy lacks %s on %s/data/%s (a path that does not exist looks the same)", rights, s.mount(), s.Path)
}

// secretData is what is read of a version.
type secretData struct {
	Data     map[string]json.RawMessage `json:"data"`
	Metadata struct {
		Version        int64             `json:"version"`
		DeletionTime   string            `json:"deletion_time"`
		Destroyed      bool              `json:"destroyed"`
		CustomMetadata map[string]string `json:"custom_metadata"`
	} `json:"metadata"`
}

// read makes a sight of an answer's data.
func (s *Secret) read(data json.RawMessage) (*sight, error) {
	var in secretData
	var keys map[string]json.RawMessage
	err := json.Unmarshal(data, &in)
	_ = json.Unmarshal(data, &keys)
	switch {
	case len(keys) > 0 && keys["metadata"] == nil: // version 1 answers with the keys of a secret that is called data/…
		return nil, s.notVersion2("")
	case err != nil, in.Metadata.Version < 1, in.Data == nil:
		return nil, fmt.Errorf("%w: what was read is not what a KV secrets engine of version 2 answers", rotate.ErrTemporary)
	}
	n := &sight{version: in.Metadata.Version, data: in.Data, marker: in.Metadata.CustomMetadata[s.markerName()]}
	if s.Keeps() {
		if n.former, err = text(in.Data, s.Previous); err == nil {
			n.note, err = text(in.Data, keeping.NoteKey(s.Previous))
		}
		if err != nil {
			return nil, err
		}
	}
	if _, n.has = in.Data[s.Key]; !n.has {
		return n, nil
	}
	value, err := text(in.Data, s.Key)
	if err != nil {
		return nil, err
	}
	n.value = rotate.NewSecret(value)
	return n, nil
}

// text returns what is under a key; "" for nothing and for null.
func text(data map[string]json.RawMessage, key string) (string, error) {
	var text *string
	if raw, ok := data[key]; ok && json.Unmarshal(raw, &text) != nil {
		return "", fmt.Errorf("%w: what is under key %q is no text; name a key that holds the credential alone", rotate.ErrConfig, key)
	}
	if text == nil {
		return "", nil
	}
	return *text, nil
}

// absent says why there is nothing to read.
func (s *Secret) absent(ctx context.Context, r *reply) error {
	var in secretData
	if json.Unmarshal(r.Data, &in) == nil && in.Metadata.Version > 0 {
		if in.Metadata.Destroyed {
			return refusal{fmt.Errorf("%w: its latest version %d is destroyed; put one with all of its keys (vault kv put), or name another secret", rotate.ErrNotFound, in.Metadata.Version)}
		}
		return refusal{fmt.Errorf("%w: its latest version %d was deleted at %s; bring it back (vault kv undelete -versions=%d), or name another secret", rotate.ErrNotFound, in.Metadata.Version,
			httpx.Clean(in.Metadata.DeletionTime, 40), in.Metadata.Version)}
	}
	mount, resp, err := s.call(ctx, http.MethodGet, path("sys/internal/ui/mounts", s.mount()), nil, "")
	if err == nil && mount.status == http.StatusOK {
		var about struct {
			Type    string            `json:"type"`
			Options map[string]string `json:"options"`
		}
		if json.Unmarshal(mount.Data, &about) == nil && about.Type != "" && (about.Type != "kv" && about.Type != "generic" || about.Options["version"] != "2") {
			return s.notVersion2(about.Type)
		}
	}
	where := "there is no secret at this path, and none is created here: put one with the key first (vault kv put)"
	if err == nil && (mount.status == http.StatusForbidden || mount.status == http.StatusNotFound) && resp != nil {
		where = "there is no secret at this path, or no secrets engine at this mount"
	}
	if strings.HasPrefix(s.Path, "data/") {
		where += "; the path is given without data/"
	}
	return refusal{fmt.Errorf("%w: %s", rotate.ErrNotFound, where)}
}

func (s *Secret) notVersion2(kind string) error {
	if kind != "" && kind != "kv" && kind != "generic" {
		return refusal{fmt.Errorf("%w: at %s/ is a secrets engine of the type %s, not kv", rotate.ErrConfig, s.mount(), httpx.Clean(kind, 40))}
	}
	return refusal{fmt.Errorf("%w: the KV secrets engine at %s/ is of version 1, which has no versions and no check-and-set, so that writers would overwrite each other's keys; upgrade it (vault kv enable-versioning %s/) or name another mount", rotate.ErrConfig, s.mount(), s.mount())}
}

// errStale says that there is a later version, so that nothing was written.
var errStale = fmt.Errorf("%w: a later version was written meanwhile", rotate.ErrConflict)

// put writes what was read with another value under the key, or without the key, as the version after it.
func (s *Secret) put(ctx context.Context, was *sight, value rotate.Secret, has bool) (version int64, err error) {
	data := make(map[string]json.RawMessage, len(was.data)+1)
	for k, v := range was.data {
		data[k] = v
	}
	delete(data, s.Key)
	if has {
		if data[s.Key], err = json.Marshal(value.Reveal()); err != nil {
			return 0, fmt.Errorf("%w: the value is no text", rotate.ErrConfig)
		}
	}
	return s.send(ctx, was.version, data)
}

// send writes all keys as the version after another. The request may be repeated: the second of two is refused.
func (s *Secret) send(ctx context.Context, after int64, data map[string]json.RawMessage) (version int64, err error) {
	s.last = nil
	at := path(s.mount(), "data", s.Path)
	r, resp, err := s.call(httpx.Repeatable(ctx), http.MethodPost, at, map[string]any{"data": data, "options": map[string]any{"cas": after}}, "application/json")
	if err != nil {
		return 0, err
	}
	switch {
	case r.status == http.StatusBadRequest && strings.Contains(r.said(), "check-and-set parameter did not match"):
		return 0, errStale
	case r.status == http.StatusForbidden:
		return 0, explain(http.MethodPost, at, resp, "", s.needs("update"))
	case r.status != http.StatusOK:
		return 0, explain(http.MethodPost, at, resp, "", "Vault's text is left out, since it may repeat what was sent; its log has it")
	}
	var made struct {
		Version int64 `json:"version"`
	}
	if json.Unmarshal(r.Data, &made) != nil || made.Version <= after {
		return 0, strange(http.MethodPost, at, r.status)
	}
	return made.Version, nil
}
