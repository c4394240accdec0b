package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/sinks/file"
)

// This file makes processes: runs of one rotation, one after the other or one within the other, over the same
// emulated services. Its rules:
//
//   - Nothing that one process remembers is known to another: each has adapters of its own, with the same
//     configuration. What adapters of one process share, they share.
//   - Everything that leaves a process passes its gate, where it is counted, and where one fault is met.
//   - A process that was killed sends nothing any more, also not to clean up.

// Fault is what goes wrong at one request.
type Fault string

// Faults.
const (
	Refused   Fault = "403"                 // the service forbids this request
	Busy      Fault = "429"                 // the service wants this request later
	Away      Fault = "503"                 // the request fails before it has an effect
	Lost      Fault = "answer lost"         // it has its effect, and the connection breaks before the answer
	Unstarted Fault = "killed before it"    // the process ends before the first request
	Killed    Fault = "killed"              // the process ends after the request has had its effect and before the next one
	Rival     Fault = "second run"          // another run begins here, and ends before the request is sent
	Refuted   Fault = "refuses the newborn" // the verifier does, although the newborn works
)

// Faults returns those that are met at requests, in the order of a table.
func Faults() []Fault { return []Fault{Refused, Busy, Away, Lost, Killed, Rival} }

// boundary is a request, or the work of an adapter that sends none.
type boundary struct {
	step string // what the engine does there
	what string // as Lab.Requests shows it
}

func (b boundary) String() string {
	if b.what == "" {
		return b.step
	}
	return b.step + " (" + b.what + ")"
}

// gate is where everything passes that one process does to the services.
type gate struct {
	fault Fault
	at    int    // which request meets the fault; 0: none
	rival func() // another run
	watch func(boundary)

	mu   sync.Mutex
	log  []boundary
	step string // the engine's; "": between two steps
	hit  bool
	dead bool
	kill context.CancelFunc
}

var (
	errKilled = fmt.Errorf("the process was killed: %w", context.Canceled)
	errLost   = fmt.Errorf("read: %w", syscall.ECONNRESET)
)

// status is an answer that takes the place of the service's.
type status int

func (s status) Error() string { return strconv.Itoa(int(s)) + " " + http.StatusText(int(s)) }

// pass lets one request through, or the fault happen. The adapter is at.
func (g *gate) pass(at, what string, do func() error) error {
	b, hit, err := g.arrive(at, what)
	if err != nil {
		return err
	}
	if hit {
		switch g.fault {
		case Refused:
			return status(http.StatusForbidden)
		case Busy:
			return status(http.StatusTooManyRequests)
		case Away:
			return status(http.StatusServiceUnavailable)
		case Unstarted:
			return g.die()
		case Rival:
			g.rival()
		}
	}
	err = do()
	if g.watch != nil {
		g.watch(b)
	}
	if hit && err == nil {
		switch g.fault {
		case Lost:
			return errLost
		case Killed:
			return g.die()
		}
	}
	return err
}

func (g *gate) arrive(at, what string) (b boundary, hit bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dead {
		return b, false, errKilled
	}
	b = boundary{g.step, what}
	switch {
	case b.step != "":
	case len(g.log) == 0 || strings.HasPrefix(g.log[len(g.log)-1].step, "survey "):
		b.step = "survey " + at
	default:
		b.step = "look " + at
	}
	g.log = append(g.log, b)
	if len(g.log) == g.at {
		g.hit, hit = true, true
	}
	return b, hit, nil
}

// die ends the process.
func (g *gate) die() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dead = true
	g.kill()
	return errKilled
}

// follow learns from the engine what it is doing.
func (g *gate) follow(s rotate.StepResult) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.step = ""
	if s.Result == rotate.Begun {
		g.step = string(s.Do) + " " + s.At
	}
}

// gated is the wire of one adapter of a process.
type gated struct {
	*gate
	at string
	to http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (g *gated) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	var resp *http.Response
	err := g.pass(g.at, describe(r, body), func() (err error) {
		resp, err = g.to.RoundTrip(r)
		return err
	})
	if s := status(0); errors.As(err, &s) {
		return planted(r, int(s)), nil
	}
	if err != nil {
		if resp != nil {
			_ = resp.Body.Close()
		}
		return nil, err
	}
	return resp, nil
}

// planted is an answer that every service could have given. Nobody is made to wait.
func planted(r *http.Request, status int) *http.Response {
	text := `{"message":"planted by the rehearsal"}`
	h := http.Header{"Content-Type": {"application/json"}}
	if status != http.StatusForbidden {
		h.Set("Retry-After", "0")
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)), Request: r,
	}
}

