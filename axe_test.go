package main_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"k8s.io/streaming/pkg/httpstream/wsstream"

	"github.com/remint-dev/remint/internal/emulate"
	"github.com/remint-dev/remint/internal/emulate/lab"
	"github.com/remint-dev/remint/pkg/config"
	"github.com/remint-dev/remint/pkg/rotate"
)

// The real program, as a process of its own, with the example configurations as they are, and an axe. Its rules:
//
//   - Every connection of the process goes to a proxy, as HTTPS_PROXY says, which answers for all hosts with
//     certificates of a CA that SSL_CERT_FILE names. Behind it are the emulated services of a lab.
//   - At one request, when the service has done its work and before it answers, the process is killed, told to stop, or
//     loses its network. So every request boundary is met: killed before a request is killed after the one before.
//   - What consumers hold is looked up in the services, never asked of the process.

// axe is one way to end a process.
type axe string

const (
	sigkill  axe = "SIGKILL"
	sigterm  axe = "SIGTERM"
	sigint   axe = "SIGINT"
	vanished axe = "no network"
)

// most is how long a process may take; without a network it tries everything again.
const most = 2 * time.Minute

// noticed is how long the answer is kept back after a signal, so that the process has it first: one that is told to stop
// as it begins to write keeps the newborn.
const noticed = 300 * time.Millisecond

// mostAfterSignal is how long a process may go on after it was told to stop.
const mostAfterSignal = 8 * time.Second

// axed are the examples, one rotation each, and what is changed in them: only how often something is
// looked at, and for how long; what is superseded has no grace, or a run alone could not settle it.
var axed = []struct {
	file, only string
	edits      []string // old, new, …
	share      uint32   // one point of so many is tried
	writes     string   // the request with which the first sink begins to write; "": the first to another host than the mint
}{
	{file: "fly-github.yaml", share: 6, edits: []string{"verify: [{dispatch: deploy.yml}]", "deadline: 1m\n    verify: [{dispatch: {workflow: deploy.yml, interval: 1s}}]"}},
	{file: "fly-forgejo.yaml", share: 8, edits: []string{"every: 75d", "every: 75d\n    deadline: 1m", "forge: forgejo}", "forge: forgejo, interval: 1s}"}},
	{file: "govuk-fastly.yaml", only: "*Integration", share: 24, edits: []string{
		"key: fastly-api-token}\n      - rollout", "key: fastly-api-token, interval: 1s}\n      - rollout",
		"restart: true}", "restart: true, interval: 1s}",
		"[2m]", "[1s]", "attempts: 3", "attempts: 3\n    deadline: 1m", "service: prometheus:9090", "service: prometheus:9090\n          interval: 1s",
	}},
	{file: "signon.yaml", only: "*integration", share: 17, writes: `^GET .*/secrets/signon-token-`, edits: []string{
		"grace: 10m ", "grace: 0\n    deadline: 1m ", "sinks: [signon-sync]", "sinks: [{signon-sync: {interval: 1s}}]", "{consumers: auto,", "{interval: 1s, consumers: auto,",
	}},
	{file: "webhook.yaml", share: 10, writes: `^PATCH .*/secrets/webhook`, edits: []string{
		"grace: 2d", "grace: 0\n    deadline: 1m", "restart: true}", "restart: true, interval: 1s}",
	}},
}

// TestAxe: whatever ends the process at whichever request, consumers hold what works, and one more run converges. A
// share of the points, the same each time, unless REMINT_AXE is "all".
func TestAxe(t *testing.T) {
	t.Parallel()
	path := build(t)
	for _, x := range axed {
		t.Run(x.file, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("examples", x.file))
			if err != nil {
				t.Fatal(err)
			}
			config := strings.NewReplacer(x.edits...).Replace(string(text))
			clean := newChopping(t, config, x.only)
			code, out := clean.run(path)
			if code != 0 || len(clean.wrong(true)) > 0 {
				t.Fatalf("a run that nobody ends: exit %d, %q\n%s", code, clean.wrong(true), out)
			}
			log := clean.log
			begins := firstWrite(log, clean.minted, x.writes)
			if begins < 0 {
				t.Fatalf("no request writes a sink: %q", log)
			}
			t.Logf("%d requests, the mint is seen at %d, the first write is %d: %s", len(log), clean.minted, begins+1, log[begins])
			began := time.Now()
			points, good := map[axe]*atomic.Int32{}, map[axe]*atomic.Int32{}
			hows := []axe{sigkill, sigterm, sigint, vanished}
			for _, how := range hows {
				points[how], good[how] = &atomic.Int32{}, &atomic.Int32{}
			}
			var all sync.WaitGroup
			slots := make(chan struct{}, 12) // they mostly wait
			for n := range log {
				for _, how := range hows {
					if !chosen(x.file, n, how, x.share) {
						continue
					}
					slots <- struct{}{}
					all.Go(func() {
						defer func() { <-slots }()
						met := false
						if t.Run(fmt.Sprintf("%d %s", n+1, how), func(t *testing.T) { met = swing(t, path, config, x.only, n+1, how, n < begins) }) && met {
							good[how].Add(1)
						}
						if met {
							points[how].Add(1)
						}
					})
				}
			}
			all.Wait()
			var sums strings.Builder
			for _, how := range hows {
				fmt.Fprintf(&sums, ", %s %d/%d", how, good[how].Load(), points[how].Load())
			}
			t.Logf("%s: points converged%s, %s", x.file, strings.TrimPrefix(sums.String(), ","), time.Since(began).Round(time.Second))
		})
	}
}

