package aws

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// This file holds the emulation to what its owner publishes: the request and response snapshots in the
// SDK's module, and the service model in botocore (Debian's python3-botocore; REMINT_BOTOCORE names the
// package's data folder).

// exchange is one request and its answer.
type exchange struct {
	operation string
	request   map[string]any
	status    int
	answer    map[string]any
}

// everything drives every operation through the SDK, with every refusal, and returns the exchanges.
func everything(t *testing.T) []exchange {
	t.Helper()
	var all []exchange
	s := New("eu-west-1", "111111111111")
	c := client(s, func(o *sm.Options) {
		inner := o.HTTPClient
		o.HTTPClient = do(func(r *http.Request) (*http.Response, error) {
			x := exchange{operation: strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "secretsmanager.")}
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
			if got := resp.Header.Get("Content-Type"); got != "application/x-amz-json-1.1" {
				t.Errorf("%s: content type %q", x.operation, got)
			}
			all = append(all, x)
			return resp, nil
		})
	})
	get := func(stage string) {
		_, _ = c.GetSecretValue(context.Background(), &sm.GetSecretValueInput{SecretId: sdk.String("x"), VersionStage: &stage})
	}
	describe := func(name string) {
		_, _ = c.DescribeSecret(context.Background(), &sm.DescribeSecretInput{SecretId: &name})
	}
	describe("x")
	s.AddSecret("x")
	get("AWSCURRENT")
	_ = put(c, 1, "one", "A")
	_ = put(c, 2, "two")
	_ = put(c, 2, "other")
	get("AWSCURRENT")
	get("Z")
	_ = move(c, "AWSCURRENT", 1, 2)
	_ = move(c, "AWSCURRENT", 1, 2)
	_ = move(c, "A", 0, 1)
	_ = move(c, "A", 9, 0)
	s.AddBinary("bytes", []byte{0, 1})
	_, _ = c.GetSecretValue(context.Background(), &sm.GetSecretValueInput{SecretId: sdk.String("bytes")})
	s.Change("x", func(m *Meta) {
		*m = Meta{KmsKeyID: "k", RotationEnabled: true, RotationLambdaARN: "l", OwningService: "rds", PrimaryRegion: "eu-west-1",
			Replicas: []Replica{{Region: "us-east-1", Status: "InSync", StatusMessage: "m", Lag: 1}}}
	})
	describe("x")
	_ = put(c, 3, "three")
	_ = move(c, "B", 1, 0)
	s.Change("x", func(m *Meta) { m.DeletedDate = time.Now() })
	describe("x")
	get("AWSCURRENT")
	return all
}

// module returns the folder of a module, from the module cache.
func module(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", path).Output()
	if err != nil || len(bytes.TrimSpace(out)) == 0 {
		t.Skipf("the module %s is not at hand: %v", path, err)
	}
	return string(bytes.TrimSpace(out))
}

// snapshot reads the body of a snapshot: status or method, headers, an empty line, JSON.
func snapshot(t *testing.T, file string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(file) // a file of a module that go.mod names
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n\n{")
	var m map[string]any
	if err := json.Unmarshal([]byte("{"+body), &m); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return m
}

// fits says where got has a member that want lacks, or one of another type. Members that are missing are
// allowed; keys of maps are not compared.
func fits(at string, got, want any) error {
	switch g := got.(type) {
	case map[string]any:
		w, ok := want.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is an object, want %T", at, want)
		}
		if any, ok := w["key0"]; ok && len(w) == 1 { // the snapshots' form of a map
			for k, v := range g {
				if err := fits(at+"."+k, v, any); err != nil {
					return err
				}
			}
			return nil
		}
		for k, v := range g {
			member, ok := w[k]
			if !ok {
				return fmt.Errorf("%s has no member %s", at, k)
			}
			if err := fits(at+"."+k, v, member); err != nil {
				return err
			}
		}
	case []any:
		w, ok := want.([]any)
		if !ok || len(w) == 0 {
			return fmt.Errorf("%s is a list, want %T", at, want)
		}
		for _, v := range g {
			if err := fits(at+"[]", v, w[0]); err != nil {
				return err
			}
		}
	default:
		if fmt.Sprintf("%T", got) != fmt.Sprintf("%T", want) {
			return fmt.Errorf("%s is a %T, want a %T", at, got, want)
		}
	}
	return nil
}