// process returns the rotation with adapters of its own behind the gate.
func process(x *rotation, g *gate) *rotate.Rotation {
	r := x.Rotation
	p := &copier{g, map[any]reflect.Value{}}
	out := new(rotate.Rotation)
	exported(reflect.ValueOf(out).Elem(), reflect.ValueOf(r.Rotation).Elem())
	out.Provider = p.adapter(r.Provider).(rotate.Provider)
	out.Sinks = nil
	for i, s := range r.Sinks {
		s = p.adapter(s).(rotate.Sink)
		// A workflow is handed what the secret holds when it is queued.
		if f := reflect.ValueOf(s).Elem().FieldByName("Current"); f.IsValid() && !f.IsZero() {
			f.Set(reflect.ValueOf(rotate.NewSecret(x.sinks[i].look())))
		}
		out.Sinks = append(out.Sinks, s)
	}
	verifiers := func(list []rotate.Verifier) (all []rotate.Verifier) {
		for _, v := range list {
			all = append(all, p.adapter(v).(rotate.Verifier))
		}
		return all
	}
	out.Prove, out.Verify = verifiers(r.Prove), verifiers(r.Verify)
	return out
}

// copier copies the adapters of a process.
type copier struct {
	gate   *gate
	copies map[any]reflect.Value // by what they are copied from, so that what is shared stays shared
}

func (p *copier) adapter(a any) any {
	at := fmt.Sprint(a)
	switch a := a.(type) {
	case *practice:
		return &practice{File: p.pointer(reflect.ValueOf(a.File), at).Interface().(*file.File), name: a.name, gate: p.gate}
	case *standIn:
		return &standIn{a.name, func(c rotate.Credential) error {
			return p.gate.work(at, func() error { return a.try(c) })
		}}
	}
	return p.pointer(reflect.ValueOf(a), at).Interface()
}

// work is pass for an adapter that sends no requests.
func (g *gate) work(at string, do func() error) error {
	err := g.pass(at, "", do)
	if s := status(0); errors.As(err, &s) {
		kind := map[status]error{http.StatusForbidden: rotate.ErrDenied, http.StatusTooManyRequests: rotate.ErrLimit, http.StatusServiceUnavailable: rotate.ErrTemporary}[s]
		return fmt.Errorf("%w: %w", kind, err)
	}
	if errors.Is(err, errLost) {
		return fmt.Errorf("%w: %w", rotate.ErrTemporary, err)
	}
	return err
}

// pointer copies what a pointer points to, once.
func (p *copier) pointer(from reflect.Value, at string) reflect.Value {
	if to, ok := p.copies[from.Interface()]; ok {
		return to
	}
	to := reflect.New(from.Type().Elem())
	p.copies[from.Interface()] = to
	p.fields(to.Elem(), from.Elem(), at)
	return to
}

const ours = "github.com/remint-dev/remint/pkg/"

// fields copies the exported fields of a struct: its configuration, and nothing that it remembers.
func (p *copier) fields(to, from reflect.Value, at string) {
	for i := range from.NumField() {
		f := from.Type().Field(i)
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			p.fields(to.Field(i), from.Field(i), at)
		case !f.IsExported():
		case f.Type == reflect.TypeFor[http.RoundTripper]() && !from.Field(i).IsNil():
			to.Field(i).Set(reflect.ValueOf(&gated{p.gate, at, from.Field(i).Interface().(http.RoundTripper)}))
		case f.Type.Kind() == reflect.Pointer && !from.Field(i).IsNil() && f.Type.Elem().Kind() == reflect.Struct && strings.HasPrefix(f.Type.Elem().PkgPath(), ours):
			to.Field(i).Set(p.pointer(from.Field(i), at))
		default:
			to.Field(i).Set(from.Field(i))
			if f.Type == reflect.TypeFor[time.Duration]() {
				to.Field(i).SetInt(from.Field(i).Int() * p.slower(f.Name))
			}
		}
	}
}

// slower is by how much waits are longer than in a plain rehearsal. Many processes share the processor: looking less
// often costs less of it, and one that meets no fault must not give up because others are busy.
func (p *copier) slower(field string) int64 {
	switch {
	case field == "Interval":
		return 5
	case (field == "Timeout" || field == "Within" || field == "Patience" || field == "Approval") && p.gate.fault == "":
		return 10
	}
	return 1
}
