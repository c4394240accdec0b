package cli

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/remint-dev/remint/internal/action"
	"github.com/remint-dev/remint/internal/redact"
	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

func TestChoose(t *testing.T) {
	names := []string{"web deploy", "api deploy", "docs [old]"}
	for _, c := range []struct{ only, want, err string }{
		{"", "web deploy,api deploy,docs [old]", ""},
		{"*", "web deploy,api deploy,docs [old]", ""},
		{"web *", "web deploy", ""},
		{"api deploy, web*", "web deploy,api deploy", ""},
		{"docs [old]", "docs [old]", ""},
		{"wep*", "", `--only "wep*" matches no rotation; there are: web deploy, api deploy, docs [old]`},
		{"web*,", "", `--only "" matches no rotation`},
		{"[", "", `--only "[" matches no rotation`},
	} {
		cfg := &config.Config{}
		for _, n := range names {
			cfg.Rotations = append(cfg.Rotations, &config.Rotation{Rotation: &rotate.Rotation{Name: n}})
		}
		err := (&command{only: c.only}).choose(cfg)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: error %v, want %s", c.only, err, c.err)
			}
			continue
		}
		var got []string
		for _, r := range cfg.Rotations {
			got = append(got, r.Name)
		}
		if err != nil || strings.Join(got, ",") != c.want {
			t.Errorf("%q: %q, %v", c.only, got, err)
		}
	}
}

func TestInstant(t *testing.T) {
	started := time.Date(2026, 11, 22, 6, 0, 0, 700_000_000, time.UTC)
	c := &command{started: started}
	for _, x := range []struct {
		text string
		want time.Time
		err  string
	}{
		{"now", started.Truncate(time.Second), ""},
		{"2026-11-21T06:00:00Z", started.Truncate(time.Second).AddDate(0, 0, -1), ""},
		{"2026-11-22T06:00:00+01:00", started.Truncate(time.Second).Add(-time.Hour), ""},
		{"2026-11-22T06:00:01Z", time.Time{}, "in the future"},
		{"2026-11-22", time.Time{}, "is no time: write it like"},
		{"yesterday", time.Time{}, "is no time"},
	} {
		at, err := c.instant(x.text)
		switch {
		case x.err != "":
			if err == nil || !strings.Contains(err.Error(), x.err) {
				t.Errorf("%q: error %v, want %s", x.text, err, x.err)
			}
		case err != nil || !at.Equal(x.want):
			t.Errorf("%q: %s, %v", x.text, at, err)
		}
	}
}

func TestLimit(t *testing.T) {
	for _, n := range []int{0, 1, 3} {
		var now, most atomic.Int32
		var mu sync.Mutex
		var order []int
		limit(n, []int{1, 2, 3, 4, 5, 6, 7}, func(i int) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Millisecond)
			mu.Lock()
			order = append(order, i)
			mu.Unlock()
			now.Add(-1)
		})
		if len(order) != 7 || int(most.Load()) > max(n, 1) {
			t.Errorf("%d at a time: %v, %d at most", n, order, most.Load())
		}
		if n <= 1 && !slices.IsSorted(order) {
			t.Errorf("not in order: %v", order)
		}
	}
}

// full is a disk that is full, or a pipe that nobody reads.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// TestCutOff: somebody who believes to have read a result that was cut off must not believe in success too.
func TestCutOff(t *testing.T) {
	var other bytes.Buffer
	code := Main(context.Background(), Process{Args: []string{"version"}, Getenv: func(string) string { return "" }, Stdout: full{}, Stderr: &other})
	if code != Failed {
		t.Errorf("exit code %d although nothing could be printed", code)
	}
}

// TestStream: what is printed passes the redactor, masks do not, and each begins a line.
func TestStream(t *testing.T) {
	const secret = "fm2_a_secret_that_is_long_enough"
	var set redact.Set
	var log bytes.Buffer
	s := newStream(&set, &log)
	r := action.Runner{Getenv: func(name string) string {
		return map[string]string{"GITHUB_ACTIONS": "true"}[name]
	}, Out: s, Masks: masks{s}}
	c := &command{runner: &r, secrets: &set, out: s}
	for _, text := range []string{"a line\n", "no line end"} {
		if _, err := s.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	c.hide(rotate.NewSecret(secret))
	r.Line("it is " + secret)
	// The line break after the secret belongs to this one, and is hidden with it: the next mask needs another.
	c.hide(rotate.NewSecret(secret + "\nof two lines, both of which are long enough"))
	r.Line("it is " + secret)
	c.hide(rotate.NewSecret("another secret, also long enough"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "\n::add-mask::"+secret+"\n") {
		t.Error("the secret itself is not masked")
	}
	for line := range strings.Lines(log.String()) {
		if (strings.Contains(line, secret) || strings.Contains(line, "another secret")) && !strings.HasPrefix(line, "::add-mask::") {
			t.Errorf("shown: %q", line)
		}
	}
	if want := "a line\nno line end\n::add-mask::"; !strings.HasPrefix(log.String(), want) {
		t.Errorf("begins with %.60q, want %q", log.String(), want)
	}
	if n := strings.Count(log.String(), "\nit is [secret]\n"); n != 2 {
		t.Errorf("%d lines of two", n)
	}
}

func TestVersion(t *testing.T) {
	if v := Version(); !strings.Contains(v, "go1.") {
		t.Errorf("%q does not say what it was built with", v)
	}
}
