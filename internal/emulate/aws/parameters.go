package aws

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/remint-dev/remint/internal/pattern"
)

// This file is Parameter Store, as documented for PutParameter, GetParameter, GetParameterHistory,
// LabelParameterVersion and UnlabelParameterVersion (aws-sdk-go-v2/service/ssm v1.81.4, api_op_*.go):
//
//   - A put makes a version, one higher than the last, whatever it holds: there is no compare-and-swap and no
//     idempotency token.
//   - A label sits on one version at the most and moves when it is put on another; a version has ten at the most.
//   - A hundred versions are kept. The oldest makes room, unless it has a label: then nothing can be put.
//   - Without a tier the account's default decides; without a key the default key is used; nothing leads back from
//     the advanced tier. Policies stay until others are sent.
//   - What becomes of a description and an allowed pattern that a put leaves out is documented nowhere: here they
//     are gone, so that a client which relies on either is found out.

const (
	defaultKey          = "alias/aws/ssm"
	maxParameter        = 4096 // of the standard tier
	maxAdvanced         = 8192
	maxParameterLabels  = 10
	maxParameterHistory = 50 // a page
)

// Parameter is one version of a parameter, without its number and value.
type Parameter struct {
	Type           string // String, StringList or SecureString
	Tier           string // "": Standard
	KeyID          string // of a SecureString; "": the account's default key
	Description    string
	AllowedPattern string
	DataType       string // "": text
	// Policies are the policies by type (Expiration, …), with their text.
	Policies map[string]string
}

// Version is one version of a parameter.
type Version struct {
	Parameter
	Number int64
	Value  string
	Labels []string // sorted

	modified time.Time
	user     string
}

type parameter struct {
	name     string
	last     int64
	versions []*Version // oldest first, 100 at the most
}

func (p *parameter) current() *Version { return p.versions[len(p.versions)-1] }

func (p *parameter) add(v *Version) *Version {
	p.last++
	v.Number = p.last
	if p.versions = append(p.versions, v); len(p.versions) > maxVersions {
		p.versions = p.versions[1:]
	}
	return v
}

// AddParameter makes a parameter, or gives it another version with all that is said of it, and returns the number of
// the version.
func (s *Server) AddParameter(name, value string, about Parameter) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.parameters[name]
	if p == nil {
		p = &parameter{name: name}
		s.parameters[name] = p
	}
	if about.Type == "" {
		about.Type = "SecureString"
	}
	if about.Tier == "" {
		about.Tier = "Standard"
	}
	if about.DataType == "" {
		about.DataType = "text"
	}
	if about.KeyID == "" && about.Type == "SecureString" {
		about.KeyID = defaultKey
	}
	return p.add(&Version{Parameter: about, Value: value, modified: s.now(), user: "arn:aws:iam::" + s.account + ":user/somebody"}).Number
}

// OverwriteParameter does what a person in the console does: another version, with another value. It returns its
// number.
func (s *Server) OverwriteParameter(name, value string) int64 {
	s.mu.Lock()
	about := s.parameters[name].current().Parameter
	s.mu.Unlock()
	return s.AddParameter(name, value, about)
}

// Parameter returns the value of the latest version, which consumers read; "" if there is no such parameter.
func (s *Server) Parameter(name string) string {
	if all := s.ParameterVersions(name); len(all) > 0 {
		return all[len(all)-1].Value
	}
	return ""
}

// ParameterVersions returns the versions of a parameter, oldest first.
func (s *Server) ParameterVersions(name string) []Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.parameters[name]
	if p == nil {
		return nil
	}
	out := make([]Version, len(p.versions))
	for i, v := range p.versions {
		out[i] = *v
		out[i].Labels = slices.Clone(v.Labels)
	}
	return out
}

// LabelParameter puts a label on a version, as a person does.
func (s *Server) LabelParameter(name string, number int64, label string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parameters[name].label(number, label)
}

