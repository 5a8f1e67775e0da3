package fanout

import (
	"cmp"
	"slices"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/epoll"
	"github.com/tickwire/tickwire/fanout/token"
)

// conn is one subscriber's socket. It holds no pointers: what has a size of its
// own lies in the loop's slabs.
//
//	accept                     head          upgraded          short write
//	------> proxied, shaking ------> handshake ------> open <--------> blocked      (paused: asked for)
//	                                 |    ^              |   tail taken    |
//	                                 v    v              v                 v
//	                            (gone)    verifying   closing <------------+   ours or the peer's close
//	                         to net/http  its token      |
//	                                                     v
//	                                               gone, free at the end of the cycle, gen+1
//
// One that is open is choked, too, while a ping is not answered; see credit.go.
type conn struct {
	fd    int32
	gen   uint32 // told to epoll, so that an event of a former conn is known
	state uint8

	json      bool  // the subprotocol
	secure    bool  // its pass has its TLS
	due       bool  // in loop.scheduled, or waiting in the pacer
	blocked   bool  // the socket took less than it was given: tail waits
	paused    bool  // the client asked for silence
	choked    bool  // the client has not answered a ping for too many bytes
	answers   bool  // it answers pings
	asked     bool  // a ping is not answered yet
	slow      bool  // was blocked or choked since its last whole flush
	pending   bool  // bytes came while it was blocked
	queued    bool  // in loop.again
	verifying bool  // a token of it is being verified
	broken    bool  // what comes is no frame, or nobody knows where the next one begins
	hot       uint8 // messages in a row, each soon after the one before; see pace.go
	op        ws.OpCode

	lanes uint32 // first lane; 0 none
	subs  uint32
	seen  uint32 // rows of the board that its patterns were matched with
	hash  uint32 // XOR of the subscribed symbols' hashes

	tail    uint32 // slab handle: what the socket did not take
	tailLen uint32
	tailOff uint32 // of which so much was taken since
	rest    uint32 // slab handle: the beginning of an unfinished frame or head
	restLen uint32
	msg     uint32 // slab handle: fragments so far
	msgLen  uint32
	held    uint32 // bytes that TLS keeps of a record that has not come whole

	pinged    uint32        // number of the last ping
	flow      uint32        // bytes written since that ping
	window    uint32        // how many may be; see credit.go
	batch     uint32        // bytes between the last two pings
	budget    int32         // for requests; see limits.go
	floods    uint16        // frames beyond the budget
	since     time.Duration // when it was accepted, opened, began to close, or was blocked, on the loop's clock
	begun     time.Duration // when the message under way began
	heldSince time.Duration // when the record under way did, or later
	spoke     time.Duration // last write
	used      time.Duration // when it last asked something, or was seen to subscribe to something

	askedAt    time.Duration // when the last ping was written
	answeredAt time.Duration // when one was answered
	line       time.Duration // the shortest time that an answer took; of a conn that answers
	leaveAt    time.Duration // draining: when to go; 0 not
}

const (
	stateFree    uint8 = iota
	stateProxied       // a balancer is to say whom it speaks for
	stateShaking       // TLS, in a goroutine beside the loop
	stateHandshake
	stateVerifying // its token, beside the loop; its head waits
	stateOpen
	stateClosing // our close frame is on its way; reading only to see the end
	stateGone    // lost in this cycle
)

// pass is what of a conn has pointers: a slice of their own, by the conn's index.
type pass struct {
	tls    *epoll.TLS // nil: plain
	host   *host      // nil: not counted
	claims *token.Claims
}

// asleep reports whether the conn is not to be flushed.
func (c *conn) asleep() bool { return c.blocked || c.paused || c.choked }

// reason says why updates were merged for a conn's lane.
func (c *conn) reason(ln *lane) codec.Flags {
	switch {
	case c.slow:
		return codec.ReasonSlow
	case ln.period != 0:
		return codec.ReasonRate
	}
	return codec.ReasonCatchUp
}

// newConn takes a conn from the slab.
func (l *loop) newConn(fd int) uint32 {
	ci := l.freeConn
	if ci != 0 {
		l.freeConn = l.conns[ci].lanes
	} else {
		ci = uint32(len(l.conns))
		l.conns, l.passes = append(l.conns, conn{}), append(l.passes, pass{})
	}
	c := &l.conns[ci]
	*c = conn{fd: int32(fd), gen: c.gen, state: stateHandshake, since: l.clock, budget: l.cfg.burst(), window: windowMin}
	l.open++
	return ci
}

// lose gives a conn up, for a reason to be counted. It is freed at the end of the
// cycle, so that whoever wrote to it may go on with it.
func (l *loop) lose(ci uint32, why string) {
	if l.drop(ci) {
		l.events.closed.WithLabelValues(why).Inc()
	}
}

// drop has a conn freed at the end of the cycle, and reports whether it was not yet.
func (l *loop) drop(ci uint32) bool {
	c := &l.conns[ci]
	if c.state == stateGone {
		return false
	}
	c.state = stateGone
	l.lost = append(l.lost, ci)
	return true
}

