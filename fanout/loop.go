package fanout

import (
	"slices"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/epoll"
)

// socket is what a loop does to its conns' descriptors: the system calls of
// package epoll, and in scripts a socket that can be filled by command.
type socket interface {
	Read(fd int, p []byte) (int, error)
	Write(fd int, p []byte) (int, error)
	Close(fd int)
}

type kernel struct{}

func (kernel) Read(fd int, p []byte) (int, error)  { return epoll.Read(fd, p) }
func (kernel) Write(fd int, p []byte) (int, error) { return epoll.Write(fd, p) }
func (kernel) Close(fd int)                        { epoll.Close(fd) }

// service is what a loop says in the messages that it frames: to a new conn, and when
// it has sent one. A loop is its own; a test has another, to hold the frames to RFC 6455.
type service interface {
	welcome(ci uint32, answer []byte)
	request(ci uint32, text bool, payload []byte)
}

// loop is one epoll and one goroutine with its board, conns, lanes and subs.
// Nothing in it is shared but the mailbox and the published counts; what all loops of a node
// have together is in shared, each under its own lock.
type loop struct {
	*shared
	mailbox
	sock     socket
	service  service
	listener int
	deaf     bool // the listener is out of the poll, for want of descriptors
	now      func() time.Time

	cycle     uint64        // number of the cycle under way; the first is 1
	clock     time.Duration // since start, as last read
	turnBegan time.Duration // when the conn being read began to have its turn
	began     time.Duration // when the cycle did
	flushed   time.Duration // how long the last flush took, without what it let others do
	start     time.Time
	sentAt    int64 // us since the epoch, as data messages carry it

	board      board
	conns      []conn      // by index; 0 is no conn
	passes     []pass      // of conns
	shaking    []epoll.Key // conns whose TLS handshake is under way, the oldest first, and some that have ended
	lanes      []lane      // by index; 0 is no lane
	freeConn   uint32
	freeLane   uint32
	open       int // conns in use
	blocked    int // of which wait for their socket
	tails      int // bytes that wait for them
	unfinished int // bytes of messages that have not come whole
	nsubs      int // of all lanes
	rawSubs    int // of lanes with period 0: what a scan of all of them passes
	wheel      wheel
	pacer      pacer
	patterns   map[uint32][]pattern // by conn: rare, so not in conn

	subs        slab[sub]    // of lanes
	subscribers slab[uint32] // lane sets, of rows
	bytes       slab[byte]   // of conns

	// The cycle's own, emptied by the next.
	scheduled []uint32 // conns to flush
	lost      []uint32 // conns to free
	hits      []hit    // 0 is no hit
	arena     []byte   // encoded updates, see variant
	arenas    uint64   // its number
	frame     frame

	// Scratch.
	in      []byte // read buffer
	parser  parser
	cipher  []byte      // what seal made
	control []byte      // a frame other than data
	payload []byte      // its payload
	again   []epoll.Key // conns with more to read, each once
	spare   []epoll.Key // the other of two slices for again
	queue   []*batch
	errands []func(*loop)
	upgrade *upgrade
	req     codec.Request
	reply   codec.Reply
	notes   []note // by row, of the request under way
	matched []uint32
	noting  uint64 // its number

	count     counts
	published published
	sweepPart int           // the tenth of the conns that was swept last
	sweepAt   time.Duration // when
	drainEnd  time.Duration // 0: not draining
	stopped   bool
}

func newLoop(s *shared) (*loop, error) {
	poll, err := epoll.NewPoll()
	if err != nil {
		return nil, err
	}
	// Room for its share of the conns: what is not used is not resident, while growing
	// would leave outgrown copies behind. The kernel's share is uneven by a few percent.
	share := s.cfg.MaxConns/s.cfg.Loops*9/8 + 64
	l := &loop{
		shared:   s,
		mailbox:  mailbox{poll: poll},
		sock:     kernel{},
		listener: -1,
		now:      time.Now,
		conns:    make([]conn, 1, share),
		passes:   make([]pass, 1, share),
		lanes:    make([]lane, 1, share),
		hits:     make([]hit, 1),
		patterns: make(map[uint32][]pattern),
		in:       make([]byte, limitBytesMost+ws.MaxHeaderSize+2*readBytes),
		parser:   parser{most: s.cfg.RequestBytes},
		upgrade:  newUpgrade(s.cfg.HeadBytes),
	}
	l.service = l
	l.conns[0].fd = -1
	l.board.ids = make(map[string]uint32)
	l.start = l.now()
	l.mailbox.lapped = true // begins with what the master board knows
	return l, nil
}

