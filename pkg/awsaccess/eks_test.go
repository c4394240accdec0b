package awsaccess

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	awscreds "github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/aws"
	"github.com/remint-dev/remint/pkg/rotate"
)

const (
	cell     = "production"
	endpoint = "https://0123456789.gr7.eu-west-1.eks.amazonaws.com"
)

func TestEKSToken(t *testing.T) {
	b := newBed()
	token, expires, err := b.access().EKSToken(t.Context(), cell)
	check(t, err)
	if left := time.Until(expires); left > 14*time.Minute || left < 13*time.Minute {
		t.Errorf("expires in %s", left)
	}
	if b.since(0) != "" {
		t.Errorf("requested something: %q", b.since(0))
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token.Reveal(), "k8s-aws-v1."))
	check(t, err)
	u, err := url.Parse(string(raw))
	check(t, err)
	q := u.Query()
	if u.Scheme != "https" || u.Host != stsHost || u.Path != "/" || q.Get("Action") != "GetCallerIdentity" || q.Get("Version") != "2011-06-15" ||
		q.Get("X-Amz-Expires") != "60" || q.Get("X-Amz-SignedHeaders") != "host;x-k8s-aws-id" {
		t.Error(u)
	}
	for _, c := range []struct {
		name, cluster, token string
		arn                  string // "": refused
	}{
		{"as it is", cell, token.Reveal(), "arn:aws:iam::" + account + ":user/emulated"},
		{"of another cluster", "staging", token.Reveal(), ""},
		{"without its prefix", cell, token.Reveal()[11:], ""},
		{"cut", cell, token.Reveal()[:len(token.Reveal())-8], ""},
		{"not base64", cell, "k8s-aws-v1.%", ""},
		{"another host", cell, "k8s-aws-v1." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(raw), stsHost, "evil.example", 1))), ""},
		{"another action", cell, "k8s-aws-v1." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(raw), "GetCallerIdentity", "GetSessionToken", 1))), ""},
		{"one parameter more", cell, "k8s-aws-v1." + base64.RawURLEncoding.EncodeToString([]byte(string(raw)+"&x=y")), ""},
		{"another expiry", cell, "k8s-aws-v1." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(raw), "Expires=60", "Expires=61", 1))), ""},
	} {
		if arn, ok := b.WhoIs(c.cluster, c.token); arn != c.arn || ok != (c.arn != "") {
			t.Errorf("%s: %q, %t", c.name, arn, ok)
		}
	}
	// The URL itself, requested as a cluster does.
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, string(raw), nil)
	r.Header.Set("x-k8s-aws-id", cell)
	resp, err := b.wire.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("STS answers %v, %v", resp, err)
	}
}

func TestEKSTokenOfRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The emulation signs its roles' credentials for an hour; the token must not be used longer than they live.
		b := newBed()
		a := b.access(byToken(b.AddRole("remint", aws.Role{Audience: "sts.amazonaws.com"})))
		token, _, err := a.EKSToken(t.Context(), cell)
		check(t, err)
		if arn, ok := b.WhoIs(cell, token.Reveal()); !ok || arn != "arn:aws:sts::"+account+":assumed-role/remint/remint" {
			t.Errorf("%q, %t", arn, ok)
		}
		if got := b.since(0); got != "oidc assume-role" {
			t.Errorf("took %q", got)
		}
		time.Sleep(15*time.Minute + time.Second)
		if _, ok := b.WhoIs(cell, token.Reveal()); ok {
			t.Error("a token of a quarter of an hour ago is taken")
		}
		end := time.Now().Add(5 * time.Minute)
		short := &Access{Region: region, Credentials: sdk.CredentialsProviderFunc(func(ctx context.Context) (sdk.Credentials, error) {
			return sdk.Credentials{AccessKeyID: "ASIA", SecretAccessKey: "x", SessionToken: "y", CanExpire: true, Expires: end}, nil
		})}
		if _, expires, err := short.EKSToken(t.Context(), cell); err != nil || !expires.Equal(end) {
			t.Errorf("expires %s, %v", expires, err)
		}
	})
}

