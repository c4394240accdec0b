package signon

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	stand "github.com/remint-dev/remint/e2e/signon"
	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/kube"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/rotate/rotatetest"
)

// These tests run the very script in a real Doorkeeper (e2e/signon); they are skipped without REMINT_SIGNON.

// kubeOf is an emulated cluster in which Signon's Jobs run the script.
func kubeOf(t *testing.T, s *stand.Signon) (*kube.Server, *cluster.Cluster) {
	k := kube.New()
	const token = "cluster-token-0123456789"
	k.AddToken(token, "remint", kube.Everything)
	k.AddSecret("apps", "signon-app-"+stand.Application, map[string]string{"oauth_id": s.ID, "oauth_secret": s.Key})
	k.Add("cronjobs", map[string]any{"metadata": map[string]any{"namespace": "apps", "name": defaultCronJob}, "spec": map[string]any{"schedule": "0 1 * * *", "suspend": true,
		"jobTemplate": map[string]any{"spec": map[string]any{"backoffLimit": int64(0), "template": map[string]any{"spec": map[string]any{"restartPolicy": "Never",
			"containers": []any{map[string]any{"name": "cron-task", "image": "signon", "command": []any{"rake"}, "args": []any{"access_tokens:renew_expiring_internal_tokens"}}}}}}}}})
	var mu sync.Mutex
	logs := map[string]string{}
	k.Output = func(p kube.Pod, container string) string {
		mu.Lock()
		defer mu.Unlock()
		if text, ok := logs[p.Name]; ok {
			return text
		}
		c := exec.Command(s.Rails, "runner", jobStarter)
		for name, value := range p.Env[container] {
			c.Env = append(os.Environ(), c.Env...)
			c.Env = append(c.Env, name+"="+value)
		}
		out, err := c.CombinedOutput()
		if err != nil {
			out = fmt.Appendf(out, "%v", err)
		}
		logs[p.Name] = string(out)
		return logs[p.Name]
	}
	return k, &cluster.Cluster{Server: "https://kube.example:6443", Token: rotate.NewSecret(token), Namespace: "apps",
		Transport: &emulate.Wire{Route: func(string) http.Handler { return k }}}
}

// local runs the script in a Rails that stays.
type local struct{ *stand.Signon }

func (l local) run(_ context.Context, request []byte) ([]byte, error) {
	out, err := l.Eval(`[:REMINT_LINE, :RemintRequest].each { |c| Object.send(:remove_const, c) if Object.const_defined?(c) }
		REMINT_LINE = "` + base64.StdEncoding.EncodeToString(request) + `".unpack1("m")
		` + script)
	return []byte(out), err
}

// bed is a provider whose script runs directly, and whose Secrets are in an emulated cluster.
func bed(t *testing.T) (*stand.Signon, func(func(*Provider)) *Provider) {
	s := stand.New(t)
	_, c := kubeOf(t, s)
	return s, func(change func(*Provider)) *Provider {
		p := &Provider{User: stand.User, Application: stand.Application, URL: s.URL, Rails: s.Rails, Cluster: c, Interval: time.Millisecond}
		if change != nil {
			change(p)
		}
		if p.Via == "" {
			p.run = local{s}
		}
		return p
	}
}

func TestSuiteInJob(t *testing.T) {
	s, make := bed(t)
	rotatetest.Provider(t, rotatetest.ProviderUnderTest{
		New:         func(*testing.T) rotate.Provider { return make(func(p *Provider) { p.Via = viaJob }) },
		Credentials: []string{s.Key},
	})
}

// TestSuiteInPod goes through a real API server: WebSocket, kubelet, and a program on this machine.
func TestSuiteInPod(t *testing.T) {
	s := stand.New(t)
	k := s.Deploy()
	rotatetest.Provider(t, rotatetest.ProviderUnderTest{
		New: func(*testing.T) rotate.Provider {
			return &Provider{User: stand.User, Application: stand.Application, URL: s.URL, Rails: s.Rails, Cluster: k.Cluster}
		},
		Credentials: []string{s.Key},
	})
}

