package ssm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	awscreds "github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/aws"
	"github.com/remint-dev/remint/pkg/awsaccess"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// TestSuite holds the sink to the contracts that the engine relies on.
func TestSuite(t *testing.T) {
	b := newBed()
	rotatetest.Sink(t, rotatetest.SinkUnderTest{
		New:     func(*testing.T) rotate.Sink { return b.sink() },
		Content: func(*testing.T) string { return b.Parameter(name) },
	})
}

func TestRotation(t *testing.T) {
	b, ctx := newBed(), t.Context()
	p := b.sink()
	if is, _ := holds(t, p, "b"); is {
		t.Error("holds b before it was written")
	}
	if got := b.since(0); got != "history" {
		t.Errorf("Held took %q", got)
	}
	if got := b.took(t, func() error { return p.Write(ctx, credential("b")) }); got != "get-parameter put-parameter label get-parameter" {
		t.Errorf("Write took %q", got)
	}
	if got := b.took(t, func() error { return p.Write(ctx, credential("b")) }); got != "get-parameter" {
		t.Errorf("Write again took %q", got)
	}
	if got := len(b.ParameterVersions(name)); got != 2 {
		t.Errorf("%d versions", got)
	}
	if is, verified := holds(t, b.sink(), "b"); !is || verified {
		t.Errorf("a fresh process sees is=%t verified=%t", is, verified)
	}
	if is, _ := holds(t, p, "a"); is {
		t.Error("holds a as well")
	}
	if is, _ := holds(t, p, ""); is {
		t.Error("holds a token without a name")
	}
	if got := b.took(t, func() error { return p.Mark(ctx, credential("b").Token) }); got != "history label" {
		t.Errorf("Mark took %q", got)
	}
	if got := b.took(t, func() error { return p.Mark(ctx, credential("b").Token) }); got != "history" {
		t.Errorf("Mark again took %q", got)
	}
	if is, verified := holds(t, b.sink(), "b"); !is || !verified {
		t.Errorf("after Mark is=%t verified=%t", is, verified)
	}
	if err := p.Mark(ctx, credential("a").Token); !errors.Is(err, rotate.ErrConflict) {
		t.Errorf("Mark of a token that is not held: %v", err)
	}
	check(t, p.Write(ctx, credential("c")))
	if is, verified := holds(t, p, "c"); !is || verified {
		t.Errorf("after the next write is=%t verified=%t", is, verified)
	}
	check(t, p.Mark(ctx, credential("c").Token))
	if got := b.took(t, func() error { return p.Write(ctx, credential("d")) }); got != "get-parameter unlabel put-parameter label get-parameter" {
		t.Errorf("the third write took %q", got)
	}
	if got := b.took(t, func() error { return p.Undo(ctx) }); got != "get-parameter history unlabel put-parameter label get-parameter" {
		t.Errorf("Undo took %q", got)
	}
	if is, verified := holds(t, p, "c"); !is || !verified {
		t.Errorf("after Undo is=%t verified=%t", is, verified)
	}
	secret, err := p.Read(ctx)
	check(t, err)
	if !secret.Equal(credential("c").Secret) {
		t.Error("Read does not give what Undo put back")
	}
	if err := p.Undo(ctx); !errors.Is(err, rotate.ErrConflict) {
		t.Errorf("second Undo: %v", err)
	}
	check(t, p.Write(ctx, credential("b"))) // an older one once more
	if is, verified := holds(t, p, "b"); !is || verified {
		t.Errorf("writing b again: is=%t verified=%t", is, verified)
	}
	if got := p.Warnings(); got != nil {
		t.Error(got)
	}
}

