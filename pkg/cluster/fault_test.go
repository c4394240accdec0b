package cluster

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	hidden = "hunter2-hunter2-hunter2-hunter2"
	short  = "swordfish"
)

func encode(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func status(code int32, reason metav1.StatusReason, message string, details *metav1.StatusDetails) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message, Details: details}}
}

// silent looks for the secrets, plain and encoded.
func silent(t *testing.T, text string) {
	t.Helper()
	for _, s := range []string{hidden, short} {
		for _, form := range []string{s, encode(s), strings.TrimRight(encode(s), "="), fmt.Sprintf("%x", s)} {
			if strings.Contains(text, form) {
				t.Errorf("a secret shows: %s", text)
			}
		}
	}
	if strings.ContainsAny(text, "\r\n\x1b") {
		t.Errorf("a control character shows: %q", text)
	}
}

func TestFault(t *testing.T) {
	c := &Cluster{Server: "https://kube.example", Token: rotate.NewSecret("t")}
	rbac := `secrets "web" is forbidden: User "u" cannot patch resource "secrets" in API group "" in the namespace "apps"`
	dump := `Secret "web" is invalid: data: Invalid value: {"TOKEN":"` + encode(hidden) + `","PASSWORD":"` + encode(short) + `"}: field is immutable`
	causes := func(kind string, causes ...metav1.StatusCause) *metav1.StatusDetails {
		return &metav1.StatusDetails{Kind: kind, Name: "web", Causes: causes}
	}
	for _, tt := range []struct {
		name     string
		err      error
		resource string
		want     error
		says     string
		not      string
	}{
		{"a right", status(403, "Forbidden", rbac, causes("secrets")), "secrets", rotate.ErrDenied, "may not patch secrets/web in namespace apps: grant verb patch on secrets (resourceNames: [web])", "User"},
		{"an admission rule", status(403, "Forbidden", `admission webhook "x" denied the request: `+dump, nil), "secrets", rotate.ErrDenied, "admission rule", "webhook \"x\""},
		{"a quota", status(403, "Forbidden", `jobs.batch "x" is forbidden: exceeded quota: q`, nil), "jobs", rotate.ErrDenied, "exceeded quota: q", "grant"},
		{"the credential", status(401, "Unauthorized", "Unauthorized", nil), "secrets", rotate.ErrDenied, "does not accept the credential", ""},
		{"missing", status(404, "NotFound", `secrets "web" not found`, causes("secrets")), "secrets", rotate.ErrNotFound, "there is no secrets/web in namespace apps", ""},
		{"a kind that is not there", status(404, "NotFound", "the server could not find the requested resource", &metav1.StatusDetails{}), "externalsecrets", rotate.ErrNotFound, "knows no externalsecrets", ""},
		{"a namespace that is not there", status(404, "NotFound", `namespaces "apps" not found`, &metav1.StatusDetails{Kind: "namespaces", Name: "apps"}), "jobs", rotate.ErrNotFound, "no namespace apps", ""},
		{"changed", status(409, "Conflict", "Operation cannot be fulfilled", nil), "secrets", rotate.ErrConflict, "changed by somebody else", ""},
		{"taken", status(409, "AlreadyExists", "exists", nil), "jobs", rotate.ErrConflict, "exists already", ""},
		{"invalid", status(422, "Invalid", dump, causes("Secret", metav1.StatusCause{Type: metav1.CauseTypeForbidden, Field: "data", Message: dump})), "secrets", rotate.ErrConfig, "422 Invalid, because of data (FieldValueForbidden)", "immutable"},
		{"invalid, in a hostile way", status(422, metav1.StatusReason(encode(short)), dump, causes("Secret",
			metav1.StatusCause{Type: metav1.CauseType(encode(hidden)), Field: "data[" + encode(short) + "]"},
			metav1.StatusCause{Type: metav1.CauseTypeTooLong, Field: encode(hidden)})), "secrets", rotate.ErrConfig, "because of data, a field (FieldValueTooLong)", ""},
		{"a deployment", status(422, "Invalid", "Deployment.apps \"web\" is invalid:\nspec.replicas: Invalid value: -1: must be greater than or equal to 0", causes("Deployment",
			metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Field: "spec.replicas"})), "deployments", rotate.ErrConfig, "spec.replicas (FieldValueInvalid)", ""},
		{"a deployment that holds a value", status(422, "Invalid", `Deployment "web": env[0].value: "`+encode(hidden)+`" is wrong`, nil), "deployments", rotate.ErrConfig, "is wrong", ""},
		{"a webhook that quotes a Secret", status(400, "BadRequest", "denied: "+dump, nil), "externalsecrets", rotate.ErrConfig, "400 BadRequest", ""},
		{"Go's notation", status(400, "BadRequest", "denied: &v1.Secret{Data:map[TOKEN:"+short+"]}", nil), "jobs", rotate.ErrConfig, "400 BadRequest", ""},
		{"a Secret, though asked for something else", status(422, "Invalid", "value "+short, causes("Secret")), "jobs", rotate.ErrConfig, "422 Invalid", ""},
		{"too large", status(413, "RequestEntityTooLarge", "limit is 3145728", nil), "secrets", rotate.ErrLimit, "larger", ""},
		{"busy", status(429, "TooManyRequests", "slow down", nil), "secrets", rotate.ErrTemporary, "429", ""},
		{"a time-out", status(504, "Timeout", dump, nil), "secrets", rotate.ErrTemporary, "504 Timeout", ""},
		{"broken", status(500, "InternalError", dump, nil), "secrets", rotate.ErrTemporary, "500 InternalError", ""},
		{"expired", status(410, "Expired", "too old", nil), "pods", rotate.ErrTemporary, "410", ""},
		{"no answer of an API server", fmt.Errorf("couldn't get version/kind; json parse error: %s", dump), "secrets", rotate.ErrTemporary, "not understood", "couldn't"},
		{"ours", fmt.Errorf("%w: no credentials", rotate.ErrDenied), "secrets", rotate.ErrDenied, "no credentials", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := c.Fault(fmt.Errorf("wrapped: %w", tt.err), "patch", tt.resource, "apps", "web")
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v\nwant %v: …%s…", err, tt.want, tt.says)
			}
			if tt.not != "" && strings.Contains(err.Error(), tt.not) {
				t.Errorf("%v\nmust not say %s", err, tt.not)
			}
			silent(t, fmt.Sprintf("%+v", err))
			var raw apierrors.APIStatus
			if errors.As(err, &raw) {
				t.Error("the API server's own error is still reachable")
			}
			if again := c.Fault(err, "get", "pods", "", ""); again.Error() != err.Error() {
				t.Errorf("mapped twice: %v", again)
			}
		})
	}
	if c.Fault(nil, "get", "pods", "", "") != nil {
		t.Error("nil became an error")
	}
}

