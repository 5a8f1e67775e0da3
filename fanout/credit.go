package fanout

import (
	"encoding/binary"

	"github.com/gobwas/ws"
)

// A socket that takes bytes says nothing of the client reading them: its kernel takes
// some 300 KB for a program that stands still, and every byte of it grows old. So a
// node pings behind the data, and a client that has answered once is choked when a
// window of bytes has gone out behind a ping that it has not answered: one that stops
// finds creditPing, the smallest window and a message when it reads on.
//
// One that is far away needs a larger window, and one that reads slowly must not have
// it. Both are choked, and answer late; but the former has never answered soon. So the
// window is windowLines times what the client reads in the shortest time it ever took for an
// answer: 1 MiB, the most, carry 7 MB a second over 150 ms.
//
// Measured with 27 KB a second to each, against windows of 32 KiB that doubled for whoever
// answered within a second: a stopped reader found 5.4 KB instead of 37, what one of 4 KB
// a second reads is 2 s old instead of 4 and more, for 5 % more CPU.
const (
	creditPing  = 4 << 10 // bytes after which a ping is due
	windowMin   = 3 << 10 // and bytes after that ping, unanswered, that choke the conn
	windowMax   = 1 << 20
	windowLines = 4 // so that a line may take four times its shortest
)

// pingDue reports whether a ping belongs behind so many bytes.
func (c *conn) pingDue(n int) bool {
	return c.answers && !c.asked && c.flow+uint32(n) >= creditPing
}

// writePing writes bytes and a ping behind them, in one write.
func (l *loop) writePing(ci uint32, p []byte) bool {
	c := &l.conns[ci]
	c.pinged++
	c.asked, c.askedAt = true, l.clock
	var payload [4]byte
	binary.BigEndian.PutUint32(payload[:], c.pinged)
	taken := l.write(ci, appendFrame(p, ws.OpPing, payload[:]))
	c.batch, c.flow = c.flow, 0
	return taken
}

// credit looks at what a conn was sent since its last ping, and reports whether
// it may be sent more.
func (l *loop) credit(ci uint32) bool {
	c := &l.conns[ci]
	if !c.answers || !c.asked || c.flow < c.window {
		return true
	}
	c.choked, c.slow = true, true
	l.events.chokes.Inc()
	l.sleep(c)
	return false
}

// pong takes a pong, and reports whether it was waited for: of the last ping, once, it
// gives new credit.
func (l *loop) pong(ci uint32, payload []byte) bool {
	c := &l.conns[ci]
	if !c.asked || len(payload) != 4 || binary.BigEndian.Uint32(payload) != c.pinged {
		return false
	}
	took, since := max(1, l.clock-c.askedAt), max(1, l.clock-c.answeredAt)
	if !c.answers || took < c.line {
		c.line = took
	}
	c.answers, c.asked, c.answeredAt = true, false, l.clock
	if !c.choked {
		if c.flow < c.window/4 { // it has no use for so much
			c.window = max(windowMin, c.window/2)
		}
		return true
	}
	c.choked = false
	c.window = windowMin
	if took < lagAfter {
		held := float64(c.batch) * float64(c.line) / float64(since)
		c.window = uint32(min(max(windowMin, windowLines*held), windowMax))
	}
	if took < lagAfter || l.sendLag(ci, took) {
		l.wake(ci)
	}
	return true
}
