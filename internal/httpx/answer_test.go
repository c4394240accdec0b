package httpx

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/pkg/rotate"
)

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		body string
		good bool
	}{
		{`{"a":"hunter2"}`, true}, {" {}\n", true}, {"", false}, {" \n", false}, {"null", false}, {" null ", false},
		{`{"a":"hunter2"} {}`, false}, {`{"a":"hunter2"`, false}, {`{"a":["hunter2"]}`, false}, {`"hunter2"`, false}, {"<html>hunter2", false},
	} {
		var into struct{ A string }
		err := Decode([]byte(c.body), &into)
		if (err == nil) != c.good || err != nil && !errors.Is(err, ErrForm) {
			t.Errorf("%s: %v", c.body, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats what was read: %v", err)
		}
	}
}

func TestStamp(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		json string
		want time.Time
		good bool
	}{
		{`"2026-01-02T03:04:05Z"`, at, true}, {`"2026-01-02T05:04:05+02:00"`, at, true}, {`"2026-01-02T03:04:05.5Z"`, at.Add(500 * time.Millisecond), true},
		{`null`, time.Time{}, true}, {`""`, time.Time{}, true}, {`"0001-01-01T00:00:00Z"`, time.Time{}, true},
		{`"9999-12-31T23:59:59-01:00"`, time.Time{}, false}, {`"0000-01-01T00:00:00Z"`, time.Time{}, false}, {`"soon"`, time.Time{}, false},
		{`1767323045`, time.Time{}, false}, {`{}`, time.Time{}, false},
	} {
		s := Stamp{at} // of an answer before
		err := Decode([]byte(c.json), &s)
		if c.json == "null" { // of a whole answer that is another matter
			err = s.UnmarshalJSON([]byte(c.json))
		}
		if (err == nil) != c.good || c.good && (!s.Equal(c.want) || s.Location() != time.UTC) {
			t.Errorf("%s: %v, %v", c.json, s, err)
		}
	}
}

func TestPresentable(t *testing.T) {
	for text, want := range map[string]bool{"a": true, "!~": true, "": false, "a b": false, "a\n": false, "a\x7f": false, "é": false, "\x00": false} {
		if got := Presentable(text); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := Sleep(t.Context(), time.Minute); err != nil || time.Since(began) != time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if err := Sleep(ctx, time.Minute); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		for _, d := range []time.Duration{time.Minute, 0, -1} {
			if err := Sleep(ctx, d); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v, with a context that is over", d, err)
			}
		}
		if time.Since(began) != time.Second {
			t.Errorf("waited after the end, %s", time.Since(began))
		}
	})
}

// TestTrusting: a server is trusted for the one certificate that signed its own.
func TestTrusting(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	for _, c := range []struct {
		text, says string
	}{
		{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})), ""},
		{"hunter2", file + " holds no certificate in PEM"},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		pool, err := Trusting(file)
		if c.says != "" {
			if !errors.Is(err, rotate.ErrConfig) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer pool.CloseIdleConnections()
		resp, err := (&http.Client{Transport: pool}).Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if _, err := Trusting(file + ".none"); !errors.Is(err, rotate.ErrConfig) {
		t.Errorf("got %v", err)
	}
	if _, err := (&http.Client{Transport: Pool(nil)}).Get(server.URL); err == nil {
		t.Error("a server that nobody vouches for is trusted")
	}
}