func TestEKSCluster(t *testing.T) {
	for _, c := range []struct {
		name    string
		cluster string
		plant   func(*bed)
		access  func(*Access)
		err     error
		text    []string
		ops     string
	}{
		{name: "works", ops: "describe-cluster"},
		{name: "right account", access: func(a *Access) { a.Account = account }, ops: "describe-cluster"},
		{name: "updating", plant: func(b *bed) { b.SetClusterStatus(cell, "UPDATING") }, ops: "describe-cluster"},
		{name: "hiccup", plant: func(b *bed) { b.Faults.Plant(aws.DescribeCluster, emulate.Fault{Status: 502}) }, ops: "describe-cluster describe-cluster"},
		{name: "throttled", plant: func(b *bed) { b.Faults.Plant(aws.DescribeCluster, emulate.Fault{Status: 429}) }, ops: "describe-cluster describe-cluster"},
		{name: "no right", plant: func(b *bed) { b.Deny("eks:DescribeCluster") }, err: rotate.ErrDenied, ops: "describe-cluster",
			text: []string{"DescribeCluster: AccessDeniedException", "grant eks:DescribeCluster on cluster production"}},
		{name: "no such cluster", cluster: "prod", err: rotate.ErrNotFound, text: []string{"see that cluster prod exists in region eu-west-1"}, ops: "describe-cluster"},
		{name: "no name", cluster: "../x", err: rotate.ErrConfig, text: []string{"not the name of an EKS cluster"}},
		{name: "other account", access: func(a *Access) { a.Account = "222222222222" }, err: rotate.ErrConfig, text: []string{"lead to account 111111111111, but account 222222222222"}, ops: "describe-cluster"},
		{name: "being made", plant: func(b *bed) { b.SetClusterStatus(cell, "CREATING") }, err: rotate.ErrTemporary, text: []string{"CREATING, not ACTIVE"}, ops: "describe-cluster"},
		{name: "failed", plant: func(b *bed) { b.SetClusterStatus(cell, "FAILED") }, err: rotate.ErrConfig, text: []string{"FAILED, not ACTIVE"}, ops: "describe-cluster"},
		{name: "going", plant: func(b *bed) { b.SetClusterStatus(cell, "DELETING") }, err: rotate.ErrConfig, text: []string{"DELETING"}, ops: "describe-cluster"},
		{name: "connected only", plant: func(b *bed) { b.AddCluster(cell, endpoint, nil) }, err: rotate.ErrConfig, text: []string{"no certificate authority"}, ops: "describe-cluster"},
		{name: "plain endpoint", plant: func(b *bed) { b.AddCluster(cell, "http://k8s.example", []byte("ca")) }, err: rotate.ErrConfig, text: []string{"plain http"}, ops: "describe-cluster"},
		{name: "wrong credentials", access: func(a *Access) { a.Credentials = awscreds.NewStaticCredentialsProvider("AKIAWRONG", "hunter2", "") },
			err: rotate.ErrDenied, text: []string{"UnrecognizedClientException", "credentials are wrong"}, ops: "describe-cluster"},
		{name: "no role", access: func(a *Access) { a.Role = "arn:aws:iam::111111111111:role/none" }, err: rotate.ErrDenied, text: []string{"AssumeRole of", "sts:AssumeRole"}, ops: "assume-role"},
		{name: "a proxy", plant: func(b *bed) {
			b.Faults.Plant(aws.DescribeCluster, emulate.Fault{Status: 403, Body: "<html>no", Times: -1})
		}, err: rotate.ErrTemporary, text: []string{"the answer (status 403) is not one of EKS"}, ops: "describe-cluster"},
		{name: "nonsense", plant: func(b *bed) {
			b.Faults.Plant(aws.DescribeCluster, emulate.Fault{Status: 200, Body: "{", Times: -1})
		}, err: rotate.ErrTemporary, text: []string{"not one of EKS"}, ops: "describe-cluster"},
		{name: "nothing", plant: func(b *bed) {
			b.Faults.Plant(aws.DescribeCluster, emulate.Fault{Status: 200, Body: "{}", Times: -1})
		}, err: rotate.ErrConfig, text: []string{"not about cluster production"}, ops: "describe-cluster"},
		{name: "about another cluster", plant: func(b *bed) {
			b.Faults.Plant(aws.DescribeCluster, emulate.Fault{Status: 200, Times: -1, Body: `{"cluster":{"arn":"arn:aws:eks:eu-west-1:111111111111:cluster/other","status":"ACTIVE","endpoint":"https://x","certificateAuthority":{"data":"eA=="}}}`})
		}, err: rotate.ErrConfig, text: []string{"not about cluster production"}, ops: "describe-cluster"},
		{name: "code in the body", plant: func(b *bed) {
			b.Faults.Plant(aws.DescribeCluster, emulate.Fault{Status: 403, Body: `{"__type":"com.amazonaws.eks#ExpiredTokenException:http://x","message":"The security token is expired"}`, Times: -1})
		}, err: rotate.ErrDenied, text: []string{"ExpiredTokenException: The security token is expired", "get fresh ones"}, ops: "describe-cluster"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed()
				b.AddCluster(cell, endpoint, []byte("-----BEGIN"))
				a := b.access()
				if c.access != nil {
					c.access(a)
				}
				if c.plant != nil {
					c.plant(b)
				}
				if c.cluster == "" {
					c.cluster = cell
				}
				at, ca, err := a.EKSCluster(t.Context(), c.cluster)
				if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
					t.Errorf("%v, want %v", err, c.err)
				}
				for _, text := range c.text {
					if !strings.Contains(fmt.Sprint(err), text) {
						t.Errorf("%v lacks %q", err, text)
					}
				}
				if strings.Contains(fmt.Sprint(err), "hunter2") {
					t.Errorf("shows the key: %v", err)
				}
				if err == nil && (at != endpoint || string(ca) != "-----BEGIN") {
					t.Errorf("%q, %q", at, ca)
				}
				if got := b.since(0); got != c.ops {
					t.Errorf("took %q, want %q", got, c.ops)
				}
			})
		})
	}
}

