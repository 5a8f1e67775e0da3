package fanout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/fanout/epoll"
	"github.com/tickwire/tickwire/fanout/token"
)

// refusal is an error in HTTP, of an upgrade or of a request.
type refusal struct {
	status int
	reason string // a word for programs, which an upgrade's is counted by; plain HTTP may have none
	text   string // for people
}

// badOrigin is for a page that may not ask.
var badOrigin = refusal{http.StatusForbidden, "origin", "this origin is not allowed"}

// badToken is for a token that is refused.
func badToken(err error) refusal {
	status := http.StatusUnauthorized
	if e := (*token.Error)(nil); errors.As(err, &e) && e.Retry() {
		status = http.StatusServiceUnavailable
	}
	return refusal{status, token.ReasonOf(err), err.Error()}
}

// badUpgrade is for a head that asks for an upgrade as it should not.
func badUpgrade(err error) refusal {
	status := http.StatusBadRequest
	if rejected := (*ws.ConnectionRejectedError)(nil); errors.As(err, &rejected) {
		status = rejected.StatusCode()
	}
	return refusal{status, "bad_upgrade", err.Error()}
}

// refuse answers a request head with an error, and ends the conn.
func (l *loop) refuse(ci uint32, r refusal) {
	l.events.handshakes.WithLabelValues(r.reason).Inc()
	c := &l.conns[ci]
	c.state, c.since, c.broken = stateClosing, l.clock, true
	if l.write(ci, r.message()) {
		l.endSending(ci)
	}
}

// turnAway refuses a socket before anything is read of it. There is no way to say why in
// TLS.
func (l *loop) turnAway(fd int, r refusal) {
	l.events.handshakes.WithLabelValues(r.reason).Inc()
	if l.certs == nil {
		epoll.Write(fd, r.message())
	}
}

// message is the whole answer to an upgrade.
func (r refusal) message() []byte {
	h := http.Header{"Content-Type": {"application/json"}, "Connection": {"close"}}
	r.fields(h)
	switch r.status {
	case http.StatusMethodNotAllowed:
		h.Set("Allow", "GET")
	case http.StatusUpgradeRequired:
		h.Set("Connection", "close, upgrade")
		h.Set("Upgrade", "websocket")
		h.Set("Sec-WebSocket-Version", "13")
	}
	body := r.body()
	var out bytes.Buffer
	fmt.Fprintf(&out, "HTTP/1.1 %d %s\r\nContent-Length: %d\r\n", r.status, http.StatusText(r.status), len(body))
	h.Write(&out)
	fmt.Fprintf(&out, "\r\n%s", body)
	return out.Bytes()
}

// serve answers a request of plain HTTP.
func (r refusal) serve(w http.ResponseWriter) {
	r.fields(w.Header())
	beginJSON(w, r.status)
	w.Write(r.body()) // fails with the connection only
}

// fields sets those that go with the status.
func (r refusal) fields(h http.Header) {
	switch r.status {
	case http.StatusUnauthorized: // RFC 6750, 3
		challenge := "Bearer"
		if r.reason != string(token.Missing) {
			challenge = fmt.Sprintf("Bearer error=\"invalid_token\", error_description=%q", r.text)
		}
		h.Set("WWW-Authenticate", challenge)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		h.Set("Retry-After", "1")
	}
}

func (r refusal) body() []byte {
	body, _ := json.Marshal(struct { // strings always can be
		Error  string `json:"error"`
		Reason string `json:"reason,omitempty"`
	}{r.text, r.reason})
	return append(body, '\n')
}
