// Package lab is the laboratory behind `remint rehearse`: emulated services, in this process, that fit a
// configuration of the user's. Its rules:
//
//   - No network, no account: every adapter is given a wire that ends in an emulation, and one that has none
//     makes [Lab.Prepare] fail before anything runs.
//   - No credential of the user's is read. All are made up, also those that the environment has.
//   - Nothing of the user's machine is touched: files are written in a temporary directory, programs are not run.
//   - The adapters, the engine and the configuration are the real ones; only what they talk to is not, and
//     intervals are short.
//   - What consumers hold is looked up in the emulated services, never asked of the adapters under rehearsal.
package lab

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/remint-dev/remint/internal/emulate/aws"
	"github.com/remint-dev/remint/internal/emulate/connect"
	flyio "github.com/remint-dev/remint/internal/emulate/fly"
	forge "github.com/remint-dev/remint/internal/emulate/forgejo"
	hub "github.com/remint-dev/remint/internal/emulate/github"
	hashicorp "github.com/remint-dev/remint/internal/emulate/vault"
	"github.com/remint-dev/remint/pkg/cluster"
	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

// interval replaces the waits between two looks at something.
const interval = time.Millisecond

// patience replaces the time that something is waited for in all: an emulation that has not answered by then
// never will.
const patience = 2 * time.Second * slowness

// Lab is a set of emulated services that fits one configuration. Use it in this order: [New], [Lab.Options] for
// [config.Load], [Lab.Prepare], perhaps [Lab.Fail], then the rotations, and [Lab.Close]. It is safe for
// concurrent use once it is prepared.
type Lab struct {
	began  time.Time // births of the seeded tokens are reckoned from one instant, so that no two are equal
	getenv func(string) string

	rotations []*rotation
	workflows map[workflowAt]*workflow
	fly       map[string]*flyio.Server // by host
	github    map[string]*hub.Server   // by address of the API
	forgejo   map[string]*forge.Server // by address
	aws       map[region]*aws.Server
	secrets   map[secretAt]string // ARN
	clusters  map[*cluster.Cluster]*kubernetes
	connect   map[string]*connect.Server // by address
	vaults    map[vaultAt]*hashicorp.Server
	argo      map[string]*argoCD // by address
	// clustersByName has each cluster once.
	clustersByName map[string]*kubernetes
	dir            string            // of the files that sinks write; "": none yet
	files          map[string]string // by the user's path
	seeded         map[string]bool   // by id: tokens that were there before the rehearsal
	prepared       bool

	mu       sync.Mutex
	invented map[string]rotate.Secret // by adapter and key
	requests []string
	unproven bool // newborns are refused, see Fail
}

// rotation is a rotation and the emulated services around it.
type rotation struct {
	*config.Rotation
	mint  mint
	sinks []*sink // as Rotation.Sinks
	// verify is Rotation.Verify, as far as a failure can be planted there.
	verify []*verifier
	past   rotate.Credential // what the sinks hold before the rehearsal
	// consumers are what runs with the credential in clusters.
	consumers []consumer
}

// mint is an emulated provider, as one rotation sees it.
type mint interface {
	// past makes a token with this name, born then.
	past(name string, born time.Time) rotate.Credential
	// whose tells which token a text is the secret of, and whether it works; false: of none.
	whose(text string) (t rotate.Token, live, ok bool)
	// tokens are the live ones.
	tokens() []rotate.Token
	// fail plants a failure of mint, mint-lost or revoke.
	fail(step string)
}

// sink is an emulated place that consumers read a credential from.
type sink struct {
	// look reads what it holds now; "": nothing.
	look func() string
	// carried reads what a run of a workflow was handed of it. False: the run reads it elsewhere. Nil: always.
	carried func(run) (string, bool)
	// hold makes the sink hold the credential, known to remint as verified, or as a person would have put it there.
	hold func(c rotate.Credential, byHand bool) error
	// beside reads the former value that it keeps, and its note; nil: it keeps none.
	beside func() (former, note string)
	// refuse makes every further write fail.
	refuse func()
	// stored says in which Secret of which cluster it is; nil: in none.
	stored *stored
	// remote says where External Secrets find it; nil: by itself.
	remote *remote
}

