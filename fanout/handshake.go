package fanout

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

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

func newUpgrade(headBytes int) *upgrade {
	u := new(upgrade)
	u.up = ws.Upgrader{
		ReadBufferSize: headBytes,
		OnRequest:      onRequest,
		Protocol:       u.onProtocol,
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			if u.foreign {
				return nil, ws.RejectConnectionError(ws.RejectionStatus(http.StatusBadRequest),
					ws.RejectionReason("subprotocol: offer "+codec.ProtocolMsgpack+" or "+codec.ProtocolJSON+", or none"))
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
	if string(path) == codec.StreamPath {
		return nil
	}
	// The absolute form and escapes may name it too: RFC 9112, 3.2.2.
	if target, err := url.ParseRequestURI(string(uri)); err == nil && target.Path == codec.StreamPath {
		return nil
	}
	return ws.RejectConnectionError(ws.RejectionStatus(http.StatusNotFound),
		ws.RejectionReason("the stream is at "+codec.StreamPath))
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
		err = errSecKey // the library looks at its length alone
	}
	if err != nil {
		u.out = httpError(statusOf(err), strings.TrimSpace(err.Error()))
	}
	return err
}

// statusOf is what answers an upgrade with an error.
func statusOf(err error) int {
	if rejected := (*ws.ConnectionRejectedError)(nil); errors.As(err, &rejected) {
		return rejected.StatusCode()
	}
	return http.StatusBadRequest
}

func isSecKey(key []byte) bool {
	var nonce [18]byte // room for the decoder; a key holds 16
	n, err := base64.StdEncoding.Decode(nonce[:], key[:min(len(key), 24)])
	return err == nil && n == 16
}

// tlsRecord is the first byte of TLS, a record of type handshake, and of no request.
const tlsRecord = 22

// handshake reads a conn's request head, which may come in pieces. An upgrade to
// the stream is answered here, anything else is net/http's. It returns the bytes
// after the head and true when the conn is open.
func (l *loop) handshake(ci uint32, p []byte) (rest []byte, ok bool) {
	if l.door == nil && len(p) > 0 && p[0] == tlsRecord {
		l.refuse(ci, "not_plain", http.StatusBadRequest, "this port does not speak TLS: use ws:// or http://")
		return nil, false
	}
	most := l.cfg.Limits.HeadBytes
	end := headEnd(p[:min(len(p), most)])
	if end == 0 && len(p) >= most {
		l.refuse(ci, "head_too_large", http.StatusRequestHeaderFieldsTooLarge,
			fmt.Sprintf("a request head has at most %d bytes", most))
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
	if !l.identify(ci, head) {
		if c.state == stateVerifying {
			return p, false
		}
		return nil, false
	}
	c.state, c.json, c.since, c.used = stateOpen, l.upgrade.json, l.clock, l.clock
	l.events.handshakes.WithLabelValues("upgraded").Inc()
	l.service.welcome(ci, l.upgrade.out)
	return rest, c.state == stateOpen
}

// welcome writes the answer to an upgrade, and the first message behind it: in one
// write, for a peer may be gone before the second.
func (l *loop) welcome(ci uint32, answer []byte) {
	l.control = l.appendControl(append(l.control[:0], answer...), l.conns[ci].json, l.hello(ci))
	l.writePing(ci, l.control)
}

// hello is what a conn is told first.
func (l *loop) hello(ci uint32) *codec.Hello {
	h := &codec.Hello{
		Protocol:  codec.Version,
		Node:      l.cfg.Node,
		Time:      l.sentAt,
		Fields:    codec.FieldNames[:],
		Heartbeat: l.cfg.Heartbeat.Milliseconds(),
		Limits: codec.Limits{
			RequestBytes:      l.cfg.Limits.RequestBytes,
			RequestSymbols:    requestSymbols,
			Subs:              l.subsMost(ci),
			RequestsPerSecond: l.cfg.Limits.Requests,
		},
		TokenTTL: l.tokenTTL(ci),
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

// httpError is an HTTP error, whole.
func httpError(status int, text string) []byte { return httpRefusal(status, "", text) }

// httpRefusal is one that has a reason, a word for programs.
func httpRefusal(status int, reason, text string) []byte {
	h := http.Header{"Content-Type": {"application/json"}, "Connection": {"close"}}
	refusalFields(h, status, reason, text)
	switch status {
	case http.StatusMethodNotAllowed:
		h.Set("Allow", "GET")
	case http.StatusUpgradeRequired:
		h.Set("Connection", "close, upgrade")
		h.Set("Upgrade", "websocket")
		h.Set("Sec-WebSocket-Version", "13")
	}
	body := refusalBody(reason, text)
	var out bytes.Buffer
	fmt.Fprintf(&out, "HTTP/1.1 %d %s\r\nContent-Length: %d\r\n", status, http.StatusText(status), len(body))
	h.Write(&out)
	fmt.Fprintf(&out, "\r\n%s", body)
	return out.Bytes()
}
