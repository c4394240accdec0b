package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/internal/pattern"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file says what went wrong with a request, in words of ours. The API server puts the whole object into the
// message of some refusals, a Secret with its data in base64, and an admission webhook may put anything there. So:
//
//   - of a request about Secrets nothing of the message is repeated, and of the fields at fault only names that every
//     Secret has;
//   - of other kinds the message is repeated, cleaned and cut, without long runs that could be an encoded value, and not
//     at all if it seems to quote an object;
//   - the errors of client-go are not wrapped: nobody can print their text by accident.

// Fault turns an error of [Cluster.Dynamic]'s client or of [Cluster.Raw] into one that wraps the fitting sentinel and
// may be shown. The rest says what was asked: the verb of RBAC, the resource ("secrets", "pods/log"), and where; an
// empty namespace or name is left out.
//
//	401, 403                 ErrDenied; a missing right is named, with what to grant
//	404                      ErrNotFound
//	409                      ErrConflict
//	413                      ErrLimit
//	400, 422 and other 4xx   ErrConfig, with the fields at fault
//	408, 410, 429, 5xx, and what the way to the server does     ErrTemporary
func (c *Cluster) Fault(err error, verb, resource, namespace, name string) error {
	if err == nil {
		return nil
	}
	what := object(resource, namespace, name)
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return c.refusal(status.Status(), verb, resource, namespace, name)
	}
	var own *lost
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &cert):
		return fmt.Errorf("%w: %s %s: the certificate of %s is not trusted; see that the CA is that cluster's, and the address the right one", rotate.ErrConfig, verb, what, c)
	case errors.As(err, &own):
		return fmt.Errorf("%s %s: %w", verb, what, httpx.Wrap(own.err))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s %s: %w", verb, what, ended(err))
	case ours(err):
		return err // of connecting, or mapped already
	}
	return fmt.Errorf("%w: %s %s: what %s answered is not understood; see that a Kubernetes API server stands there", rotate.ErrTemporary, verb, what, c)
}

// ended is the plain error of a context.
func ended(err error) error {
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	return fmt.Errorf("%w: %w", rotate.ErrTemporary, context.DeadlineExceeded)
}

// ours reports that an error has a sentinel, and so a text of our own.
func ours(err error) bool {
	return slices.ContainsFunc([]error{rotate.ErrConfig, rotate.ErrDenied, rotate.ErrNotFound, rotate.ErrLimit, rotate.ErrConflict,
		rotate.ErrTemporary, rotate.ErrUnproven}, func(s error) bool { return errors.Is(err, s) })
}

// object names what a request is about: "secrets/web in namespace apps".
func object(resource, namespace, name string) string {
	what := resource
	if name != "" {
		kind, sub, _ := strings.Cut(resource, "/")
		what = kind + "/" + name
		if sub != "" {
			what += "/" + sub
		}
	}
	if namespace != "" {
		what += " in namespace " + namespace
	}
	return what
}

// refusal explains what the API server answered.
func (c *Cluster) refusal(s metav1.Status, verb, resource, namespace, name string) error {
	what := object(resource, namespace, name)
	say := func(kind error, format string, args ...any) error {
		text := fmt.Sprintf(format, args...)
		if m := message(s, resource); m != "" {
			text += ": " + m
		}
		return fmt.Errorf("%w: %s", kind, text)
	}
	switch code := s.Code; {
	case code == 401:
		return fmt.Errorf("%w: %s %s: %s does not accept the credential; %s", rotate.ErrDenied, verb, what, c, c.renew())
	case code == 403 && !missingRight(s.Message):
		return say(rotate.ErrDenied, "%s %s is forbidden by an admission rule, a policy or a quota of the cluster", verb, what)
	case code == 403:
		return denied(verb, "", resource, namespace, name)
	case code == 404 && s.Details != nil && s.Details.Kind == "namespaces":
		return fmt.Errorf("%w: there is no namespace %s in %s", rotate.ErrNotFound, namespace, c)
	case code == 404 && (s.Details == nil || s.Details.Name == ""):
		return fmt.Errorf("%w: %s knows no %s; see that what brings them is installed, in this version", rotate.ErrNotFound, c, resource)
	case code == 404:
		return fmt.Errorf("%w: there is no %s", rotate.ErrNotFound, what)
	case code == 409 && s.Reason == metav1.StatusReasonAlreadyExists:
		return fmt.Errorf("%w: %s exists already", rotate.ErrConflict, what)
	case code == 409:
		return fmt.Errorf("%w: %s was changed by somebody else meanwhile", rotate.ErrConflict, what)
	case code == 413:
		return fmt.Errorf("%w: %s %s: larger than the API server takes", rotate.ErrLimit, verb, what)
	case code == 429:
		return fmt.Errorf("%w: %s %s: the API server has too much to do (429)", rotate.ErrTemporary, verb, what)
	case code == 408, code == 410, code < 400, code >= 500:
		return say(rotate.ErrTemporary, "%s %s: %s", verb, what, summary(s))
	}
	return say(rotate.ErrConfig, "%s %s: %s%s", verb, what, summary(s), fields(s, resource))
}