// TestHosts: which host is asked, and that this is what Endpoints says.
func TestHosts(t *testing.T) {
	for _, c := range []struct {
		region, eks, sts string
		env              map[string]string
		want, wantSTS    string
	}{
		{region: "eu-west-1", want: "https://eks.eu-west-1.amazonaws.com", wantSTS: "https://sts.eu-west-1.amazonaws.com"},
		{region: "cn-north-1", want: "https://eks.cn-north-1.amazonaws.com.cn", wantSTS: "https://sts.cn-north-1.amazonaws.com.cn"},
		{region: "us-gov-west-1", want: "https://eks.us-gov-west-1.amazonaws.com", wantSTS: "https://sts.us-gov-west-1.amazonaws.com"},
		{region: "us-iso-east-1", want: "https://eks.us-iso-east-1.c2s.ic.gov", wantSTS: "https://sts.us-iso-east-1.c2s.ic.gov"},
		{region: "eu-west-1", eks: "https://vpce-1.eks.example", sts: "https://vpce-1.sts.example", want: "https://vpce-1.eks.example", wantSTS: "https://vpce-1.sts.example"},
	} {
		var asked []string
		a := &Access{Region: c.region, EKS: c.eks, STS: c.sts, Interval: time.Millisecond, Credentials: awscreds.NewStaticCredentialsProvider("AKIA", "x", ""),
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				asked = append(asked, r.Method+" "+r.URL.Scheme+"://"+r.URL.Host+r.URL.Path)
				return nil, rotate.ErrConfig // which ends it
			})}
		synctest.Test(t, func(t *testing.T) {
			_, _, _ = a.EKSCluster(t.Context(), cell)
			_, _ = a.Identity(t.Context())
		})
		if len(asked) < 2 || asked[0] != "GET "+c.want+"/clusters/production" || asked[1] != "POST "+c.wantSTS+"/" {
			t.Errorf("%s: asked %q", c.region, asked)
		}
		if got := a.EKSEndpoint().Origin; got != c.want {
			t.Errorf("EKSEndpoint says %q, want %q", got, c.want)
		}
		if got := a.STSEndpoint(c.region, "").Origin; got != c.wantSTS {
			t.Errorf("STSEndpoint says %q, want %q", got, c.wantSTS)
		}
	}
	t.Run("FIPS", func(t *testing.T) {
		noAWS(t)
		t.Setenv("AWS_ACCESS_KEY_ID", "AKIA")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
		t.Setenv("AWS_USE_FIPS_ENDPOINT", "true")
		for region, want := range map[string]string{"us-east-1": "fips.eks.us-east-1.amazonaws.com", "us-gov-west-1": "eks.us-gov-west-1.amazonaws.com"} {
			asked := ""
			a := &Access{Region: region, Transport: roundTrip(func(r *http.Request) (*http.Response, error) { asked = r.URL.Host; return nil, rotate.ErrConfig })}
			_, _, _ = a.EKSCluster(t.Context(), cell)
			if asked != want {
				t.Errorf("%s: asked %q, want %q", region, asked, want)
			}
		}
	})
	for _, c := range []struct {
		access *Access
		want   string
	}{
		{&Access{Region: region}, " [GET POST PUT]"},
		{&Access{Region: region, Credentials: sdk.AnonymousCredentials{}}, ""},
		{&Access{Region: region, Role: "arn:aws:iam::111111111111:role/x"}, " [GET POST PUT], https://" + stsHost + " [POST]"},
		{&Access{Region: region, Role: "arn:aws:iam::111111111111:role/x", OIDCURL: "https://" + oidc + "/a?b=c", OIDCBearer: rotate.NewSecret("x")}, "https://" + oidc + " [GET], https://" + stsHost + " [POST]"},
	} {
		var got []string
		for _, e := range c.access.Endpoints() {
			got = append(got, fmt.Sprint(e.Origin, " ", e.Methods))
			if e.Why == "" {
				t.Errorf("%s without a reason", e.Origin)
			}
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%q, want %q", text, c.want)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestIdentity(t *testing.T) {
	b := newBed()
	a := b.access()
	for range 2 {
		if got, err := a.Identity(t.Context()); err != nil || got != account {
			t.Errorf("%q, %v", got, err)
		}
	}
	if got := b.since(0); got != "identity" {
		t.Errorf("took %q", got)
	}
	if _, err := b.access(func(a *Access) { a.Account = "222222222222" }).Identity(t.Context()); !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), "lead to account 111111111111") {
		t.Error(err)
	}
	b.Faults.Plant(aws.Identity, emulate.Fault{Status: 200, Body: `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult></GetCallerIdentityResult></GetCallerIdentityResponse>`})
	if _, err := b.access().Identity(t.Context()); !errors.Is(err, rotate.ErrTemporary) {
		t.Error(err)
	}
}

