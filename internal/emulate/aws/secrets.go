package aws

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"
)

// This file holds the operations of Secrets Manager and what a test or a rehearsal seeds and looks at.
// Limits are those of the service model (botocore's service-2.json).

// Meta is what DescribeSecret says of a secret beyond its versions.
type Meta struct {
	KmsKeyID          string // "": the account's default key
	RotationEnabled   bool
	RotationLambdaARN string
	OwningService     string
	DeletedDate       time.Time // zero: not scheduled for deletion
	PrimaryRegion     string    // "": never replicated
	Replicas          []Replica
}

// Replica is one replica region of a secret.
type Replica struct {
	Region, Status, StatusMessage string
	// Lag is how many further calls of DescribeSecret answer InProgress after a change; each takes one.
	Lag int
}

// AddSecret makes a secret and returns its ARN. Without a value it has no version yet.
func (s *Server) AddSecret(name string, value ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec := &secret{name: name, created: s.now(), changed: s.now(), labels: map[string]string{}}
	sec.arn = fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-%s", s.region, s.account, name, rand.Text()[:6])
	for i := range value {
		_, _ = sec.put(&version{id: requestID(), text: &value[i], created: s.now()}, nil)
	}
	s.secrets = append(s.secrets, sec)
	return sec.arn
}

// AddBinary makes a secret that holds bytes, and returns its ARN.
func (s *Server) AddBinary(name string, value []byte) string {
	arn := s.AddSecret(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.find(arn).put(&version{id: requestID(), binary: slices.Clone(value), created: s.now()}, nil)
	return arn
}

// Overwrite does what a person in the console does: a new version becomes AWSCURRENT at once. It
// returns the version's id.
func (s *Server) Overwrite(name, value string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &version{id: requestID(), text: &value, created: s.now()}
	_, _ = s.find(name).put(v, nil)
	return v.id
}

// Change changes what DescribeSecret says of a secret.
func (s *Server) Change(name string, change func(*Meta)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.find(name).Meta)
}

// Current returns the text of AWSCURRENT, "" if there is none.
func (s *Server) Current(name string) string { return s.Value(name, current) }

// Value returns the text of the version that has the label, or the id.
func (s *Server) Value(name, labelOrID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec := s.find(name)
	id := labelOrID
	if at, ok := sec.labels[labelOrID]; ok {
		id = at
	}
	if v := sec.find(id); v != nil && v.text != nil {
		return *v.text
	}
	return ""
}

// Stages returns every staging label with the id of its version.
func (s *Server) Stages(name string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]string{}
	for l, id := range s.find(name).labels {
		out[l] = id
	}
	return out
}

// Versions returns the ids of all versions, deprecated ones too, oldest first.
func (s *Server) Versions(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, v := range s.find(name).versions {
		ids = append(ids, v.id)
	}
	return ids
}

// RotationStuck reports whether RotateSecret would fail for ever: AWSPENDING sits on a version that is
// not AWSCURRENT (api_op_RotateSecret.go).
func (s *Server) RotationStuck(name string) bool {
	at := s.Stages(name)
	return at[pending] != "" && at[pending] != at[current]
}

// find finds a secret by name, ARN, or ARN without the random tail, as the service does.
func (s *Server) find(id string) *secret {
	for _, sec := range s.secrets {
		if sec.name == id || sec.arn == id || strings.HasPrefix(id, "arn:") && sec.arn[:len(sec.arn)-7] == id {
			return sec
		}
	}
	return nil
}

// request is the input of every operation; each reads what it knows.
type request struct {
	SecretID            string `json:"SecretId"`
	VersionID           string `json:"VersionId"`
	VersionStage        string
	ClientRequestToken  string
	SecretString        *string
	SecretBinary        []byte
	VersionStages       []string
	MoveToVersionID     string `json:"MoveToVersionId"`
	RemoveFromVersionID string `json:"RemoveFromVersionId"`
}

type operation struct {
	name string
	do   func(*Server, *request) (any, *failure)
}

