package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// parameters is the real SDK in front of the emulation.
func parameters(s *Server, change ...func(*ssm.Options)) *ssm.Client {
	o := ssm.Options{Region: s.region, Credentials: s.Credentials(), RetryMaxAttempts: 1, HTTPClient: wire(s)}
	for _, c := range change {
		c(&o)
	}
	return ssm.New(o)
}

// labelled returns the labels as "a=1 b=2", versions by number.
func labelled(s *Server, name string) string {
	var out []string
	for _, v := range s.ParameterVersions(name) {
		for _, l := range v.Labels {
			out = append(out, fmt.Sprintf("%s=%d", l, v.Number))
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// TestParameters plays the versions and labels, one step after the other.
func TestParameters(t *testing.T) {
	s := New("eu-west-1", "111111111111")
	c := parameters(s)
	ctx := context.Background()
	write := func(change func(*ssm.PutParameterInput)) func() error {
		return func() error {
			in := &ssm.PutParameterInput{Name: sdk.String("/x/y"), Value: sdk.String("v"), Overwrite: sdk.Bool(true)}
			change(in)
			_, err := c.PutParameter(ctx, in)
			return err
		}
	}
	label := func(n int64, labels ...string) func() error {
		return func() error {
			out, err := c.LabelParameterVersion(ctx, &ssm.LabelParameterVersionInput{Name: sdk.String("/x/y"), ParameterVersion: &n, Labels: labels})
			if err == nil && len(out.InvalidLabels) > 0 {
				err = fmt.Errorf("invalid: %v", out.InvalidLabels)
			}
			return err
		}
	}
	unlabel := func(n int64, labels ...string) func() error {
		return func() error {
			out, err := c.UnlabelParameterVersion(ctx, &ssm.UnlabelParameterVersionInput{Name: sdk.String("/x/y"), ParameterVersion: &n, Labels: labels})
			if err == nil && len(out.InvalidLabels) > 0 {
				err = fmt.Errorf("invalid: %v, removed: %v", out.InvalidLabels, out.RemovedLabels)
			}
			return err
		}
	}
	read := func(name string) func() error {
		return func() error {
			_, err := c.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: sdk.Bool(true)})
			return err
		}
	}
	var ten []string
	for i := range 10 {
		ten = append(ten, fmt.Sprint("l", i))
	}
	for i, step := range []struct {
		do       func() error
		code     string
		versions int
		labels   string
	}{
		{do: read("/x/y"), code: "ParameterNotFound"},
		{do: write(func(*ssm.PutParameterInput) {}), code: "ValidationException"}, // the type is needed for a new one
		{do: write(func(in *ssm.PutParameterInput) { in.Type = types.ParameterTypeSecureString }), versions: 1},
		{do: write(func(in *ssm.PutParameterInput) { in.Overwrite = nil; in.Type = types.ParameterTypeSecureString }), code: "ParameterAlreadyExists", versions: 1},
		{do: write(func(in *ssm.PutParameterInput) { in.Type = types.ParameterTypeString }), code: "HierarchyTypeMismatchException", versions: 1},
		{do: write(func(*ssm.PutParameterInput) {}), versions: 2},
		{do: write(func(*ssm.PutParameterInput) {}), versions: 3}, // the same value: a version all the same
		{do: write(func(in *ssm.PutParameterInput) { in.Value = sdk.String("") }), code: "ValidationException", versions: 3},
		{do: write(func(in *ssm.PutParameterInput) { in.Value = sdk.String("a{{ssm:b}}") }), code: "ValidationException", versions: 3},
		{do: write(func(in *ssm.PutParameterInput) { in.Value = sdk.String(strings.Repeat("x", 4097)) }), code: "ValidationException", versions: 3},
		{do: write(func(in *ssm.PutParameterInput) { in.AllowedPattern = sdk.String("[") }), code: "InvalidAllowedPatternException", versions: 3},
		{do: write(func(in *ssm.PutParameterInput) { in.AllowedPattern = sdk.String("w") }), code: "ParameterPatternMismatchException", versions: 3},
		{do: write(func(in *ssm.PutParameterInput) {
			in.Name = sdk.String("arn:aws:ssm:eu-west-1:111111111111:parameter/x/y")
		}), code: "ValidationException", versions: 3},
		{do: write(func(in *ssm.PutParameterInput) { in.Name = sdk.String("x/y") }), code: "ValidationException", versions: 3},
		{do: write(func(in *ssm.PutParameterInput) { in.Name = sdk.String("/aws/y") }), code: "AccessDeniedException", versions: 3},
		{do: write(func(in *ssm.PutParameterInput) { in.Name = sdk.String(strings.Repeat("/a", 16)) }), code: "HierarchyLevelLimitExceededException", versions: 3},
		{do: label(1, "a", "b"), versions: 3, labels: "a=1 b=1"},
		{do: label(2, "b", "2c", "awsd", "SSMe", "f g"), code: "invalid: [2c awsd SSMe f g]", versions: 3, labels: "a=1 b=2"}, // a label moves
		{do: label(9, "a"), code: "ParameterVersionNotFound", versions: 3, labels: "a=1 b=2"},
		{do: label(3, ten...), versions: 3, labels: "a=1 b=2 l0=3 l1=3 l2=3 l3=3 l4=3 l5=3 l6=3 l7=3 l8=3 l9=3"},
		{do: label(3, "a"), code: "ParameterVersionLabelLimitExceeded", versions: 3, labels: "a=1 b=2 l0=3 l1=3 l2=3 l3=3 l4=3 l5=3 l6=3 l7=3 l8=3 l9=3"},
		{do: unlabel(3, ten...), versions: 3, labels: "a=1 b=2"},
		{do: unlabel(1, "a", "b"), code: "invalid: [b], removed: [a]", versions: 3, labels: "b=2"},
		{do: read("/x/y:2"), versions: 3, labels: "b=2"},
		{do: read("/x/y:b"), versions: 3, labels: "b=2"},
		{do: read("/x/y:a"), code: "ParameterVersionNotFound", versions: 3, labels: "b=2"},
		{do: read("arn:aws:ssm:eu-west-1:111111111111:parameter/x/y"), versions: 3, labels: "b=2"},
		{do: write(func(in *ssm.PutParameterInput) { in.Tier = types.ParameterTierAdvanced }), versions: 4, labels: "b=2"},
		{do: write(func(in *ssm.PutParameterInput) { in.Tier = types.ParameterTierStandard }), code: "ValidationException", versions: 4, labels: "b=2"},
		{do: write(func(*ssm.PutParameterInput) {}), code: "ValidationException", versions: 4, labels: "b=2"}, // the account's default is standard
		{do: write(func(in *ssm.PutParameterInput) { in.Tier = types.ParameterTierIntelligentTiering }), versions: 5, labels: "b=2"},
	} {
		err := step.do()
		if code(err) != step.code || len(s.ParameterVersions("/x/y")) != step.versions || labelled(s, "/x/y") != step.labels {
			t.Errorf("step %d: %q, %d versions, labels %q; want %q, %d, %q", i, code(err), len(s.ParameterVersions("/x/y")), labelled(s, "/x/y"), step.code, step.versions, step.labels)
		}
	}
	// Without a key the default key is used, whatever the last version had.
	s.AddParameter("/k", "v", Parameter{KeyID: "alias/team"})
	if _, err := c.PutParameter(ctx, &ssm.PutParameterInput{Name: sdk.String("/k"), Value: sdk.String("w"), Overwrite: sdk.Bool(true)}); err != nil || s.ParameterVersions("/k")[1].KeyID != defaultKey {
		t.Errorf("%v, key %s", err, s.ParameterVersions("/k")[1].KeyID)
	}
	// A hundred versions are kept, and a labelled one is not given up.
	for range 120 {
		s.OverwriteParameter("/k", "w")
	}
	all := s.ParameterVersions("/k")
	if len(all) != 100 || all[99].Number != 122 {
		t.Fatalf("%d versions up to %d", len(all), all[len(all)-1].Number)
	}
	s.LabelParameter("/k", all[0].Number, "golden")
	if _, err := c.PutParameter(ctx, &ssm.PutParameterInput{Name: sdk.String("/k"), Value: sdk.String("w"), Overwrite: sdk.Bool(true)}); code(err) != "ParameterMaxVersionLimitExceeded" {
		t.Error(err)
	}
	// Pages.
	seen, pages := []int64{}, 0
	for p := ssm.NewGetParameterHistoryPaginator(c, &ssm.GetParameterHistoryInput{Name: sdk.String("/k")}); p.HasMorePages(); pages++ {
		page, err := p.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Parameters {
			seen = append(seen, v.Version)
			if *v.Value == "w" || *v.Value == "v" {
				t.Error("a value is not encrypted")
			}
		}
	}
	if pages != 2 || len(seen) != 100 || !slices.IsSorted(seen) {
		t.Errorf("%d versions on %d pages", len(seen), pages)
	}
}

// TestParameterRights: every right is asked for, before anything else.
func TestParameterRights(t *testing.T) {
	for name, call := range parameterCalls() {
		s := New("eu-west-1", "111111111111")
		s.Deny("ssm:" + name)
		if err := call(parameters(s)); code(err) != "AccessDeniedException" {
			t.Errorf("%s: %v", name, err)
		}
		if err := call(parameters(s, func(o *ssm.Options) { o.Region = "us-east-1" })); code(err) != "InvalidSignatureException" {
			t.Errorf("%s signed for another region: %v", name, err)
		}
	}
	for _, c := range []struct{ right, tier string }{{"kms:Encrypt", "Standard"}, {"kms:GenerateDataKey", "Advanced"}} {
		s := New("eu-west-1", "111111111111")
		s.AddParameter("/x", "v", Parameter{Tier: c.tier})
		s.Deny(c.right)
		_, err := parameters(s).PutParameter(context.Background(), &ssm.PutParameterInput{Name: sdk.String("/x"), Value: sdk.String("w"), Overwrite: sdk.Bool(true), Tier: types.ParameterTier(c.tier)})
		if code(err) != "AccessDeniedException" {
			t.Errorf("%s: %v", c.right, err)
		}
	}
}

func parameterCalls() map[string]func(*ssm.Client) error {
	ctx, name := context.Background(), sdk.String("/x")
	return map[string]func(*ssm.Client) error{
		"GetParameter": func(c *ssm.Client) error {
			_, err := c.GetParameter(ctx, &ssm.GetParameterInput{Name: name, WithDecryption: sdk.Bool(true)})
			return err
		},
		"GetParameterHistory": func(c *ssm.Client) error {
			_, err := c.GetParameterHistory(ctx, &ssm.GetParameterHistoryInput{Name: name, MaxResults: sdk.Int32(1)})
			return err
		},
		"PutParameter": func(c *ssm.Client) error {
			_, err := c.PutParameter(ctx, &ssm.PutParameterInput{Name: name, Value: sdk.String("w"), Overwrite: sdk.Bool(true), Tier: types.ParameterTierAdvanced,
				KeyId: sdk.String("k"), Description: sdk.String("d"), DataType: sdk.String("text"), AllowedPattern: sdk.String(".*")})
			return err
		},
		"LabelParameterVersion": func(c *ssm.Client) error {
			_, err := c.LabelParameterVersion(ctx, &ssm.LabelParameterVersionInput{Name: name, ParameterVersion: sdk.Int64(1), Labels: []string{"a", "1"}})
			return err
		},
		"UnlabelParameterVersion": func(c *ssm.Client) error {
			_, err := c.UnlabelParameterVersion(ctx, &ssm.UnlabelParameterVersionInput{Name: name, ParameterVersion: sdk.Int64(1), Labels: []string{"a", "z"}})
			return err
		},
	}
}

// everyParameter drives every operation, with every refusal, and returns the exchanges.
func everyParameter(t *testing.T) []exchange {
	t.Helper()
	var all []exchange
	s := New("eu-west-1", "111111111111")
	c := parameters(s, func(o *ssm.Options) {
		inner := o.HTTPClient
		o.HTTPClient = do(func(r *http.Request) (*http.Response, error) {
			x := exchange{operation: strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonSSM.")}
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			_ = json.Unmarshal(body, &x.request)
			resp, err := inner.Do(r)
			if err != nil {
				return nil, err
			}
			body, _ = io.ReadAll(resp.Body)
			resp.Body = io.NopCloser(bytes.NewReader(body))
			x.status = resp.StatusCode
			if err := json.Unmarshal(body, &x.answer); err != nil {
				t.Errorf("%s: %v", x.operation, err)
			}
			all = append(all, x)
			return resp, nil
		})
	})
	for range 2 { // the first time it does not exist
		for _, name := range []string{"GetParameter", "GetParameterHistory", "LabelParameterVersion", "UnlabelParameterVersion", "PutParameter"} {
			if name == "PutParameter" {
				s.AddParameter("/x", "v", Parameter{Tier: "Advanced", KeyID: "k", Policies: map[string]string{"NoChangeNotification": "{}"}})
			}
			_ = parameterCalls()[name](c)
		}
		s.AddParameter("/x", "v", Parameter{Tier: "Advanced", KeyID: "k", Description: "d", AllowedPattern: ".*", Policies: map[string]string{"NoChangeNotification": "{}"}})
	}
	ctx, name := context.Background(), sdk.String("/x")
	for _, in := range []*ssm.PutParameterInput{
		{Name: name, Value: sdk.String("w")},
		{Name: name, Value: sdk.String("w"), Overwrite: sdk.Bool(true), Type: types.ParameterTypeString},
		{Name: name, Value: sdk.String("w"), Overwrite: sdk.Bool(true), Type: "Bytes"},
		{Name: name, Value: sdk.String("w"), Overwrite: sdk.Bool(true), Tier: types.ParameterTierAdvanced, AllowedPattern: sdk.String("x")},
		{Name: name, Value: sdk.String("w"), Overwrite: sdk.Bool(true), Tier: types.ParameterTierAdvanced, AllowedPattern: sdk.String("[")},
		{Name: sdk.String(strings.Repeat("/a", 16)), Value: sdk.String("w")},
	} {
		_, _ = c.PutParameter(ctx, in)
	}
	_, _ = c.GetParameter(ctx, &ssm.GetParameterInput{Name: sdk.String("/x:99")})
	_, _ = c.GetParameter(ctx, &ssm.GetParameterInput{Name: sdk.String("/x:1")})
	_, _ = c.GetParameterHistory(ctx, &ssm.GetParameterHistoryInput{Name: name, NextToken: sdk.String("none")})
	_, _ = c.LabelParameterVersion(ctx, &ssm.LabelParameterVersionInput{Name: name, Labels: []string{"1", "2", "3", "a", "b", "c", "d", "e", "f", "g"}})
	_, _ = c.LabelParameterVersion(ctx, &ssm.LabelParameterVersionInput{Name: name, Labels: []string{"h", "i", "j", "k"}})
	for range 100 {
		s.OverwriteParameter("/x", "v")
	}
	s.LabelParameter("/x", s.ParameterVersions("/x")[0].Number, "l")
	_, _ = c.PutParameter(ctx, &ssm.PutParameterInput{Name: name, Value: sdk.String("w"), Overwrite: sdk.Bool(true), Tier: types.ParameterTierAdvanced})
	return all
}

func TestParameterSnapshots(t *testing.T) {
	dir := module(t, "github.com/aws/aws-sdk-go-v2/service/ssm")
	seen := map[string]bool{}
	for _, x := range everyParameter(t) {
		if err := fits(x.operation, x.request, snapshot(t, filepath.Join(dir, "request_snapshot", x.operation+".request.snap"))); err != nil {
			t.Error("request:", err)
		}
		file := x.operation + ".response.snap"
		if x.status != http.StatusOK {
			file = x.answer["__type"].(string) + ".error.snap"
		}
		seen[file] = true
		want := snapshot(t, filepath.Join(dir, "response_snapshot", file))
		if err := fits(x.operation, x.answer, want); err != nil {
			t.Error("answer:", err)
		}
		if x.status != http.StatusOK && len(x.answer) != len(want) {
			t.Errorf("%s: %v, want the members of %v", x.operation, x.answer, want)
		}
	}
	for _, file := range []string{"GetParameter.response.snap", "GetParameterHistory.response.snap", "PutParameter.response.snap", "LabelParameterVersion.response.snap",
		"UnlabelParameterVersion.response.snap", "ParameterNotFound.error.snap", "ParameterVersionNotFound.error.snap", "ParameterAlreadyExists.error.snap",
		"HierarchyTypeMismatchException.error.snap", "HierarchyLevelLimitExceededException.error.snap", "ParameterPatternMismatchException.error.snap",
		"UnsupportedParameterType.error.snap", "ParameterVersionLabelLimitExceeded.error.snap", "ParameterMaxVersionLimitExceeded.error.snap", "InvalidNextToken.error.snap"} {
		if !seen[file] {
			t.Errorf("%s was never answered", file)
		}
	}
}

// TestParameterModel holds error codes, members, required members and limits to the service model.
func TestParameterModel(t *testing.T) {
	m := botocore(t, "ssm/2014-11-06")
	for _, x := range everyParameter(t) {
		op := m.Operations[x.operation]
		if x.status != http.StatusOK {
			if !slices.ContainsFunc(op.Errors, func(e struct{ Shape string }) bool { return e.Shape == x.answer["__type"] }) {
				t.Errorf("%s does not answer %s: %v", x.operation, x.answer["__type"], op.Errors)
			}
			for k := range x.answer {
				if _, ok := m.Shapes[x.answer["__type"].(string)].Members[k]; !ok && k != "__type" {
					t.Errorf("%s has no member %s", x.answer["__type"], k)
				}
			}
			continue
		}
		for k := range x.answer {
			if _, ok := m.Shapes[op.Output.Shape].Members[k]; !ok {
				t.Errorf("%s: the model has no %s", x.operation, k)
			}
		}
	}
	whole := map[string]any{"Name": "x", "Value": "v", "Labels": []string{"a"}, "ParameterVersion": 1}
	refused := func(name string, fields map[string]any) bool {
		body, _ := json.Marshal(fields)
		var in parameterRequest
		if err := json.Unmarshal(body, &in); err != nil {
			t.Fatal(err)
		}
		return constraints(name, &in) != nil
	}
	with := func(member string, value any) map[string]any {
		fields := map[string]any{}
		for k, v := range whole {
			fields[k] = v
		}
		if fields[member] = value; value == nil {
			delete(fields, member)
		}
		return fields
	}
	for name := range parameterOperations {
		in := m.Shapes[m.Operations[name].Input.Shape]
		if refused(name, whole) {
			t.Errorf("%s refuses what is right", name)
		}
		for _, member := range in.Required {
			if !refused(name, with(member, nil)) {
				t.Errorf("%s without %s is taken", name, member)
			}
		}
		for member, ref := range in.Members {
			shape := m.Shapes[ref.Shape]
			if shape.Min == nil || shape.Max == nil {
				continue
			}
			for _, n := range []int{*shape.Min, *shape.Max, *shape.Max + 1} {
				var value any
				switch shape.Type {
				case "string":
					value = strings.Repeat("x", n)
				case "integer":
					value = n
				case "list":
					value = slices.Repeat([]string{"a"}, n)
				default:
					continue
				}
				if member == "Tags" || n == 0 {
					continue
				}
				if got, want := refused(name, with(member, value)), n > *shape.Max; got != want {
					t.Errorf("%s.%s of %d: refused=%t, want %t", name, member, n, got, want)
				}
			}
		}
	}
	label := m.Shapes["ParameterLabel"]
	for _, n := range []int{*label.Max, *label.Max + 1} {
		if got := refused("LabelParameterVersion", with("Labels", []string{strings.Repeat("a", n)})); got != (n > *label.Max) {
			t.Errorf("a label of %d characters: refused=%t", n, got)
		}
	}
}

// TestClusterModel holds what DescribeCluster answers to the service model.
func TestClusterModel(t *testing.T) {
	m := botocore(t, "eks/2017-11-01")
	out, _ := json.Marshal(describedCluster{})
	var answer map[string]any
	_ = json.Unmarshal(out, &answer)
	answer["endpoint"] = "" // left out of an empty one
	for k := range answer {
		if _, ok := m.Shapes["Cluster"].Members[k]; !ok {
			t.Errorf("a cluster has no %s", k)
		}
	}
	if !slices.ContainsFunc(m.Operations["DescribeCluster"].Errors, func(e struct{ Shape string }) bool { return e.Shape == "ResourceNotFoundException" }) {
		t.Error("DescribeCluster does not answer ResourceNotFoundException")
	}
}