func TestMintedAsSignonWould(t *testing.T) {
	s, make := bed(t)
	p := make(nil)
	c, err := p.Mint(t.Context(), "ours 20260101T000000Z-aaaaaaaabbbbbb")
	if err != nil {
		t.Fatal(err)
	}
	got := s.Run(`t = Doorkeeper::AccessToken.find(` + c.ID + `); e = EventLog.all.to_a; u = ApiUser.find(t.resource_owner_id)
		puts "RESULT #{t.expires_in} #{t.token.length} #{t.scopes.to_s.inspect} #{t.refresh_token.inspect} #{t.application.name} #{u.email} #{u.permitted(t.application)} #{e.size} #{e[0].event_id} #{e[0].trailing_message}"`)
	want := `63113904 43 "" nil Publishing API ` + stand.User + ` ["signin"] 1 48 remint token ` + c.ID + `: ` + c.Name
	if got != want {
		t.Errorf("Signon has\n%s, want\n%s", got, want)
	}
	if name, err := make(nil).SecretName(t.Context()); name != stand.Secret || err != nil {
		t.Errorf("Secret %s, %v", name, err)
	}
	if life := p.Life(); life != 63113904*time.Second {
		t.Errorf("life %s", life)
	}
	if skew, ok := p.Skew(); !ok || skew.Abs() > time.Minute {
		t.Errorf("skew %s, %t", skew, ok)
	}
	again, err := make(nil).Mint(t.Context(), c.Name)
	if !errors.Is(err, rotate.ErrConflict) || again.ID != "" {
		t.Errorf("a second token of that name: %v", err)
	}
}

