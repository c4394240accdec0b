package objects

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/pkg/rotate"
	"github.com/remint-dev/remint/pkg/verify/internal/kubetest"
)

func TestPoll(t *testing.T) {
	verdict := errors.New("seen to fail")
	for _, c := range []struct {
		name  string
		look  func(n int) (bool, string, error)
		want  error
		proof bool // the verdict is one about the credential
		says  string
		looks int
	}{
		{"at once", func(int) (bool, string, error) { return true, "", nil }, nil, true, "", 1},
		{"verdict", func(n int) (bool, string, error) { return n == 3, "", verdict }, verdict, true, "", 3},
		{"late", func(n int) (bool, string, error) { return false, fmt.Sprint("step ", n), nil }, rotate.ErrUnproven, false, "after 9.5s: step 10", 10},
		{"heals", func(n int) (bool, string, error) {
			if n < 4 {
				return false, "", rotate.ErrTemporary
			}
			return true, "", nil
		}, nil, true, "", 4},
		{"stays down", func(n int) (bool, string, error) { return false, "", rotate.ErrTemporary }, rotate.ErrTemporary, false, "after 9.5s", 10},
		{"no right", func(n int) (bool, string, error) { return false, "", rotate.ErrDenied }, rotate.ErrDenied, false, "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				err := Poll(t.Context(), 9500*time.Millisecond, time.Second, func(context.Context) (bool, string, error) {
					n++
					final, progress, err := c.look(n)
					if c.want == verdict && !final {
						err = nil
					}
					return final, progress, err
				})
				if !errors.Is(err, c.want) || c.proof == errors.Is(err, rotate.ErrUnproven) || n != c.looks || err != nil && !strings.Contains(err.Error(), c.says) {
					t.Errorf("after %d looks: %v", n, err)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // a call that hangs is bounded
		began := time.Now()
		err := Poll(t.Context(), 10*time.Second, time.Second, func(ctx context.Context) (bool, string, error) {
			<-ctx.Done()
			return false, "", ctx.Err()
		})
		if !errors.Is(err, rotate.ErrUnproven) || time.Since(began) != 10*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// TestPages: a list is read to its last page, and one that never ends is not read for ever.
func TestPages(t *testing.T) {
	api := &kubetest.API{}
	page := func(name, next string) emulate.Fault {
		return emulate.Fault{Status: 200, Body: `{"apiVersion": "v1", "kind": "PodList", "metadata": {"continue": "` + next + `"}, "items": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "` + name + `"}}]}`}
	}
	p := Place{Cluster: api.Cluster()}
	api.Faults.Plant("GET pods", page("a", "x"))
	api.Faults.Plant("GET pods", page("b", "y"))
	api.Faults.Plant("GET pods", page("c", ""))
	all, err := List[Pod](t.Context(), p, Pods, "")
	if err != nil || len(all) != 3 || all[2].Name != "c" {
		t.Errorf("%v, %v", all, err)
	}
	api.Faults.Plant("GET pods", page("a", "x"))
	api.Faults.Plant("GET pods", page("a", "x"))
	if _, err := List[Pod](t.Context(), p, Pods, ""); err == nil {
		t.Error("one page for ever is no error")
	}
}

// TestRefusedPatch: what the server says of a Secret is not repeated.
func TestRefusedPatch(t *testing.T) {
	api := &kubetest.API{}
	api.Put(t, "v1", "Secret", `{"metadata": {"name": "web"}}`)
	hidden := base64.StdEncoding.EncodeToString([]byte("newborn-0123456789"))
	api.Faults.Plant("PATCH secrets", emulate.Fault{Status: 422, Body: `{"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Invalid", "code": 422, "message": "Secret \"web\" is invalid: data: ` + hidden + `"}`})
	_, err := Merge[Pod](t.Context(), Place{Cluster: api.Cluster()}, Secrets, "web", map[string]any{})
	if !errors.Is(err, rotate.ErrConfig) || strings.Contains(err.Error(), hidden) {
		t.Errorf("got %v", err)
	}
}

func TestShown(t *testing.T) {
	secret := rotate.NewSecret("newborn-0123456789")
	for text, want := range map[string]string{
		"one\ntwo\n":                      "one | two",
		"a newborn-0123456789 b":          "a [secret] b",
		"\x1b[31mred\x00 \xff":            "[31mred �",
		strings.Repeat("x", 50) + "\nend": "end",
		strings.Repeat("y", 50):           strings.Repeat("y", 40),
		"":                                "",
	} {
		if got := Shown(text, secret, 40); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := Shown("newborn-0123456789", rotate.Secret{}, 40); got != "newborn-0123456789" {
		t.Errorf("got %q", got)
	}
}
