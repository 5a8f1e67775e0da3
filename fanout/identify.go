package fanout

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"

	"github.com/tickwire/tickwire/fanout/token"
)

// identify finds out, before a conn is upgraded, who it is by the token in its request
// head, and whether it may come in. False when the token is being verified, which has the
// head read again, or when the conn was refused.
func (l *loop) identify(ci uint32, head []byte) bool {
	if l.auth == nil && len(l.cfg.Origin) == 0 {
		return true
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		l.refuse(ci, badUpgrade(errors.New("the request head cannot be read")))
		return false
	}
	if !l.allowsOrigin(r) {
		l.refuse(ci, badOrigin)
		return false
	}
	if l.auth == nil {
		return true
	}
	raw, err := l.auth.tokenOf(r.Header)
	if err != nil {
		l.refuse(ci, badToken(err))
		return false
	}
	claims, err, known := l.auth.known([]byte(raw))
	switch {
	case !known:
		l.conns[ci].state, l.conns[ci].since = stateVerifying, l.clock
		if !l.ask(ci, []byte(raw), (*loop).verified) {
			l.refuse(ci, badToken(errNotAsked))
		}
		return false
	case err != nil:
		l.refuse(ci, badToken(err))
		return false
	case !l.auth.subjects.enter(l, ci, claims):
		l.refuse(ci, refusal{http.StatusTooManyRequests, "conns", "this subject has all the connections that its token allows"})
		return false
	}
	return true
}

// verified goes on with a conn whose token was verified: it is known now.
func (l *loop) verified(ci uint32, _ *token.Claims, err error) {
	c := &l.conns[ci]
	if c.state != stateVerifying {
		return
	}
	c.state = stateHandshake
	if err != nil {
		l.refuse(ci, badToken(err))
		return
	}
	l.readLater(ci) // with others, as far as a cycle has time for them
}