// chosen reports whether a point is tried.
func chosen(file string, n int, how axe, share uint32) bool {
	if os.Getenv("REMINT_AXE") == "all" {
		return true
	}
	h := fnv.New32a()
	fmt.Fprint(h, file, n, how)
	if how == vanished { // takes longest: everything is tried again
		share *= 2
	}
	return h.Sum32()%share == 0
}

// firstWrite is the index of the first request after the mint that is of a sink's: if it is not said which that is, the first
// that goes to another than the provider. (No such example proves the newborn elsewhere.)
func firstWrite(log []string, minted int, writes string) int {
	if minted == 0 {
		return -1
	}
	if writes != "" {
		i := slices.IndexFunc(log[minted-1:], regexp.MustCompile(writes).MatchString)
		if i < 0 {
			return -1
		}
		return minted - 1 + i // what no service mints is seen when it is written
	}
	provider := strings.Fields(log[minted-1])[1]
	for i := minted; i < len(log); i++ {
		if strings.Fields(log[i])[1] != provider {
			return i
		}
	}
	return -1
}

// swing ends one process, looks at what it left, and runs another. False: the process never came to that request.
func swing(t *testing.T, path, config, only string, n int, how axe, unwritten bool) (met bool) {
	b := newChopping(t, config, only)
	b.at, b.how = n, how
	code, out := b.run(path)
	b.mu.Lock()
	hit, sent, ended := b.hit, b.sent, time.Now()
	b.at, b.gone = 0, false
	b.mu.Unlock()
	if !hit {
		t.Log("it went another way, and sent fewer requests")
		return false
	}
	first, then := out, ""
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the run that was ended: exit %d after:\n%s\nthe next run:\n%s", code, first, then)
		}
	})
	switch how {
	case sigkill:
		if code != -1 {
			t.Errorf("exit %d although it was killed", code)
		}
	case sigterm, sigint:
		if took := ended.Sub(sent); took > mostAfterSignal {
			t.Errorf("it went on for %s after the signal", took)
		}
		if code != 1 && code != 0 {
			t.Errorf("exit %d, want 1, or 0 if all was done", code)
		}
		if live := b.lab.Tokens(); unwritten && len(live) != 1 {
			t.Errorf("nobody holds the newborn, and it lives: %d tokens", len(live))
		}
	case vanished:
		if code != 1 && code != 0 {
			t.Errorf("exit %d, want 1, or 0 if all was done", code)
		}
	}
	for _, w := range b.wrong(false) {
		t.Error(w)
	}
	again, out := b.run(path, "--alone")
	if then = out; again != 0 {
		t.Errorf("the next run: exit %d", again)
	}
	for _, w := range b.wrong(true) {
		t.Errorf("after the next run: %s", w)
	}
	return true
}

// chopping is where the process is put: a lab behind a proxy.
type chopping struct {
	t       *testing.T
	lab     *lab.Lab
	hosts   map[string]http.RoundTripper
	dir     string
	environ []string
	only    string
	secret  map[string]string // by name, of environ: those that are credentials
	// around, if not nil, stands before what answers for a host.
	around func(host string, next http.Handler) http.Handler

	mu     sync.Mutex
	log    []string
	minted int // requests until a second token lived, when that was first seen
	at     int
	how    axe
	hit    bool
	gone   bool // the network
	sent   time.Time
	child  *os.Process
	other  bytes.Buffer // requests that were no CONNECT
}

// own is what the environment of the process says of where it runs.
var own = map[string]string{
	"GITHUB_REPOSITORY": "example/web", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_API_URL": "https://api.github.com", "GITHUB_REF_NAME": "main",
	"ACTIONS_ID_TOKEN_REQUEST_URL": "https://oidc.example/token?version=2", "FASTLY_CUSTOMER_ID": "customer",
}

func newChopping(t *testing.T, text, only string) *chopping {
	return chop(t, text, only, nil, nil)
}

