package bench

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/tickwire/tickwire/fanout/epoll"
)

// Load is what the subscribers of one worker do, as the harness tells it.
type Load struct {
	Peer    string     `json:"peer"`    // whose protocol: tickwire, or a peer's
	Nodes   []Endpoint `json:"nodes"`   // taken in turn
	Redis   string     `json:"redis"`   // URL of the tape; "": nothing is verified
	Symbols []string   `json:"symbols"` // to choose from
	Conns   int        `json:"conns"`
	First   int        `json:"first"` // number of the first: what each subscribes to follows from it
	Subs    int        `json:"subs"`  // of each
	Zipf    float64    `json:"zipf"`  // exponent of the choice, above 1; 0: all alike
	JSON    bool       `json:"json"`
	Rate    float64    `json:"rate"`  // updates a second and symbol asked for; 0: as they come
	Token   string     `json:"token"` // of all
	Signs   []byte     `json:"signs"` // private key, PEM: each subscriber has a token of its own
	Ramp    float64    `json:"ramp"`  // dials a second
	Churn   float64    `json:"churn"` // connections left and dialled again, a second
	// Slow is the share of conns that read SlowBytes a second, or nothing.
	Slow      float64 `json:"slow"`
	SlowBytes int     `json:"slow_bytes"`
	From      int     `json:"from"` // above 0, the source address is 127.0.0.(1+From)
	// Live: the feed goes on when all is over. Then a subscriber must end with what it had
	// said by then.
	Live bool `json:"live"`
}

const (
	dialsMax    = 256              // under way at a time
	dialTimeout = 20 * time.Second // until the upgrade
	readBytes   = 256 << 10
	slowEvery   = 100 * time.Millisecond
)

// protocol is how a server is spoken to.
type protocol interface {
	// head is the request that upgrades.
	head(e *Endpoint, c *conn) []byte
	// opened is called when a conn is upgraded.
	opened(w *worker, c *conn)
	// message takes a whole message.
	message(w *worker, c *conn, op ws.OpCode, payload []byte) error
}

// asker is a protocol that has something due at times.
type asker interface{ due(w *worker) }

// worker is the subscribers of one process: one epoll, and one goroutine that owns
// everything here but the truth.
type worker struct {
	load  *Load
	speak protocol
	poll  *epoll.Poll
	conns []conn
	trust []*tls.Config // by node; nil: plain
	start time.Time
	now   int64 // us since the Unix epoch, when the bytes under way were read

	dialled  int // of those that a ramp has begun
	dialling int
	open     int
	ready    int  // with an image of everything
	whole    bool // all were, when it was last told
	shaken   handshakes
	again    []uint32
	redial   []redial
	asks     []ask

	checker
	count  counts
	second *hdrhistogram.Histogram // latencies since the last report
	total  *hdrhistogram.Histogram
	slow   *hdrhistogram.Histogram // of slow subscribers, while it is measured
	sent   *hdrhistogram.Histogram // ages that updates had when the node sent them, likewise; not to the slow
	began  int64                   // us since the Unix epoch: measuring

	sentAt  int64 // us since the Unix epoch: when the node sent the message under way; 0: it does not say
	wokenAt int64 // likewise: when slow subscribers began to read on; 0: not yet

	in        []byte
	out       []byte
	slowAt    time.Time
	churn     float64 // due
	churnAt   time.Time
	settling  time.Time // since when the last word is waited for
	measuring bool      // subscribers are slow, and leave, as the load says
	rng       *rand.Rand
}