// value is what a run works with.
func (s *sink) value(x run) string {
	if s.carried != nil {
		if text, ok := s.carried(x); ok {
			return text
		}
	}
	return s.look()
}

// New returns a lab for a user with this environment; nil is an empty one.
func New(getenv func(string) string) *Lab {
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	return &Lab{
		began:     time.Now(),
		getenv:    getenv,
		workflows: map[workflowAt]*workflow{},
		fly:       map[string]*flyio.Server{},
		github:    map[string]*hub.Server{},
		forgejo:   map[string]*forge.Server{},
		aws:       map[region]*aws.Server{},
		secrets:   map[secretAt]string{},
		clusters:  map[*cluster.Cluster]*kubernetes{},
		connect:   map[string]*connect.Server{},
		vaults:    map[vaultAt]*hashicorp.Server{},

		argo:           map[string]*argoCD{},
		clustersByName: map[string]*kubernetes{},
		files:          map[string]string{},
		seeded:         map[string]bool{},
		invented:       map[string]rotate.Secret{},
	}
}

// Prepare makes the services that the configuration names, and fits the configuration to them. Afterwards
// every sink holds a token that is due: one that this rotation minted in the past, or, if it adopts tokens
// that were made by hand, such a one. An error wraps [rotate.ErrConfig] and names everything that no
// emulation covers.
func (l *Lab) Prepare(c *config.Config) error {
	if l.prepared {
		return errors.New("a lab is prepared once")
	}
	l.situate(c)
	var errs []error
	for _, r := range c.Rotations {
		x, err := l.fit(r)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		l.rotations = append(l.rotations, x)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	l.addWorkflows()
	for i, r := range l.rotations {
		if err := l.seed(r, i); err != nil {
			return fmt.Errorf("rehearse cannot prepare %s: %w", r.Name, err)
		}
	}
	l.people()
	l.prepared = true
	return nil
}

// Holding is what one sink holds.
type Holding struct {
	Rotation string // name
	Sink     string // or the pods of a workload
	Token    string // name of the token; "": nothing that any provider knows
	Works    bool   // the provider accepts it
}

// Holdings returns what every sink really holds now, in the order of the configuration, and after the sinks of a
// rotation what the pods of clusters run with.
func (l *Lab) Holdings() []Holding {
	var out []Holding
	for _, r := range l.rotations {
		for i, s := range r.sinks {
			h := Holding{Rotation: r.Name, Sink: r.Sinks[i].String()}
			if t, live, ok := r.mint.whose(s.look()); ok {
				h.Token, h.Works = t.Name, live
			}
			out = append(out, h)
		}
		out = append(out, r.pods()...)
	}
	return out
}

// Tokens returns the tokens that live at the emulated providers, oldest first.
func (l *Lab) Tokens() []rotate.Token {
	var out []rotate.Token
	known := map[string]bool{}
	for _, r := range l.rotations {
		for _, t := range r.mint.tokens() {
			if !known[t.ID] {
				known[t.ID] = true
				out = append(out, t)
			}
		}
	}
	byBirth(out)
	return out
}

// Knows reports whether a text is the secret of a token that any emulated provider made, living or dead.
func (l *Lab) Knows(text string) bool {
	return slices.ContainsFunc(l.rotations, func(r *rotation) bool { _, _, ok := r.mint.whose(text); return ok })
}

// Close removes what the lab wrote.
func (l *Lab) Close() error {
	if l.dir == "" {
		return nil
	}
	dir := l.dir
	l.dir = ""
	return os.RemoveAll(dir)
}

// newborn reports whether a text is the secret of a token that was minted in the rehearsal.
func (l *Lab) newborn(m mint, text string) bool {
	t, _, ok := m.whose(text)
	return ok && !l.seeded[t.ID]
}