var operations = map[string]operation{
	"DescribeSecret":           {Describe, (*Server).describe},
	"GetSecretValue":           {Get, (*Server).get},
	"PutSecretValue":           {Put, (*Server).put},
	"UpdateSecretVersionStage": {Stage, (*Server).stage},
}

// size refuses a member that is shorter or longer than the model allows; "" is not given.
func size(name, value string, least, most int) *failure {
	if n := len(value); value != "" && (n < least || n > most) {
		return fail("InvalidParameterException", "Invalid length for parameter %s: %d, valid: %d to %d.", name, n, least, most) // text inferred
	}
	return nil
}

func first(fs ...*failure) *failure {
	for _, f := range fs {
		if f != nil {
			return f
		}
	}
	return nil
}

// lookUp finds the secret of a request. Everything but DescribeSecret is refused once it is marked for deletion.
func (s *Server) lookUp(in *request, deletedToo bool) (*secret, *failure) {
	if in.SecretID == "" {
		return nil, fail("InvalidParameterException", "You must provide SecretId.")
	}
	if f := size("SecretId", in.SecretID, 1, 2048); f != nil {
		return nil, f
	}
	sec := s.find(in.SecretID)
	if sec == nil {
		return nil, fail("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	}
	if !sec.DeletedDate.IsZero() && !deletedToo {
		return nil, fail("InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion.")
	}
	return sec, nil
}

// lookUpToChange finds the secret of a request that changes it.
func (s *Server) lookUpToChange(in *request) (*secret, *failure) {
	sec, f := s.lookUp(in, false)
	switch {
	case f != nil:
		return nil, f
	case sec.OwningService != "":
		return nil, fail("InvalidRequestException", "You can't perform this operation on the secret because it is managed by another service: %s.", sec.OwningService)
	case sec.PrimaryRegion != "" && sec.PrimaryRegion != s.region:
		return nil, fail("InvalidParameterException", "Operation not permitted on a replica secret. Call must be made in primary secret's region.")
	}
	return sec, nil
}

// epoch is a time as the JSON protocol writes it: seconds, with milliseconds.
func epoch(t time.Time) *float64 {
	if t.IsZero() {
		return nil
	}
	f := float64(t.UnixMilli()) / 1000
	return &f
}

type replication struct {
	Region        string
	Status        string
	StatusMessage string `json:",omitempty"`
}

type described struct {
	ARN                string
	Name               string
	CreatedDate        *float64            `json:",omitempty"`
	LastChangedDate    *float64            `json:",omitempty"`
	DeletedDate        *float64            `json:",omitempty"`
	KmsKeyID           string              `json:"KmsKeyId,omitempty"`
	RotationEnabled    bool                `json:",omitempty"`
	RotationLambdaARN  string              `json:",omitempty"`
	OwningService      string              `json:",omitempty"`
	PrimaryRegion      string              `json:",omitempty"`
	ReplicationStatus  []replication       `json:",omitempty"`
	VersionIDsToStages map[string][]string `json:"VersionIdsToStages,omitempty"` // labelled versions only
}

func (s *Server) describe(in *request) (any, *failure) {
	sec, f := s.lookUp(in, true)
	if f != nil {
		return nil, f
	}
	out := described{ARN: sec.arn, Name: sec.name, CreatedDate: epoch(sec.created), LastChangedDate: epoch(sec.changed), DeletedDate: epoch(sec.DeletedDate),
		KmsKeyID: sec.KmsKeyID, RotationEnabled: sec.RotationEnabled, RotationLambdaARN: sec.RotationLambdaARN,
		OwningService: sec.OwningService, PrimaryRegion: sec.PrimaryRegion, VersionIDsToStages: map[string][]string{}}
	for i := range sec.Replicas {
		r := &sec.Replicas[i]
		now := replication{r.Region, r.Status, r.StatusMessage}
		if r.Lag > 0 {
			r.Lag--
			now.Status = "InProgress"
		}
		out.ReplicationStatus = append(out.ReplicationStatus, now)
	}
	for _, id := range sec.labels {
		out.VersionIDsToStages[id] = sec.stages(id)
	}
	return out, nil
}

type value struct {
	ARN           string
	Name          string
	VersionID     string   `json:"VersionId"`
	SecretString  *string  `json:",omitempty"`
	SecretBinary  []byte   `json:",omitempty"`
	VersionStages []string `json:",omitempty"`
	CreatedDate   *float64 `json:",omitempty"`
}

func (s *Server) get(in *request) (any, *failure) {
	if f := first(size("VersionId", in.VersionID, 32, 64), size("VersionStage", in.VersionStage, 1, 256)); f != nil {
		return nil, f
	}
	sec, f := s.lookUp(in, false)
	if f != nil {
		return nil, f
	}
	id := in.VersionID
	if id == "" {
		label := in.VersionStage
		if label == "" {
			label = current
		}
		if id = sec.labels[label]; id == "" {
			return nil, fail("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: %s", label)
		}
	} else if in.VersionStage != "" && sec.labels[in.VersionStage] != id {
		return nil, fail("InvalidRequestException", "You provided a VersionStage that is not associated to the provided VersionId.")
	}
	v := sec.find(id)
	if v == nil {
		return nil, fail("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: %s", id)
	}
	if s.denied["kms:Decrypt"] {
		return nil, fail("AccessDeniedException", "Access to KMS is not allowed")
	}
	return value{sec.arn, sec.name, v.id, v.text, v.binary, sec.stages(v.id), epoch(v.created)}, nil
}

type putDone struct {
	ARN           string
	Name          string
	VersionID     string   `json:"VersionId"`
	VersionStages []string `json:",omitempty"`
}

func (s *Server) put(in *request) (any, *failure) {
	if in.ClientRequestToken == "" {
		return nil, fail("InvalidRequestException", "You must provide a ClientRequestToken value.")
	}
	if f := size("ClientRequestToken", in.ClientRequestToken, 32, 64); f != nil {
		return nil, f
	}
	if (in.SecretString == nil) == (in.SecretBinary == nil) {
		return nil, fail("InvalidRequestException", "You must provide either SecretString or SecretBinary.")
	}
	text := ""
	if in.SecretString != nil {
		text = *in.SecretString
	}
	if f := first(size("SecretString", text, 0, 65536), size("SecretBinary", string(in.SecretBinary), 0, 65536)); f != nil {
		return nil, f
	}
	if in.VersionStages != nil && (len(in.VersionStages) < 1 || len(in.VersionStages) > maxLabels) {
		return nil, fail("InvalidParameterException", "Invalid length for parameter VersionStages: %d, valid: 1 to %d.", len(in.VersionStages), maxLabels)
	}
	for _, l := range in.VersionStages {
		if l == "" || len(l) > 256 {
			return nil, fail("InvalidParameterException", "Invalid length of a staging label, valid: 1 to 256.")
		}
	}
	sec, f := s.lookUpToChange(in)
	if f != nil {
		return nil, f
	}
	if s.denied["kms:GenerateDataKey"] {
		return nil, fail("AccessDeniedException", "Access to KMS is not allowed")
	}
	v, f := sec.put(&version{id: in.ClientRequestToken, text: in.SecretString, binary: in.SecretBinary, created: s.now()}, in.VersionStages)
	if f != nil {
		return nil, f
	}
	return putDone{sec.arn, sec.name, v.id, sec.stages(v.id)}, nil
}

type staged struct{ ARN, Name string }

func (s *Server) stage(in *request) (any, *failure) {
	if in.VersionStage == "" {
		return nil, fail("InvalidParameterException", "You must provide VersionStage.")
	}
	if f := first(size("VersionStage", in.VersionStage, 1, 256), size("MoveToVersionId", in.MoveToVersionID, 32, 64),
		size("RemoveFromVersionId", in.RemoveFromVersionID, 32, 64)); f != nil {
		return nil, f
	}
	sec, f := s.lookUpToChange(in)
	if f != nil {
		return nil, f
	}
	if f := sec.move(in.VersionStage, in.MoveToVersionID, in.RemoveFromVersionID); f != nil {
		return nil, f
	}
	return staged{sec.arn, sec.name}, nil
}
