package awssecretsmanager

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	awscreds "github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/aws"
	"github.com/remint-dev/remint/pkg/awsaccess"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	region  = "eu-west-1"
	account = "111111111111"
	name    = "govuk/fastly/api"
	smHost  = "secretsmanager.eu-west-1.amazonaws.com"
	stsHost = "sts.eu-west-1.amazonaws.com"
	oidc    = "token.runner.example"
)

// bed is an emulated region and the wire to it.
type bed struct {
	*aws.Server
	wire *emulate.Wire
}

func newBed() *bed {
	b := &bed{Server: aws.New(region, account)}
	b.wire = &emulate.Wire{Route: func(host string) http.Handler {
		switch host {
		case smHost, stsHost, oidc:
			return b.Server
		}
		return nil
	}}
	return b
}

// sink returns the sink as a fresh process has it.
func (b *bed) sink(change ...func(*Secret)) *Secret {
	s := &Secret{Secret: name, Access: awsaccess.Access{Region: region, Transport: b.wire, Credentials: b.Credentials(), Interval: time.Second}}
	for _, c := range change {
		c(s)
	}
	return s
}

func key(k string) func(*Secret) { return func(s *Secret) { s.Key = k } }

func credential(id string) rotate.Credential {
	return rotate.Credential{Token: rotate.Token{ID: id, Name: "web " + id}, Secret: rotate.NewSecret("secret-of-" + id)}
}

// since returns the operations after the first n.
func (b *bed) since(n int) string { return strings.Join(b.Operations()[n:], " ") }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// holds reports what Held says of a token.
func holds(t *testing.T, s *Secret, id string) (is, verified bool) {
	t.Helper()
	h, err := s.Held(t.Context())
	check(t, err)
	return h.Is != nil && h.Is(rotate.Token{ID: id}), h.Verified
}