// TestKept: what is not the value stays as it is, by a write and by its undo.
func TestKept(t *testing.T) {
	for _, c := range []struct {
		name    string
		about   aws.Parameter
		account string // its default tier
		sink    func(*Parameter)
	}{
		{name: "as people make it", about: aws.Parameter{Type: "SecureString", Tier: "Standard", KeyID: "alias/aws/ssm", DataType: "text"}},
		{name: "own key", about: aws.Parameter{Type: "SecureString", Tier: "Standard", KeyID: "alias/team", DataType: "text"}},
		{name: "standard in an account that defaults to advanced", account: "Advanced", about: aws.Parameter{Type: "SecureString", Tier: "Standard", KeyID: "alias/aws/ssm", DataType: "text"}},
		{name: "advanced in an account that defaults to standard", about: aws.Parameter{Type: "SecureString", Tier: "Advanced", KeyID: "alias/team", DataType: "text"}},
		{name: "all that can be said", about: aws.Parameter{Type: "SecureString", Tier: "Advanced", KeyID: "alias/team", DataType: "text", Description: "for the exporter",
			AllowedPattern: "old|secret-of-.*", Policies: map[string]string{"NoChangeNotification": "{}"}}},
		{name: "plaintext", about: aws.Parameter{Type: "String", Tier: "Standard", DataType: "text"}, sink: func(p *Parameter) { p.Plaintext = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(c.about)
			b.DefaultTier = c.account
			p := b.sink()
			if c.sink != nil {
				c.sink(p)
			}
			check(t, p.Check(t.Context()))
			check(t, p.Write(t.Context(), credential("b")))
			check(t, p.Undo(t.Context()))
			all := b.ParameterVersions(name)
			if len(all) != 3 || all[1].Value != "secret-of-b" || all[2].Value != "old" {
				t.Fatalf("%d versions", len(all))
			}
			for _, v := range all {
				if fmt.Sprint(v.Parameter) != fmt.Sprint(c.about) {
					t.Errorf("version %d is %+v, was %+v", v.Number, v.Parameter, c.about)
				}
			}
		})
	}
}

// TestCrash kills a write at each of its requests, before and after the effect, and runs it again: it converges on
// one new version, which says what it holds.
func TestCrash(t *testing.T) {
	for n := range 6 {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d after=%t", n, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBed()
					before, route := b.wire.Before, b.wire.Route
					b.crash(n, after)
					_ = b.sink().Write(t.Context(), credential("b"))
					b.wire.Before, b.wire.Route = before, route

					p := b.sink()
					if is, _ := holds(t, p, "b"); is && b.Parameter(name) != "secret-of-b" {
						t.Error("says that it holds what it does not")
					}
					check(t, p.Write(t.Context(), credential("b")))
					if is, _ := holds(t, b.sink(), "b"); !is || b.Parameter(name) != "secret-of-b" {
						t.Errorf("is=%t, holds %q", is, b.Parameter(name))
					}
					if v := b.ParameterVersions(name); len(v) != 2 {
						t.Errorf("%d versions", len(v))
					}
				})
			})
		}
	}
}

// TestLostAnswer loses the answer of one request of a write, and of its undo: both succeed, with one version each.
func TestLostAnswer(t *testing.T) {
	throttled := `{"__type":"ThrottlingException","message":"Rate exceeded"}`
	busy := `{"__type":"TooManyUpdates","Message":"one at a time"}`
	for _, op := range []string{aws.GetParameter, aws.History, aws.PutParameter, aws.Label} {
		for _, fault := range []emulate.Fault{{}, {After: true}, {Status: 500}, {Status: 503, After: true}, {Status: 429}, {Status: 400, Body: throttled}, {Status: 400, Body: busy}} {
			t.Run(fmt.Sprintf("%s %d after=%t %.20s", op, fault.Status, fault.After, fault.Body), func(t *testing.T) {
				if fault.Body == busy && op != aws.PutParameter {
					t.Skip("the SDK does not repeat what only a put is answered")
				}
				synctest.Test(t, func(t *testing.T) {
					b := newBed()
					b.Faults.Plant(op, fault)
					p := b.sink()
					check(t, p.Write(t.Context(), credential("b")))
					if is, _ := holds(t, b.sink(), "b"); !is || b.Parameter(name) != "secret-of-b" {
						t.Errorf("is=%t, holds %q", is, b.Parameter(name))
					}
					b.Faults.Plant(op, fault)
					check(t, p.Undo(t.Context()))
					if b.Parameter(name) != "old" {
						t.Errorf("after Undo it holds %q", b.Parameter(name))
					}
					if v := b.ParameterVersions(name); len(v) != 3 {
						t.Errorf("%d versions", len(v))
					}
				})
			})
		}
	}
}

// TestUnknown: a put of which nobody knows whether it took effect can be undone either way.
func TestUnknown(t *testing.T) {
	for _, after := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed()
			p := b.sink()
			route, dead := b.wire.Route, errors.New("the way is gone")
			puts := 0
			b.wire.Before = func(r *http.Request) error {
				if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutParameter") {
					puts++
				}
				if puts > 0 && (!after || puts > 1 || !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutParameter")) {
					return dead
				}
				return nil
			}
			b.wire.Route = func(host string) http.Handler {
				if puts == 0 {
					return route(host)
				}
				return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					route(host).ServeHTTP(discard{http.Header{}}, r)
					panic(http.ErrAbortHandler)
				})
			}
			if err := p.Write(t.Context(), credential("b")); !errors.Is(err, rotate.ErrTemporary) {
				t.Error(err)
			}
			b.wire.Before, b.wire.Route = nil, route
			if got := b.Parameter(name) == "secret-of-b"; got != after {
				t.Fatalf("the put took effect: %t", got)
			}
			check(t, p.Undo(t.Context()))
			if b.Parameter(name) != "old" {
				t.Errorf("after Undo it holds %q", b.Parameter(name))
			}
		})
	}
}

