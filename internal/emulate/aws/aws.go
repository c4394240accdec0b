// Package aws emulates one region of one AWS account as far as remint uses it: Secrets Manager with its
// versions and staging labels, Parameter Store with its versions and labels, the clusters of EKS and the tokens
// for them, the security token service, and the runner's endpoint for OIDC tokens. Its rules:
//
//   - The stage machine follows the documentation of Secrets Manager, not other emulators (see stages.go).
//   - Wire forms are those of the JSON 1.1, REST and query protocols; the contract tests hold them to what the
//     SDK and botocore ship.
//   - Every signed request is verified: scope, age and signature (see sigv4.go).
//
// One [Server] answers for all endpoints, told apart by the request, so it can stand behind one
// host or several. What is documented nowhere (messages, some error codes) is marked "inferred".
package aws

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/remint-dev/remint/internal/emulate"
)

// Operations of [Server.Faults] and [Server.Operations].
const (
	Describe   = "describe"    // DescribeSecret
	Get        = "get"         // GetSecretValue
	Put        = "put"         // PutSecretValue
	Stage      = "stage"       // UpdateSecretVersionStage
	AssumeRole = "assume-role" // AssumeRole and AssumeRoleWithWebIdentity
	Identity   = "identity"    // GetCallerIdentity
	OIDC       = "oidc"        // the runner's request for an OIDC token

	GetParameter = "get-parameter" // GetParameter
	History      = "history"       // GetParameterHistory
	PutParameter = "put-parameter" // PutParameter
	Label        = "label"         // LabelParameterVersion
	Unlabel      = "unlabel"       // UnlabelParameterVersion

	DescribeCluster = "describe-cluster" // of EKS
)

// Server is one region of one account. It is safe for concurrent use; the exported fields may be set
// before the first request only.
type Server struct {
	Faults emulate.Faults
	// Now is the clock of versions and credentials; nil: time.Now.
	Now func() time.Time
	// RunnerToken is what the runner's OIDC endpoint demands as bearer token; "": whatever is sent.
	RunnerToken string
	// Subject is the sub claim of the OIDC tokens; "": repo:example/web:ref:refs/heads/main.
	Subject string
	// DefaultTier is the tier of parameters that are put without one, a setting of the account; "": Standard.
	DefaultTier string

	region, account string
	seal            []byte // signs the OIDC tokens

	mu         sync.Mutex
	secrets    []*secret
	parameters map[string]*parameter
	clusters   map[string]*cluster
	roles      map[string]Role
	keys       map[string]key // by access key id
	denied     map[string]bool
	operations []string
	serial     int
}

// key is one set of credentials and who they stand for.
type key struct {
	sdk.Credentials
	arn string
}

// New returns an empty region of an account of twelve digits. It knows one set of long-lived
// credentials, see [Server.Credentials].
func New(region, account string) *Server {
	s := &Server{region: region, account: account, parameters: map[string]*parameter{}, clusters: map[string]*cluster{}, roles: map[string]Role{}, keys: map[string]key{}, denied: map[string]bool{}}
	s.seal = []byte(rand.Text())
	s.keys["AKIAEMULATED00000000"] = key{
		Credentials: sdk.Credentials{AccessKeyID: "AKIAEMULATED00000000", SecretAccessKey: rand.Text() + rand.Text()},
		arn:         "arn:aws:iam::" + account + ":user/emulated",
	}
	return s
}

// Credentials returns the long-lived credentials that the region knows.
func (s *Server) Credentials() sdk.CredentialsProvider {
	c := s.keys["AKIAEMULATED00000000"].Credentials
	return sdk.NewCredentialsCache(sdk.CredentialsProviderFunc(func(context.Context) (sdk.Credentials, error) { return c, nil }))
}

// Deny takes a right away from everybody, such as "secretsmanager:PutSecretValue", "kms:Decrypt" or
// "sts:AssumeRole"; [Server.Allow] gives it back.
func (s *Server) Deny(action string) { s.mu.Lock(); defer s.mu.Unlock(); s.denied[action] = true }

// Allow gives back what [Server.Deny] took.
func (s *Server) Allow(action string) { s.mu.Lock(); defer s.mu.Unlock(); delete(s.denied, action) }

// Operations returns the requests answered so far, in order, as the operations of this package.
func (s *Server) Operations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.operations)
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// failure is an error answer of either protocol.
type failure struct {
	status        int
	code, message string
}

func fail(code, format string, args ...any) *failure {
	return &failure{http.StatusBadRequest, code, fmt.Sprintf(format, args...)}
}

// maxRequest is more than any request of these services may have.
const maxRequest = 1 << 20

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, "request too large", http.StatusRequestEntityTooLarge)
		return
	}
	switch target := r.Header.Get("X-Amz-Target"); {
	case r.Method == http.MethodGet && r.URL.Query().Has("audience"):
		s.count(OIDC)
		s.Faults.Serve(OIDC, w, r, s.identityToken)
	case r.Method == http.MethodGet && r.URL.Query().Has("X-Amz-Signature"):
		s.presigned(w, r)
	case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/clusters/"):
		s.describeCluster(w, r)
	case strings.HasPrefix(target, "AmazonSSM."):
		s.parameterStore(w, r, target, body)
	case target != "":
		s.secretsManager(w, r, target, body)
	case r.Method == http.MethodPost:
		s.sts(w, r, body)
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) count(operation string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.operations = append(s.operations, operation)
}

// secretsManager answers one request of Secrets Manager.
func (s *Server) secretsManager(w http.ResponseWriter, r *http.Request, target string, body []byte) {
	name, ours := strings.CutPrefix(target, "secretsmanager.")
	op, known := operations[name]
	if !ours || !known {
		answerJSON(w, fail("UnknownOperationException", ""), nil)
		return
	}
	s.json(w, r, op.name, "secretsmanager", body, func(who key) (any, *failure) {
		var in request
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, fail("SerializationException", "")
		}
		if f := s.authorize(who, "secretsmanager:"+name, in.SecretID); f != nil {
			return nil, f
		}
		return op.do(s, &in)
	})
}

// json answers one request of the JSON 1.1 protocol: do is called with the lock held, for who signed it.
func (s *Server) json(w http.ResponseWriter, r *http.Request, operation, api string, body []byte, do func(who key) (any, *failure)) {
	if r.Method != http.MethodPost || r.URL.Path != "/" {
		answerJSON(w, fail("UnknownOperationException", ""), nil)
		return
	}
	s.count(operation)
	s.Faults.Serve(operation, w, r, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
			answerJSON(w, fail("SerializationException", ""), nil)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		who, f := s.verify(r, body, api)
		var out any
		if f == nil {
			out, f = do(who)
		}
		answerJSON(w, f, out)
	})
}

// authorize answers like IAM if the right was taken away. Rights are looked at before anything else.
func (s *Server) authorize(who key, action, on string) *failure {
	if !s.denied[action] {
		return nil
	}
	return fail("AccessDeniedException", "User: %s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action", who.arn, action, on, action)
}

func answerJSON(w http.ResponseWriter, f *failure, out any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", requestID())
	status := http.StatusOK
	if f != nil {
		status = f.status
		out = map[string]string{"__type": f.code, messageOf(f.code): f.message}
	}
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(out)
}

// messageOf names the member with the message of an error: the services do not agree, nor do the errors of Parameter
// Store among themselves (their models).
func messageOf(code string) string {
	if strings.Contains(code, "Parameter") && code != "InvalidParameterException" || ownMessage[code] {
		return "message"
	}
	return "Message"
}

// requestID returns a text of the form of a request id.
func requestID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
