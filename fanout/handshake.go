package fanout

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// streamPath is the endpoint of the stream.
const streamPath = "/v1/stream"

var errSecKey = errors.New("Sec-WebSocket-Key is not base64 of 16 bytes")

// upgrade is the request head under way and its answer: gobwas/ws reads and
// writes memory here, for it would block on a socket. A loop has one.
type upgrade struct {
	head    bytes.Reader
	out     []byte
	json    bool
	foreign bool // subprotocols were offered, but none of ours
	up      ws.Upgrader
}

func newUpgrade() *upgrade {
	u := new(upgrade)
	u.up = ws.Upgrader{
		ReadBufferSize: handshakeBytes,
		OnRequest:      onRequest,
		Protocol:       u.onProtocol,
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			if u.foreign {
				return nil, ws.RejectConnectionError(ws.RejectionStatus(http.StatusBadRequest),
					ws.RejectionReason("subprotocol: offer "+codec.ProtocolMsgpack+" or "+codec.ProtocolJSON+", or none\n"))
			}
			return nil, nil
		},
	}
	return u
}

func (u *upgrade) Read(p []byte) (int, error)  { return u.head.Read(p) }
func (u *upgrade) Write(p []byte) (int, error) { u.out = append(u.out, p...); return len(p), nil }

func onRequest(uri []byte) error {
	path, _, _ := bytes.Cut(uri, []byte("?"))
	if string(path) == streamPath {
		return nil
	}
	// The absolute form and escapes may name it too: RFC 9112, 3.2.2.
	if target, err := url.ParseRequestURI(string(uri)); err == nil && target.Path == streamPath {
		return nil
	}
	return ws.RejectConnectionError(ws.RejectionStatus(http.StatusNotFound),
		ws.RejectionReason("the stream is at "+streamPath+"\n"))
}

// onProtocol takes the first subprotocol offered that is ours.
func (u *upgrade) onProtocol(offered []byte) bool {
	u.json = string(offered) == codec.ProtocolJSON
	u.foreign = !u.json && string(offered) != codec.ProtocolMsgpack
	return !u.foreign
}

// run answers a request head; u.out is what to send, whatever the outcome.
func (u *upgrade) run(head []byte) error {
	u.head.Reset(head)
	u.out, u.json, u.foreign = u.out[:0], false, false
	err := strictHead(head)
	if err == nil {
		_, err = u.up.Upgrade(u)
	}
	if err == nil && !isSecKey(header(head, "Sec-WebSocket-Key")) {
		u.out, err = u.out[:0], errSecKey // the library looks at its length alone
	}
	switch {
	case err == nil:
	case len(u.out) == 0: // nor does it answer every error
		u.out = httpError(http.StatusBadRequest, err.Error())
	default:
		u.out = bytes.Replace(u.out, []byte("\r\n"), []byte("\r\n"+refusalFields(err)), 1)
	}
	return err
}

// refusalFields are what the library leaves out of its answers: RFC 9110, 15.5.6 and 15.5.22.
func refusalFields(err error) string {
	switch err {
	case ws.ErrHandshakeBadMethod:
		return "Connection: close\r\nAllow: GET\r\n"
	case ws.ErrHandshakeUpgradeRequired:
		return "Connection: close, upgrade\r\nUpgrade: websocket\r\n"
	}
	return "Connection: close\r\n"
}

func isSecKey(key []byte) bool {
	var nonce [18]byte // room for the decoder; a key holds 16
	n, err := base64.StdEncoding.Decode(nonce[:], key[:min(len(key), 24)])
	return err == nil && n == 16
}

// handshake reads a conn's request head, which may come in pieces. An upgrade to
// the stream is answered here, anything else is net/http's. It returns the bytes
// after the head and true when the conn is open.
func (l *loop) handshake(ci uint32, p []byte) (rest []byte, ok bool) {
	end := headEnd(p[:min(len(p), handshakeBytes)])
	if end == 0 && len(p) >= handshakeBytes {
		l.refuse(ci, "head_too_large", http.StatusRequestHeaderFieldsTooLarge,
			fmt.Sprintf("a request head has at most %d bytes", handshakeBytes))
		return nil, false
	}
	if end == 0 {
		return p, false
	}
	head, rest := p[:end], p[end:]
	if !bytes.EqualFold(header(head, "Upgrade"), []byte("websocket")) {
		l.handOver(ci, p)
		return nil, false
	}
	if err := l.upgrade.run(head); err != nil {
		l.log.Debug("upgrade refused", "reason", err)
		l.endHTTP(ci, "bad_upgrade", l.upgrade.out)
		return nil, false
	}
	c := &l.conns[ci]
	c.state, c.json, c.since, c.used = stateOpen, l.upgrade.json, l.clock, l.clock
	l.events.handshakes.WithLabelValues("upgraded").Inc()
	l.service.welcome(ci, l.upgrade.out)
	return rest, c.state == stateOpen
}

// welcome writes the answer to an upgrade, and the first message behind it: in one
// write, for a peer may be gone before the second.
func (l *loop) welcome(ci uint32, answer []byte) {
	l.control = l.appendControl(append(l.control[:0], answer...), l.conns[ci].json, l.hello())
	l.writePing(ci, l.control)
}

// hello is what a conn is told first.
func (l *loop) hello() *codec.Hello {
	h := &codec.Hello{
		Protocol:  codec.Version,
		Node:      l.cfg.Node,
		Time:      l.sentAt,
		Fields:    codec.FieldNames[:],
		Heartbeat: l.cfg.Heartbeat.Milliseconds(),
		Limits: codec.Limits{
			RequestBytes:      requestBytes,
			RequestSymbols:    requestSymbols,
			Subs:              l.cfg.MaxSubs,
			RequestsPerSecond: requestsPerSecond,
		},
	}
	for _, p := range periods {
		h.Periods = append(h.Periods, p.Milliseconds())
	}
	return h
}

// headEnd is the length of a request head, its blank line included; 0 when it is not
// whole. A line may end in a line feed alone: RFC 9112, 2.2.
func headEnd(p []byte) int {
	for at := 0; ; {
		n := bytes.IndexByte(p[at:], '\n')
		if n < 0 {
			return 0
		}
		at += n + 1
		if rest := bytes.TrimPrefix(p[at:], []byte("\r")); len(rest) > 0 && rest[0] == '\n' {
			return len(p) - len(rest) + 1
		}
	}
}

// header is the value of a request head's field, nil when it has none.
func header(head []byte, name string) []byte {
	_, fields, _ := bytes.Cut(head, []byte("\n"))
	for line := range bytes.Lines(fields) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(key, []byte(name)) {
			return bytes.TrimSpace(value)
		}
	}
	return nil
}

// refuse answers a request head with an HTTP error and ends the conn.
func (l *loop) refuse(ci uint32, why string, status int, text string) {
	l.endHTTP(ci, why, httpError(status, text))
}

// endHTTP sends the last bytes of a conn that is not upgraded, for a reason to be
// counted.
func (l *loop) endHTTP(ci uint32, why string, answer []byte) {
	l.events.handshakes.WithLabelValues(why).Inc()
	c := &l.conns[ci]
	c.state, c.since, c.broken = stateClosing, l.clock, true
	if l.write(ci, answer) {
		l.endSending(ci)
	}
}

// httpError is an HTTP error as text.
func httpError(status int, text string) []byte {
	retry := ""
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		retry = "Retry-After: 1\r\n"
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n%sContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s\n",
		status, http.StatusText(status), retry, len(text)+1, text)
}