// TestNeverPut: after puts that all failed there is nothing to put back, and Undo finds that out.
func TestNeverPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.Faults.Plant(aws.PutParameter, emulate.Fault{Status: 503, Times: rounds})
		p := b.sink()
		if err := p.Write(t.Context(), credential("b")); !errors.Is(err, rotate.ErrTemporary) || !strings.HasSuffix(b.since(0), "get-parameter put-parameter") {
			t.Errorf("%v after %q", err, b.since(0))
		}
		check(t, p.Undo(t.Context()))
		if b.Parameter(name) != "old" || len(b.ParameterVersions(name)) != 1 {
			t.Errorf("holds %q in %d versions", b.Parameter(name), len(b.ParameterVersions(name)))
		}
	})
}

func TestInvalidLabel(t *testing.T) {
	b := newBed()
	b.Faults.Plant(aws.Label, emulate.Fault{Status: 200, Body: `{"InvalidLabels":["remint-x"],"ParameterVersion":2}`})
	if err := b.sink().Write(t.Context(), credential("b")); !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), "remint-x was refused") {
		t.Error(err)
	}
}

func TestRival(t *testing.T) {
	t.Run("between the look and the put", func(t *testing.T) {
		b := newBed()
		b.rival("PutParameter", 1, func() { b.OverwriteParameter(name, "theirs") })
		p := b.sink()
		err := p.Write(t.Context(), credential("b"))
		if !errors.Is(err, rotate.ErrConflict) || !strings.Contains(err.Error(), "version 2 at the same time, and version 3 replaced it") {
			t.Errorf("the version jump was not seen: %v", err)
		}
		if is, _ := holds(t, p, "b"); !is {
			t.Error("what it holds now is not said")
		}
		check(t, p.Undo(t.Context()))
		if b.Parameter(name) != "theirs" {
			t.Errorf("Undo puts back %q", b.Parameter(name))
		}
	})
	t.Run("while the answer of the put was lost", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBed()
			b.Faults.Plant(aws.PutParameter, emulate.Fault{Status: 503, After: true})
			gets := 0
			b.wire.Before = func(r *http.Request) error {
				if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetParameter") {
					if gets++; gets == 2 {
						b.OverwriteParameter(name, "theirs")
					}
				}
				return nil
			}
			err := b.sink().Write(t.Context(), credential("b"))
			if !errors.Is(err, rotate.ErrConflict) || b.Parameter(name) != "theirs" {
				t.Errorf("%v; holds %q", err, b.Parameter(name))
			}
		})
	})
	t.Run("after the put", func(t *testing.T) {
		b := newBed()
		b.rival("LabelParameterVersion", 1, func() { b.OverwriteParameter(name, "theirs") })
		p := b.sink()
		if err := p.Write(t.Context(), credential("b")); !errors.Is(err, rotate.ErrConflict) {
			t.Errorf("the read-back did not see the rival: %v", err)
		}
		if is, _ := holds(t, p, "b"); is {
			t.Error("the label speaks for somebody else's version")
		}
		if err := p.Undo(t.Context()); !errors.Is(err, rotate.ErrConflict) || b.Parameter(name) != "theirs" {
			t.Errorf("%v, holds %q", err, b.Parameter(name))
		}
	})
	t.Run("by hand, later", func(t *testing.T) {
		b := newBed()
		check(t, b.sink().Write(t.Context(), credential("b")))
		b.OverwriteParameter(name, "by hand")
		p := b.sink()
		if is, verified := holds(t, p, "b"); is || verified {
			t.Errorf("is=%t verified=%t", is, verified)
		}
		// Whoever reads it, and finds out what it is, may say so.
		if err := p.Mark(t.Context(), rotate.Token{ID: "h"}); !errors.Is(err, rotate.ErrConflict) {
			t.Error(err)
		}
		_, err := p.Read(t.Context())
		check(t, err)
		check(t, p.Mark(t.Context(), rotate.Token{ID: "h"}))
		if is, verified := holds(t, b.sink(), "h"); !is || !verified {
			t.Errorf("after Mark is=%t verified=%t", is, verified)
		}
		if err := p.Mark(t.Context(), rotate.Token{ID: "other"}); !errors.Is(err, rotate.ErrConflict) {
			t.Errorf("one version is marked for two tokens: %v", err)
		}
	})
	t.Run("the value is there already", func(t *testing.T) {
		b := newBed()
		b.OverwriteParameter(name, "secret-of-b")
		p := b.sink()
		check(t, p.Write(t.Context(), credential("b")))
		if is, _ := holds(t, p, "b"); !is || len(b.ParameterVersions(name)) != 2 {
			t.Errorf("is=%t, %d versions", is, len(b.ParameterVersions(name)))
		}
		if err := p.Undo(t.Context()); !errors.Is(err, rotate.ErrConflict) {
			t.Errorf("Undo of nothing: %v", err)
		}
	})
}

