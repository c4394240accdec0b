package aws

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/remint-dev/remint/internal/pattern"
)

// This file is the security token service (query protocol, XML answers) and the endpoint where a runner
// gives a job its OIDC token.

// Role is a role that may be assumed.
type Role struct {
	// Audience is the aud claim that an OIDC token must have; "": the role trusts no OIDC token.
	Audience string
	// Subject is the pattern (path.Match) of the sub claim; "": any.
	Subject string
}

// AddRole makes a role and returns its ARN.
func (s *Server) AddRole(name string, role Role) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	arn := "arn:aws:iam::" + s.account + ":role/" + name
	s.roles[arn] = role
	return arn
}

const stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"

// life is how long assumed credentials live, the service's default.
const life = time.Hour

var sessionName = pattern.New(`^[\w+=,.@-]{2,64}$`)

func (s *Server) sts(w http.ResponseWriter, r *http.Request, body []byte) {
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("Version") != "2011-06-15" {
		answerXML(w, &failure{http.StatusBadRequest, "InvalidAction", "Could not find operation"}, nil)
		return
	}
	op := AssumeRole
	if form.Get("Action") == "GetCallerIdentity" {
		op = Identity
	}
	s.count(op)
	s.Faults.Serve(op, w, r, func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		var out any
		var f *failure
		switch action := form.Get("Action"); action {
		case "AssumeRoleWithWebIdentity":
			out, f = s.assumeWithWebIdentity(form)
		case "AssumeRole", "GetCallerIdentity":
			var who key
			if who, f = s.verify(r, body, "sts"); f != nil {
				f.status = http.StatusForbidden
			} else if action == "AssumeRole" {
				out, f = s.assume(who, form)
			} else {
				out = callerIdentity(who, s.account)
			}
		default:
			f = &failure{http.StatusBadRequest, "InvalidAction", "Could not find operation " + action}
		}
		answerXML(w, f, out)
	})
}

type grant struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

type assumedUser struct {
	ARN string `xml:"Arn"`
	ID  string `xml:"AssumedRoleId"`
}

type assumed struct {
	XMLName xml.Name
	Result  struct {
		XMLName     xml.Name
		Credentials grant
		User        assumedUser `xml:"AssumedRoleUser"`
		Subject     string      `xml:"SubjectFromWebIdentityToken,omitempty"`
		Audience    string      `xml:",omitempty"`
	}
	RequestID string `xml:"ResponseMetadata>RequestId"`
}

// issue gives out credentials of a role.
func (s *Server) issue(action, role, session string) (*assumed, *failure) {
	if !sessionName.MatchString(session) {
		return nil, fail("ValidationError", "1 validation error detected: Value at 'roleSessionName' failed to satisfy constraint")
	}
	s.serial++
	c := sdk.Credentials{
		AccessKeyID:     fmt.Sprintf("ASIAEMULATED%08d", s.serial),
		SecretAccessKey: rand.Text() + rand.Text(),
		SessionToken:    rand.Text() + rand.Text() + rand.Text(),
		CanExpire:       true, Expires: s.now().Add(life),
	}
	arn := "arn:aws:sts::" + s.account + ":assumed-role/" + path.Base(role) + "/" + session
	s.keys[c.AccessKeyID] = key{c, arn}
	out := &assumed{XMLName: xml.Name{Space: stsNamespace, Local: action + "Response"}, RequestID: requestID()}
	out.Result.XMLName.Local = action + "Result"
	out.Result.Credentials = grant{c.AccessKeyID, c.SecretAccessKey, c.SessionToken, c.Expires.UTC().Format(time.RFC3339)}
	out.Result.User = assumedUser{arn, "AROAEMULATED00000000:" + session}
	return out, nil
}

func notAuthorized(who key, action, role string) *failure {
	f := fail("AccessDenied", "User: %s is not authorized to perform: %s on resource: %s", who.arn, action, role)
	if who.arn == "" {
		f.message = "Not authorized to perform " + action
	}
	f.status = http.StatusForbidden
	return f
}

func (s *Server) assume(who key, form url.Values) (any, *failure) {
	role := form.Get("RoleArn")
	if _, ok := s.roles[role]; !ok || s.denied["sts:AssumeRole"] {
		return nil, notAuthorized(who, "sts:AssumeRole", role)
	}
	out, f := s.issue("AssumeRole", role, form.Get("RoleSessionName"))
	return out, f
}

