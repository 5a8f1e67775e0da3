package fanout

import (
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/fanout/epoll"
)

// readable reads a conn until its socket is empty, for at most readRounds: one
// that sends without end is read on in the next cycle. A blocked conn is not
// read: who does not take answers gets none.
func (l *loop) readable(ci uint32) {
	for range readRounds {
		c := &l.conns[ci]
		if c.blocked && c.state != stateClosing {
			c.unread = true
			return
		}
		had := copy(l.in, l.bytes.get(c.rest)[:c.restLen])
		n, err := l.sock.Read(int(c.fd), l.in[had:had+readBytes])
		if err == epoll.ErrAgain {
			return
		}
		if err != nil || n == 0 {
			l.lose(ci, closedPeer)
			return
		}
		l.count[bytesIn] += uint64(n)
		if !l.digest(ci, l.in[:had+n]) {
			return
		}
		if n < readBytes && !c.ended {
			return // the socket is empty; more will raise an edge
		}
	}
	l.again = append(l.again, epoll.Key{Index: ci, Gen: l.conns[ci].gen})
}

// reread goes on with a conn that was not read while it was blocked: first with
// what had come before.
func (l *loop) reread(ci uint32) {
	c := &l.conns[ci]
	c.unread = false
	had := copy(l.in, l.bytes.get(c.rest)[:c.restLen])
	if l.digest(ci, l.in[:had]) {
		l.readable(ci)
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
	return true
}

// keepRest stores the beginning of what has not come whole yet.
func (l *loop) keepRest(c *conn, rest []byte) {
	if len(rest) == 0 {
		l.bytes.release(c.rest)
		c.rest, c.restLen = 0, 0
		return
	}
	c.rest = l.bytes.grow(c.rest, 0, len(rest))
	copy(l.bytes.get(c.rest), rest)
	c.restLen = uint32(len(rest))
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
		if c.blocked && c.state == stateOpen {
			c.unread = true
			return p // answers wait for the socket, and so do further requests
		}
		h, payload, rest, err := parseFrame(p, c.op != 0)
		if err == errPartial {
			return p
		}
		if c.state == stateClosing {
			if h.OpCode == ws.OpClose && err == nil {
				l.lose(ci, closedDone)
			}
			return nil
		}
		if err != nil {
			code := ws.StatusProtocolError
			if err == errTooBig {
				code = ws.StatusMessageTooBig
			}
			l.bye(ci, code, err.Error())
			return nil
		}
		l.count[framesIn]++
		l.took(ci, h, payload)
		p = rest
	}
	return p
}

// took acts on one frame.
func (l *loop) took(ci uint32, h ws.Header, payload []byte) {
	c := &l.conns[ci]
	switch h.OpCode {
	case ws.OpPing:
		l.spend(ci, 1)
		if c.state == stateOpen {
			l.control = appendFrame(l.control[:0], ws.OpPong, payload)
			l.write(ci, l.control)
		}
	case ws.OpPong:
		if !l.answered(ci, payload) {
			l.spend(ci, 1)
		}
	case ws.OpClose:
		l.tookClose(ci, payload)
	default:
		if h.Fin && c.op == 0 {
			l.message(ci, h.OpCode, payload)
			return
		}
		if c.op == 0 {
			c.op = h.OpCode
		}
		if int(c.msgLen)+len(payload) > requestBytes {
			l.bye(ci, ws.StatusMessageTooBig, errTooBig.Error())
			return
		}
		c.msg = l.bytes.grow(c.msg, int(c.msgLen), int(c.msgLen)+len(payload))
		copy(l.bytes.get(c.msg)[c.msgLen:], payload)
		c.msgLen += uint32(len(payload))
		if !h.Fin {
			l.spend(ci, 1)
		} else {
			msg, n, op := c.msg, c.msgLen, c.op
			c.msg, c.msgLen, c.op = 0, 0, 0
			l.message(ci, op, l.bytes.get(msg)[:n])
			l.bytes.release(msg)
		}
	}
}

// tookClose answers the peer's close with the same code and ends the conn.
func (l *loop) tookClose(ci uint32, payload []byte) {
	code, reason := ws.ParseCloseFrameData(payload)
	if len(payload) == 0 {
		code = ws.StatusNormalClosure
	} else if err := ws.CheckCloseFrameData(code, reason); err != nil || len(payload) == 1 {
		code = ws.StatusProtocolError
	}
	l.bye(ci, code, "")
}

// message is a whole message of a client: a request.
func (l *loop) message(ci uint32, op ws.OpCode, payload []byte) {
	if op == ws.OpText && !utf8.Valid(payload) {
		l.bye(ci, ws.StatusInvalidFramePayloadData, "text that is not UTF-8")
		return
	}
	l.request(ci, op == ws.OpText, payload)
}