func TestSnapshots(t *testing.T) {
	dir := module(t, "github.com/aws/aws-sdk-go-v2/service/secretsmanager")
	seen := map[string]bool{}
	for _, x := range everything(t) {
		if err := fits(x.operation, x.request, snapshot(t, filepath.Join(dir, "request_snapshot", x.operation+".request.snap"))); err != nil {
			t.Error("request:", err)
		}
		file := x.operation + ".response.snap"
		if x.status != http.StatusOK {
			file = x.answer["__type"].(string) + ".error.snap"
		}
		want := snapshot(t, filepath.Join(dir, "response_snapshot", file))
		if err := fits(x.operation, x.answer, want); err != nil {
			t.Error("answer:", err)
		}
		if x.status != http.StatusOK && len(x.answer) != len(want) {
			t.Errorf("%s: %v, want the members of %v", x.operation, x.answer, want)
		}
		seen[file] = true
	}
	for _, file := range []string{"DescribeSecret.response.snap", "GetSecretValue.response.snap", "PutSecretValue.response.snap", "UpdateSecretVersionStage.response.snap",
		"ResourceNotFoundException.error.snap", "ResourceExistsException.error.snap", "InvalidRequestException.error.snap", "InvalidParameterException.error.snap"} {
		if !seen[file] {
			t.Errorf("%s was never answered", file)
		}
	}
}

// model is what is used of botocore's service-2.json.
type model struct {
	Operations map[string]struct {
		Input, Output struct{ Shape string }
		Errors        []struct{ Shape string }
	}
	Shapes map[string]struct {
		Type     string
		Members  map[string]struct{ Shape string }
		Required []string
		Min, Max *int
	}
}

// botocore reads the model of a service and version.
func botocore(t *testing.T, api string) model {
	t.Helper()
	dir := os.Getenv("REMINT_BOTOCORE")
	if dir == "" {
		t.Skip("REMINT_BOTOCORE does not name botocore's data folder")
	}
	file := filepath.Join(dir, filepath.FromSlash(api), "service-2.json")
	text, err := os.ReadFile(file) // named by whoever runs the test
	if errors.Is(err, os.ErrNotExist) {
		packed, err := os.Open(file + ".gz")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = packed.Close() }()
		z, err := gzip.NewReader(packed)
		if err != nil {
			t.Fatal(err)
		}
		if text, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	} else if err != nil {
		t.Fatal(err)
	}
	var m model
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestModel holds error codes, members and limits to the service model.
func TestModel(t *testing.T) {
	m := botocore(t, "secretsmanager/2017-10-17")
	for _, x := range everything(t) {
		op := m.Operations[x.operation]
		if x.status != http.StatusOK {
			known := slices.ContainsFunc(op.Errors, func(e struct{ Shape string }) bool { return e.Shape == x.answer["__type"] })
			if !known {
				t.Errorf("%s does not answer %s: %v", x.operation, x.answer["__type"], op.Errors)
			}
			continue
		}
		for k := range x.answer {
			if _, ok := m.Shapes[op.Output.Shape].Members[k]; !ok {
				t.Errorf("%s: the model has no %s", x.operation, k)
			}
		}
	}
	// Every text one shorter than its least and one longer than its most length is refused, and both ends are taken.
	for name, op := range operations {
		in := m.Shapes[m.Operations[name].Input.Shape]
		for member, ref := range in.Members {
			shape := m.Shapes[ref.Shape]
			if shape.Type != "string" || shape.Max == nil || shape.Min == nil {
				continue
			}
			for _, n := range []int{*shape.Min - 1, *shape.Min, *shape.Max, *shape.Max + 1} {
				if n < 1 {
					continue
				}
				s := New("eu-west-1", "111111111111")
				s.AddSecret("x", "v")
				fields := map[string]any{"SecretId": "x"}
				switch name {
				case "PutSecretValue":
					fields["SecretString"], fields["ClientRequestToken"] = "w", id(1)
				case "UpdateSecretVersionStage":
					fields["VersionStage"], fields["MoveToVersionId"] = "L", s.Stages("x")[current]
				}
				fields[member] = strings.Repeat("1", n)
				body, _ := json.Marshal(fields)
				var r request
				if err := json.Unmarshal(body, &r); err != nil {
					t.Fatal(err)
				}
				_, f := op.do(s, &r)
				refused := f != nil && f.code == "InvalidParameterException" && strings.Contains(f.message, "Invalid length")
				if want := n < *shape.Min || n > *shape.Max; refused != want {
					t.Errorf("%s.%s of %d characters: refused=%t, want %t (%v)", name, member, n, refused, want, f)
				}
			}
		}
		for _, member := range in.Required {
			fields := map[string]any{"SecretId": "x", "VersionStage": "L", "SecretString": "w", "ClientRequestToken": id(1)}
			delete(fields, member)
			body, _ := json.Marshal(fields)
			var r request
			_ = json.Unmarshal(body, &r)
			s := New("eu-west-1", "111111111111")
			s.AddSecret("x", "v")
			if _, f := op.do(s, &r); f == nil || f.code != "InvalidParameterException" {
				t.Errorf("%s without %s: %v", name, member, f)
			}
		}
	}
}