func (p *parameter) label(number int64, label string) {
	for _, v := range p.versions {
		v.Labels = slices.DeleteFunc(v.Labels, func(l string) bool { return l == label })
		if v.Number == number {
			v.Labels = append(v.Labels, label)
			slices.Sort(v.Labels)
		}
	}
}

// parameterRequest is the input of every operation; each reads what it knows.
type parameterRequest struct {
	Name             *string
	Value            *string
	Type             string
	Tier             string
	KeyID            string `json:"KeyId"`
	Overwrite        bool
	Description      string
	AllowedPattern   string
	DataType         string
	Policies         string
	WithDecryption   bool
	MaxResults       *int
	NextToken        string
	Labels           []string
	ParameterVersion *int64
}

type parameterOperation struct {
	name string
	do   func(*Server, key, *parameterRequest) (any, *failure)
}

var parameterOperations = map[string]parameterOperation{
	"GetParameter":            {GetParameter, (*Server).getParameter},
	"GetParameterHistory":     {History, (*Server).parameterHistory},
	"PutParameter":            {PutParameter, (*Server).putParameter},
	"LabelParameterVersion":   {Label, (*Server).labelParameter},
	"UnlabelParameterVersion": {Unlabel, (*Server).unlabelParameter},
}

// ownMessage holds the errors of Parameter Store that have `message` where others have `Message`, beside those with
// Parameter in their name.
var ownMessage = map[string]bool{"HierarchyLevelLimitExceededException": true, "HierarchyTypeMismatchException": true, "InvalidAllowedPatternException": true,
	"InvalidKeyId": true, "ValidationException": true}

func (s *Server) parameterStore(w http.ResponseWriter, r *http.Request, target string, body []byte) {
	name := strings.TrimPrefix(target, "AmazonSSM.")
	op, known := parameterOperations[name]
	if !known {
		answerJSON(w, fail("UnknownOperationException", ""), nil)
		return
	}
	s.json(w, r, op.name, "ssm", body, func(who key) (any, *failure) {
		var in parameterRequest
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, fail("SerializationException", "")
		}
		on := ""
		if in.Name != nil {
			on, _ = selector(s.bare(*in.Name))
		}
		if f := s.authorize(who, "ssm:"+name, s.parameterARN(on)); f != nil {
			return nil, f
		}
		if f := constraints(name, &in); f != nil {
			return nil, f
		}
		return op.do(s, who, &in)
	})
}

func invalid(format string, args ...any) *failure {
	return fail("ValidationException", format, args...)
}

// constraints refuses what the service model does. Texts are inferred.
func constraints(operation string, in *parameterRequest) *failure {
	within := func(member, value string, least, most int) *failure {
		if n := utf8.RuneCountInString(value); n > 0 && (n < least || n > most) {
			return invalid("1 validation error detected: Value at '%s' failed to satisfy constraint: Member must have length between %d and %d", member, least, most)
		}
		return nil
	}
	if in.Name == nil || *in.Name == "" {
		return invalid("1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null")
	}
	f := first(within("name", *in.Name, 1, 2048), within("description", in.Description, 0, 1024), within("keyId", in.KeyID, 1, 256),
		within("allowedPattern", in.AllowedPattern, 0, 1024), within("policies", in.Policies, 1, 4096), within("dataType", in.DataType, 0, 128))
	for _, l := range in.Labels {
		f = first(f, within("labels", l, 1, 100))
	}
	switch {
	case f != nil:
		return f
	case operation == "PutParameter" && in.Value == nil:
		return invalid("1 validation error detected: Value null at 'value' failed to satisfy constraint: Member must not be null")
	case in.MaxResults != nil && (*in.MaxResults < 1 || *in.MaxResults > maxParameterHistory):
		return invalid("1 validation error detected: Value at 'maxResults' failed to satisfy constraint: Member must be between 1 and %d", maxParameterHistory)
	case operation == "UnlabelParameterVersion" && in.ParameterVersion == nil:
		return invalid("1 validation error detected: Value null at 'parameterVersion' failed to satisfy constraint: Member must not be null")
	case strings.HasSuffix(operation, "ParameterVersion") && (len(in.Labels) < 1 || len(in.Labels) > maxParameterLabels):
		return invalid("1 validation error detected: Value at 'labels' failed to satisfy constraint: Member must have length between 1 and %d", maxParameterLabels)
	}
	return nil
}