// renew tells what to do about a credential that is not accepted.
func (c *Cluster) renew() string {
	switch c.way() {
	case byEKS:
		return "see that the cluster has an access entry (or aws-auth line) for the role, and that this machine's clock is right"
	case byPod:
		return "see that the pod's service account still exists"
	case byServer:
		return "make a new token, and see that it is this cluster's"
	}
	return "see that the context's user is this cluster's and its token or certificate has not expired"
}

// denied names the right that is missing and what to grant.
func denied(verb, group, resource, namespace, name string) error {
	grant := "grant verb " + verb + " on " + resource
	if group != "" {
		grant += "." + group
	}
	if name != "" && verb != "create" && verb != "list" { // RBAC cannot name what is created or listed
		grant += " (resourceNames: [" + name + "])"
	}
	if namespace != "" {
		grant += " by a Role in that namespace"
	} else {
		grant += " by a ClusterRole"
	}
	return fmt.Errorf("%w: may not %s %s: %s", rotate.ErrDenied, verb, object(resource, namespace, name), grant)
}

// missingRight tells the refusal of an authorizer from that of an admission rule, which has the same code:
// `User "u" cannot patch resource "secrets" in API group …` (k8s.io/apiserver, responsewriters/errors.go).
func missingRight(message string) bool {
	_, after, ok := strings.Cut(message, " cannot ")
	return ok && (strings.Contains(after, " resource ") || strings.Contains(after, " path "))
}

// summary is the code and the reason.
func summary(s metav1.Status) string {
	text := fmt.Sprint(s.Code)
	if slices.Contains(reasons, s.Reason) {
		text += " " + string(s.Reason)
	}
	return text
}

// reasons that are repeated: those that Kubernetes defines, since other text in their place could be anything.
var reasons = []metav1.StatusReason{
	metav1.StatusReasonInvalid, metav1.StatusReasonServerTimeout, metav1.StatusReasonStoreReadError, metav1.StatusReasonTimeout,
	metav1.StatusReasonTooManyRequests, metav1.StatusReasonBadRequest, metav1.StatusReasonMethodNotAllowed, metav1.StatusReasonNotAcceptable,
	metav1.StatusReasonRequestEntityTooLarge, metav1.StatusReasonUnsupportedMediaType, metav1.StatusReasonInternalError,
	metav1.StatusReasonExpired, metav1.StatusReasonGone, metav1.StatusReasonServiceUnavailable,
}

// causes that are repeated.
var causes = []metav1.CauseType{
	metav1.CauseTypeFieldValueNotFound, metav1.CauseTypeFieldValueRequired, metav1.CauseTypeFieldValueDuplicate, metav1.CauseTypeFieldValueInvalid,
	metav1.CauseTypeFieldValueNotSupported, metav1.CauseTypeForbidden, metav1.CauseTypeTooLong, metav1.CauseTypeTooMany,
	metav1.CauseTypeInternal, metav1.CauseTypeTypeInvalid,
}

// secretFields are the fields of every Secret; what stands behind them in a path is left out.
var secretFields = pattern.New(`^(data|stringData|type|immutable|metadata\.(?:name|namespace|labels|annotations|resourceVersion|uid|ownerReferences|finalizers|managedFields)|metadata)\b`)

// fieldPath is a field's path, of no great length.
var fieldPath = pattern.New(`^[A-Za-z][A-Za-z0-9_./\[\]-]{0,119}$`)

// fields lists the fields at fault, each with why.
func fields(s metav1.Status, resource string) string {
	if s.Details == nil {
		return ""
	}
	var out []string
	for _, cause := range s.Details.Causes {
		field := cause.Field
		switch {
		case guarded(s, resource):
			field = secretFields.FindString(field)
		case !fieldPath.MatchString(field) || run.MatchString(field):
			field = ""
		}
		if field == "" {
			field = "a field"
		}
		if slices.Contains(causes, cause.Type) {
			field += " (" + string(cause.Type) + ")"
		}
		if !slices.Contains(out, field) && len(out) < 5 {
			out = append(out, field)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return ", because of " + strings.Join(out, ", ")
}

// guarded reports that the message may hold the data of a Secret.
func guarded(s metav1.Status, resource string) bool {
	secrets := func(kind string) bool {
		kind = strings.ToLower(kind)
		return kind == "secret" || strings.HasPrefix(kind, "secrets")
	}
	return secrets(resource) || s.Details != nil && secrets(s.Details.Kind)
}

// run is what a value could be encoded in: base64 or hexadecimal digits. Names in Kubernetes have hyphens and dots.
var run = pattern.New(`[A-Za-z0-9+/_=]{20,}`)

// quotes are signs that a message quotes an object, in JSON or as Go prints it.
var quotes = pattern.New(`(?i)"?(string)?data"?\s*:|"?kind"?\s*:|managedFields|map\[|v1\.Secret`)

// message is what may be repeated of the server's own text.
func message(s metav1.Status, resource string) string {
	if guarded(s, resource) || quotes.MatchString(s.Message) {
		return ""
	}
	return httpx.Clean(run.ReplaceAllString(s.Message, "…"), 300)
}
