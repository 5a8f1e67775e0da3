package fanout

import (
	"net/http"

	"github.com/tickwire/tickwire/codec"
)

// sweep looks after time: no conn has a timer, each is seen once a second, a
// tenth of them every sweepEvery; after a longer cycle as many tenths as are due.
func (l *loop) sweep() {
	if l.clock < l.sweepAt {
		return
	}
	parts := min(sweepParts, 1+int((l.clock-l.sweepAt)/sweepEvery))
	l.sweepAt = l.clock + sweepEvery
	if l.deaf && l.listener >= 0 {
		l.deaf = l.poll.AddListener(l.listener, listenerKey) != nil
	}
	if l.drainEnd != 0 {
		l.sweepDraining()
	}
	for range parts {
		l.sweepPart = (l.sweepPart + 1) % sweepParts
		for ci := 1 + l.sweepPart; ci < len(l.conns); ci += sweepParts {
			l.sweepConn(uint32(ci))
		}
	}
}

func (l *loop) sweepConn(ci uint32) {
	c := &l.conns[ci]
	age := l.clock - c.since
	switch c.state {
	case stateProxied, stateShaking:
		if age > l.cfg.HandshakeTime {
			why := "tls_too_slow"
			if c.state == stateProxied {
				why = "proxy_too_slow"
			}
			l.events.handshakes.WithLabelValues(why).Inc()
			l.drop(ci)
		}
	case stateHandshake:
		if age > l.cfg.HandshakeTime && !c.queued {
			l.refuse(ci, refusal{http.StatusRequestTimeout, "head_too_slow", "the request head took too long"})
		}
	case stateVerifying:
		if age > l.cfg.HandshakeTime {
			l.refuse(ci, badToken(errTooSlow))
		}
	case stateClosing:
		if age > lingerTime {
			l.lose(ci, "done")
		}
	case stateOpen:
		switch {
		case c.blocked && age > l.cfg.Stall:
			l.lose(ci, "stalled") // its socket takes nothing, the close frame included
			return
		case c.choked && !c.blocked && l.clock-c.askedAt > l.cfg.Stall:
			l.bye(ci, codec.CloseStalled, "pings are not answered")
			return
		}
		if !c.blocked && !c.queued && c.overdue(l.clock) {
			l.bye(ci, codec.CloseSilent, "a message was begun and not ended")
			return
		}
		if claims := l.passes[ci].claims; claims != nil && claims.Left(l.wall()) <= 0 {
			l.bye(ci, codec.CloseExpired, "the token has expired")
			return
		}
		if l.idle(ci) {
			l.bye(ci, codec.CloseSilent, "nothing is subscribed to")
			return
		}
		c.budget = min(l.cfg.burst(), c.budget+int32(l.cfg.Requests))
		if c.budget == l.cfg.burst() {
			c.floods = 0
		}
		if !c.blocked && !c.choked && l.clock-c.spoke >= l.cfg.Heartbeat {
			l.tell(ci, &codec.Heartbeat{Time: l.sentAt, Subs: int(c.subs), Hash: c.hash})
		}
	}
}

// idle reports whether a conn has had no use for too long.
func (l *loop) idle(ci uint32) bool {
	c := &l.conns[ci]
	if c.subs > 0 || len(l.patterns[ci]) > 0 {
		c.used = l.clock
	}
	return l.cfg.Idle > 0 && l.clock-c.used > l.cfg.Idle
}