// reap frees what was lost in this cycle, and ends the loop that has drained.
func (l *loop) reap() {
	for _, ci := range l.lost {
		c := &l.conns[ci]
		l.closeSocket(ci)
		l.guard.leave(l.passes[ci].host)
		if l.auth != nil {
			l.auth.subjects.leave(l, ci)
		}
		l.passes[ci] = pass{}
		if c.blocked {
			l.blocked--
			l.tails -= int(c.tailLen)
		}
		l.dropLanes(ci)
		l.bytes.release(c.tail)
		l.dropUnfinished(c)
		*c = conn{fd: -1, gen: c.gen + 1, lanes: l.freeConn}
		l.freeConn = ci
		l.open--
		l.taken.Add(-1)
	}
	l.lost = l.lost[:0]
	// The last to go ends a drain, not the sweep after it: somebody may wait at a terminal.
	l.stopped = l.drainEnd != 0 && l.open == 0
}

// write gives the socket bytes of whole frames. What it does not take becomes the
// tail, and the conn blocked: nothing new is made for it until the tail is gone.
// It reports whether the conn is open and the socket took everything.
func (l *loop) write(ci uint32, p []byte) bool {
	c := &l.conns[ci]
	if c.state == stateGone {
		return false
	}
	if c.secure {
		if p = l.seal(ci, p); p == nil {
			return false
		}
	}
	return l.send(ci, p)
}

// send is write of what is on the wire already.
func (l *loop) send(ci uint32, p []byte) bool {
	c := &l.conns[ci]
	if c.blocked {
		l.addTail(c, p)
		return false
	}
	n, err := l.sock.Write(int(c.fd), p)
	l.count[writes]++
	l.count[bytesOut] += uint64(n)
	c.flow += uint32(len(p))
	if n == len(p) {
		c.spoke = l.clock
		return true
	}
	if err != nil && err != epoll.ErrAgain {
		l.lose(ci, "reset")
		return false
	}
	l.count[shortWrites]++
	l.addTail(c, p[n:])
	c.blocked, c.slow, c.since = true, true, l.clock
	l.blocked++
	l.sleep(c)
	return false
}

func (l *loop) addTail(c *conn, p []byte) {
	if c.tail == 0 {
		c.tailLen, c.tailOff = 0, 0
	}
	c.tail = l.bytes.grow(c.tail, int(c.tailLen), int(c.tailLen)+len(p))
	copy(l.bytes.get(c.tail)[c.tailLen:], p)
	c.tailLen += uint32(len(p))
	l.tails += len(p)
}

// shed gives up conns when too much waits for them, those with the most first: a reader
// of 2,000 bytes a second would keep a megabyte for nine minutes.
func (l *loop) shed() {
	if l.tails <= tailsMax {
		return
	}
	var (
		slow []uint32
		left int
	)
	for ci := range l.conns {
		if c := &l.conns[ci]; c.blocked && c.state != stateGone {
			slow, left = append(slow, uint32(ci)), left+int(c.tailLen)
		}
	}
	slices.SortFunc(slow, func(a, b uint32) int { return cmp.Compare(l.conns[b].tailLen, l.conns[a].tailLen) })
	for ; left > tailsMax/2; slow = slow[1:] {
		left -= int(l.conns[slow[0]].tailLen)
		l.lose(slow[0], "unread")
	}
}

// sleep has the lanes of a blocked, choked or paused conn not visited.
func (l *loop) sleep(c *conn) {
	for li := c.lanes; li != 0; li = l.lanes[li].next {
		l.lanes[li].asleep, l.lanes[li].hit = true, 0
	}
}

// wake has the lanes of a conn that sleeps no more scanned.
func (l *loop) wake(ci uint32) {
	c := &l.conns[ci]
	if c.asleep() {
		return
	}
	for li := c.lanes; li != 0; li = l.lanes[li].next {
		l.lanes[li].asleep, l.lanes[li].scan = false, true
	}
	l.schedule(ci)
}

// writable goes on with the tail of a blocked conn.
func (l *loop) writable(ci uint32) {
	c := &l.conns[ci]
	if !c.blocked {
		return
	}
	n, err := l.sock.Write(int(c.fd), l.bytes.get(c.tail)[c.tailOff:c.tailLen])
	l.count[writes]++
	l.count[bytesOut] += uint64(n)
	if err != nil && err != epoll.ErrAgain {
		l.lose(ci, "reset")
		return
	}
	if c.tailOff += uint32(n); c.tailOff < c.tailLen {
		// Every byte puts the stall timeout off, by what it may take at the least.
		c.since = min(l.clock, c.since+time.Duration(n)*time.Second/stallRate)
		return
	}
	l.bytes.release(c.tail)
	c.tail, c.blocked, c.spoke = 0, false, l.clock
	l.blocked--
	l.tails -= int(c.tailLen)
	switch c.state {
	case stateClosing:
		l.endSending(ci)
	case stateOpen:
		if blocked := l.clock - c.since; blocked >= lagAfter && !l.sendLag(ci, blocked) {
			return
		}
		if l.matchPatterns(ci); c.blocked {
			return
		}
		l.wake(ci)
		if c.pending {
			l.reread(ci)
		}
	}
}

// bye sends a close frame and ends the sending direction; the conn is freed when
// the peer has answered, or after lingerTime.
func (l *loop) bye(ci uint32, code ws.StatusCode, text string) {
	c := &l.conns[ci]
	if c.state != stateOpen {
		return
	}
	l.events.closeFrames.WithLabelValues(number(code)).Inc()
	c.state, c.since = stateClosing, l.clock
	l.dropLanes(ci)
	l.dropUnfinished(c)
	var body [125]byte
	n := 2 + copy(body[2:], text)
	body[0], body[1] = byte(code>>8), byte(code)
	l.control = appendFrame(l.control[:0], ws.OpClose, body[:n])
	if l.write(ci, l.control) {
		l.endSending(ci)
	}
}