// TestLeak formats with every verb.
func TestLeak(t *testing.T) {
	a := &Access{Region: region, OIDCBearer: rotate.NewSecret("bearer-of-the-job"), Credentials: awscreds.NewStaticCredentialsProvider("AKIA", "hunter2", "hunter2")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%T", "%p"} {
		for _, x := range []any{a, []any{a}, struct{ A *Access }{a}} {
			if text := fmt.Sprintf(verb, x); strings.Contains(text, "hunter2") || strings.Contains(text, "bearer-of") {
				t.Errorf("%s shows it: %s", verb, text)
			}
		}
	}
}

// FuzzDescribeCluster: whatever EKS answers, nothing panics, and what is returned can be dialled.
func FuzzDescribeCluster(f *testing.F) {
	for _, body := range []string{`{}`, `null`, `{"cluster":null}`, `{"cluster":{"arn":"arn:aws:eks:eu-west-1:111111111111:cluster/production","status":"ACTIVE","endpoint":"https://x","certificateAuthority":{"data":"eA=="}}}`,
		`{"cluster":{"certificateAuthority":{"data":"%"}}}`, `{"__type":"#:","message":"\u0000"}`, `<html>`} {
		f.Add(200, body)
		f.Add(400, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			t.Skip()
		}
		synctest.Test(t, func(t *testing.T) {
			b := newBed()
			b.Faults.Plant(aws.DescribeCluster, emulate.Fault{Status: status, Body: body, Times: -1})
			at, ca, err := b.access().EKSCluster(t.Context(), cell)
			if err != nil {
				return
			}
			u, perr := url.Parse(at)
			if perr != nil || u.Host == "" || u.Scheme == "https" && len(ca) == 0 {
				t.Errorf("%q with %d bytes of CA", at, len(ca))
			}
		})
	})
}