// TestStaleLook: a value that is older than the versions that are listed is not what is replaced.
func TestStaleLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.OverwriteParameter(name, "theirs")
		b.Faults.Plant(aws.GetParameter, emulate.Fault{Status: 200, Body: `{"Parameter":{"Name":"` + name + `","Type":"SecureString","Value":"old","Version":1}}`})
		p := b.sink()
		check(t, p.Write(t.Context(), credential("b")))
		check(t, p.Undo(t.Context()))
		if b.Parameter(name) != "theirs" {
			t.Errorf("Undo puts back %q", b.Parameter(name))
		}
	})
}

// TestStale: a read that is older than what was written is looked at again.
func TestStale(t *testing.T) {
	for _, times := range []int{1, 3, 100} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed()
			old := fmt.Sprintf(`{"Parameter":{"ARN":"arn:aws:ssm:%s:%s:parameter%s","Name":"%s","Type":"SecureString","Value":"old","Version":1}}`, region, account, name, name)
			b.rival("LabelParameterVersion", 1, func() { b.Faults.Plant(aws.GetParameter, emulate.Fault{Status: 200, Body: old, Times: times}) })
			err := b.sink().Write(t.Context(), credential("b"))
			if want := times > looks; errors.Is(err, rotate.ErrTemporary) != want || (err != nil) != want {
				t.Errorf("%d stale reads: %v", times, err)
			}
		})
	}
}

// TestHundred: a parameter with all the versions it may have takes more, since no label of ours holds one back.
func TestHundred(t *testing.T) {
	b := newBed()
	p := b.sink()
	for i := range 120 {
		id := fmt.Sprint("t", i)
		check(t, p.Write(t.Context(), credential(id)))
		check(t, p.Mark(t.Context(), rotate.Token{ID: id}))
		if got := b.ours(); len(got) > 3 {
			t.Fatalf("labels of ours: %v", got)
		}
	}
	h, err := p.look(t.Context())
	check(t, err)
	if h.count != 100 || h.oldest != 22 || h.latest.Version != 121 {
		t.Errorf("%d versions from %d to %d", h.count, h.oldest, h.latest.Version)
	}
	if is, verified := holds(t, b.sink(), "t119"); !is || !verified {
		t.Errorf("is=%t verified=%t", is, verified)
	}
	b.LabelParameter(name, 22, "golden")
	if err := b.sink().Check(t.Context()); !errors.Is(err, rotate.ErrLimit) || !strings.Contains(err.Error(), "22, has the label golden") {
		t.Error(err)
	}
	if err := p.Write(t.Context(), credential("one-more")); !errors.Is(err, rotate.ErrLimit) || !strings.Contains(err.Error(), "UnlabelParameterVersion") {
		t.Error(err)
	}
}

// TestForeignLabels: labels of other people stay where they are, and that is said.
func TestForeignLabels(t *testing.T) {
	b := newBed()
	b.LabelParameter(name, 1, "production")
	p := b.sink()
	check(t, p.Write(t.Context(), credential("b")))
	if got := strings.Join(p.Warnings(), "\n"); !strings.Contains(got, "the label production stays on version 1; consumers that read it by that label do not see version 2") {
		t.Error(got)
	}
	if got := p.Warnings(); got != nil {
		t.Error(got)
	}
	check(t, p.Write(t.Context(), credential("c")))
	if v := b.ParameterVersions(name); !slices.Contains(v[0].Labels, "production") {
		t.Errorf("%v", v[0].Labels)
	}
	// Without the right to take labels off, a write is a write.
	b.Deny("ssm:UnlabelParameterVersion")
	check(t, p.Write(t.Context(), credential("d")))
	if got := strings.Join(p.Warnings(), "\n"); !strings.Contains(got, "grant ssm:UnlabelParameterVersion") {
		t.Error(got)
	}
	// A version has ten labels at the most.
	n := int64(len(b.ParameterVersions(name)))
	for i := range 9 {
		b.LabelParameter(name, n, fmt.Sprint("l", i))
	}
	if err := p.Mark(t.Context(), rotate.Token{ID: "d"}); !errors.Is(err, rotate.ErrLimit) || !strings.Contains(err.Error(), "ten labels") {
		t.Error(err)
	}
}

