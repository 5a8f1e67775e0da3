package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/fanout/epoll"
)

// Floor is the least that a write to a subscriber can cost: a bare loop that gives one
// prebuilt frame to so many sockets so many times a second. No protocol, no maps, no
// market; the socket options and the system calls are those of a node. A write that wakes
// a sleeping reader costs twice one that does not, so that its pace is that of the run
// it stands beside. And each goes to a socket chosen at random, as the symbol is that
// changes: a receiver that hears nothing for longer than its retransmission timeout, 200
// ms, acknowledges the next 16 segments at once, while they are still being sent, and one
// that is served in turns never is so. 40,000 writes a second to 4,000 sockets cost 17 us
// each, in turns 12.5.
type Floor struct {
	Listen string  `required:"" help:"Address."`
	Bytes  int     `default:"60" help:"Payload of a frame."`
	Bursts int     `default:"500" help:"Bursts a second: the sim's."`
	Burst  float64 `default:"80" help:"Writes in a burst, on the average."`
	Part   float64 `default:"1" help:"Of every second: when there are bursts."`
}

// simBursts is how often a second the simulated market speaks.
const simBursts = 500

// Run serves until ctx ends.
func (f *Floor) Run(ctx context.Context) error {
	poll, err := epoll.NewPoll()
	if err != nil {
		return err
	}
	defer poll.Close()
	listener, err := epoll.Listen(f.Listen)
	if err != nil {
		return fmt.Errorf("bench: floor: %w", err)
	}
	defer epoll.Close(listener)
	if err := poll.AddListener(listener, epoll.Key{}); err != nil {
		return err
	}
	answer, err := upgraded()
	if err != nil {
		return err
	}
	var (
		b      = bare{poll: poll, listener: listener, answer: answer, fds: []int{-1}}
		frame  = ws.MustCompileFrame(ws.NewBinaryFrame(make([]byte, f.Bytes)))
		owed   float64
		period = time.Second / time.Duration(f.Bursts)
		start  = time.Now()
		due    = start.Add(period)
	)
	for ctx.Err() == nil {
		events, err := poll.Wait(min(10*time.Millisecond, max(0, time.Until(due))))
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := b.handle(e.Key.Index); err != nil {
				return err
			}
		}
		now := time.Now()
		if len(b.open) == 0 || now.Before(due) {
			continue
		}
		due = now.Add(period - now.Sub(due)%period)
		if now.Sub(start)%time.Second > time.Duration(f.Part*float64(time.Second)) {
			continue
		}
		for owed += f.Burst; owed >= 1; owed-- {
			epoll.Write(b.open[rand.IntN(len(b.open))], frame)
		}
	}
	return nil
}

// bare is the sockets of a floor.
type bare struct {
	poll     *epoll.Poll
	listener int
	answer   []byte // to an upgrade
	fds      []int  // by key; 0 is the listener
	open     []int  // upgraded
	in       [64 << 10]byte
}

// handle takes new sockets, or answers one that asks for an upgrade.
func (b *bare) handle(key uint32) error {
	if key != 0 {
		fd := b.fds[key]
		if n, _ := epoll.Read(fd, b.in[:]); bytes.HasPrefix(b.in[:n], []byte("GET ")) {
			epoll.Write(fd, b.answer)
			b.open = append(b.open, fd)
		}
		return nil
	}
	for {
		fd, _, err := epoll.Accept(b.listener, 30*time.Second)
		if err != nil {
			return nil
		}
		b.fds = append(b.fds, fd)
		if err := b.poll.Add(fd, epoll.Key{Index: uint32(len(b.fds) - 1)}); err != nil {
			return err
		}
	}
}

// upgraded is the answer to a worker's upgrade, whose key is always the same.
func upgraded() ([]byte, error) {
	var out bytes.Buffer
	_, err := ws.Upgrade(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(upgradeHead("floor", "/", "")), &out})
	return out.Bytes(), err
}

// floorPeer is how workers speak to the floor: they count.
type floorPeer struct{}

func (floorPeer) head(e *Endpoint, _ *conn) []byte { return upgradeHead(e.Host, "/", "") }

func (floorPeer) opened(w *worker, c *conn) { w.up(c) }

func (floorPeer) message(w *worker, _ *conn, _ ws.OpCode, _ []byte) error {
	w.count.Messages++
	w.count.Updates++
	return nil
}

// floor measures it, with as many sockets and processes as a run had, at its pace.
func (s *stand) floor(ctx context.Context, res *Result) error {
	loops, err := s.startFloor(ctx, res)
	if err != nil {
		return err
	}
	k, err := newCrew(s, &Load{Peer: "floor", Nodes: s.endpoints})
	defer k.close()
	if err != nil {
		return err
	}
	procs := append(slices.Clone(loops), k.procs...)
	if err := k.up(ctx, s.cfg, procs, func(*Report) {}); err != nil {
		return err
	}
	if err := pauseAll(ctx, procs, warmUp/2); err != nil {
		return err
	}
	if err := k.order(orderMeasure); err != nil {
		return err
	}
	used := func() (cpu time.Duration) {
		for _, p := range loops {
			cpu += p.used().cpu
		}
		return cpu
	}
	before := used()
	if err := pauseAll(ctx, procs, floorFor); err != nil {
		return err
	}
	cpu := used() - before
	if err := k.order(orderStop); err != nil {
		return err
	}
	if err := k.report(ctx, procs); err != nil {
		return err
	}
	sum := k.measured()
	res.FloorUS = ratio(float64(cpu.Microseconds()), float64(sum.Counts.Messages))
	res.FloorPS = float64(sum.Counts.Messages) / floorFor.Seconds()
	if pace := ratio(res.FloorPS, res.MessagesPS); pace > 0.9 && pace < 1.1 {
		res.OfFloor = ratio(res.CPUPerMsgUS, res.FloorUS)
	}
	return nil
}

// startFloor begins bare loops in the nodes' places.
func (s *stand) startFloor(ctx context.Context, res *Result) (loops []*proc, err error) {
	n := s.cfg.Nodes
	each := res.MessagesPS / float64(n)
	bursts := max(1, int(min(simBursts, s.cfg.Updates, each)))
	burst := each / float64(bursts) * s.cfg.Burst
	bytes := int(res.BytesPerUpd * ratio(res.UpdatesPS, res.MessagesPS))
	if bytes -= 2; bytes >= 126 {
		bytes -= 2 // of a longer header
	}
	s.endpoints = nil
	for i := range n {
		addr, err := freePort()
		if err != nil {
			return nil, err
		}
		p, err := s.start(fmt.Sprintf("floor %d", i+1), s.serverCPUs, s.cfg.Exe, "bench-floor", "--listen", addr.String(),
			fmt.Sprintf("--burst=%g", burst), fmt.Sprintf("--bytes=%d", max(1, bytes)), fmt.Sprintf("--bursts=%d", bursts), fmt.Sprintf("--part=%g", 1/s.cfg.Burst))
		if err != nil {
			return nil, err
		}
		s.endpoints, loops = append(s.endpoints, at(addr)), append(loops, p)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, errNotReady)
	defer cancel()
	for _, e := range s.endpoints {
		if err := wait(ctx, "floor", loops, func() bool { return listens(e.Addr) }); err != nil {
			return nil, err
		}
	}
	return loops, nil
}

// floorFor is how long the floor is measured.
const floorFor = 6 * time.Second