// listenerKey marks the listener's events: conn 0 is no conn.
var listenerKey = epoll.Key{}

// run is the loop: what has come, then what is due, then again.
func (l *loop) run() error {
	for !l.stopped {
		events, err := l.poll.Wait(l.timeout())
		if err != nil {
			return err
		}
		l.runCycle(events)
	}
	return nil
}

func (l *loop) runCycle(events []epoll.Event) {
	l.begin()
	l.drain()
	l.readAgain() // who has waited goes first
	l.handle(events)
	l.due()
	l.flushAll()
	l.sweep()
	l.shed()
	l.reap()
	l.publish()
	l.setPause()
}

// begin opens a cycle.
func (l *loop) begin() {
	l.cycle++
	l.count[cycles]++
	l.hits = l.hits[:1]
	l.newArena()
	l.board.changed = l.board.changed[:0]
	l.stamp()
	l.began = l.clock
}

// stamp reads the clock: once a cycle, and again while one is long.
func (l *loop) stamp() {
	now := l.now()
	l.clock = now.Sub(l.start)
	l.sentAt = now.UnixMicro()
}

func (l *loop) timeout() time.Duration {
	if len(l.again) > 0 || l.mailbox.posted() {
		return 0
	}
	return l.nextTurn(l.nextDue(max(0, l.sweepAt-l.clock)))
}

// drain applies what the mailbox holds to the board.
func (l *loop) drain() {
	var lapped bool
	l.queue, l.errands, lapped = l.mailbox.drain(l.queue, l.errands)
	if lapped {
		l.events.lapped.Inc()
		l.catchUp()
	}
	for i, b := range l.queue {
		for j := range b.updates {
			u := &b.updates[j]
			if int(u.ID) >= len(l.board.rows) {
				l.growBoard()
			}
			l.board.apply(u, l.cycle)
		}
		l.count[updatesIn] += uint64(len(b.updates))
		b.release()
		l.queue[i] = nil
	}
	for i, errand := range l.errands {
		errand(l)
		l.errands[i] = nil
	}
}

// catchUp takes the master board's rows in place of the batches that were lost.
func (l *loop) catchUp() {
	l.growBoard()
	l.master.each(func(m *masterRow) {
		if int(m.update.ID) < len(l.board.rows) {
			l.board.catchUp(m, l.cycle)
		}
	})
}

// growBoard makes rows for new symbols, and subs for those a pattern names.
func (l *loop) growBoard() {
	before := len(l.board.rows)
	l.board.grow(l.master.list())
	l.notes = slices.Grow(l.notes, len(l.board.rows)-before)[:len(l.board.rows)]
	for ci := range l.patterns {
		if !l.conns[ci].blocked { // a blocked one is matched when it wakes
			l.matchPatterns(ci)
		}
	}
}

// serve takes what is ready in the midst of a long flush.
func (l *loop) serve() {
	events, err := l.poll.Wait(0)
	if err == nil {
		l.handle(events)
	}
}

// handle acts on events. One for a conn that was closed since, or whose place
// another has taken, is dropped by its generation.
func (l *loop) handle(events []epoll.Event) {
	for _, e := range events {
		if e.Key == listenerKey {
			if l.listener >= 0 {
				l.accept()
			}
			continue
		}
		ci := e.Key.Index
		c := &l.conns[ci]
		if c.gen != e.Key.Gen || c.state == stateGone {
			continue
		}
		switch c.state {
		case stateProxied:
			l.proxied(ci)
			continue
		case stateShaking:
			l.passes[ci].tls.Ready()
			continue
		}
		if e.Writable() {
			l.writable(ci)
		}
		if e.Readable() && c.state != stateGone {
			l.readable(ci, e.Ended())
		}
	}
}

// readAgain goes on with conns that had more to read than there was time for, in turns.
// Who has not had his when time is up goes before those who had.
func (l *loop) readAgain() {
	for len(l.again) > 0 && !l.late() {
		now, turns := l.again, 0
		l.again = l.spare[:0]
		for ; turns < len(now) && !l.late(); turns++ {
			if c := &l.conns[now[turns].Index]; c.gen == now[turns].Gen && c.state != stateGone {
				c.queued = false
				l.reread(now[turns].Index)
			}
			l.stamp()
		}
		had := l.again
		l.again = append(append(now[:0], now[turns:]...), had...)
		l.spare = had[:0]
	}
}