func TestNameless(t *testing.T) {
	b := newBed()
	p := b.sink()
	c := rotate.Credential{Secret: rotate.NewSecret("nameless")}
	if got := b.took(t, func() error { return p.Write(t.Context(), c) }); got != "get-parameter history put-parameter get-parameter" {
		t.Errorf("took %q", got)
	}
	check(t, p.Write(t.Context(), c))
	if len(b.ParameterVersions(name)) != 2 || len(b.ours()) != 0 {
		t.Errorf("%d versions, labels %v", len(b.ParameterVersions(name)), b.ours())
	}
}

func TestCheck(t *testing.T) {
	deny := func(rights ...string) func(*bed) {
		return func(b *bed) {
			for _, r := range rights {
				b.Deny(r)
			}
		}
	}
	for _, c := range []struct {
		name  string
		about aws.Parameter
		bed   func(*bed)
		sink  func(*Parameter)
		want  []string // each in the error; none: no error
	}{
		{name: "fine"},
		{name: "advanced", about: aws.Parameter{Tier: "Advanced"}},
		{name: "by its ARN", sink: func(p *Parameter) { p.Name, p.Region = "arn:aws:ssm:eu-west-1:111111111111:parameter"+name, "" }},
		{name: "account", sink: func(p *Parameter) { p.Account = account }},
		{name: "plaintext that is wanted", about: aws.Parameter{Type: "String"}, sink: func(p *Parameter) { p.Plaintext = true }},
		{name: "policies that only notify", about: aws.Parameter{Tier: "Advanced", Policies: map[string]string{"NoChangeNotification": "{}", "ExpirationNotification": "{}"}}},
		{name: "plaintext", about: aws.Parameter{Type: "String"}, want: []string{"configuration error", "not encrypted", "plaintext"}},
		{name: "list", about: aws.Parameter{Type: "StringList"}, sink: func(p *Parameter) { p.Plaintext = true }, want: []string{"StringList", "split at commas"}},
		{name: "image", about: aws.Parameter{Type: "String", DataType: "aws:ec2:image"}, sink: func(p *Parameter) { p.Plaintext = true }, want: []string{"data type is aws:ec2:image"}},
		{name: "policy that deletes", about: aws.Parameter{Tier: "Advanced", Policies: map[string]string{"Expiration": `{"Type":"Expiration"}`}}, want: []string{"Expiration policy, which deletes it"}},
		{name: "several", about: aws.Parameter{Type: "StringList", DataType: "aws:ec2:image", Tier: "Advanced", Policies: map[string]string{"Expiration": "{}"}},
			want: []string{"StringList", "data type", "Expiration"}},
		{name: "missing", sink: func(p *Parameter) { p.Name = "/other" }, want: []string{"not found", "see that parameter /other exists in region eu-west-1"}},
		{name: "other account", sink: func(p *Parameter) { p.Account = "222222222222" }, want: []string{"configuration error", "lead to account 111111111111, but account 222222222222"}},
		{name: "other account by ARN", sink: func(p *Parameter) { p.Name = "arn:aws:ssm:eu-west-1:222222222222:parameter" + name }, want: []string{"lead to account 111111111111, but the parameter is in account 222222222222"}},
		{name: "no history", bed: deny("ssm:GetParameterHistory"), want: []string{"permission denied", "grant ssm:GetParameterHistory on parameter " + name}},
		{name: "no get", bed: deny("ssm:GetParameter"), want: []string{"grant ssm:GetParameter on"}},
		{name: "neither", bed: deny("ssm:GetParameter", "ssm:GetParameterHistory"), want: []string{"grant ssm:GetParameter on", "grant ssm:GetParameterHistory on"}},
		{name: "no write", bed: deny("ssm:PutParameter", "ssm:LabelParameterVersion", "ssm:UnlabelParameterVersion"),
			want: []string{"grant ssm:PutParameter on", "ssm:Overwrite", "grant ssm:LabelParameterVersion on", "grant ssm:UnlabelParameterVersion on"}},
		{name: "no key", bed: deny("kms:Decrypt"), want: []string{"grant kms:Decrypt and kms:Encrypt"}},
		{name: "wrong credentials", sink: func(p *Parameter) {
			p.Credentials = awscreds.NewStaticCredentialsProvider("AKIAWRONG", "hunter2", "")
		}, want: []string{"permission denied", "credentials are wrong"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(c.about)
			if c.bed != nil {
				c.bed(b)
			}
			p := b.sink()
			if c.sink != nil {
				c.sink(p)
			}
			before := fmt.Sprint(b.ParameterVersions(name))
			err := p.Check(t.Context())
			if (err == nil) != (c.want == nil) {
				t.Fatal(err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q lacks %q", err, w)
				}
			}
			if before != fmt.Sprint(b.ParameterVersions(name)) {
				t.Error("Check changed something")
			}
			if err == nil {
				check(t, p.Write(t.Context(), credential("b"))) // a check that passes promises a write that does
			} else if c.about.Type != "" || c.sink != nil {
				if err := p.Write(t.Context(), credential("b")); err == nil || b.Parameter(name) != "old" {
					t.Errorf("written all the same: %v", err)
				}
			}
		})
	}
}