func TestRotation(t *testing.T) {
	for _, c := range []struct {
		name, key, before, after string
	}{
		{"whole value", "", "old", "secret-of-b"},
		{"step 10: one key changes and the rest stays as it was", "token", `{"a": 1.0,  "token":"old","b":[ ]}`, `{"a": 1.0,  "token":"secret-of-b","b":[ ]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed()
			b.AddSecret(name, c.before)
			s := b.sink(key(c.key))
			ctx := t.Context()

			if is, _ := holds(t, s, "b"); is {
				t.Error("holds b before it was written")
			}
			if got := b.since(0); got != "describe" {
				t.Errorf("Held took %q", got)
			}
			n := len(b.Operations())
			check(t, s.Write(ctx, credential("b")))
			if got := b.since(n); got != "get put stage stage get" {
				t.Errorf("Write took %q", got)
			}
			if got := b.Current(name); got != c.after {
				t.Errorf("holds %s, want %s", got, c.after)
			}
			n = len(b.Operations())
			check(t, s.Write(ctx, credential("b")))
			if got := b.since(n); got != "get" {
				t.Errorf("Write again took %q", got)
			}
			if is, verified := holds(t, b.sink(key(c.key)), "b"); !is || verified {
				t.Errorf("a fresh process sees is=%t verified=%t", is, verified)
			}
			if is, _ := holds(t, s, "a"); is {
				t.Error("holds a as well")
			}
			n = len(b.Operations())
			check(t, s.Mark(ctx, credential("b").Token))
			if got := b.since(n); got != "describe stage" {
				t.Errorf("Mark took %q", got)
			}
			check(t, s.Mark(ctx, credential("b").Token))
			if is, verified := holds(t, b.sink(key(c.key)), "b"); !is || !verified {
				t.Errorf("after Mark is=%t verified=%t", is, verified)
			}
			if err := s.Mark(ctx, credential("a").Token); !errors.Is(err, rotate.ErrConflict) {
				t.Errorf("Mark of a token that is not held: %v", err)
			}

			check(t, s.Write(ctx, credential("c")))
			if is, verified := holds(t, s, "c"); !is || verified {
				t.Errorf("after the next write is=%t verified=%t", is, verified)
			}
			check(t, s.Mark(ctx, credential("c").Token))
			check(t, s.Write(ctx, credential("d")))
			check(t, s.Undo(ctx))
			if is, verified := holds(t, s, "c"); !is || !verified {
				t.Errorf("after Undo is=%t verified=%t", is, verified)
			}
			secret, err := s.Read(ctx)
			check(t, err)
			if !secret.Equal(credential("c").Secret) {
				t.Error("Read does not give what Undo put back")
			}
			if err := s.Undo(ctx); !errors.Is(err, rotate.ErrConflict) {
				t.Errorf("second Undo: %v", err)
			}
			// An older token is written again: its version is still there.
			n = len(b.Versions(name))
			check(t, s.Write(ctx, credential("b")))
			if is, _ := holds(t, s, "b"); !is || len(b.Versions(name)) != n {
				t.Errorf("writing b again: is=%t, versions %d -> %d", is, n, len(b.Versions(name)))
			}
			for label := range b.Stages(name) {
				if strings.HasPrefix(label, pendingLabel) || label == "AWSPENDING" {
					t.Errorf("label %s is left", label)
				}
			}
		})
	}
}

// crash breaks the process off at its nth request: before the service sees it, or after it acted.
func (b *bed) crash(n int, after bool) {
	var seen atomic.Int32
	dead := errors.New("killed")
	b.wire.Before = func(r *http.Request) error {
		switch i := int(seen.Add(1)) - 1; {
		case i < n || after && i == n:
			return nil
		}
		return dead
	}
	if after {
		route := b.wire.Route
		var got atomic.Int32
		b.wire.Route = func(host string) http.Handler {
			if int(got.Add(1))-1 < n {
				return route(host)
			}
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				route(host).ServeHTTP(discard{http.Header{}}, r)
				panic(http.ErrAbortHandler)
			})
		}
	}
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// TestCrash kills a write at each of its requests, before and after the effect, and runs it again: it
// converges on one new version, and no label of ours is left.
func TestCrash(t *testing.T) {
	for n := range 6 {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d after=%t", n, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBed()
					b.AddSecret(name, `{"token":"old","b":1}`)
					before, route := b.wire.Before, b.wire.Route
					b.crash(n, after)
					_ = b.sink(key("token")).Write(t.Context(), credential("b"))
					b.wire.Before, b.wire.Route = before, route

					s := b.sink(key("token"))
					check(t, s.Write(t.Context(), credential("b")))
					if got := b.Current(name); got != `{"token":"secret-of-b","b":1}` {
						t.Errorf("holds %s", got)
					}
					if is, _ := holds(t, s, "b"); !is {
						t.Error("does not know what it holds")
					}
					if v := b.Versions(name); len(v) != 2 {
						t.Errorf("%d versions", len(v))
					}
					if st := b.Stages(name); len(st) != 2 {
						t.Errorf("labels left: %v", st)
					}
				})
			})
		}
	}
}

// TestLostAnswer loses the answer of one request of a write; the SDK sends it again, and the write succeeds.
func TestLostAnswer(t *testing.T) {
	for _, op := range []string{aws.Get, aws.Put, aws.Stage} {
		for _, fault := range []emulate.Fault{{}, {After: true}, {Status: 500}, {Status: 503, After: true}, {Status: 429}} {
			t.Run(fmt.Sprintf("%s %d after=%t", op, fault.Status, fault.After), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBed()
					b.AddSecret(name, "old")
					b.Faults.Plant(op, fault)
					s := b.sink()
					check(t, s.Write(t.Context(), credential("b")))
					if is, _ := holds(t, s, "b"); !is || b.Current(name) != "secret-of-b" {
						t.Errorf("is=%t, holds %q", is, b.Current(name))
					}
					b.Faults.Plant(aws.Stage, fault)
					check(t, s.Undo(t.Context()))
					if b.Current(name) != "old" {
						t.Errorf("after Undo it holds %q", b.Current(name))
					}
				})
			})
		}
	}
}

// rival calls act just before the service sees a request of the target, the first times only.
func (b *bed) rival(target string, times int, act func()) {
	b.wire.Before = func(r *http.Request) error {
		if times > 0 && strings.HasSuffix(r.Header.Get("X-Amz-Target"), target) {
			times--
			act()
		}
		return nil
	}
}

func TestRival(t *testing.T) {
	t.Run("step 10: a write in between is kept, and the rollback brings it back", func(t *testing.T) {
		b := newBed()
		b.AddSecret(name, `{"token":"old","b":1}`)
		b.rival("UpdateSecretVersionStage", 1, func() { b.Overwrite(name, `{"token":"old","b":2}`) })
		s := b.sink(key("token"))
		check(t, s.Write(t.Context(), credential("b")))
		if got := b.Current(name); got != `{"token":"secret-of-b","b":2}` {
			t.Errorf("the rival's write is lost: %s", got)
		}
		if is, _ := holds(t, s, "b"); !is {
			t.Error("does not know what it holds")
		}
		check(t, s.Undo(t.Context()))
		if got := b.Current(name); got != `{"token":"old","b":2}` {
			t.Errorf("after Undo: %s", got)
		}
	})
	t.Run("step 10: a write in between each time is a conflict in the end", func(t *testing.T) {
		b := newBed()
		b.AddSecret(name, `{"token":"old","b":1}`)
		n := 1
		b.rival("UpdateSecretVersionStage", 100, func() { n++; b.Overwrite(name, fmt.Sprintf(`{"token":"old","b":%d}`, n)) })
		err := b.sink(key("token")).Write(t.Context(), credential("b"))
		if !errors.Is(err, rotate.ErrConflict) || len(b.Operations()) > 20 {
			t.Errorf("%v after %d requests", err, len(b.Operations()))
		}
		if got, want := b.Current(name), fmt.Sprintf(`{"token":"old","b":%d}`, n); got != want {
			t.Errorf("holds %s, want %s", got, want)
		}
	})
	t.Run("step 10: a rollback does not undo what others wrote since", func(t *testing.T) {
		b := newBed()
		b.AddSecret(name, "old")
		s := b.sink()
		check(t, s.Write(t.Context(), credential("b")))
		b.Overwrite(name, "theirs")
		if err := s.Undo(t.Context()); !errors.Is(err, rotate.ErrConflict) || b.Current(name) != "theirs" {
			t.Errorf("%v, holds %q", err, b.Current(name))
		}
	})
	t.Run("after the move", func(t *testing.T) {
		b := newBed()
		b.AddSecret(name, "old")
		gets := 0
		b.wire.Before = func(r *http.Request) error {
			if strings.HasSuffix(r.Header.Get("X-Amz-Target"), "GetSecretValue") {
				if gets++; gets == 2 {
					b.Overwrite(name, "theirs")
				}
			}
			return nil
		}
		if err := b.sink().Write(t.Context(), credential("b")); !errors.Is(err, rotate.ErrConflict) {
			t.Errorf("the read-back did not see the rival: %v", err)
		}
	})
	t.Run("a refusal that is no conflict", func(t *testing.T) {
		b := newBed()
		b.AddSecret(name, "old")
		b.Faults.Plant(aws.Stage, emulate.Fault{Status: 400, Body: `{"__type":"InvalidParameterException","Message":"no such thing"}`, Times: -1})
		err := b.sink().Write(t.Context(), credential("b"))
		if !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), "no such thing") || len(b.Operations()) != 4 {
			t.Errorf("%v after %v", err, b.Operations())
		}
	})
}

// TestNeighbours: a write of the same token whose neighbours changed since takes the next id, and Held knows it.
func TestNeighbours(t *testing.T) {
	b := newBed()
	b.AddSecret(name, `{"token":"old","b":0}`)
	for n := range maxIDs {
		if n > 0 {
			b.Overwrite(name, fmt.Sprintf(`{"token":"old","b":%d}`, n))
		}
		s := b.sink(key("token"))
		check(t, s.Write(t.Context(), credential("b")))
		if is, _ := holds(t, s, "b"); !is {
			t.Errorf("round %d: does not know what it holds", n)
		}
	}
	b.Overwrite(name, `{"token":"old","b":9}`)
	if err := b.sink(key("token")).Write(t.Context(), credential("b")); !errors.Is(err, rotate.ErrLimit) {
		t.Errorf("one more: %v", err)
	}
	b.Overwrite(name, `{"token":"secret-of-b","b":9}`)
	check(t, b.sink(key("token")).Write(t.Context(), credential("b"))) // it holds the value, and that is all that can be had
}

func TestSameValueElsewhere(t *testing.T) {
	b := newBed()
	b.AddSecret(name, `{"token":"secret\u002dof-b"}`)
	s := b.sink(key("token"))
	check(t, s.Write(t.Context(), credential("b")))
	if is, _ := holds(t, s, "b"); !is || b.Current(name) != `{"token":"secret\u002dof-b"}` {
		t.Errorf("is=%t, holds %s", is, b.Current(name))
	}
	n := len(b.Versions(name))
	check(t, s.Write(t.Context(), rotate.Credential{Secret: rotate.NewSecret("secret-of-b")})) // nameless: nothing to say
	if len(b.Versions(name)) != n {
		t.Error("a nameless token that is held was written again")
	}
	check(t, s.Write(t.Context(), rotate.Credential{Secret: rotate.NewSecret("nameless")}))
	if b.Current(name) != `{"token":"nameless"}` {
		t.Errorf("holds %s", b.Current(name))
	}
}

// TestSharedSecret: two keys of one secret are written in turn; neither speaks for the other.
func TestSharedSecret(t *testing.T) {
	b := newBed()
	b.AddSecret(name, `{"a":"1","b":"2"}`)
	one, two := b.sink(key("a")), b.sink(key("b"))
	check(t, one.Write(t.Context(), credential("x")))
	check(t, one.Mark(t.Context(), credential("x").Token))
	check(t, two.Write(t.Context(), credential("y")))
	check(t, two.Mark(t.Context(), credential("y").Token))
	if is, verified := holds(t, one, "x"); is || verified {
		t.Errorf("the version of another key: is=%t verified=%t", is, verified)
	}
	got, err := one.Read(t.Context())
	check(t, err)
	if !got.Equal(credential("x").Secret) {
		t.Error("the neighbour's write changed the key")
	}
	check(t, one.Mark(t.Context(), credential("x").Token)) // of the version that was read
	if err := one.Undo(t.Context()); !errors.Is(err, rotate.ErrConflict) {
		t.Errorf("Undo would take the neighbour's write back: %v", err)
	}
}

// TestSameTokenTwice: two keys of one secret get the same token, as two sinks of one rotation.
func TestSameTokenTwice(t *testing.T) {
	b := newBed()
	b.AddSecret(name, `{"a":"1","b":"2"}`)
	one, two := b.sink(key("a")), b.sink(key("b"))
	check(t, two.Write(t.Context(), credential("x")))
	if is, _ := holds(t, one, "x"); is {
		t.Error("the first says that it holds what only the second does")
	}
	check(t, one.Write(t.Context(), credential("x")))
	if b.Current(name) != `{"a":"secret-of-x","b":"secret-of-x"}` {
		t.Error(b.Current(name))
	}
	check(t, one.Undo(t.Context()))
	check(t, two.Undo(t.Context()))
	if b.Current(name) != `{"a":"1","b":"2"}` {
		t.Errorf("after both were undone: %s", b.Current(name))
	}
}

func TestFirstValue(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(*Secret)
		fails      error
	}{
		{"whole", "secret-of-b", func(*Secret) {}, nil},
		{"key", `{"k":"secret-of-b"}`, func(s *Secret) { s.Key, s.CreateKey = "k", true }, nil},
		{"key not to be made", "", key("k"), rotate.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed()
			b.AddSecret(name)
			s := b.sink(c.change)
			h, err := s.Held(t.Context())
			if err != nil || h.Is != nil {
				t.Errorf("Held of an empty secret: %+v, %v", h, err)
			}
			if got, err := s.Read(t.Context()); !got.IsZero() || !errors.Is(err, c.fails) {
				t.Errorf("Read of an empty secret: %v, %v", got, err)
			}
			if err := s.Write(t.Context(), credential("b")); !errors.Is(err, c.fails) {
				t.Fatalf("Write: %v", err)
			}
			if got := b.Current(name); got != c.want {
				t.Errorf("holds %q, want %q", got, c.want)
			}
			if err := s.Undo(t.Context()); !errors.Is(err, rotate.ErrConflict) {
				t.Errorf("Undo: %v", err)
			}
		})
	}
}

func TestReplicas(t *testing.T) {
	for _, c := range []struct {
		name    string
		replica aws.Replica
		want    error
	}{
		{"in sync", aws.Replica{Region: "us-east-1", Status: "InSync"}, nil},
		{"catches up", aws.Replica{Region: "us-east-1", Status: "InSync", Lag: 5}, nil},
		{"too slow", aws.Replica{Region: "us-east-1", Status: "InSync", Lag: 1000}, rotate.ErrTemporary},
		{"failed", aws.Replica{Region: "us-east-1", Status: "Failed", StatusMessage: "KMS"}, rotate.ErrTemporary},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed()
				b.AddSecret(name, "old")
				b.Change(name, func(m *aws.Meta) { m.PrimaryRegion, m.Replicas = region, []aws.Replica{c.replica} })
				for _, id := range []string{"b", "c"} { // the first write does not know of replicas yet, the second does
					s := b.sink()
					if id == "c" {
						holds(t, s, id)
					}
					start := time.Now()
					err := s.Write(t.Context(), credential(id))
					if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
						t.Error(err)
					}
					if time.Since(start) > 3*time.Minute {
						t.Errorf("took %s", time.Since(start))
					}
				}
			})
		})
	}
}

func TestCheck(t *testing.T) {
	meta := func(f func(*aws.Meta)) func(*bed) { return func(b *bed) { b.Change(name, f) } }
	for _, c := range []struct {
		name  string
		value string
		bed   func(*bed)
		sink  func(*Secret)
		want  []string // each in the error; none: no error
	}{
		{name: "fine"},
		{name: "fine key", value: `{"k":"v"}`, sink: key("k")},
		{name: "null", value: `{"k":null}`, sink: key("k")},
		{name: "missing key to be made", value: `{}`, sink: func(s *Secret) { s.Key, s.CreateKey = "k", true }},
		{name: "step 10: rotation enabled is refused", bed: meta(func(m *aws.Meta) { m.RotationEnabled = true }), want: []string{"configuration error", "own rotation"}},
		{name: "lambda", bed: meta(func(m *aws.Meta) { m.RotationLambdaARN = "arn:aws:lambda:x" }), want: []string{"own rotation"}},
		{name: "step 10: a secret that a service owns is refused", bed: meta(func(m *aws.Meta) { m.OwningService = "rds" }), want: []string{"another service (rds)"}},
		{name: "step 10: a secret that is being deleted is refused", bed: meta(func(m *aws.Meta) { m.DeletedDate = time.Unix(2e9, 0) }), want: []string{"not found", "scheduled for deletion on 2033-05-18"}},
		{name: "replica", bed: meta(func(m *aws.Meta) { m.PrimaryRegion = "us-east-1" }), want: []string{"replica in eu-west-1", "set region to us-east-1"}},
		{name: "primary", bed: meta(func(m *aws.Meta) { m.PrimaryRegion = region })},
		{name: "step 10: what is no JSON is refused", sink: key("k"), want: []string{"not hold valid JSON"}},
		{name: "step 10: JSON that is no object is refused", value: `[1]`, sink: key("k"), want: []string{"not an object"}},
		{name: "step 10: a missing key is refused", value: `{"K":"v"}`, sink: key("k"), want: []string{"not found", `lacks the key "k"`}},
		{name: "step 10: a key that stands there twice is refused", value: `{"k":"v","\u006b":"w"}`, sink: key("k"), want: []string{"twice"}},
		{name: "number", value: `{"k":1}`, sink: key("k"), want: []string{"a number, not a string"}},
		{name: "step 10: a wrong account is refused", sink: func(s *Secret) { s.Account = "222222222222" }, want: []string{"lead to account 111111111111, but account 222222222222"}},
		{name: "no describe", bed: func(b *bed) { b.Deny("secretsmanager:DescribeSecret") }, want: []string{"permission denied", "grant secretsmanager:DescribeSecret on " + name}},
		{name: "no get", bed: func(b *bed) { b.Deny("secretsmanager:GetSecretValue") }, want: []string{"grant secretsmanager:GetSecretValue"}},
		{name: "no write", bed: func(b *bed) {
			b.Deny("secretsmanager:PutSecretValue")
			b.Deny("secretsmanager:UpdateSecretVersionStage")
		}, want: []string{"grant secretsmanager:PutSecretValue", "grant secretsmanager:UpdateSecretVersionStage"}},
		{name: "no key", bed: func(b *bed) { b.Deny("kms:Decrypt") }, want: []string{"grant kms:Decrypt and kms:GenerateDataKey"}},
		{name: "several", value: `{}`, sink: key("k"), bed: func(b *bed) {
			b.Change(name, func(m *aws.Meta) { m.RotationEnabled, m.OwningService = true, "rds" })
		}, want: []string{"own rotation", "rds", "lacks the key"}},
		{name: "missing secret", sink: func(s *Secret) { s.Secret = "other" }, want: []string{"not found", "region eu-west-1"}},
		{name: "wrong credentials", sink: func(s *Secret) {
			s.Credentials = awscreds.NewStaticCredentialsProvider("AKIAWRONG", "hunter2", "")
		}, want: []string{"permission denied", "credentials are wrong"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed()
			if c.value == "" {
				c.value = "plain"
			}
			b.AddSecret(name, c.value)
			if c.bed != nil {
				c.bed(b)
			}
			s := b.sink()
			if c.sink != nil {
				c.sink(s)
			}
			versions, stages := b.Versions(name), b.Stages(name)
			err := s.Check(t.Context())
			if (err == nil) != (c.want == nil) {
				t.Fatal(err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q lacks %q", err, w)
				}
			}
			if !slices.Equal(versions, b.Versions(name)) || fmt.Sprint(stages) != fmt.Sprint(b.Stages(name)) {
				t.Error("Check changed something")
			}
			if err == nil {
				check(t, s.Write(t.Context(), credential("b"))) // a check that passes promises a write that does
			}
		})
	}
	t.Run("step 10: a binary value is refused", func(t *testing.T) {
		b := newBed()
		b.AddBinary(name, []byte{1})
		if err := b.sink().Check(t.Context()); err == nil || !strings.Contains(err.Error(), "SecretBinary") {
			t.Error(err)
		}
	})
	t.Run("partial ARN", func(t *testing.T) {
		b := newBed()
		full := b.AddSecret("a-abcdef", "x")
		s := b.sink(func(s *Secret) { s.Secret = full[:len(full)-7] }) // looks like a full one
		if err := s.Write(t.Context(), credential("b")); !errors.Is(err, rotate.ErrConfig) || b.Current("a-abcdef") != "x" {
			t.Error(err)
		}
		s = b.sink(func(s *Secret) { s.Secret, s.Region = full, "" })
		check(t, s.Write(t.Context(), credential("b")))
	})
}

// TestWrongAccount: nothing is written where the credentials lead elsewhere.
func TestWrongAccount(t *testing.T) {
	b := newBed()
	b.AddSecret(name, "old")
	s := b.sink(func(s *Secret) { s.Account = "222222222222" })
	_, held := s.Held(t.Context())
	_, read := s.Read(t.Context())
	for _, err := range []error{held, read, s.Write(t.Context(), credential("b")), s.Mark(t.Context(), credential("b").Token)} {
		if !errors.Is(err, rotate.ErrConfig) {
			t.Error(err)
		}
	}
	if slices.Contains(b.Operations(), aws.Put) || slices.Contains(b.Operations(), aws.Stage) {
		t.Error(b.Operations())
	}
}

// TestDeleted: nobody can read a secret that is marked for deletion, so it holds nothing.
func TestDeleted(t *testing.T) {
	b := newBed()
	b.AddSecret(name, "old")
	b.Change(name, func(m *aws.Meta) { m.DeletedDate = time.Now().Add(time.Hour) })
	if _, err := b.sink().Held(t.Context()); !errors.Is(err, rotate.ErrNotFound) || !strings.Contains(err.Error(), "RestoreSecret") {
		t.Error(err)
	}
}

// TestSocket: the same over a real connection, to an endpoint of one's own.
func TestSocket(t *testing.T) {
	b := newBed()
	b.AddSecret(name, `{"token":"old"}`)
	srv := httptest.NewServer(b.Server)
	defer srv.Close()
	s := b.sink(key("token"), func(s *Secret) { s.Endpoint, s.Transport = srv.URL, nil })
	check(t, s.Check(t.Context()))
	check(t, s.Write(t.Context(), credential("b")))
	if is, _ := holds(t, s, "b"); !is || b.Current(name) != `{"token":"secret-of-b"}` {
		t.Error(b.Current(name))
	}
}

func TestTooLarge(t *testing.T) {
	b := newBed()
	b.AddSecret(name, `{"k":"v","pad":"`+strings.Repeat("x", 60000)+`"}`)
	c := rotate.Credential{Token: rotate.Token{ID: "b"}, Secret: rotate.NewSecret(strings.Repeat("y", 6000))}
	if err := b.sink(key("k")).Write(t.Context(), c); !errors.Is(err, rotate.ErrLimit) {
		t.Error(err)
	}
	for text, want := range map[string]error{"": rotate.ErrConfig, "\xff": rotate.ErrConfig, strings.Repeat("y", MaxValue+1): rotate.ErrLimit, strings.Repeat("y", MaxValue): nil} {
		if err := b.sink().Accept(rotate.Credential{Secret: rotate.NewSecret(text)}); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v", len(text), err)
		}
	}
}

// fields returns the fields that joined errors are about, in order.
func fields(err error) []string {
	var out []string
	switch e := err.(type) {
	case *rotate.Error:
		out = append(out, e.At)
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			out = append(out, fields(err)...)
		}
	}
	return out
}

func TestValidate(t *testing.T) {
	full := "arn:aws:secretsmanager:eu-west-1:111111111111:secret:a/b-AbCdEf"
	for _, c := range []struct {
		s    *Secret
		want string // fields, in order
	}{
		{&Secret{Secret: "a", Access: awsaccess.Access{Region: "eu-west-1"}}, ""},
		{&Secret{Secret: full}, ""},
		{&Secret{Secret: full, Access: awsaccess.Access{Region: "us-east-1", Account: "111111111111"}}, ""},
		{&Secret{}, "secret region"},
		{&Secret{Secret: full[:len(full)-7]}, "secret region"},
		{&Secret{Secret: "a b", Access: awsaccess.Access{Region: "eu-west-1"}}, "secret"},
		{&Secret{Secret: "a", Access: awsaccess.Access{Region: "Ireland"}}, "region"},
		{&Secret{Secret: "a", Access: awsaccess.Access{Region: "eu-west-1.evil.example#"}}, "region"},
		{&Secret{Secret: "a", Access: awsaccess.Access{Region: "eu-west-1", Account: "11111111111"}}, "account"},
		{&Secret{Secret: full, Access: awsaccess.Access{Account: "222222222222"}}, "account"},
		{&Secret{Secret: "a", CreateKey: true, Access: awsaccess.Access{Region: "eu-west-1"}}, "create-key"},
		{&Secret{Secret: "a", Access: awsaccess.Access{Region: "eu-west-1", Role: "remint"}}, "role"},
		{&Secret{Secret: "a", Access: awsaccess.Access{Region: "eu-west-1", Role: "arn:aws:iam::111111111111:role/x/remint", OIDCURL: "https://x/y?z=1"}}, ""},
		{&Secret{Secret: "a", Access: awsaccess.Access{Region: "eu-west-1", Role: "arn:aws:iam::111111111111:role/remint", OIDCURL: "http://x/y?z=1"}}, "oidc-url"},
		{&Secret{Secret: "a", Endpoint: "http://aws.example", Access: awsaccess.Access{Region: "eu-west-1", STS: "ftp://x"}}, "endpoint sts-endpoint"},
		{&Secret{Secret: "a", Endpoint: "http://127.0.0.1:4566", Access: awsaccess.Access{Region: "eu-west-1"}}, ""},
	} {
		if got := strings.Join(fields(c.s.Validate()), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.s, got, c.want)
		}
	}
	// An invalid sink is not used.
	if err := (&Secret{}).Write(t.Context(), credential("b")); !errors.Is(err, rotate.ErrConfig) {
		t.Error(err)
	}
}

// TestLeak formats the sink with every verb, makes every request fail in every manner with an answer that
// repeats what was sent, and looks for the secrets.
func TestLeak(t *testing.T) {
	secrets := []string{"secret-of-b", "hunter2", "bearer-of-the-job", "neighbour-secret"}
	clean := func(t *testing.T, text string) {
		t.Helper()
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%q shows %s", text, s)
			}
		}
	}
	s := &Secret{Secret: name, Key: "k", Access: awsaccess.Access{Region: region, OIDCBearer: rotate.NewSecret("bearer-of-the-job"),
		Credentials: awscreds.NewStaticCredentialsProvider("AKIA", "hunter2", "hunter2")}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%T", "%p"} {
		clean(t, fmt.Sprintf(verb, s))
		clean(t, fmt.Sprintf(verb, []any{s}))
		clean(t, fmt.Sprintf(verb, struct{ S *Secret }{s}))
	}
	for _, op := range []string{aws.Describe, aws.Get, aws.Put, aws.Stage} {
		for _, body := range []string{
			`{"__type":"InvalidParameterException","Message":"Value 'secret-of-b' is bad"}`,
			`{"__type":"ValidationException","Message":"Value 'secret-of-b' at 'secretString'"}`,
			`{"SecretString":"neighbour-secret","VersionId":5}`, `{"SecretString":"neighbour-secret`, `secret-of-b`, ``,
		} {
			for _, status := range []int{200, 400, 403, 500} {
				if op != aws.Put && strings.HasPrefix(body, `{"__type"`) {
					continue // the others carry no value, and their messages are passed on
				}
				t.Run(fmt.Sprintf("%s %d %.20s", op, status, body), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b := newBed()
						b.AddSecret(name, `{"k":"v","n":"neighbour-secret"}`)
						b.Faults.Plant(op, emulate.Fault{Status: status, Body: body, Times: -1})
						s := b.sink(key("k"))
						_, held := s.Held(t.Context())
						_, read := s.Read(t.Context())
						for _, err := range []error{held, read, s.Check(t.Context()), s.Write(t.Context(), credential("b")), s.Undo(t.Context())} {
							clean(t, fmt.Sprintf("%v %+v %#v %q", err, err, err, s.Warnings()))
						}
					})
				})
			}
		}
	}
}

