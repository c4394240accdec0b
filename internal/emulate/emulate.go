// Package emulate holds what the emulated services in its subfolders share: faults that a test or a
// rehearsal plants, and a wire that carries requests to handlers without a socket. It serves
// `remint rehearse` and the tests only.
package emulate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Fault is something that goes wrong with one request.
type Fault struct {
	Status int           // answer with this status; 0: the answer is lost (the connection breaks)
	Header http.Header   // added to the answer, such as Retry-After
	Body   string        // of the answer
	After  bool          // the service does its work first, and only then fails
	Delay  time.Duration // waited before anything else; with Status 0 and Delay > 0 only the delay happens
	Times  int           // how many requests it hits; 0: one, negative: all
}

// Faults are planted by operation and met in the order in which they were planted. The zero value has
// none; it is safe for concurrent use.
type Faults struct {
	mu sync.Mutex
	by map[string][]Fault
}

// Plant makes the next requests of the operation meet fault. The names of operations are the service's.
func (f *Faults) Plant(operation string, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by == nil {
		f.by = map[string][]Fault{}
	}
	if fault.Times == 0 {
		fault.Times = 1
	}
	f.by[operation] = append(f.by[operation], fault)
}

// Clear removes every fault that is left.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.by = nil
}

func (f *Faults) take(operation string) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.by[operation]
	if len(q) == 0 {
		return Fault{}, false
	}
	fault := q[0]
	if fault.Times > 0 {
		if q[0].Times--; q[0].Times == 0 {
			f.by[operation] = q[1:]
		}
	}
	return fault, true
}

// Serve answers one request of the operation with next, or with the fault that was planted for it.
func (f *Faults) Serve(operation string, w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	fault, ok := f.take(operation)
	if !ok {
		next(w, r)
		return
	}
	if fault.Delay > 0 {
		timer := time.NewTimer(fault.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
		if fault.Status == 0 {
			next(w, r)
			return
		}
	}
	if fault.After {
		next(&answer{header: http.Header{}}, r)
	}
	if fault.Status == 0 {
		panic(http.ErrAbortHandler)
	}
	for k, v := range fault.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(fault.Status)
	_, _ = io.WriteString(w, fault.Body)
}

// Wire is an [http.RoundTripper] that carries requests to handlers in this process, without a socket.
type Wire struct {
	// Route returns the handler for a host and port as in the URL; nil: the host is not reachable.
	Route func(host string) http.Handler
	// Before, if not nil, sees every request before it is carried out; its error breaks the connection.
	Before func(*http.Request) error
}

// errUnreachable reads like what the network says of a host that does not answer.
var errUnreachable = errors.New("no such host among the emulated services")

// RoundTrip implements [http.RoundTripper].
func (w *Wire) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	var body []byte
	if r.Body != nil {
		body, err = io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	if w.Before != nil {
		if err := w.Before(r); err != nil {
			return nil, err
		}
	}
	h := w.Route(r.URL.Host)
	if h == nil {
		return nil, fmt.Errorf("dial %s: %w", r.URL.Host, errUnreachable)
	}
	q := r.Clone(r.Context())
	q.Body = io.NopCloser(bytes.NewReader(body))
	q.ContentLength = int64(len(body))
	q.RequestURI = r.URL.RequestURI()
	q.RemoteAddr = "127.0.0.1:0"
	if q.Host == "" {
		q.Host = r.URL.Host
	}
	a := &answer{header: http.Header{}}
	func() {
		defer func() {
			if p := recover(); p != nil {
				if p != http.ErrAbortHandler {
					panic(p)
				}
				err = io.ErrUnexpectedEOF
			}
		}()
		h.ServeHTTP(a, q)
	}()
	if err != nil {
		return nil, err
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if a.header.Get("Date") == "" {
		a.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)),
		StatusCode:    a.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        a.header,
		Body:          io.NopCloser(bytes.NewReader(a.body.Bytes())),
		ContentLength: int64(a.body.Len()),
		Request:       r,
	}, nil
}

// answer is an [http.ResponseWriter] in memory.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}