func (s *Server) parameterARN(name string) string {
	return "arn:aws:ssm:" + s.region + ":" + s.account + ":parameter/" + strings.TrimPrefix(name, "/")
}

// bare takes the ARN off a name that may be given by it.
func (s *Server) bare(name string) string {
	if rest, ok := strings.CutPrefix(name, s.parameterARN("")); ok {
		if strings.Contains(rest, "/") {
			return "/" + rest
		}
		return rest
	}
	return name
}

// selector splits "name:7" and "name:label".
func selector(name string) (bare, at string) {
	bare, at, _ = strings.Cut(name, ":")
	return bare, at
}

var parameterName = pattern.New(`^[a-zA-Z0-9_.-]+$|^(/[a-zA-Z0-9_.-]+)+$`)

func (s *Server) findParameter(name string) (*parameter, *failure) {
	if p := s.parameters[name]; p != nil {
		return p, nil
	}
	return nil, fail("ParameterNotFound", "")
}

type gotParameter struct {
	ARN              string
	DataType         string
	LastModifiedDate *float64
	Name             string
	Selector         string `json:",omitempty"`
	Type             string
	Value            string
	Version          int64
}

// reveal returns what a reader sees of a value.
func (s *Server) reveal(v *Version, decrypted bool) (string, *failure) {
	switch {
	case v.Type != "SecureString":
	case !decrypted:
		return fmt.Sprintf("AQICAH-encrypted-%d", v.Number), nil
	case s.denied["kms:Decrypt"]:
		return "", fail("AccessDeniedException", "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.")
	}
	return v.Value, nil
}

func (s *Server) getParameter(_ key, in *parameterRequest) (any, *failure) {
	name, at := selector(s.bare(*in.Name))
	p, f := s.findParameter(name)
	if f != nil {
		return nil, f
	}
	v := p.current()
	if at != "" {
		i := slices.IndexFunc(p.versions, func(v *Version) bool { return strconv.FormatInt(v.Number, 10) == at || slices.Contains(v.Labels, at) })
		if i < 0 {
			return nil, fail("ParameterVersionNotFound", "Systems Manager could not find version %s of %s. Verify the version and try again.", at, name)
		}
		v, at = p.versions[i], ":"+at
	}
	value, f := s.reveal(v, in.WithDecryption)
	if f != nil {
		return nil, f
	}
	return map[string]any{"Parameter": gotParameter{s.parameterARN(name), v.DataType, epoch(v.modified), name, at, v.Type, value, v.Number}}, nil
}

type policyText struct{ PolicyStatus, PolicyText, PolicyType string }

type pastParameter struct {
	AllowedPattern   string `json:",omitempty"`
	DataType         string
	Description      string `json:",omitempty"`
	KeyID            string `json:"KeyId,omitempty"`
	Labels           []string
	LastModifiedDate *float64
	LastModifiedUser string
	Name             string
	Policies         []policyText
	Tier             string
	Type             string
	Value            string
	Version          int64
}

func (s *Server) parameterHistory(_ key, in *parameterRequest) (any, *failure) {
	name := s.bare(*in.Name)
	p, f := s.findParameter(name)
	if f != nil {
		return nil, f
	}
	most, from := maxParameterHistory, 0
	if in.MaxResults != nil {
		most = *in.MaxResults
	}
	if in.NextToken != "" {
		number, err := strconv.ParseInt(strings.TrimPrefix(in.NextToken, "after-"), 10, 64)
		if err != nil {
			return nil, fail("InvalidNextToken", "The specified token isn't valid.")
		}
		for from < len(p.versions) && p.versions[from].Number <= number {
			from++
		}
	}
	page := p.versions[from:min(from+most, len(p.versions))]
	all := make([]pastParameter, 0, len(page))
	for _, v := range page {
		value, f := s.reveal(v, in.WithDecryption)
		if f != nil {
			return nil, f
		}
		policies := []policyText{}
		for t, text := range v.Policies {
			policies = append(policies, policyText{"Pending", text, t})
		}
		slices.SortFunc(policies, func(a, b policyText) int { return strings.Compare(a.PolicyType, b.PolicyType) })
		all = append(all, pastParameter{v.AllowedPattern, v.DataType, v.Description, v.KeyID, append([]string{}, v.Labels...), epoch(v.modified), v.user, name,
			policies, v.Tier, v.Type, value, v.Number})
	}
	out := map[string]any{"Parameters": all}
	if n := len(all); n > 0 && from+n < len(p.versions) {
		out["NextToken"] = fmt.Sprintf("after-%d", all[n-1].Version)
	}
	return out, nil
}

