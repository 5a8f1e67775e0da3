package fanout

import (
	"encoding/binary"
	"time"

	"github.com/gobwas/ws"
)

// A socket that takes bytes says nothing of the client reading them: its kernel takes
// some 300 KB for a program that stands still, and every byte of it grows old. So a
// node pings behind the data, and a client that has answered once is given a window
// of bytes beyond its last answer: one that stops finds at most 8 KiB of old data
// when it reads on.
//
// One that is far away needs a larger window, and one that reads slowly must not have
// it: both are choked, and answer late. But a larger window makes the former faster.
// So it doubles with each choke as long as the client then reads faster by a quarter, and
// is halved when it does not: 150 ms of round trip leave 7 MB a second.
//
// Measured with 27 KB a second to each, against windows of 32 KiB that doubled for whoever
// answered within a second: a stopped reader found 5.4 KB instead of 37, what one of 4 KB
// a second reads is 2 s old instead of 4 and more, for 5 % more CPU.
const (
	creditPing = 4 << 10 // bytes after which a ping is due
	windowMin  = 3 << 10 // and bytes after that ping, unanswered, that choke the conn
	windowMax  = 1 << 20
)

// pingDue reports whether a ping belongs behind so many bytes.
func (c *conn) pingDue(n int) bool {
	return c.answers && !c.asked && c.flow+uint32(n) >= creditPing
}

// appendPing appends the conn's next ping.
func (c *conn) appendPing(dst []byte) []byte {
	c.pinged++
	c.asked, c.batch, c.flow = true, c.flow+uint32(len(dst)), 0
	var payload [4]byte
	binary.BigEndian.PutUint32(payload[:], c.pinged)
	return appendFrame(dst, ws.OpPing, payload[:])
}

// credit looks at what a conn was sent since its last answer, and reports whether
// it may be sent more.
func (l *loop) credit(ci uint32) bool {
	c := &l.conns[ci]
	if !c.answers || !c.asked || c.flow < c.window {
		return true
	}
	c.choked, c.slow, c.since = true, true, l.clock
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
	since := l.clock - c.heard
	c.answers, c.asked, c.heard = true, false, l.clock
	if !c.choked {
		c.speed = 0
		if c.flow < c.window/4 {
			c.window = max(windowMin, c.window/2)
		}
		return true
	}
	c.choked = false
	choked := l.clock - c.since
	if choked >= lagAfter {
		c.window, c.speed = windowMin, 0
	} else {
		c.tryWindow(uint32(float64(c.batch) / max(time.Millisecond, since).Seconds()))
	}
	if choked < lagAfter || l.sendLag(ci, choked) {
		l.wake(ci)
	}
	return true
}

// tryWindow gives a conn that was choked another window, by the bytes a second it reads
// now. What is read until the next answer was sent with the window of before, so that
// only the answer after that tells what came of it.
func (c *conn) tryWindow(speed uint32) {
	if c.tried {
		c.tried = false
		return
	}
	before := c.window
	if speed > c.speed+c.speed/4 {
		c.window = min(2*c.window, windowMax)
	} else {
		c.window = max(windowMin, c.window/2)
	}
	c.speed, c.tried = speed, c.window != before
}