func TestAccount(t *testing.T) {
	b := newBed()
	p := b.sink(func(p *Parameter) { p.Account = account })
	holds(t, p, "b")
	holds(t, p, "b")
	if got := b.since(0); got != "identity history history" {
		t.Errorf("took %q", got)
	}
	// A role's credentials belong to the account of the role: nobody need be asked.
	b = newBed()
	arn := b.AddRole("remint", aws.Role{})
	holds(t, b.sink(func(p *Parameter) { p.Account, p.Role = account, arn }), "b")
	if got := b.since(0); got != "assume-role history" {
		t.Errorf("took %q", got)
	}
}

func TestAccept(t *testing.T) {
	b := newBed()
	p := b.sink()
	long := strings.Repeat("x", MaxStandard+1)
	for text, want := range map[string]error{"": rotate.ErrConfig, "\xff": rotate.ErrConfig, "a{{b}}": rotate.ErrConfig, long: nil, strings.Repeat("x", MaxAdvanced): nil, strings.Repeat("x", MaxAdvanced+1): rotate.ErrLimit} {
		if err := p.Accept(rotate.Credential{Secret: rotate.NewSecret(text)}); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v", len(text), err)
		}
	}
	big := rotate.Credential{Token: rotate.Token{ID: "b"}, Secret: rotate.NewSecret(long)}
	if err := p.Write(t.Context(), big); !errors.Is(err, rotate.ErrLimit) || slices.Contains(b.Operations(), aws.PutParameter) {
		t.Errorf("%v after %v", err, b.Operations())
	}
	if err := p.Accept(big); !errors.Is(err, rotate.ErrLimit) || !strings.Contains(err.Error(), "4096") {
		t.Errorf("the tier is known, and yet: %v", err)
	}
	b = newBed(aws.Parameter{Tier: "Advanced"})
	check(t, b.sink().Write(t.Context(), big))
	// A pattern that the credential does not match is the service's to find.
	b = newBed(aws.Parameter{AllowedPattern: "[a-z]+"})
	if err := b.sink().Write(t.Context(), credential("b")); !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), "allowed pattern") {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	full := "arn:aws:ssm:eu-west-1:111111111111:parameter/a/b"
	for _, c := range []struct {
		name, region, account, role, endpoint string
		want                                  string // fields, in order
	}{
		{name: "a", region: region},
		{name: "/a/b", region: region},
		{name: full},
		{name: full, region: "us-east-1", account: "111111111111"},
		{name: "arn:aws-cn:ssm:cn-north-1:111111111111:parameter/a/b"},
		{name: full, role: "arn:aws:iam::111111111111:role/x"},
		{want: "name region"},
		{name: "arn:aws:ssm:eu-west-1:111111111111:parameter/a", region: region, want: "name"},
		{name: "a/b", region: region, want: "name"},
		{name: "/a/b:7", region: region, want: "name"},
		{name: "/a//b", region: region, want: "name"},
		{name: "/a b", region: region, want: "name"},
		{name: "/aws/x", region: region, want: "name"},
		{name: "SSMx", region: region, want: "name"},
		{name: strings.Repeat("/a", 15), region: region},
		{name: strings.Repeat("/a", 16), region: region, want: "name"},
		{name: "/" + strings.Repeat("a", 970), region: region, want: "name"},
		{name: "a", region: "Ireland", want: "region"},
		{name: "a", region: region, account: "1", want: "account"},
		{name: full, account: "222222222222", want: "account"},
		{name: full, role: "arn:aws:iam::222222222222:role/x", want: "role"},
		{name: "a", region: region, account: "111111111111", role: "arn:aws:iam::222222222222:role/x", want: "role"},
		{name: "a", region: region, endpoint: "http://aws.example", want: "endpoint"},
		{name: "a", region: region, endpoint: "http://127.0.0.1:4566"},
	} {
		p := &Parameter{Name: c.name, Endpoint: c.endpoint, Access: awsaccess.Access{Region: c.region, Account: c.account, Role: c.role}}
		if got := strings.Join(fields(p.Validate()), " "); got != c.want {
			t.Errorf("%s: %q, want %q", p, got, c.want)
		}
	}
	if err := (&Parameter{}).Write(t.Context(), credential("b")); !errors.Is(err, rotate.ErrConfig) {
		t.Errorf("an invalid sink is used: %v", err)
	}
	if got := (&Parameter{Name: full}).String(); got != "aws-parameter-store:111111111111/eu-west-1:/a/b" {
		t.Error(got)
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

// TestLeak formats the sink with every verb, makes every request fail in every manner with an answer that
// repeats what was sent, and looks for the secrets.
func TestLeak(t *testing.T) {
	secrets := []string{"secret-of-b", "hunter2", "bearer-of-the-job", "value-before"}
	clean := func(t *testing.T, text string) {
		t.Helper()
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%q shows %s", text, s)
			}
		}
	}
	p := &Parameter{Name: name, Access: awsaccess.Access{Region: region, OIDCBearer: rotate.NewSecret("bearer-of-the-job"),
		Credentials: awscreds.NewStaticCredentialsProvider("AKIA", "hunter2", "hunter2")}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%T", "%p"} {
		clean(t, fmt.Sprintf(verb, p))
		clean(t, fmt.Sprintf(verb, []any{p}))
		clean(t, fmt.Sprintf(verb, struct{ P *Parameter }{p}))
		clean(t, fmt.Sprintf(verb, &p.Access))
	}
	for _, op := range []string{aws.GetParameter, aws.History, aws.PutParameter, aws.Label, aws.Unlabel} {
		for _, body := range []string{
			`{"__type":"ValidationException","message":"Value 'secret-of-b' is bad, not value-before"}`,
			`{"__type":"ParameterPatternMismatchException","message":"secret-of-b"}`,
			`{"Parameter":{"Value":"value-before","Version":"x"}}`, `{"Parameters":[{"Value":"value-before","Version":"x"}]}`, `{"Parameter":{"Value":"value-before"`, `secret-of-b`, ``, `{}`, `null`, `[]`,
		} {
			for _, status := range []int{200, 400, 403, 500} {
				if op != aws.PutParameter && strings.HasPrefix(body, `{"__type"`) {
					continue // the others carry no value, and their messages are passed on
				}
				t.Run(fmt.Sprintf("%s %d %.20s", op, status, body), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b := newBed()
						b.OverwriteParameter(name, "value-before")
						b.Faults.Plant(op, emulate.Fault{Status: status, Body: body, Times: -1})
						p := b.sink()
						_, held := p.Held(t.Context())
						_, read := p.Read(t.Context())
						for _, err := range []error{held, read, p.Check(t.Context()), p.Write(t.Context(), credential("b")), p.Mark(t.Context(), rotate.Token{ID: "b"}), p.Undo(t.Context())} {
							clean(t, fmt.Sprintf("%v %+v %#v %q", err, err, err, p.Warnings()))
						}
					})
				})
			}
		}
	}
}

