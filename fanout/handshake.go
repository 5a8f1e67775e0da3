package fanout

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

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

// run answers a request head, in u.out, unless it is in error.
func (u *upgrade) run(head []byte) error {
	u.head.Reset(head)
	u.out, u.json, u.foreign = u.out[:0], false, false
	err := strictHead(head)
	if err == nil {
		_, err = u.up.Upgrade(u)
	}
	return err
}

// tlsRecord is the first byte of TLS, a record of type handshake, and of no request.
const tlsRecord = 22

// handshake reads a conn's request head, which may come in pieces. An upgrade to
// the stream is answered here, anything else is net/http's. It returns the bytes
// after the head and true when the conn is open.
func (l *loop) handshake(ci uint32, p []byte) (rest []byte, ok bool) {
	if l.certs == nil && len(p) > 0 && p[0] == tlsRecord {
		l.refuse(ci, refusal{http.StatusBadRequest, "not_plain", "this port does not speak TLS: use ws:// or http://"})
		return nil, false
	}
	most := l.cfg.HeadBytes
	end := headEnd(p[:min(len(p), most)])
	if end == 0 && len(p) >= most {
		l.refuse(ci, refusal{http.StatusRequestHeaderFieldsTooLarge, "head_too_large",
			fmt.Sprintf("a request head has at most %d bytes", most)})
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
		l.refuse(ci, badUpgrade(err))
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
			RequestBytes:      l.cfg.RequestBytes,
			RequestSymbols:    requestSymbols,
			Subs:              l.subsMost(ci),
			RequestsPerSecond: l.cfg.Requests,
		},
		TokenTTL: l.tokenTTL(ci),
	}
	for _, p := range periods {
		h.Periods = append(h.Periods, p.Milliseconds())
	}
	return h
}