// FuzzFault shows that whatever an API server says of a Secret, its data does not show.
func FuzzFault(f *testing.F) {
	f.Add(422, "Invalid", `Secret "web" is invalid: data: Invalid value: {"TOKEN":"%s"}`, "data[%s]", "FieldValueInvalid", "secrets")
	f.Add(403, "Forbidden", `User "%s" cannot patch resource "secrets"`, "", "", "Secret")
	f.Add(0, "%s", "%s", "%s", "%s", "%s")
	f.Add(500, "InternalError", "\x1b[31m%s\r\n::error::", "metadata.annotations[%s]", "FieldValueTooLong", "")
	f.Fuzz(func(t *testing.T, code int, reason, message, field, cause, kind string) {
		c := &Cluster{Server: "https://kube.example", Token: rotate.NewSecret("t")}
		for _, secret := range []string{hidden, encode(hidden), short, encode(short)} {
			in := func(text string) string { return strings.ReplaceAll(text, "%s", secret) }
			for _, shown := range []string{reason, message, field, cause, kind} {
				if strings.Contains(shown, secret) {
					return // it is known already
				}
			}
			err := c.Fault(status(int32(code), metav1.StatusReason(in(reason)), in(message), &metav1.StatusDetails{Kind: in(kind),
				Causes: []metav1.StatusCause{{Field: in(field), Type: metav1.CauseType(in(cause)), Message: in(message)}}}), "patch", "secrets", "apps", "web")
			if !ours(err) {
				t.Errorf("no sentinel: %v", err)
			}
			silent(t, err.Error())
		}
	})
}

// FuzzAnswer feeds what a server may answer to Raw and to the dynamic client, and looks at the errors.
func FuzzAnswer(f *testing.F) {
	body, _ := json.Marshal(map[string]any{"kind": "Status", "apiVersion": "v1", "code": 422, "reason": "Invalid", "message": hidden})
	f.Add(422, "application/json", body)
	f.Add(200, "application/json", []byte(`{"kind":"Secret","apiVersion":"v1","data":{"a":"`+encode(hidden)+`"`))
	f.Add(200, "text/plain", []byte(hidden))
	f.Add(500, "", []byte(hidden))
	f.Add(200, "application/json; charset=\"", []byte(`{}`))
	f.Fuzz(func(t *testing.T, code int, kind string, body []byte) {
		if code < 200 || code > 599 || strings.ContainsAny(kind, "\r\n\x00") {
			return
		}
		c := served(func(code int, kind string, body []byte) answer {
			return answer{code: code, kind: kind, body: body}
		}(code, kind, body))
		_, err := get(t.Context(), c)
		if err = c.Fault(err, "get", "secrets", "apps", "web"); err != nil {
			silent(t, err.Error())
		}
		_, err = c.Raw(t.Context(), "GET", "/api/v1/namespaces/apps/secrets/web", nil, nil, "")
		if err = c.Fault(err, "get", "secrets", "apps", "web"); err != nil {
			silent(t, err.Error())
		}
		if err := c.Permitted(t.Context(), "get", "", "secrets", "apps", "web"); err != nil {
			silent(t, err.Error())
		}
	})
}
