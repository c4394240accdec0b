package httpx

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

// wire answers with a function, without a network.
type wire func(*http.Request) (*http.Response, error)

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) { return w(r) }

func answer(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func TestBase(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"https://api.example.com", "https://api.example.com/"},
		{"https://ghe.example/api/v3", "https://ghe.example/api/v3/"},
		{"http://127.0.0.1:3310", "http://127.0.0.1:3310/"},
		{"http://localhost:1", "http://localhost:1/"},
		{"http://[::1]:1/x/", "http://[::1]:1/x/"},
		{"http://10.0.0.1", ""},
		{"http://localhost.example", ""},
		{"http://127.0.0.1.example", ""},
		{"ftp://example.com", ""},
		{"https://user:hunter2@example.com", ""},
		{"https://example.com?token=hunter2", ""},
		{"example.com", ""},
		{"", ""},
		{"https://exa mple:hunter2", ""},
	} {
		u, err := Base(tt.in)
		if tt.want == "" {
			if !errors.Is(err, rotate.ErrConfig) {
				t.Errorf("Base(%q) = %v, %v; want ErrConfig", tt.in, u, err)
			} else if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Base(%q) repeats the credential: %v", tt.in, err)
			}
			continue
		}
		if err != nil || u.String() != tt.want {
			t.Errorf("Base(%q) = %v, %v; want %s", tt.in, u, err, tt.want)
		}
	}
}

// TestCredentialStays shows that no other host and no redirect gets a credential.
func TestCredentialStays(t *testing.T) {
	var leaked atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Fastly-Key") != "" {
			leaked.Add(1)
		}
	}))
	defer other.Close()
	mine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/?q=secret-query", http.StatusTemporaryRedirect)
	}))
	defer mine.Close()
	tr, err := New(mine.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr.Authorize = func(r *http.Request) error { r.Header.Set("Fastly-Key", "hunter2"); return nil }
	for _, client := range []*http.Client{tr.Client(), {Transport: tr}} {
		for _, to := range []string{mine.URL, other.URL} {
			resp, err := client.Post(to, "text/plain", strings.NewReader("body"))
			if err == nil {
				_ = resp.Body.Close()
				t.Errorf("POST %s succeeded", to)
				continue
			}
			if strings.Contains(err.Error(), "secret-query") {
				t.Errorf("the error repeats the redirect's query: %v", err)
			}
		}
	}
	if leaked.Load() > 0 {
		t.Errorf("%d requests carried the credential to another host", leaked.Load())
	}
}

func TestRetry(t *testing.T) {
	lost := errors.New("connection reset")
	tests := []struct {
		name   string
		method string
		ctx    func(context.Context) context.Context
		answer func(n int) (*http.Response, error)
		sent   int
		waited time.Duration // at least
		status int           // of the answer; 0: an error
	}{
		{"a read heals", "GET", nil, func(n int) (*http.Response, error) {
			if n < 3 {
				return answer(503, ""), nil
			}
			return answer(200, ""), nil
		}, 3, 1500 * time.Millisecond, 200},
		{"a read gives up", "GET", nil, func(int) (*http.Response, error) { return answer(500, ""), nil }, 4, 3500 * time.Millisecond, 500},
		{"a read once", "GET", Once, func(int) (*http.Response, error) { return answer(500, ""), nil }, 1, 0, 500},
		{"a lost read", "GET", nil, func(n int) (*http.Response, error) {
			if n == 1 {
				return nil, lost
			}
			return answer(200, ""), nil
		}, 2, 500 * time.Millisecond, 200},
		{"a mint is never repeated", "POST", nil, func(int) (*http.Response, error) { return answer(503, ""), nil }, 1, 0, 503},
		{"a lost mint is never repeated", "POST", nil, func(int) (*http.Response, error) { return nil, lost }, 1, 0, 0},
		{"a limited mint is never repeated", "POST", nil, func(int) (*http.Response, error) { return answer(429, "", "Retry-After", "1"), nil }, 1, 0, 429},
		{"a PUT is not repeated unasked", "PUT", nil, func(int) (*http.Response, error) { return answer(503, ""), nil }, 1, 0, 503},
		{"a repeatable PUT", "PUT", Repeatable, func(n int) (*http.Response, error) {
			if n == 1 {
				return answer(502, ""), nil
			}
			return answer(204, ""), nil
		}, 2, 500 * time.Millisecond, 204},
		{"what cannot heal", "GET", nil, func(int) (*http.Response, error) { return answer(404, ""), nil }, 1, 0, 404},
		{"a permission is no limit", "GET", nil, func(int) (*http.Response, error) { return answer(403, ""), nil }, 1, 0, 403},
		{"Retry-After", "GET", nil, func(n int) (*http.Response, error) {
			if n == 1 {
				return answer(429, "", "Retry-After", "60"), nil
			}
			return answer(200, ""), nil
		}, 2, time.Minute, 200},
		{"GitHub's 403 with Retry-After", "GET", nil, func(n int) (*http.Response, error) {
			if n == 1 {
				return answer(403, "", "Retry-After", "7"), nil
			}
			return answer(200, ""), nil
		}, 2, 7 * time.Second, 200},
		{"a wait that is too long", "GET", nil, func(int) (*http.Response, error) { return answer(429, "", "Retry-After", "3600"), nil }, 1, 0, 429},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				var bodies []string
				tr, err := New("https://api.example.com", wire(func(r *http.Request) (*http.Response, error) {
					sent++
					if r.Body != nil {
						b, _ := io.ReadAll(r.Body)
						bodies = append(bodies, string(b))
					}
					return tt.answer(sent)
				}))
				if err != nil {
					t.Fatal(err)
				}
				ctx := t.Context()
				if tt.ctx != nil {
					ctx = tt.ctx(ctx)
				}
				var body io.Reader
				if tt.method != "GET" {
					body = strings.NewReader("the body")
				}
				req, err := http.NewRequestWithContext(ctx, tt.method, "https://api.example.com/x", body)
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				resp, err := tr.RoundTrip(req)
				if (err != nil) != (tt.status == 0) || err == nil && resp.StatusCode != tt.status {
					t.Errorf("got %v, %v; want status %d", resp, err, tt.status)
				}
				if sent != tt.sent {
					t.Errorf("sent %d times, want %d", sent, tt.sent)
				}
				if w := time.Since(began); w < tt.waited || w > 2*tt.waited+time.Second {
					t.Errorf("waited %v, want about %v", w, tt.waited)
				}
				for i, b := range bodies {
					if b != "the body" {
						t.Errorf("attempt %d carried %q", i+1, b)
					}
				}
			})
		})
	}
}

func TestRetryEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, _ := New("https://api.example.com", wire(func(*http.Request) (*http.Response, error) { return answer(429, "", "Retry-After", "100"), nil }))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", "https://api.example.com/", nil)
		began := time.Now()
		if _, err := tr.RoundTrip(req); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 10*time.Second {
			t.Errorf("ended after %v with %v", time.Since(began), err)
		}
	})
}

func TestGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		tr, _ := New("https://api.example.com", wire(func(*http.Request) (*http.Response, error) {
			at = append(at, time.Now())
			return answer(204, ""), nil
		}))
		tr.Gap = time.Second
		for _, method := range []string{"GET", "PUT", "GET", "POST"} {
			req, _ := http.NewRequestWithContext(t.Context(), method, "https://api.example.com/", nil)
			if _, err := tr.RoundTrip(req); err != nil {
				t.Fatal(err)
			}
		}
		if at[2].Sub(at[0]) != 0 || at[3].Sub(at[1]) != time.Second {
			t.Errorf("sent at %v", at)
		}
	})
}

func TestBodyLimit(t *testing.T) {
	for size, fine := range map[int]bool{99: true, 100: true, 101: false, 5000: false} {
		tr, _ := New("https://api.example.com", wire(func(*http.Request) (*http.Response, error) {
			return answer(200, strings.Repeat("x", size)), nil
		}))
		tr.MaxBody = 100
		resp, err := tr.Client().Get("https://api.example.com/")
		if err != nil {
			t.Fatal(err)
		}
		b, err := Drain(resp)
		if fine && (err != nil || len(b) != size) || !fine && !errors.Is(err, rotate.ErrLimit) {
			t.Errorf("%d bytes: read %d, %v", size, len(b), err)
		}
	}
}

func TestSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, _ := New("https://api.example.com", wire(func(*http.Request) (*http.Response, error) {
			return answer(200, "", "Date", time.Now().Add(7*time.Minute).UTC().Format(http.TimeFormat)), nil
		}))
		if _, ok := tr.Skew(); ok {
			t.Error("a clock is known before any answer")
		}
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "https://api.example.com/", nil)
		if _, err := tr.RoundTrip(req); err != nil {
			t.Fatal(err)
		}
		if skew, ok := tr.Skew(); !ok || skew != 7*time.Minute {
			t.Errorf("skew %v, %t", skew, ok)
		}
	})
}

func TestStatus(t *testing.T) {
	for code, want := range map[int]error{400: rotate.ErrConfig, 401: rotate.ErrDenied, 403: rotate.ErrDenied, 404: rotate.ErrNotFound, 408: rotate.ErrTemporary,
		409: rotate.ErrConflict, 410: rotate.ErrNotFound, 412: rotate.ErrConflict, 413: rotate.ErrLimit, 422: rotate.ErrConfig, 429: rotate.ErrLimit, 500: rotate.ErrTemporary, 503: rotate.ErrTemporary} {
		if err := Status("GET", "/x", answer(code, ""), "why\n::set-env name=A::b"); !errors.Is(err, want) || strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("%d: %v, want %v", code, err, want)
		}
	}
	if err := Status("GET", "/x", answer(403, "", "X-Ratelimit-Remaining", "0"), ""); !errors.Is(err, rotate.ErrLimit) {
		t.Errorf("a used-up limit: %v", err)
	}
	if err := Status("GET", "/x", answer(204, ""), ""); err != nil {
		t.Errorf("204: %v", err)
	}
}

func TestWrap(t *testing.T) {
	tr, _ := New("https://api.example.com", wire(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }))
	tr.Backoff = time.Microsecond
	_, err := tr.Client().Get("https://api.example.com/x?token=hunter2")
	if err = Wrap(err); !errors.Is(err, rotate.ErrTemporary) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
	if err := Wrap(context.Canceled); errors.Is(err, rotate.ErrTemporary) {
		t.Errorf("a cancelled context is no temporary failure: %v", err)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\r\n::error::b\x00\xff", 10)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		if limit < 0 || limit > 1000 {
			return
		}
		got := Clean(text, limit)
		if strings.ContainsAny(got, "\r\n\x00\x1b\u2028") || len(got) > limit+3 || !bytes.Equal([]byte(got), []byte(strings.ToValidUTF8(got, "?"))) {
			t.Errorf("Clean(%q, %d) = %q", text, limit, got)
		}
	})
}