func (s *Server) assumeWithWebIdentity(form url.Values) (any, *failure) {
	const action = "sts:AssumeRoleWithWebIdentity"
	c, wrong := s.open(form.Get("WebIdentityToken"))
	if wrong != "" {
		return nil, fail("InvalidIdentityToken", "%s", wrong)
	}
	if time.Unix(c.Expires, 0).Before(s.now()) {
		return nil, fail("ExpiredTokenException", "Token expired: current date/time must be before the expiration date/time")
	}
	role := form.Get("RoleArn")
	trust, ok := s.roles[role]
	if !ok || trust.Audience == "" || s.denied[action] {
		return nil, notAuthorized(key{}, action, role)
	}
	if c.Audience != trust.Audience {
		return nil, fail("InvalidIdentityToken", "Incorrect token audience")
	}
	if match, _ := path.Match(trust.Subject, c.Subject); trust.Subject != "" && !match {
		return nil, notAuthorized(key{}, action, role)
	}
	out, f := s.issue("AssumeRoleWithWebIdentity", role, form.Get("RoleSessionName"))
	if f != nil {
		return nil, f
	}
	out.Result.Subject, out.Result.Audience = c.Subject, c.Audience
	return out, nil
}

type identity struct {
	XMLName xml.Name
	Result  struct {
		ARN     string `xml:"Arn"`
		UserID  string `xml:"UserId"`
		Account string
	} `xml:"GetCallerIdentityResult"`
	RequestID string `xml:"ResponseMetadata>RequestId"`
}

func callerIdentity(who key, account string) any {
	out := &identity{XMLName: xml.Name{Space: stsNamespace, Local: "GetCallerIdentityResponse"}, RequestID: requestID()}
	out.Result.ARN, out.Result.UserID, out.Result.Account = who.arn, who.AccessKeyID, account
	return out
}

type xmlFailure struct {
	XMLName   xml.Name
	Type      string `xml:"Error>Type"`
	Code      string `xml:"Error>Code"`
	Message   string `xml:"Error>Message"`
	RequestID string `xml:"RequestId"`
}

func answerXML(w http.ResponseWriter, f *failure, out any) {
	w.Header().Set("Content-Type", "text/xml")
	status := http.StatusOK
	if f != nil {
		status = f.status
		out = xmlFailure{XMLName: xml.Name{Space: stsNamespace, Local: "ErrorResponse"}, Type: "Sender", Code: f.code, Message: f.message, RequestID: requestID()}
	}
	w.WriteHeader(status)
	_ = xml.NewEncoder(w).Encode(out)
}

// claims are those of the runner's OIDC token that a trust policy looks at.
type claims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Issued   int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

// identityToken is the runner's endpoint: GET …&audience=… with the job's bearer token.
func (s *Server) identityToken(w http.ResponseWriter, r *http.Request) {
	bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || bearer == "" || s.RunnerToken != "" && bearer != s.RunnerToken {
		http.Error(w, `{"message":"unauthorized"}`, http.StatusUnauthorized)
		return
	}
	sub := s.Subject
	if sub == "" {
		sub = "repo:example/web:ref:refs/heads/main"
	}
	now := s.now()
	jwt := s.sign(claims{"https://token.actions.example", sub, r.URL.Query().Get("audience"), now.Unix(), now.Add(5 * time.Minute).Unix()})
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"count": len(jwt), "value": jwt})
}

var b64 = base64.RawURLEncoding

func (s *Server) sign(c claims) string {
	body, _ := json.Marshal(c)
	text := b64.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b64.EncodeToString(body)
	mac := hmac.New(sha256.New, s.seal)
	mac.Write([]byte(text))
	return text + "." + b64.EncodeToString(mac.Sum(nil))
}

// open returns the claims of a token, or what is wrong with it.
func (s *Server) open(jwt string) (c claims, wrong string) {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return c, "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
	}
	mac := hmac.New(sha256.New, s.seal)
	mac.Write([]byte(parts[0] + "." + parts[1]))
	if parts[2] != b64.EncodeToString(mac.Sum(nil)) {
		return c, "Couldn't verify the signature of the token"
	}
	body, err := b64.DecodeString(parts[1])
	if err != nil || json.Unmarshal(body, &c) != nil {
		return c, "The ID Token provided is not a valid JWT."
	}
	return c, ""
}
