package dispatch

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// place is where the workflow is, and who asks.
type place struct {
	owner, name, file string
	token             rotate.Secret
}

// host is what GitHub and the Forgejo family have in common. Errors wrap the sentinels of package rotate.
type host interface {
	// names reports whether the host is expected to name the run that it starts.
	names() bool
	// start dispatches, once. A run with id 0 was started and not named. With an error, sent reports whether a
	// run may have been started all the same. errNoDetails: it was not, because the host does not know how to
	// name the run; without details it may be asked again.
	start(ctx context.Context, ref string, inputs map[string]string, details bool) (r run, sent bool, err error)
	// run looks at one run.
	run(ctx context.Context, id int64) (run, error)
	// dispatched lists the newest runs of the workflow that were started by a dispatch.
	dispatched(ctx context.Context) ([]run, error)
	// carrying lists all runs of the repository that may carry what a secret held before since, by our clock.
	carrying(ctx context.Context, since time.Time) ([]run, error)
	// carries reports whether a run of that list still does.
	carries(run) bool
	// defaultBranch asks for the repository's default branch.
	defaultBranch(ctx context.Context) (string, error)
	// check reports everything that stands in the way of a dispatch on ref; "" is the default branch, which it
	// returns if it came to know it.
	check(ctx context.Context, ref string) (branch string, err error)
	// skew is how far the host's clock is ahead of ours.
	skew() time.Duration
}

// errNoDetails: the host refused the request because it does not know how to name the run.
var errNoDetails = errors.New("the server does not name the runs it starts")

// run is a workflow run of any host.
type run struct {
	id      int64
	url     string // for people
	text    string // where a correlation id shows
	file    string // of its workflow, without folder
	branch  string
	event   string
	created time.Time // zero: not known
	started time.Time // zero: not known
	attempt int       // 0: not known
	state   state
	result  string // once done, in the host's words
}

// state of a run.
type state int

const (
	waiting state = iota // for a runner, or for another run
	held                 // for a person
	running
	done
)

func (s state) String() string {
	switch s {
	case held:
		return "waiting for approval"
	case running:
		return "running"
	case done:
		return "done"
	}
	return "queued"
}

// baseName returns the file name of a workflow path such as ".github/workflows/deploy.yml@refs/heads/main".
func baseName(p string) string {
	p, _, _ = strings.Cut(p, "@")
	if p == "" {
		return ""
	}
	return path.Base(p)
}

// neverSent reports whether a request that failed without an answer cannot have reached the service:
// it was refused by our own transport, or no connection came about.
func neverSent(err error) bool {
	var dial *net.OpError
	return errors.Is(err, rotate.ErrConfig) || errors.As(err, &dial) && dial.Op == "dial"
}

// refused reports whether the status of a dispatch says that nothing was started.
func refused(resp *http.Response) bool {
	return resp.StatusCode >= 400 && resp.StatusCode < 500 && resp.StatusCode != http.StatusRequestTimeout
}

// skewOf returns the clock difference that a transport saw, or 0.
func skewOf(t *httpx.Transport) time.Duration {
	d, _ := t.Skew()
	return d
}
