package fanout

import (
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/epoll"
)

// readable reads a conn until its socket is empty, for at most readRounds; one that
// sends without end is read on in the next cycle. A short read empties a socket and
// more raises an edge, unless its peer has ended, or TLS has read ahead: then no event
// follows.
func (l *loop) readable(ci uint32, ended bool) {
	l.turnBegan = l.clock
	for range readRounds {
		c := &l.conns[ci]
		room := readBytes
		switch {
		case c.state == stateClosing: // nothing is answered any more
		case c.state == stateVerifying: // until its head is read again
			return
		case c.blocked: // until its socket has taken the answers
			c.pending = true
			return
		case c.queued: // until what was read before has had its turn
			return
		case l.late() && (c.restLen > 0 || c.state == stateHandshake):
			l.readLater(ci)
			return
		case l.late():
			room = pongBytes
		case c.state == stateHandshake: // its client has nothing to say before the answer
			room = l.cfg.HeadBytes
		}
		had := copy(l.in, l.bytes.get(c.rest)[:c.restLen])
		n, err := l.read(ci, l.in[had:had+room])
		if err == epoll.ErrAgain {
			return
		}
		if err != nil || n == 0 {
			l.lose(ci, "peer")
			return
		}
		l.count[bytesIn] += uint64(n)
		if !l.digest(ci, l.in[:had+n]) || n < room && !ended && !l.conns[ci].secure {
			return
		}
	}
	l.readLater(ci)
}

// putOff reports whether a request of a conn must wait: until its socket has taken the
// answers, or, when it has had its turn, or this cycle its time for requests, for the next.
func (l *loop) putOff(ci uint32) bool {
	c := &l.conns[ci]
	if c.state == stateClosing {
		return false
	}
	if c.blocked {
		c.pending = true
		return true
	}
	l.stamp()
	if l.late() || l.clock-l.turnBegan > requestTurn {
		l.readLater(ci)
		return true
	}
	return false
}

// late reports whether the cycle has had its time for requests.
func (l *loop) late() bool {
	return l.clock-l.began > min(max(requestTime, l.flushed), requestTimeMost)
}

func (l *loop) readLater(ci uint32) {
	if c := &l.conns[ci]; !c.queued {
		c.queued = true
		l.again = append(l.again, epoll.Key{Index: ci, Gen: c.gen})
	}
}

// reread goes on with a conn that was put off: first with what had come before.
func (l *loop) reread(ci uint32) {
	c := &l.conns[ci]
	if c.state == stateVerifying { // then its head is read again
		return
	}
	c.pending, l.turnBegan = false, l.clock
	had := copy(l.in, l.bytes.get(c.rest)[:c.restLen])
	if l.digest(ci, l.in[:had]) {
		l.readable(ci, true)
	}
}

// digest consumes p and keeps what is left; false when the conn is gone.
func (l *loop) digest(ci uint32, p []byte) bool {
	rest := l.consume(ci, p)
	c := &l.conns[ci]
	if c.state == stateGone {
		return false
	}
	l.keepRest(c, rest)
	l.bound(ci)
	return true
}

// bound ends a conn that adds to what is unfinished when that is too much. What was put off
// is not the conn's fault: it may be whole.
func (l *loop) bound(ci uint32) {
	c := &l.conns[ci]
	if l.unfinished <= unfinishedMax || c.queued || c.restLen == 0 && c.op == 0 && c.held == 0 {
		return
	}
	switch c.state {
	case stateHandshake, stateVerifying:
		l.refuse(ci, refusal{http.StatusServiceUnavailable, "overloaded", "too much is unfinished; connect again"})
	case stateOpen:
		l.bye(ci, codec.CloseOverloaded, "too much is unfinished; connect again")
	}
	l.dropUnfinished(c)
}

// keepRest stores the beginning of what has not come whole yet.
func (l *loop) keepRest(c *conn, rest []byte) {
	l.unfinished += len(rest) - int(c.restLen)
	if len(rest) == 0 {
		l.bytes.release(c.rest)
		c.rest, c.restLen = 0, 0
		return
	}
	if c.restLen == 0 && c.op == 0 {
		c.begun = l.clock
	}
	c.rest = l.bytes.grow(c.rest, 0, len(rest))
	copy(l.bytes.get(c.rest), rest)
	c.restLen = uint32(len(rest))
}

// overdue reports whether the conn has begun what it should have ended.
func (c *conn) overdue(now time.Duration) bool {
	return (c.restLen > 0 || c.op != 0) && now-c.begun > messageTime || c.held > 0 && now-c.heldSince > messageTime
}

// dropUnfinished forgets that.
func (l *loop) dropUnfinished(c *conn) {
	l.unfinished -= int(c.restLen + c.msgLen + c.held)
	l.bytes.release(c.rest)
	l.bytes.release(c.msg)
	c.rest, c.restLen, c.msg, c.msgLen, c.held = 0, 0, 0, 0, 0
}