// chop is newChopping with credentials that invent makes up, and a configuration that prepare has seen; nil: as the lab does.
func chop(t *testing.T, text, only string, invent func(adapter, key string) rotate.Secret, prepare func(*config.Config)) *chopping {
	b := &chopping{t: t, lab: lab.New(func(name string) string { return own[name] }), hosts: map[string]http.RoundTripper{}, dir: t.TempDir(), only: only, secret: map[string]string{}}
	t.Cleanup(func() { _ = b.lab.Close() })
	options := b.lab.Options(config.Options{})
	if invent != nil {
		options.Invent = invent
	}
	cfg, err := config.Load([]byte(text), options)
	if err != nil {
		t.Fatal(err)
	}
	if prepare != nil {
		prepare(cfg)
	}
	if only != "" {
		kept := cfg.Rotations[:0]
		for _, r := range cfg.Rotations {
			if config.Match(only, r.Name) {
				kept = append(kept, r)
			}
		}
		cfg.Rotations = kept
	}
	env := map[string]string{"HOME": b.dir, "PATH": os.Getenv("PATH"), "SSL_CERT_FILE": filepath.Join(b.dir, "ca.pem"), "AWS_EC2_METADATA_DISABLED": "true"}
	for name, value := range own {
		env[name] = value
	}
	if err := b.lab.Prepare(cfg); err != nil {
		t.Fatal(err)
	}
	for _, r := range cfg.Rotations {
		for _, a := range r.Adapters {
			b.learn(reflect.ValueOf(a.Value).Elem(), a.Value)
		}
	}
	maps.Copy(env, b.secret)
	proxy := b.proxy()
	env["HTTPS_PROXY"], env["HTTP_PROXY"], env["NO_PROXY"] = proxy, proxy, "127.0.0.1"
	for name, value := range env {
		b.environ = append(b.environ, name+"="+value)
	}
	for name, content := range map[string][]byte{"ca.pem": signer().pem, "remint.yaml": []byte(text)} {
		if err := os.WriteFile(filepath.Join(b.dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// learn takes from an adapter the credentials that the environment is to have, and the hosts that it speaks to.
func (b *chopping) learn(v reflect.Value, adapter any) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		switch x := v.Field(i).Interface().(type) {
		case rotate.Secret:
			if names := f.Tag.Get("env"); names != "" && !x.IsZero() {
				name, _, _ := strings.Cut(names, ",")
				b.secret[name] = x.Reveal()
			}
		case aws.CredentialsProvider:
			if x == nil {
				break
			}
			c, err := x.Retrieve(context.Background())
			if err != nil {
				b.t.Fatal(err)
			}
			b.secret["AWS_ACCESS_KEY_ID"], b.secret["AWS_SECRET_ACCESS_KEY"] = c.AccessKeyID, c.SecretAccessKey
		case http.RoundTripper:
			if c, ok := adapter.(rotate.Connector); ok && x != nil {
				for _, e := range c.Endpoints() {
					if u, err := url.Parse(e.Origin); err == nil && (b.hosts[u.Hostname()] == nil || f.Name != "Transport") {
						b.hosts[u.Hostname()] = x
					}
				}
			}
		default:
			sub := v.Field(i)
			if sub.Kind() == reflect.Pointer && !sub.IsNil() && sub.Elem().Kind() == reflect.Struct {
				at := sub.Interface()
				if t := sub.Elem().FieldByName("Transport"); t.IsValid() && !t.IsNil() && strings.HasSuffix(sub.Type().String(), "cluster.Cluster") {
					// Its address is asked of AWS.
					b.hosts[".eks.amazonaws.com"] = t.Interface().(http.RoundTripper)
				}
				b.learn(sub.Elem(), at)
			} else if f.Anonymous && sub.Kind() == reflect.Struct {
				b.learn(sub, adapter)
			}
		}
	}
}

// issuing is a certificate authority.
type issuing struct {
	pem  []byte
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	mu   sync.Mutex
	made map[string]*tls.Certificate
}

var signer = sync.OnceValue(func() *issuing {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the test's own"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return &issuing{pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), cert: cert, key: key, made: map[string]*tls.Certificate{}}
})

// of makes the certificate of a host.
func (c *issuing) of(host string) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if made := c.made[host]; made != nil {
		return made, nil
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(len(c.made) + 2)), DNSNames: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, c.key.Public(), c.key)
	if err != nil {
		return nil, err
	}
	c.made[host] = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: c.key}
	return c.made[host], nil
}

// proxy listens, and returns its address.
func (b *chopping) proxy() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go b.tunnel(conn)
		}
	}()
	return "http://" + l.Addr().String()
}