func newWorker(load *Load) (*worker, error) {
	poll, err := epoll.NewPoll()
	if err != nil {
		return nil, err
	}
	w := &worker{
		load: load, poll: poll, conns: make([]conn, load.Conns), start: time.Now(),
		count: newCounts(), second: newHistogram(), total: newHistogram(), slow: newHistogram(), sent: newHistogram(),
		in: make([]byte, messageMax+ws.MaxHeaderSize+readBytes), rng: rand.New(rand.NewPCG(1, uint64(load.First))),
	}
	switch load.Peer {
	case "":
		if w.speak, err = newTickwire(load); err != nil {
			return nil, err
		}
	case "floor":
		w.speak = floorPeer{}
	default:
		if w.speak = newPeer(load); w.speak == nil {
			return nil, fmt.Errorf("bench: no peer %q", load.Peer)
		}
	}
	w.checker = newChecker(load)
	for i := range load.Nodes {
		config, err := load.Nodes[i].trust()
		if err != nil {
			return nil, err
		}
		w.trust = append(w.trust, config)
	}
	slow := int(load.Slow*float64(load.Conns) + 0.5)
	for i := range w.conns {
		w.conns[i] = conn{fd: -1, number: load.First + i, node: uint16((load.First + i) % len(load.Nodes)), slow: i < slow}
	}
	return w, nil
}

// redial is a conn that was lost, and when it is dialled again.
type redial struct {
	at   time.Time
	conn uint32
}

// choose lists the symbols of a conn, by index: the same for the same number.
func (l *Load) choose(number int) []uint32 {
	n := len(l.Symbols)
	chosen := make([]uint32, 0, l.Subs)
	if l.Subs >= n {
		for i := range n {
			chosen = append(chosen, uint32(i))
		}
		return chosen
	}
	rng := rand.New(rand.NewPCG(7, uint64(number)))
	pick := func() uint32 { return uint32(rng.IntN(n)) }
	if l.Zipf > 1 {
		z := rand.NewZipf(rng, l.Zipf, 1, uint64(n-1))
		pick = func() uint32 { return uint32(z.Uint64()) }
	}
	has := make(map[uint32]bool, l.Subs)
	for tries := 0; len(chosen) < l.Subs; tries++ {
		i := pick()
		if tries > 20*l.Subs { // the few that a steep choice never finds
			i = uint32(rng.IntN(n))
		}
		if !has[i] {
			has[i] = true
			chosen = append(chosen, i)
		}
	}
	return chosen
}

// cycle does once what is due, and waits for at most 10 ms for something to come.
func (w *worker) cycle() error {
	w.dialDue()
	wait := 10 * time.Millisecond
	if len(w.again) > 0 {
		wait = 0
	}
	events, err := w.poll.Wait(wait)
	if err != nil {
		return err
	}
	again := w.again
	w.again = nil
	for _, i := range again {
		w.read(&w.conns[i])
	}
	for _, e := range events {
		c := &w.conns[e.Key.Index]
		if c.gen != e.Key.Gen || c.fd < 0 {
			continue
		}
		switch {
		case c.state == connShaking:
			c.tls.Ready()
		case c.state == connDialling && e.Writable():
			w.dialledTo(c)
		case c.state > connShaking && e.Readable() && !w.slowed(c):
			w.read(c)
		}
		if c.tls != nil && c.state > connShaking && c.tls.Pending() > 0 {
			c.tls.Flush()
		}
	}
	w.shakenHands()
	w.readSlow()
	w.leaveSome()
	if a, ok := w.speak.(asker); ok {
		a.due(w)
	}
	w.judge(claimPatience)
	return nil
}

// dialDue dials what the ramp has come to, and what was lost.
func (w *worker) dialDue() {
	if w.dialled == 0 && !w.witnessed() { // what came before could not be judged
		w.start = time.Now()
		return
	}
	due := min(len(w.conns), int(w.load.Ramp*time.Since(w.start).Seconds()))
	for ; w.dialled < due && w.dialling < dialsMax; w.dialled++ {
		w.dial(&w.conns[w.dialled])
	}
	now, waiting := time.Now(), w.redial
	w.redial = nil
	for _, r := range waiting {
		if w.dialling < dialsMax && now.After(r.at) {
			w.dial(&w.conns[r.conn])
		} else {
			w.redial = append(w.redial, r)
		}
	}
}

func (w *worker) index(c *conn) uint32 { return uint32(c.number - w.load.First) }