// levels is how deep a hierarchy may be.
const levels = 15

func (s *Server) putParameter(who key, in *parameterRequest) (any, *failure) {
	name, value := *in.Name, *in.Value
	lower := strings.ToLower(strings.TrimPrefix(name, "/"))
	switch {
	case !parameterName.MatchString(name):
		return nil, invalid("Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_")
	case strings.HasPrefix(lower, "aws"), strings.HasPrefix(lower, "ssm"):
		return nil, fail("AccessDeniedException", "No access to reserved parameter name: %s.", name)
	case strings.Count(name, "/") > levels:
		return nil, fail("HierarchyLevelLimitExceededException", "Hierarchy depth exceeds %d levels", levels)
	case value == "":
		return nil, invalid("1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have length greater than or equal to 1")
	case strings.Contains(value, "{{"):
		return nil, invalid("Parameter value can't nest another parameter. Do not use \"{{}}\" in the value: %s", value)
	case in.Type != "" && in.Type != "String" && in.Type != "StringList" && in.Type != "SecureString":
		return nil, fail("UnsupportedParameterType", "%s is not a type", in.Type)
	case in.DataType != "" && in.DataType != "text":
		return nil, invalid("The data type %s is not emulated", in.DataType)
	}
	p := s.parameters[name]
	if p != nil && !in.Overwrite {
		return nil, fail("ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
	}
	v := &Version{Parameter: Parameter{Type: in.Type, Tier: in.Tier, KeyID: in.KeyID, Description: in.Description, AllowedPattern: in.AllowedPattern, DataType: "text"},
		Value: value, modified: s.now(), user: who.arn}
	var old *Version
	if p != nil {
		old = p.current()
		v.Policies = old.Policies
	}
	if f := s.fill(v, old); f != nil {
		return nil, f
	}
	if p == nil {
		p = &parameter{name: name}
		s.parameters[name] = p
	}
	if len(p.versions) == maxVersions && len(p.versions[0].Labels) > 0 {
		return nil, fail("ParameterMaxVersionLimitExceeded", "You attempted to create a new version of %s by calling the PutParameter API with the overwrite flag. Version %d, the oldest version, can't be deleted because it has a label associated with it. Move the label to another version of the parameter, and try again.", name, p.versions[0].Number)
	}
	p.add(v)
	return map[string]any{"Tier": v.Tier, "Version": v.Number}, nil
}

// fill settles what a put left out, and refuses what cannot be.
func (s *Server) fill(v, old *Version) *failure {
	switch {
	case v.Type == "" && old == nil:
		return invalid("A parameter type is required when you create a parameter.")
	case v.Type == "":
		v.Type = old.Type
	case old != nil && v.Type != old.Type:
		return fail("HierarchyTypeMismatchException", "The parameter type cannot be changed from %s to %s", old.Type, v.Type)
	}
	if v.KeyID != "" && v.Type != "SecureString" {
		return invalid("KeyId is required for SecureString type parameter only.")
	}
	if v.KeyID == "" && v.Type == "SecureString" {
		v.KeyID = defaultKey
	}
	if v.Tier == "" {
		if v.Tier = s.DefaultTier; v.Tier == "" {
			v.Tier = "Standard"
		}
	}
	advanced := old != nil && old.Tier == "Advanced"
	switch v.Tier {
	case "Intelligent-Tiering":
		v.Tier = "Standard"
		if advanced || len(v.Value) > maxParameter || len(v.Policies) > 0 {
			v.Tier = "Advanced"
		}
	case "Standard":
		if advanced {
			return invalid("This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced parameter and recreate it as a standard parameter.")
		}
	case "Advanced":
	default:
		return invalid("1 validation error detected: Value '%s' at 'tier' failed to satisfy constraint", v.Tier)
	}
	if n := len(v.Value); v.Tier == "Standard" && n > maxParameter {
		return invalid("Standard tier parameters support a maximum parameter value of %d characters. To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier.", maxParameter)
	} else if n > maxAdvanced {
		return invalid("Advanced tier parameters support a maximum parameter value of %d characters.", maxAdvanced)
	}
	if v.AllowedPattern != "" {
		pattern, err := regexp.Compile(`^(?:` + v.AllowedPattern + `)$`)
		if err != nil {
			return fail("InvalidAllowedPatternException", "The request doesn't meet the regular expression requirement.")
		}
		if !pattern.MatchString(v.Value) {
			return fail("ParameterPatternMismatchException", "Parameter value, cannot be validated against allowedPattern: %s", v.AllowedPattern)
		}
	}
	if v.Type == "SecureString" {
		right := "kms:Encrypt"
		if v.Tier == "Advanced" {
			right = "kms:GenerateDataKey"
		}
		if s.denied[right] {
			return fail("AccessDeniedException", "User is not authorized to perform: %s on resource: %s (Service: AWSKMS; Status Code: 400; Error Code: AccessDeniedException)", right, v.KeyID)
		}
	}
	return nil
}

var labelForm = pattern.New(`^[A-Za-z_.-][A-Za-z0-9_.-]*$`)

// versionOf finds the version that labels are put on or taken off; without a number, the latest.
func (s *Server) versionOf(in *parameterRequest) (*parameter, *Version, *failure) {
	p, f := s.findParameter(*in.Name)
	if f != nil {
		return nil, nil, f
	}
	if in.ParameterVersion == nil {
		return p, p.current(), nil
	}
	for _, v := range p.versions {
		if v.Number == *in.ParameterVersion {
			return p, v, nil
		}
	}
	return nil, nil, fail("ParameterVersionNotFound", "Systems Manager could not find version %d of %s. Verify the version and try again.", *in.ParameterVersion, *in.Name)
}

func (s *Server) labelParameter(_ key, in *parameterRequest) (any, *failure) {
	p, v, f := s.versionOf(in)
	if f != nil {
		return nil, f
	}
	bad, good := []string{}, []string{}
	more := 0
	for _, l := range in.Labels {
		lower := strings.ToLower(l)
		if !labelForm.MatchString(l) || strings.HasPrefix(lower, "aws") || strings.HasPrefix(lower, "ssm") {
			bad = append(bad, l)
			continue
		}
		good = append(good, l)
		if !slices.Contains(v.Labels, l) {
			more++
		}
	}
	if len(v.Labels)+more > maxParameterLabels {
		return nil, fail("ParameterVersionLabelLimitExceeded", "A parameter version can have a maximum of ten labels.")
	}
	for _, l := range good {
		p.label(v.Number, l)
	}
	return map[string]any{"InvalidLabels": bad, "ParameterVersion": v.Number}, nil
}

func (s *Server) unlabelParameter(_ key, in *parameterRequest) (any, *failure) {
	_, v, f := s.versionOf(in)
	if f != nil {
		return nil, f
	}
	bad, gone := []string{}, []string{}
	for _, l := range in.Labels {
		if i := slices.Index(v.Labels, l); i >= 0 {
			v.Labels = slices.Delete(v.Labels, i, i+1)
			gone = append(gone, l)
		} else {
			bad = append(bad, l)
		}
	}
	return map[string]any{"InvalidLabels": bad, "RemovedLabels": gone}, nil
}
