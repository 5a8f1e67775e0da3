package fanout

import (
	"fmt"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/epoll"
)

// sink is a socket that takes everything, and gives what it is loaded with.
type sink struct {
	in    []byte
	wrote int
}

func (s *sink) Write(fd int, p []byte) (int, error) { s.wrote += len(p); return len(p), nil }
func (s *sink) Close(fd int)                        {}
func (s *sink) Read(fd int, p []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, epoll.ErrAgain
	}
	n := copy(p, s.in) // which is unmasked there, not here
	s.in = s.in[n:]
	return n, nil
}

// crowd is a loop with conns that all subscribe to all symbols.
type crowd struct {
	*loop
	sink    sink
	stream  stream
	symbols [][]byte
	seq     int64
}

func newCrowd(t testing.TB, conns, symbols int, json bool, rate float64) *crowd {
	t.Helper()
	cfg := Config{Node: "crowd", Heartbeat: time.Hour, Loops: 1, Limits: usual(t)}
	cfg.MaxConns, cfg.MaxSubs, cfg.Stall = conns, symbols, time.Hour
	l := testLoop(t, &cfg)
	c := &crowd{loop: l}
	l.sock = &c.sink
	for i := range symbols {
		c.symbols = append(c.symbols, fmt.Appendf(nil, "sim:S%04d", i))
	}
	c.tick(symbols)
	c.runCycle(nil)
	for range conns {
		ci := l.newConn(1)
		l.conns[ci].state, l.conns[ci].json = stateOpen, json
		l.request(ci, true, fmt.Appendf(nil, `{"op":"subscribe","id":1,"symbols":["sim:*"],"rate":%v}`, rate))
	}
	c.runCycle(nil)
	return c
}

// tick changes the first n symbols.
func (c *crowd) tick(n int) {
	b := newBatch()
	c.seq++
	u := codec.Update{Seq: c.seq, History: 1, Mask: 1<<codec.Bid | 1<<codec.BidSize | 1<<codec.RecvTime}
	if c.seq == 1 {
		u.Flags, u.Quote = codec.Image, codec.Empty
	}
	u.Quote[codec.Bid], u.Quote[codec.BidSize], u.Quote[codec.RecvTime] = c.seq, 2*c.seq, 1_700_000_000_000_000+c.seq
	c.master.mu.Lock()
	for _, symbol := range c.symbols[:n] {
		c.master.merge(b, &c.stream, symbol, &u)
	}
	c.master.publish()
	c.master.mu.Unlock()
	b.refs.Add(1)
	c.mailbox.post(b)
	b.release()
}

// From batch to socket, and from socket to request, nothing allocates.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, c := range map[string]struct {
		conns, symbols, changed int
		json                    bool
		pause                   time.Duration
	}{
		"by list":       {100, 100, 1, false, 0},
		"by scan":       {100, 50, 50, false, 0},
		"json":          {100, 50, 5, true, 0},
		"many messages": {10, 2000, 2000, false, 0},
		"in turns":      {100, 50, 5, false, time.Minute},
	} {
		crowd := newCrowd(t, c.conns, c.symbols, c.json, 0)
		run := func() {
			crowd.tick(c.changed)
			crowd.runCycle(nil)
		}
		if crowd.cfg.Pace = c.pause; c.pause > 0 { // and all have their turn
			crowd.pacer.pause = c.pause
			run = func() {
				for ci := range crowd.conns {
					crowd.conns[ci].hot = hotAfter
				}
				crowd.tick(c.changed)
				crowd.runCycle(nil)
				crowd.pacer.turned -= c.pause
				crowd.runCycle(nil)
			}
		}
		run()
		before := crowd.count[updatesOut]
		if n := testing.AllocsPerRun(100, run); n >= 1 {
			t.Errorf("%s: %v allocations a cycle", name, n)
		}
		if sent := crowd.count[updatesOut] - before; sent != uint64(101*c.conns*c.changed) {
			t.Errorf("%s: %d updates sent, want %d", name, sent, 101*c.conns*c.changed)
		}
	}
	crowd := newCrowd(t, 1, 10, false, 0)
	ping := masked(ws.OpPing, true, []byte("there?"))
	frames := append(ping, masked(ws.OpPong, true, nil)...)
	read := func() {
		crowd.sink.in = frames
		crowd.begin()
		crowd.readable(1, false)
	}
	read()
	if n := testing.AllocsPerRun(100, read); n >= 1 {
		t.Errorf("%v allocations per client frame", n)
	}
}

// A blocked conn costs a cycle nothing, and its wake-up allocates nothing either.
func TestBlockedConnAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	crowd := newCrowd(t, 2, 50, false, 0)
	full := &fullOnce{sink: &crowd.sink}
	crowd.loop.sock = full
	run := func() {
		full.room = 100
		crowd.tick(50)
		crowd.runCycle(nil) // blocks conn 1
		full.room = 1 << 30
		crowd.tick(50)
		crowd.runCycle(nil) // passes it over
		crowd.writable(1)
		crowd.writable(2)
		crowd.runCycle(nil)
	}
	for range 5 {
		run()
	}
	if crowd.count[shortWrites] == 0 {
		t.Fatal("nothing was blocked")
	}
	if n := testing.AllocsPerRun(100, run); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

// fullOnce takes room bytes and then no more.
type fullOnce struct {
	*sink
	room int
}

func (f *fullOnce) Write(fd int, p []byte) (int, error) {
	n := min(f.room, len(p))
	f.room -= n
	if n < len(p) {
		return n, epoll.ErrAgain
	}
	return n, nil
}

// BenchmarkCycle is what a cycle costs without the kernel, per update delivered.
func BenchmarkCycle(b *testing.B) {
	for name, c := range map[string]struct{ conns, symbols, changed int }{
		"sparse/1000x5of1":      {1000, 5, 1},
		"watchlist/1000x50of25": {1000, 50, 25},
		"wall/100x1000of10":     {100, 1000, 10},
		"ticker/10000x1of1":     {10000, 1, 1},
	} {
		b.Run(name, func(b *testing.B) {
			crowd := newCrowd(b, c.conns, c.symbols, false, 0)
			before := crowd.count[updatesOut]
			for b.Loop() {
				crowd.tick(c.changed)
				crowd.runCycle(nil)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(crowd.count[updatesOut]-before), "ns/update")
		})
	}
}
