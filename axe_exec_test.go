package main_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

// What runs in a pod, over a WebSocket as an API server speaks it (v5.channel.k8s.io). The emulation takes all of standard
// input as the body of one request, so this reads until the program that remint runs has read enough: two lines.

// Channels of the subprotocol.
const (
	channelIn = iota
	channelOut
	channelErr
	channelStatus
)

// exec serves one upgrade. The connection is done with when it returns.
func (b *chopping) exec(conn net.Conn, in *bufio.Reader, r *http.Request, host string) {
	if b.away() {
		reset(conn)
		return
	}
	r = r.WithContext(klog.NewContext(r.Context(), logr.Discard()))
	socket := wsstream.NewConn(map[string]wsstream.ChannelProtocolConfig{"v5.channel.k8s.io": {Binary: true, Channels: []wsstream.ChannelType{
		wsstream.ReadChannel, wsstream.WriteChannel, wsstream.WriteChannel, wsstream.WriteChannel, wsstream.ReadChannel}}})
	_, channels, err := socket.Open(&taken{conn: conn, in: in}, r)
	if err != nil {
		return
	}
	defer func() { _ = socket.Close() }()
	lines := bufio.NewReader(channels[channelIn])
	var input []byte
	for range 2 {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		input = append(input, line...)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }() // until it is closed
	as := r.Clone(r.Context())
	as.Method, as.Body, as.ContentLength = http.MethodPost, io.NopCloser(bytes.NewReader(input)), int64(len(input))
	for name := range r.Header {
		if strings.HasPrefix(name, "Sec-Websocket-") || name == "Upgrade" || name == "Connection" {
			as.Header.Del(name)
		}
	}
	resp := b.answer(as, host)
	if resp == nil {
		reset(conn)
		return
	}
	output, _ := io.ReadAll(resp.Body)
	status := []byte(`{"metadata":{},"status":"Success"}`)
	if resp.StatusCode != http.StatusOK {
		output, status = nil, output
	}
	for channel, text := range map[int][]byte{channelOut: output, channelStatus: status} {
		if len(text) > 0 {
			if _, err := channels[channel].Write(text); err != nil {
				return
			}
		}
	}
}

// reset closes a connection as a network does that breaks.
func reset(conn net.Conn) {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	_ = conn.Close()
}

// taken is the answer to a request whose connection is taken over.
type taken struct {
	conn net.Conn
	in   *bufio.Reader
	head http.Header
}

func (t *taken) Header() http.Header         { t.head = http.Header{}; return t.head }
func (t *taken) Write(p []byte) (int, error) { return len(p), nil }
func (t *taken) WriteHeader(int)             {}

// Hijack implements [http.Hijacker].
func (t *taken) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return t.conn, bufio.NewReadWriter(t.in, bufio.NewWriter(t.conn)), nil
}
