package lab

import (
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

// poll is a look at a run that was dispatched.
var poll = regexp.MustCompile(`^GET \S+ \S+/actions/runs/\d+$`)

// The budgets of the flagship: a whole rotation from Fly.io into one Actions secret with a verification deploy.
func TestRequestsOfARotation(t *testing.T) {
	for _, x := range []struct {
		name, config string
		most         int
	}{
		{"token", flagship, 18},
		{"app", strings.Replace(flagship, "github: FLY_DEPLOY_TOKEN", "github: {name: FLY_DEPLOY_TOKEN, app: {}}", 1), 21},
	} {
		t.Run(x.name, func(t *testing.T) {
			l, c := begin(t, x.config, nil)
			if _, err := runAll(t, c, rotate.Options{}); err != nil {
				t.Fatal(err)
			}
			var counted []string
			for _, q := range l.Requests() {
				if !poll.MatchString(q) {
					counted = append(counted, q)
				}
			}
			t.Logf("%d requests and %d polls:%s", len(counted), len(l.Requests())-len(counted), lines(counted))
			if len(counted) > x.most {
				t.Errorf("%d requests, at most %d", len(counted), x.most)
			}
			if len(counted) == len(l.Requests()) {
				t.Error("nothing was polled")
			}
		})
	}
}

// A tick with nothing to do: one request to the provider, one to each sink, and no write.
func TestRequestsOfAnIdleTick(t *testing.T) {
	l, c := begin(t, `rotations:
  - name: web deploy
    provider: {fly: {app: web, expiry: 90d}}
    sinks: [{github: FLY_DEPLOY_TOKEN}, {aws-secrets-manager: {secret: web/fly, key: token}}]
    verify: [{dispatch: deploy.yml}]
`, nil)
	c.Rotations[0].Every += 5 * 24 * time.Hour // so that what the sinks hold is not due
	res, err := runAll(t, c, rotate.Options{})
	if err != nil || res.Outcome != rotate.Idle {
		t.Fatalf("%s: %v", res.Outcome, err)
	}
	t.Log(lines(l.Requests()))
	want := []string{
		"POST api.fly.io /graphql appTokens",
		"GET api.github.com /repos/example/app/actions/variables/FLY_DEPLOY_TOKEN_REMINT",
		"POST secretsmanager.eu-west-1.amazonaws.com / DescribeSecret",
	}
	if got := l.Requests(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\nwant%s", lines(got), lines(want))
	}
	for _, q := range l.Requests() {
		if changes(q) {
			t.Errorf("it changed something: %s", q)
		}
	}
}

// Sixty rotations of one organisation list its tokens once.
func TestRequestsOfSixtyIdleRotations(t *testing.T) {
	l, c := begin(t, strings.ReplaceAll(many(), `fly: {app: "${app}"`, `fly: {org: acme`), nil)
	for _, r := range c.Rotations {
		r.Every += 2 * 24 * time.Hour
	}
	if _, err := runAll(t, c, rotate.Options{}); err != nil {
		t.Fatal(err)
	}
	if n := len(l.Requests()); n != 61 {
		t.Errorf("%d requests, want 61", n)
	}
}

// Rotations that run side by side do not disturb each other.
func TestParallel(t *testing.T) {
	l, c := begin(t, many(), nil)
	var wg sync.WaitGroup
	for _, part := range [][]*config.Rotation{c.Rotations[:6], c.Rotations[6:12]} {
		wg.Go(func() {
			for _, r := range part {
				if _, err := r.Run(t.Context(), rotate.Options{}); err != nil {
					t.Error(err)
				}
				l.Holdings()
				l.Tokens()
			}
		})
	}
	wg.Wait()
	works(t, l)
}

func BenchmarkRehearsal(b *testing.B) {
	for b.Loop() {
		l := New(nil)
		c, err := config.Load([]byte(blumeops), l.Options(config.Options{}))
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Prepare(c); err != nil {
			b.Fatal(err)
		}
		if _, err := runAll(b, c, rotate.Options{}); err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
