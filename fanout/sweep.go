package fanout

import (
	"math/rand/v2"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// closeRestart is RFC 6455's registry's "service restart": connect again.
const closeRestart ws.StatusCode = 1012

// closeStalled is our own: the client reads nothing; connect again.
const closeStalled ws.StatusCode = 4100

// sweep looks after time: no conn has a timer, each is seen once a second, a
// tenth of them every sweepEvery.
func (l *loop) sweep() {
	if l.clock < l.sweepAt {
		return
	}
	l.sweepAt = l.clock + sweepEvery
	if l.deaf && l.listener >= 0 {
		l.deaf = l.poll.AddListener(l.listener, listenerKey) != nil
	}
	if l.drainEnd != 0 {
		l.sweepDraining()
	}
	l.swept10th = (l.swept10th + 1) % sweepParts
	for ci := 1 + l.swept10th; ci < len(l.conns); ci += sweepParts {
		l.sweepConn(uint32(ci))
	}
}

func (l *loop) sweepConn(ci uint32) {
	c := &l.conns[ci]
	age := l.clock - c.since
	switch c.state {
	case stateHandshake:
		if age > handshakeTime {
			l.refuse(ci, refusedSlow, 408, "the request head took too long")
		}
	case stateClosing:
		if age > lingerTime {
			l.lose(ci, closedDone)
		}
	case stateOpen:
		if (c.blocked || c.choked) && age > l.limits.Stall {
			if c.blocked {
				l.lose(ci, closedStalled) // its socket takes nothing, the close frame included
			} else {
				l.bye(ci, closeStalled, "pings are not answered")
			}
			return
		}
		c.tokens = min(requestBurst, c.tokens+requestsPerSecond)
		if c.tokens == requestBurst {
			c.floods = 0
		}
		if !c.blocked && !c.choked && l.clock-c.spoke >= l.limits.Heartbeat {
			l.sendHeartbeat(ci)
		}
	}
}

func (l *loop) sendHeartbeat(ci uint32) {
	c := &l.conns[ci]
	l.count[heartbeats]++
	tell(l, ci, &codec.Heartbeat{Time: l.sentAt, Subs: int(c.subs), Hash: c.hash}, codec.AppendHeartbeat, codec.AppendHeartbeatJSON)
}

// sendLag tells a conn that its socket took nothing for so long; what follows is
// merged. It reports whether the socket took that.
func (l *loop) sendLag(ci uint32, blocked time.Duration) bool {
	l.count[lags]++
	return tell(l, ci, &codec.Lag{BlockedMS: blocked.Milliseconds()}, codec.AppendLag, codec.AppendLagJSON)
}

// tell sends a conn a message other than data, in its own encoding.
func tell[T any](l *loop, ci uint32, x *T, msgpack, json func([]byte, *T) []byte) bool {
	l.control = appendTold(l, l.control[:0], l.conns[ci].json, x, msgpack, json)
	return l.write(ci, l.control)
}

// appendTold appends its frame.
func appendTold[T any](l *loop, dst []byte, asJSON bool, x *T, msgpack, json func([]byte, *T) []byte) []byte {
	op, appendX := ws.OpBinary, msgpack
	if asJSON {
		op, appendX = ws.OpText, json
	}
	l.payload = appendX(l.payload[:0], x)
	return appendFrame(dst, op, l.payload)
}

// beginDrain stops accepting, tells every client, and has them go at random
// moments within the window.
func (l *loop) beginDrain(window time.Duration) {
	l.stopAccepting()
	l.drainEnd = l.clock + window
	l.sweepAt = 0
	for ci := 1; ci < len(l.conns); ci++ {
		c := &l.conns[ci]
		if c.state == stateOpen {
			c.leave = l.clock + time.Duration(rand.Int64N(int64(window)+1))
			tell(l, uint32(ci), &codec.Drain{WithinMS: window.Milliseconds()}, codec.AppendDrain, codec.AppendDrainJSON)
		}
	}
}

// sweepDraining closes who is due to go, and ends the loop when all have gone or
// the window is over.
func (l *loop) sweepDraining() {
	over := l.clock >= l.drainEnd
	for ci := 1; ci < len(l.conns); ci++ {
		switch c := &l.conns[ci]; {
		case c.state == stateHandshake:
			l.lose(uint32(ci), closedDrained)
		case c.state == stateOpen && (over || l.clock >= c.leave):
			l.bye(uint32(ci), closeRestart, "the node restarts; connect again")
		}
	}
	if l.open == 0 || l.clock >= l.drainEnd+lingerTime/4 {
		for ci := 1; ci < len(l.conns); ci++ {
			if l.conns[ci].state != stateFree {
				l.lose(uint32(ci), closedDrained)
			}
		}
		l.stopped = true
	}
}