// TestRenewalIsNotOurs: a mint whose answer was lost, with the nightly renewal beside it.
func TestRenewalIsNotOurs(t *testing.T) {
	s, make := bed(t)
	before, err := make(nil).List(t.Context())
	if err != nil || len(before) != 1 || before[0].Name != "" {
		t.Fatalf("%v, %v", before, err)
	}
	s.Run(`Doorkeeper::AccessToken.update_all(created_at: 725.days.ago)`)
	s.Renew()
	p := make(nil)
	p.run = lost{local{s}}
	const name = "ours 20260101T000000Z-aaaaaaaabbbbbb"
	if _, err := p.Mint(t.Context(), name); !errors.Is(err, rotate.ErrTemporary) {
		t.Fatalf("the answer was lost: %v", err)
	}
	after, err := make(nil).List(t.Context())
	if err != nil || len(after) != 3 {
		t.Fatalf("%v, %v", after, err)
	}
	var named []rotate.Token
	for _, x := range after {
		if x.Name != "" {
			named = append(named, x)
		}
	}
	if len(named) != 1 || named[0].Name != name {
		t.Fatalf("named: %v", named)
	}
	if err := make(nil).Revoke(t.Context(), named[0]); err != nil {
		t.Fatal(err)
	}
	if left, err := make(nil).List(t.Context()); err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// lost loses every answer.
type lost struct{ under runner }

func (l lost) run(ctx context.Context, request []byte) ([]byte, error) {
	_, _ = l.under.run(ctx, request)
	return nil, fmt.Errorf("%w: the connection was lost", rotate.ErrTemporary)
}

func TestBadInput(t *testing.T) {
	s, make := bed(t)
	s.Run(`u = ApiUser.create!(name: "Short (URL) Manager", email: "twin@alphagov.co.uk", uid: "u-9")
		u.authorisations.create!(application_id: Doorkeeper::Application.find_by!(name: "Router API").id, expires_in: ApiUser::DEFAULT_TOKEN_LIFE)
		l = ApiUser.create!(name: "Long", email: "long@alphagov.co.uk", uid: "u-10")
		l.authorisations.create!(application_id: Doorkeeper::Application.find_by!(name: "Router API").id, expires_in: 10.years.to_i)
		l.authorisations.create!(application_id: Doorkeeper::Application.find_by!(name: "Publishing API").id, expires_in: nil)
		ApiUser.create!(name: "under_score", email: "under@alphagov.co.uk", uid: "u-11")`)
	for _, c := range []struct {
		name   string
		change func(*Provider)
		kind   error
		says   string
	}{
		{"unknown user", func(p *Provider) { p.User = "nobody@alphagov.co.uk" }, rotate.ErrNotFound, "there is no API user nobody@"},
		{"a person", func(p *Provider) { p.User = "person@alphagov.co.uk" }, rotate.ErrNotFound, "is a person, not an API user"},
		{"suspended", func(p *Provider) { p.User = "suspended@alphagov.co.uk" }, rotate.ErrConfig, "is suspended"},
		{"unknown application", func(p *Provider) { p.Application = "nothing" }, rotate.ErrNotFound, "there is no application nothing"},
		{"retired", func(p *Provider) { p.Application = "old-api" }, rotate.ErrConfig, "old-api is retired"},
		{"ambiguous", func(p *Provider) { p.Application = "twice-api" }, rotate.ErrConflict, "twice-api names 2 applications: Twice (API), Twice API"},
		{"one Secret for two", func(p *Provider) { p.Application = "router-api" }, rotate.ErrConflict, "the tokens of twin@alphagov.co.uk for Router API go into the same Secret"},
		{"lives longer", func(p *Provider) { p.User, p.Application = "long@alphagov.co.uk", "router-api" }, rotate.ErrConflict, "lives longer than a new one would"},
		{"lives for ever", func(p *Provider) { p.User = "long@alphagov.co.uk" }, rotate.ErrConflict, "lives longer than a new one would"},
		{"no name of a Secret", func(p *Provider) { p.User = "under@alphagov.co.uk" }, rotate.ErrConfig, "a name may have no underscore"},
		{"initiator", func(p *Provider) { p.Initiator = "gone@alphagov.co.uk" }, rotate.ErrNotFound, "there is no user gone@"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := make(c.change).Check(t.Context())
			var e *rotate.Error
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) || !errors.As(err, &e) || e.Op != "check" {
				t.Errorf("got %v", err)
			}
			if strings.Contains(c.says, "underscore") || strings.Contains(c.says, "same Secret") {
				return
			}
			if _, err := make(c.change).Mint(t.Context(), "ours"); !errors.Is(err, c.kind) {
				t.Errorf("Mint: %v", err)
			}
		})
	}
	if n := s.Run(`puts "RESULT #{EventLog.count}"`); n != "0" {
		t.Errorf("%s tokens were minted", n)
	}
}