// tunnel serves one connection of the process.
func (b *chopping) tunnel(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	connect, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil || b.away() {
		reset(conn)
		return
	}
	if connect.Method != http.MethodConnect {
		b.mu.Lock()
		_ = connect.WriteProxy(&b.other)
		b.mu.Unlock()
		_, _ = io.WriteString(conn, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	host := connect.URL.Hostname()
	cert, err := signer().of(host)
	if err != nil {
		return
	}
	secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	in := bufio.NewReader(secure)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if wsstream.IsWebSocketRequest(r) {
			b.exec(secure, in, r, host)
			return
		}
		resp := b.answer(r, host)
		if resp == nil {
			reset(conn)
			return
		}
		if resp.Write(secure) != nil {
			return
		}
	}
}

func (b *chopping) away() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.gone
}

// ranges of queries are cut short in a lab.
var ranges = regexp.MustCompile(`\[[^\[\]]*\]`)

// answer answers one request, and swings the axe. Nil: the connection is to break.
func (b *chopping) answer(r *http.Request, host string) *http.Response {
	if b.away() {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.URL.Scheme, r.URL.Host, r.RequestURI = "https", host, ""
	if q := r.URL.Query(); q.Has("query") {
		q.Set("query", ranges.ReplaceAllString(q.Get("query"), "[1ms]"))
		r.URL.RawQuery = q.Encode()
	}
	to := b.hosts[host]
	if to == nil && strings.HasSuffix(host, ".eks.amazonaws.com") {
		to = b.hosts[".eks.amazonaws.com"]
	}
	if to == nil {
		b.t.Errorf("a request to %s, which no adapter has named", host)
		return nil
	}
	operation := r.Header.Get("X-Amz-Target")
	if i := strings.LastIndex(operation, "."); i >= 0 {
		operation = operation[i+1:]
	}
	b.mu.Lock()
	b.log = append(b.log, strings.TrimSpace(r.Method+" "+host+" "+r.URL.Path+" "+operation))
	hit := len(b.log) == b.at
	b.hit = b.hit || hit
	b.mu.Unlock()
	resp, err := b.through(to, host).RoundTrip(r)
	if err != nil {
		return nil
	}
	answer, _ := io.ReadAll(resp.Body)
	if len(b.lab.Tokens()) > 1 {
		b.mu.Lock()
		if b.minted == 0 {
			b.minted = len(b.log)
		}
		b.mu.Unlock()
	}
	// The lab is never dialled, so its clusters have no certificate to speak of.
	answer = bytes.ReplaceAll(answer, []byte(base64.StdEncoding.EncodeToString([]byte("of no use: nothing is dialled"))), []byte(base64.StdEncoding.EncodeToString(signer().pem)))
	if hit {
		if !b.swing() {
			return nil
		}
		time.Sleep(noticed)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(answer)), int64(len(answer))
	resp.Header.Del("Content-Length")
	return resp
}

// through is what answers for a host, with what stands before it.
func (b *chopping) through(to http.RoundTripper, host string) http.RoundTripper {
	if b.around == nil {
		return to
	}
	h := b.around(host, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, err := to.RoundTrip(r)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		maps.Copy(w.Header(), resp.Header)
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}))
	return &emulate.Wire{Route: func(string) http.Handler { return h }}
}

// swing ends the process. False: it gets no answer any more.
func (b *chopping) swing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent = time.Now()
	switch b.how {
	case sigkill:
		_ = b.child.Kill()
		return false
	case sigterm:
		_ = b.child.Signal(syscall.SIGTERM)
	case sigint:
		_ = b.child.Signal(syscall.SIGINT)
	case vanished:
		b.gone = true
		return false
	}
	return true
}

// run runs the program to its end, and returns its exit code and what it printed.
func (b *chopping) run(path string, args ...string) (int, string) {
	args = append([]string{"run"}, args...)
	if b.only != "" {
		args = append(args, "--only", b.only)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = b.dir, b.environ
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	b.mu.Lock()
	b.log = nil
	err := cmd.Start()
	b.child = cmd.Process
	b.mu.Unlock()
	if err != nil {
		b.t.Fatal(err)
	}
	timer := time.AfterFunc(most, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// wrong says what consumers hold that does not work, and, if all should be settled, what is not.
func (b *chopping) wrong(settled bool) []string {
	var all []string
	hs := b.lab.Holdings()
	for _, h := range hs {
		if h.Token == "" || !h.Works {
			all = append(all, fmt.Sprintf("%s holds %q, which does not work", h.Sink, h.Token))
		}
		if settled && h.Token != hs[0].Token {
			all = append(all, fmt.Sprintf("%s holds %q, %s %q", h.Sink, h.Token, hs[0].Sink, hs[0].Token))
		}
	}
	if live := b.lab.Tokens(); settled && (len(live) != 1 || live[0].Name != hs[0].Token) {
		all = append(all, fmt.Sprintf("%d tokens live", len(live)))
	}
	return all
}