// consume takes what is whole off p and returns the rest.
func (l *loop) consume(ci uint32, p []byte) (rest []byte) {
	c := &l.conns[ci]
	if c.state == stateHandshake {
		var ok bool
		if p, ok = l.handshake(ci, p); !ok {
			return p
		}
	}
	for len(p) > 0 && c.state != stateGone {
		if c.broken { // the payload of a frame that was refused may look like any other
			return nil
		}
		if op := ws.OpCode(p[0] & 15); (c.blocked || op != ws.OpPong && op != ws.OpClose) && l.putOff(ci) {
			return p
		}
		h, payload, rest, err := l.parser.frame(p, c.op != 0)
		switch {
		case err == errPartial:
			return p
		case err == nil && c.state != stateClosing:
			l.count[framesIn]++
			l.handleFrame(ci, h, payload)
		case err == nil && h.OpCode == ws.OpClose:
			if !c.blocked { // else it has yet to take ours
				l.lose(ci, "done")
			}
		case err != nil:
			code := ws.StatusProtocolError
			if err == errTooBig {
				code = ws.StatusMessageTooBig
			}
			l.bye(ci, code, err.Error())
			c.broken = true
			return nil
		}
		p = rest
	}
	return p
}

// handleFrame acts on one frame.
func (l *loop) handleFrame(ci uint32, h ws.Header, payload []byte) {
	c := &l.conns[ci]
	if c.op == 0 {
		c.begun = l.clock
	}
	switch h.OpCode {
	case ws.OpPing:
		l.spend(ci, 1)
		if c.state == stateOpen {
			l.control = appendFrame(l.control[:0], ws.OpPong, payload)
			l.write(ci, l.control)
		}
	case ws.OpPong:
		if !l.pong(ci, payload) {
			l.spend(ci, 1)
		}
	case ws.OpClose:
		l.bye(ci, closeAnswer(payload), "")
	default:
		if h.Fin && c.op == 0 {
			l.message(ci, h.OpCode, payload)
			return
		}
		l.fragment(ci, h, payload)
	}
}

// fragment gathers a message that comes in several frames.
func (l *loop) fragment(ci uint32, h ws.Header, payload []byte) {
	c := &l.conns[ci]
	if c.op == 0 {
		c.op = h.OpCode
	}
	if int(c.msgLen)+len(payload) > l.cfg.RequestBytes {
		l.bye(ci, ws.StatusMessageTooBig, errTooBig.Error())
		return
	}
	begun := wholeRunes(l.bytes.get(c.msg)[:c.msgLen])
	c.msg = l.bytes.grow(c.msg, int(c.msgLen), int(c.msgLen)+len(payload))
	copy(l.bytes.get(c.msg)[c.msgLen:], payload)
	c.msgLen += uint32(len(payload))
	l.unfinished += len(payload)
	if !h.Fin {
		so := l.bytes.get(c.msg)[begun:c.msgLen]
		if c.op == ws.OpText && !utf8.Valid(so[:wholeRunes(so)]) {
			l.bye(ci, ws.StatusInvalidFramePayloadData, notUTF8)
			return
		}
		l.spend(ci, 1)
		return
	}
	msg, n, op := c.msg, c.msgLen, c.op
	c.msg, c.msgLen, c.op = 0, 0, 0
	l.unfinished -= int(n)
	l.message(ci, op, l.bytes.get(msg)[:n])
	l.bytes.release(msg)
}

// wholeRunes is the length of text without a rune at its end that may go on.
func wholeRunes(p []byte) int {
	for i := len(p) - 1; i >= max(0, len(p)-utf8.UTFMax+1); i-- {
		if utf8.RuneStart(p[i]) {
			if !utf8.FullRune(p[i:]) {
				return i
			}
			break
		}
	}
	return len(p)
}

const notUTF8 = "text that is not UTF-8"

// closeAnswer is the code that answers a peer's close frame: its own, if it may be
// sent (RFC 6455, 7.4, and the registry's 1012 to 1014).
func closeAnswer(payload []byte) ws.StatusCode {
	if len(payload) == 0 {
		return ws.StatusNormalClosure
	}
	code, reason := ws.ParseCloseFrameData(payload)
	switch {
	case len(payload) == 1, code < 1000, code >= 1004 && code <= 1006, code > 1014 && code < 3000, code >= 5000:
		return ws.StatusProtocolError
	case !utf8.ValidString(reason):
		return ws.StatusInvalidFramePayloadData
	}
	return code
}

// message is a whole message of a client: a request.
func (l *loop) message(ci uint32, op ws.OpCode, payload []byte) {
	if op == ws.OpText && !utf8.Valid(payload) {
		l.bye(ci, ws.StatusInvalidFramePayloadData, notUTF8)
		return
	}
	l.service.request(ci, op == ws.OpText, payload)
}