func (w *worker) dial(c *conn) {
	c.gen++
	var from netip.Addr
	if w.load.From > 0 {
		from = netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + w.load.From)})
	}
	fd, err := epoll.Connect(from, w.load.Nodes[c.node].Addr)
	if err == nil {
		if err = w.poll.Add(fd, epoll.Key{Index: w.index(c), Gen: c.gen}); err != nil {
			epoll.Close(fd)
		}
	}
	if err != nil {
		countReason(w.count.Lost, "dial: "+dialAdvice(err))
		w.retry(c)
		return
	}
	c.fd, c.state, c.dialledAt = int32(fd), connDialling, time.Now().UnixNano()
	w.dialling++
	if epoll.Established(fd) { // its event may stand in a long line
		w.dialledTo(c)
	}
}

// dialAdvice says what failed, and what to do about limits of this machine.
func dialAdvice(err error) string {
	switch {
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return "no local port is left to that address: take more nodes, or a wider net.ipv4.ip_local_port_range"
	case errors.Is(err, unix.EMFILE):
		return "no descriptor is left: raise ulimit -n, or take fewer --conns"
	}
	return err.Error()
}

// giveUp loses those that a server has not let in for too long.
func (w *worker) giveUp() {
	for i := range w.conns {
		c := &w.conns[i]
		if c.state > connIdle && c.state < connOpen && time.Now().UnixNano()-c.dialledAt > dialTimeout.Nanoseconds() {
			w.lose(c, "no answer within "+dialTimeout.String())
		}
	}
}

// retry dials again in a moment: a harness does not give up on a server that restarts.
func (w *worker) retry(c *conn) {
	c.fd, c.state = -1, connIdle
	w.redial = append(w.redial, redial{time.Now().Add(time.Duration(w.rng.Int64N(int64(time.Second)))), w.index(c)})
}

func (w *worker) dialledTo(c *conn) {
	if err := epoll.Connected(int(c.fd)); err != nil {
		w.lose(c, "dial: "+dialAdvice(err))
		return
	}
	if config := w.trust[c.node]; config != nil {
		w.shake(c, config)
	} else {
		w.upgrade(c)
	}
}

// upgrade asks for a WebSocket.
func (w *worker) upgrade(c *conn) {
	c.state = connUpgrading
	w.write(c, w.speak.head(&w.load.Nodes[c.node], c))
}

// leaveSome has subscribers leave, as many as the churn says; they come back.
func (w *worker) leaveSome() {
	if w.load.Churn == 0 || !w.measuring {
		w.churnAt = time.Now()
		return
	}
	now := time.Now()
	w.churn += w.load.Churn * now.Sub(w.churnAt).Seconds()
	w.churnAt = now
	for ; w.churn >= 1; w.churn-- {
		if c := &w.conns[w.rng.IntN(len(w.conns))]; c.state == connOpen && c.fd >= 0 {
			w.out = appendFrame(w.out[:0], ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
			if w.write(c, w.out) {
				w.lose(c, "left")
			}
		}
	}
}

// lose ends a conn, and has it dialled again.
func (w *worker) lose(c *conn, why string) {
	if c.fd < 0 {
		return
	}
	c.close()
	switch c.state {
	case connDialling, connShaking, connUpgrading:
		w.dialling--
	case connOpen:
		w.open--
	}
	if c.ready {
		c.ready = false
		w.ready--
	}
	if why != "" {
		countReason(w.count.Lost, why)
	}
	c.rest = nil
	if c.state == connOpen && (c.heard || why == "left") { // at once, as all do whose node is gone
		c.fd, c.state = -1, connIdle
		w.redial = append(w.redial, redial{time.Now(), w.index(c)})
		return
	}
	w.retry(c)
}

// got is told of every sub that waits no more.
func (w *worker) got(c *conn) {
	if c.waits--; c.waits == 0 {
		w.up(c)
	}
}

// up counts a conn that has all it asked for.
func (w *worker) up(c *conn) {
	if !c.ready {
		c.ready = true
		w.ready++
	}
}
