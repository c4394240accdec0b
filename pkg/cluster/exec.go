package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	transportspdy "k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/transport/websocket"
	"k8s.io/client-go/util/exec"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file runs a program in a pod. Its rules:
//
//   - Over WebSocket; over SPDY only if the server refuses the upgrade, when nothing has run yet: an old one, a proxy,
//     or a role with create but not get on pods/exec, which some servers want for a WebSocket. A program is never
//     started twice, and no redirect is followed.
//   - Arguments are written to audit logs, so a secret never stands there: it goes over the standard streams.
//   - Time and output are bounded, and nothing is written to the caller's writers once Exec has returned.

const (
	// ExecTime is the most that a program in a pod may take, if the context gives no less.
	ExecTime = 10 * time.Minute
	// ExecOutput is the most that it may write to standard output and to standard error, each, in bytes.
	ExecOutput = 1 << 20
)

// ExitError is the end of a program in a pod that did not succeed.
type ExitError struct{ Code int }

func (e *ExitError) Error() string {
	return fmt.Sprintf("the program ended with exit status %d", e.Code)
}

// Exec runs a program in a container of a pod and waits for its end. A nil stdin, stdout or stderr is not attached.
// What stdin holds is sent at once; not every server passes its end on, so that a program must know by itself when it
// has read enough.
//
// An exit status other than 0 is an [*ExitError] that wraps nothing. [rotate.ErrLimit] says that there was too much output, and
// [rotate.ErrTemporary] that the program may or may not have run. Rights: create (with some servers also get) on pods/exec.
func (c *Cluster) Exec(ctx context.Context, namespace, pod, container string, command []string, stdin io.Reader, stdout, stderr io.Writer) error {
	l, err := c.connect(ctx)
	if err != nil {
		return err
	}
	if c.Transport != nil {
		return fmt.Errorf("%w: a program in a pod needs a connection of its own, and this cluster was given a transport", rotate.ErrConfig)
	}
	ctx, stop := context.WithCancelCause(klog.NewContext(ctx, logr.Discard()))
	defer stop(nil)
	ctx, cancel := context.WithTimeout(ctx, ExecTime)
	defer cancel()
	out, bad := gate{to: stdout, stop: stop}, gate{to: stderr, stop: stop}
	defer out.shut()
	defer bad.shut()
	options := remotecommand.StreamOptions{Stdin: stdin}
	if stdout != nil {
		options.Stdout = &out
	}
	if stderr != nil {
		options.Stderr = &bad
	}
	socket, old, err := l.executors(namespace, pod, container, command, options)
	if err != nil {
		return err
	}
	if err = socket.StreamWithContext(ctx, options); httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err) {
		// Nothing has run. What the first refusal said is clearer than what the second says.
		if second := old.StreamWithContext(ctx, options); second == nil || explains(second) || !explains(err) || started(second) {
			err = second
		}
	}
	if cause := context.Cause(ctx); cause != nil && (errors.Is(cause, rotate.ErrLimit) || err != nil) {
		if errors.Is(cause, rotate.ErrLimit) {
			return fmt.Errorf("%w: the program in pod %s wrote more than %d bytes; it was left to itself", rotate.ErrLimit, pod, ExecOutput)
		}
		return fmt.Errorf("the program in pod %s: %w", pod, ended(cause))
	}
	return c.ended(err, namespace, pod)
}

// explains reports whether an error holds what the API server said.
func explains(err error) bool {
	var status apierrors.APIStatus
	return errors.As(cause(err), &status)
}

// started reports whether an error is that of a program which ran.
func started(err error) bool {
	var exit exec.ExitError
	return errors.As(err, &exit)
}

// cause is what an upgrade failed with, since the error for it does not unwrap.
func cause(err error) error {
	var upgrade *httpstream.UpgradeFailureError
	if errors.As(err, &upgrade) && upgrade.Cause != nil {
		return upgrade.Cause
	}
	return err
}

// executors make the request: one for each way to speak.
func (l *link) executors(namespace, pod, container string, command []string, options remotecommand.StreamOptions) (socket, old remotecommand.Executor, err error) {
	at := l.wire.under.URL()
	at.Path = strings.TrimSuffix(at.Path, "/") + "/api/v1/namespaces/" + namespace + "/pods/" + pod + "/exec"
	query := url.Values{"command": command}
	for name, on := range map[string]bool{"stdin": options.Stdin != nil, "stdout": options.Stdout != nil, "stderr": options.Stderr != nil} {
		if on {
			query.Set(name, "true")
		}
	}
	if container != "" {
		query.Set("container", container)
	}
	at.RawQuery = query.Encode()
	proxy := l.way.proxy
	if proxy == nil {
		proxy = http.ProxyFromEnvironment
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if l.way.tls != nil {
		conf = l.way.tls.Clone()
	}
	conf.NextProtos = []string{"http/1.1"} // HTTP/2, which net/http has added, knows no upgrade
	authorized := func(rt http.RoundTripper) http.RoundTripper { return authorizing{rt, l.way.authorize} }

	settings := &rest.Config{Host: at.Scheme + "://" + at.Host, UserAgent: httpx.UserAgent, Proxy: proxy}
	settings.WrapTransport = func(rt http.RoundTripper) http.RoundTripper {
		if socket, ok := rt.(*websocket.RoundTripper); ok {
			socket.TLSConfig = conf
		}
		return authorized(rt)
	}
	if socket, err = remotecommand.NewWebSocketExecutor(settings, http.MethodGet, at.String()); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", rotate.ErrConfig, err)
	}
	upgrade, err := spdy.NewRoundTripperWithConfig(spdy.RoundTripperConfig{TLS: conf, Proxier: proxy, PingPeriod: 5 * time.Second})
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", rotate.ErrConfig, err)
	}
	if old, err = remotecommand.NewSPDYExecutorRejectRedirects(authorized(upgrade), transportspdy.NewUpgraderForStreaming(upgrade), http.MethodPost, at); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", rotate.ErrConfig, err)
	}
	return socket, old, nil
}

// authorizing says who we are.
type authorizing struct {
	next      http.RoundTripper
	authorize func(*http.Request) error
}

// RoundTrip implements [http.RoundTripper].
func (a authorizing) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := a.authorize(r); err != nil {
		return nil, &lost{err}
	}
	return a.next.RoundTrip(r)
}

// ended says how a program ended, in words of ours.
func (c *Cluster) ended(err error, namespace, pod string) error {
	var exit exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.Exited():
		return &ExitError{exit.ExitStatus()}
	}
	err = cause(err)
	said := c.Fault(err, "create", "pods/exec", namespace, pod)
	if !errors.Is(said, err) && errors.Is(said, rotate.ErrTemporary) {
		// What the node's own server says stands in the text only; it holds no output of the program.
		return fmt.Errorf("%w (%s)", said, httpx.Clean(run.ReplaceAllString(err.Error(), "…"), 200))
	}
	return said
}

// gate passes on so much and no more, and nothing once it is shut: the streams may outlive the call.
type gate struct {
	to   io.Writer
	stop context.CancelCauseFunc

	mu    sync.Mutex
	n     int
	ended bool
}

// Write implements [io.Writer].
func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n += len(p); g.ended || g.n > ExecOutput {
		g.stop(rotate.ErrLimit)
		return 0, rotate.ErrLimit
	}
	return g.to.Write(p)
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
}