func TestIdentify(t *testing.T) {
	s, make := bed(t)
	secret := func(code string) rotate.Secret { return rotate.NewSecret(s.Run(`puts "RESULT #{` + code + `}"`)) }
	mine := secret(`ApiUser.find_by!(name: "Short URL Manager").authorisations.first.token`)
	others := secret(`ApiUser.find_by!(name: "Other").authorisations.first.token`)
	p := make(nil)
	got, err := p.Identify(t.Context(), mine)
	if err != nil || got.ID == "" || got.Name != "" || got.Expires.Sub(got.Created) != life {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := p.Identify(t.Context(), others); !errors.Is(err, rotate.ErrConflict) || errors.Is(err, rotate.ErrDenied) {
		t.Errorf("another API user's: %v", err)
	}
	// To the credentials of another application every token looks dead: that must not be believed.
	k, c := kubeOf(t, s)
	id := strings.Fields(s.Run(`a = Doorkeeper::Application.find_by!(name: "Router API"); puts "RESULT #{a.uid} #{a.secret}"`))
	k.AddSecret("apps", "signon-app-"+stand.Application, map[string]string{"oauth_id": id[0], "oauth_secret": id[1]})
	if _, err := make(func(p *Provider) { p.Cluster = c }).Identify(t.Context(), mine); !errors.Is(err, rotate.ErrConfig) || errors.Is(err, rotate.ErrDenied) {
		t.Errorf("with another application's credentials: %v", err)
	}
	k.AddSecret("apps", "signon-app-"+stand.Application, map[string]string{"oauth_id": s.ID, "oauth_secret": "wrong"})
	if _, err := make(func(p *Provider) { p.Cluster = c }).Identify(t.Context(), mine); err == nil || errors.Is(err, rotate.ErrDenied) {
		t.Errorf("with a wrong client secret: %v", err)
	}
	if err := make(func(p *Provider) { p.Cluster = c }).Check(t.Context()); err == nil {
		t.Error("Check with a wrong client secret succeeded")
	}
	s.Run(`ApiUser.find_by!(name: "Short URL Manager").authorisations.first.revoke`)
	if _, err := p.Identify(t.Context(), mine); !errors.Is(err, rotate.ErrDenied) {
		t.Errorf("revoked: %v", err)
	}
	// Another environment's Signon, for which nothing of this one's lives.
	elsewhere := stand.New(t)
	s.Run(`Doorkeeper::AccessToken.update_all(revoked_at: nil)`)
	elsewhere.Run(`Doorkeeper::Application.find_by!(name: "Publishing API").update!(uid: "` + s.ID + `", secret: "` + s.Key + `")`)
	if _, err := make(func(p *Provider) { p.URL = elsewhere.URL }).Identify(t.Context(), mine); !errors.Is(err, rotate.ErrConflict) || errors.Is(err, rotate.ErrDenied) {
		t.Errorf("at another environment's address: %v", err)
	}
}

func TestNewbornIsUsed(t *testing.T) {
	s, make := bed(t)
	p := make(nil)
	c, err := p.Mint(t.Context(), "ours 20260101T000000Z-aaaaaaaabbbbbb")
	if err != nil {
		t.Fatal(err)
	}
	s.Run(`Permission.delete_all`)
	if _, err := p.Identify(t.Context(), c.Secret); err == nil || errors.Is(err, rotate.ErrDenied) || !strings.Contains(err.Error(), "was used as publishing-api would use it") {
		t.Errorf("without the permission to sign in: %v", err)
	}
	s.Run(`u = ApiUser.find_by!(name: "Short URL Manager"); u.grant_application_signin_permission(Doorkeeper::Application.find_by!(name: "Publishing API"))`)
	if _, err := p.Identify(t.Context(), c.Secret); err != nil {
		t.Error(err)
	}
}

// TestRestoredDatabase: the number means another token than was listed.
func TestRestoredDatabase(t *testing.T) {
	s, make := bed(t)
	p := make(nil)
	all, err := p.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Run(`Doorkeeper::AccessToken.find(` + all[0].ID + `).update!(token: "x" * 43)`)
	if err := p.Revoke(t.Context(), all[0]); !errors.Is(err, rotate.ErrConflict) {
		t.Errorf("got %v", err)
	}
	if n := s.Run(`puts "RESULT #{Doorkeeper::AccessToken.not_revoked.count}"`); n != "2" {
		t.Errorf("%s tokens live, want 2", n)
	}
	if err := p.Revoke(t.Context(), rotate.Token{ID: s.Run(`puts "RESULT #{ApiUser.find_by!(name: "Other").authorisations.first.id}"`)}); err != nil {
		t.Error(err) // it is not this pair's, so it is not there
	}
	if n := s.Run(`puts "RESULT #{Doorkeeper::AccessToken.not_revoked.count}"`); n != "2" {
		t.Errorf("another API user's token was revoked")
	}
}

func TestRevocationNamesItsInitiator(t *testing.T) {
	s, make := bed(t)
	p := make(func(p *Provider) { p.Initiator = "person@alphagov.co.uk" })
	all, err := p.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Revoke(t.Context(), all[0]); err != nil {
		t.Fatal(err)
	}
	if got := s.Run(`e = EventLog.last; puts "RESULT #{EventLog.count} #{e.event_id} #{User.find(e.initiator_id).email}"`); got != "1 30 person@alphagov.co.uk" {
		t.Errorf("the event log has %s", got)
	}
}