// TestPinned: whatever the endpoint, requests go to its host only, and the default is the region's own.
func TestPinned(t *testing.T) {
	for _, c := range []struct{ region, endpoint, want string }{
		{"eu-west-1", "", "https://secretsmanager.eu-west-1.amazonaws.com/"},
		{"cn-north-1", "", "https://secretsmanager.cn-north-1.amazonaws.com.cn/"},
		{"us-gov-west-1", "", "https://secretsmanager.us-gov-west-1.amazonaws.com/"},
		{"eu-west-1", "http://127.0.0.1:4566/x", "http://127.0.0.1:4566/x"},
		{"eu-west-1", "https://vpce-1.secretsmanager.eu-west-1.vpce.amazonaws.com", "https://vpce-1.secretsmanager.eu-west-1.vpce.amazonaws.com/"},
	} {
		asked := ""
		s := &Secret{Secret: name, Endpoint: c.endpoint, Access: awsaccess.Access{Region: c.region, Credentials: awscreds.NewStaticCredentialsProvider("AKIA", "x", ""),
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				asked = r.URL.String()
				return nil, io.ErrUnexpectedEOF
			})}}
		synctest.Test(t, func(t *testing.T) {
			if _, err := s.Held(t.Context()); !errors.Is(err, rotate.ErrTemporary) {
				t.Error(err)
			}
		})
		if asked != c.want {
			t.Errorf("%s %s: asked %q, want %q", c.region, c.endpoint, asked, c.want)
		}
		if e := s.Endpoints(); len(e) != 1 || !strings.HasPrefix(asked, e[0].Origin+"/") || fmt.Sprint(e[0].Methods) != "[POST]" {
			t.Errorf("%+v", e)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
