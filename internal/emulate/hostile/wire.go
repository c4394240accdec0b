package hostile

import (
	"bytes"
	"io"
	"net/http"
	"sync"
)

// Wire stands between an adapter and a service, and gives the hostile answer to one request or to all. It is safe for
// concurrent use.
type Wire struct {
	Next   http.RoundTripper
	Answer Answer
	Nth    int // request that gets it, from 1; 0: all

	mu   sync.Mutex
	seen int
	gave int
	read bool     // one of them was to a read
	away []string // hosts that were asked beside the first
	host string
}

// RoundTrip implements [http.RoundTripper].
func (w *Wire) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
	}
	q := r.Clone(r.Context())
	q.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(sent)), nil }
	if r.Body != nil {
		q.Body, _ = q.GetBody()
	}
	w.mu.Lock()
	w.seen++
	at := r.URL.Scheme + "://" + r.URL.Host
	if w.host == "" {
		w.host = at
	}
	if at != w.host {
		w.away = append(w.away, r.Method+" "+at)
	}
	hit := w.Answer.answer != nil && (w.Nth == 0 || w.Nth == w.seen)
	w.mu.Unlock()
	if !hit {
		return w.Next.RoundTrip(q)
	}
	var good *http.Response
	var body []byte
	if !w.Answer.Lost {
		var err error
		if good, err = w.Next.RoundTrip(q); err != nil {
			return nil, err
		}
		if body, err = io.ReadAll(good.Body); err != nil {
			return nil, err
		}
		_ = good.Body.Close()
		good.Body = io.NopCloser(bytes.NewReader(body))
	}
	if resp := w.Answer.answer(q, good, body); resp != nil {
		w.mu.Lock()
		w.gave++
		w.read = w.read || r.Method == http.MethodGet || r.Method == http.MethodHead
		w.mu.Unlock()
		return resp, nil
	}
	if good == nil {
		return w.Next.RoundTrip(q)
	}
	return good, nil
}

// Seen returns how many requests there were, and how many of them got the hostile answer.
func (w *Wire) Seen() (requests, hostile int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen, w.gave
}

// changes reports whether only changes got the hostile answer.
func (w *Wire) changes() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.read
}

// Away returns the requests to another host than the first request's. For an adapter with one host it is to be empty.
func (w *Wire) Away() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.away...)
}
