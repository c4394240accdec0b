package fastly

import (
	"errors"
	"strings"
	"testing"

	"github.com/remint-dev/remint/pkg/rotate"
)

func TestValidate(t *testing.T) {
	good := func() *Provider {
		return &Provider{Role: "user", Scope: []string{"global:read"}, Services: Services{All: true}, Expiry: "90d", Token: rotate.NewSecret("secret-of-the-provider")}
	}
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	secret := rotate.NewSecret("a secret with spaces")
	for name, x := range map[string]struct {
		change func(*Provider)
		field  string
	}{
		"type":    {func(p *Provider) { p.Type = "robot" }, "type"},
		"no role": {func(p *Provider) { p.Role = "" }, "role"},
		"token rule: a role that no automation token has": {func(p *Provider) { p.Role = "superuser" }, "role"},
		"role of a user token":                            {func(p *Provider) { p.Type = "user" }, "role"},
		"TLS of a user token":                             {func(p *Provider) { p.Type, p.Role, p.TLSAccess = "user", "", true }, "tls-access"},
		"token rule: no scope is refused":                 {func(p *Provider) { p.Scope = nil }, "scope"},
		"blank scope":                                     {func(p *Provider) { p.Scope = []string{" "} }, "scope"},
		"token rule: an unknown scope is refused":         {func(p *Provider) { p.Scope = []string{"global:write"} }, "scope"},
		"token rule: no services are never all":           {func(p *Provider) { p.Services = Services{} }, "services"},
		"token rule: an empty text is not in every name":  {func(p *Provider) { p.Services = Services{Contains: []string{" "}} }, "services.contains"},
		"empty name":                       {func(p *Provider) { p.Services = Services{Name: []string{""}} }, "services.name"},
		"no ID":                            {func(p *Provider) { p.Services = Services{ID: []string{"../x"}} }, "services.id"},
		"all and some":                     {func(p *Provider) { p.Services.Contains = []string{"x"} }, "services.all"},
		"token rule: no expiry is refused": {func(p *Provider) { p.Expiry = "" }, "expiry"},
		"step 8: a past expiry is refused": {func(p *Provider) { p.Expiry = "-1d" }, "expiry"},
		"a date":                           {func(p *Provider) { p.Expiry = "2027-01-01" }, "expiry"},
		"customer":                         {func(p *Provider) { p.Customer = "a/b" }, "customer"},
		"no token":                         {func(p *Provider) { p.Token = rotate.Secret{} }, "token"},
		"two tokens":                       {func(p *Provider) { p.Token = secret }, "token"},
		"user without password":            {func(p *Provider) { p.Username = secret }, "password"},
		"code without password":            {func(p *Provider) { p.TOTP = rotate.NewSecret("JBSWY3DPEHPK3PXP") }, "password"},
		"password without user":            {func(p *Provider) { p.Type, p.Role, p.Password = "user", "", secret }, "username"},
		"code with space":                  {func(p *Provider) { p.Password, p.OTP = secret, secret }, "otp"},
		"no base32":                        {func(p *Provider) { p.Password, p.TOTP = secret, rotate.NewSecret("0189") }, "totp"},
		"both kinds of code": {func(p *Provider) {
			p.Password, p.OTP, p.TOTP = secret, rotate.NewSecret("123456"), rotate.NewSecret("JBSWY3DPEHPK3PXP")
		}, "otp"},
		"plain http":              {func(p *Provider) { p.URL = "http://api.fastly.com" }, "url"},
		"a URL with a credential": {func(p *Provider) { p.URL = "https://u:secret-of-the-url@api.fastly.com" }, "url"},
	} {
		t.Run(name, func(t *testing.T) {
			p := good()
			x.change(p)
			err := p.Validate()
			if !errors.Is(err, rotate.ErrConfig) {
				t.Fatalf("%v", err)
			}
			if want := "field " + x.field + ": "; !strings.Contains(err.Error(), want) {
				t.Errorf("%v names another field than %s", err, x.field)
			}
			for _, s := range []string{"secret-of", "a secret with"} {
				if strings.Contains(err.Error(), s) {
					t.Errorf("shows a credential: %v", err)
				}
			}
			if _, err := p.List(t.Context()); !errors.Is(err, rotate.ErrConfig) {
				t.Errorf("List: %v", err)
			}
		})
	}
	err := (&Provider{}).Validate()
	for _, f := range []string{"role", "scope", "services", "expiry", "token"} {
		if !strings.Contains(err.Error(), "field "+f+": ") {
			t.Errorf("%s is not reported with the others: %v", f, err)
		}
	}
}

// One-time codes are those of RFC 6238, appendix B, cut to six digits.
func TestCode(t *testing.T) {
	key := []byte("12345678901234567890")
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1234567890: "005924", 20000000000: "353130"} {
		if got := code(key, unix(at)); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
}

func TestString(t *testing.T) {
	for want, p := range map[string]*Provider{
		"fastly:automation/production": {Services: Services{Contains: []string{"production"}}},
		"fastly:user/all":              {Type: "user", Services: Services{All: true}},
	} {
		if p.String() != want {
			t.Errorf("%s, want %s", p, want)
		}
	}
	e := (&Provider{}).Endpoints()
	if len(e) != 1 || e[0].Origin != "https://api.fastly.com" || strings.Join(e[0].Methods, " ") != "DELETE GET POST" {
		t.Errorf("%v", e)
	}
}