// TestPinned: whatever the endpoint, requests go to its host only, and that is what Endpoints says.
func TestPinned(t *testing.T) {
	for _, c := range []struct{ region, endpoint, want string }{
		{"eu-west-1", "", "https://ssm.eu-west-1.amazonaws.com/"},
		{"cn-north-1", "", "https://ssm.cn-north-1.amazonaws.com.cn/"},
		{"us-gov-west-1", "", "https://ssm.us-gov-west-1.amazonaws.com/"},
		{"eu-west-1", "http://127.0.0.1:4566/x", "http://127.0.0.1:4566/x"},
		{"eu-west-1", "https://vpce-1.ssm.eu-west-1.vpce.amazonaws.com", "https://vpce-1.ssm.eu-west-1.vpce.amazonaws.com/"},
	} {
		asked := ""
		p := &Parameter{Name: name, Endpoint: c.endpoint, Access: awsaccess.Access{Region: c.region, Credentials: awscreds.NewStaticCredentialsProvider("AKIA", "x", ""),
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				asked = r.URL.String()
				return nil, io.ErrUnexpectedEOF
			})}}
		synctest.Test(t, func(t *testing.T) {
			if _, err := p.Held(t.Context()); !errors.Is(err, rotate.ErrTemporary) {
				t.Error(err)
			}
		})
		if asked != c.want {
			t.Errorf("%s %s: asked %q, want %q", c.region, c.endpoint, asked, c.want)
		}
		if e := p.Endpoints(); len(e) != 1 || !strings.HasPrefix(asked, e[0].Origin+"/") || fmt.Sprint(e[0].Methods) != "[POST]" {
			t.Errorf("%+v", e)
		}
	}
	p := &Parameter{Name: name, Access: awsaccess.Access{Region: region, Account: account}}
	if e := p.Endpoints(); len(e) != 3 || e[0].Origin != "" || e[1].Origin != "https://"+stsHost || e[2].Origin != "https://"+ssmHost {
		t.Errorf("%+v", e)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestSocket: the same over a real connection, to an endpoint of one's own.
func TestSocket(t *testing.T) {
	b := newBed()
	srv := httptest.NewServer(b.Server)
	defer srv.Close()
	p := b.sink(func(p *Parameter) { p.Endpoint, p.Transport = srv.URL, nil })
	check(t, p.Check(t.Context()))
	check(t, p.Write(t.Context(), credential("b")))
	if is, _ := holds(t, p, "b"); !is || b.Parameter(name) != "secret-of-b" {
		t.Error(b.Parameter(name))
	}
}

func TestCancelled(t *testing.T) {
	b := newBed()
	ctx, cancel := context.WithCancel(t.Context())
	b.rival("GetParameterHistory", 1, cancel)
	err := b.sink().Write(ctx, credential("b"))
	if !errors.Is(err, context.Canceled) || slices.Contains(b.Operations(), aws.PutParameter) {
		t.Errorf("%v after %v", err, b.Operations())
	}
}

// FuzzAnswers: whatever the service answers, nothing panics, hangs or shows the credential, and nothing that was not
// confirmed is called written.
func FuzzAnswers(f *testing.F) {
	for _, body := range []string{
		`{}`, `null`, `[]`, `{"Parameter":null}`, `{"Parameter":{"Value":"","Version":1}}`, `{"Parameter":{"Value":"x","Version":-1}}`,
		`{"Parameters":[{"Version":1,"Labels":["remint-verified"]}],"NextToken":"again"}`, `{"Parameters":[{"Version":9223372036854775807,"Type":"SecureString"}]}`,
		`{"Parameters":[null,{"Policies":[null,{"PolicyType":null}]}]}`, `{"Version":0}`, `{"InvalidLabels":["secret-of-b\u0000"]}`, `{"__type":"secret-of-b"}`,
	} {
		for op := range 5 {
			f.Add(op, 200, body)
		}
		f.Add(0, 400, body)
	}
	ops := []string{aws.GetParameter, aws.History, aws.PutParameter, aws.Label, aws.Unlabel}
	f.Fuzz(func(t *testing.T, op, status int, body string) {
		if op < 0 || op >= len(ops) || status < 200 || status > 599 {
			t.Skip()
		}
		synctest.Test(t, func(t *testing.T) {
			b := newBed()
			b.Faults.Plant(ops[op], emulate.Fault{Status: status, Body: body, Times: -1})
			p := b.sink()
			h, _ := p.Held(t.Context())
			if h.Is != nil {
				_ = h.Is(rotate.Token{ID: "b"})
			}
			_ = p.Check(t.Context())
			err := p.Write(t.Context(), credential("b"))
			if err == nil && b.Parameter(name) != "secret-of-b" && !strings.Contains(body, "secret-of-b") {
				t.Errorf("called written, and is not")
			}
			if ops[op] == aws.PutParameter && strings.Contains(fmt.Sprint(err), "secret-of-b") && !strings.Contains(body, "Denied") && !strings.Contains(body, "__type") {
				t.Error(err)
			}
			_ = p.Undo(t.Context())
		})
	})
}
