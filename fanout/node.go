package fanout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/tickwire/tickwire/fanout/epoll"
)

// ErrNow, as the cause of a cancelled context, ends a node without the drain
// window: someone pressed ctrl-C and waits.
var ErrNow = errors.New("fanout: stop now")

// node is a fanout process: its master board, tape readers and loops.
type node struct {
	cfg    *Config
	log    *slog.Logger
	master *master
	tape   *tape
	http   *handover
	ops    net.Listener // nil: off
	loops  []*loop
	addr   netip.AddrPort
}

// Run serves subscribers until ctx ends, then drains and returns nil. ready, when
// not nil, is called with the address once connections are accepted.
func Run(ctx context.Context, cfg Config, reg *prometheus.Registry, log *slog.Logger, ready func(netip.AddrPort)) error {
	n, err := newNode(cfg, reg, log)
	if err != nil {
		return err
	}
	if ready != nil {
		ready(n.addr)
	}
	return n.run(ctx, reg)
}

func newNode(cfg Config, reg *prometheus.Registry, log *slog.Logger) (*node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("fanout: %w", err)
	}
	if cfg.Node == "" {
		host, _ := os.Hostname()
		cfg.Node = fmt.Sprintf("%s-%d", host, os.Getpid())
	}
	n := &node{cfg: &cfg, log: log, master: newMaster()}
	fds, err := n.listen()
	if err != nil {
		return nil, err
	}
	if n.ops, err = listenOps(n.cfg.Metrics); err != nil {
		return nil, err
	}
	n.http = newHandover(n.addr)
	for _, fd := range fds {
		l, err := newLoop(n.cfg, n.master, n.http, log)
		if err != nil {
			return nil, err
		}
		l.listener = fd
		l.connsMax = (cfg.MaxConns + len(fds) - 1) / len(fds)
		if err := l.poll.AddListener(fd, listenerKey); err != nil {
			return nil, err
		}
		n.loops = append(n.loops, l)
	}
	n.tape, err = newTape(cfg.Redis, n.master, n.post, reg, log)
	if err != nil {
		return nil, err
	}
	reg.MustRegister(newCollector(n))
	return n, nil
}

// listen opens one listener a loop on the same port.
func (n *node) listen() (fds []int, err error) {
	// SO_REUSEPORT would let two nodes share a port without a word; a plain
	// listener is refused when anybody has it.
	probe, err := net.Listen("tcp", n.cfg.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("fanout: --listen %s: %w; is another tickwire running? choose another with --listen", n.cfg.Listen, err)
	}
	if err != nil {
		return nil, fmt.Errorf("fanout: --listen %s: %w; an address is HOST:PORT", n.cfg.Listen, err)
	}
	n.addr = probe.Addr().(*net.TCPAddr).AddrPort()
	probe.Close()
	for range n.cfg.Loops {
		fd, _, err := epoll.Listen(n.addr.String())
		if err != nil {
			return nil, fmt.Errorf("fanout: %w", err)
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// post hands a batch to every loop.
func (n *node) post(b *batch) {
	b.refs.Add(int32(len(n.loops)))
	for _, l := range n.loops {
		l.mailbox.post(b)
	}
	b.release()
}

// run serves until ctx ends and the last client is gone.
func (n *node) run(ctx context.Context, reg *prometheus.Registry) error {
	// What serves lives as long as the loops do; they outlive ctx by the drain.
	serving, stop := context.WithCancel(context.Background())
	defer stop()
	g, serving := errgroup.WithContext(serving)
	loops, looping := errgroup.WithContext(serving)
	for _, l := range n.loops {
		loops.Go(l.run)
	}
	unready := func() string {
		if ctx.Err() != nil {
			return "draining"
		}
		return n.tape.unready()
	}
	g.Go(func() error { return n.tape.run(serving) })
	errorLog := slog.NewLogLogger(n.log.Handler(), slog.LevelDebug)
	g.Go(func() error {
		return serve(serving, &http.Server{
			Handler:        newMux(n.master, n.cfg.Page, unready),
			ReadTimeout:    handshakeTime,
			WriteTimeout:   30 * time.Second,
			IdleTimeout:    time.Minute,
			MaxHeaderBytes: handshakeBytes,
			ErrorLog:       errorLog,
		}, n.http)
	})
	if n.ops != nil {
		g.Go(func() error {
			return serve(serving, &http.Server{Handler: opsMux(reg, unready), ReadHeaderTimeout: handshakeTime, ErrorLog: errorLog}, n.ops)
		})
	}
	g.Go(func() error {
		select {
		case <-ctx.Done():
			n.drain(context.Cause(ctx))
		case <-looping.Done(): // something failed
			n.drain(ErrNow)
		}
		err := loops.Wait()
		stop()
		return err
	})
	err := g.Wait()
	for _, l := range n.loops {
		l.poll.Close() // not before nobody posts to it
	}
	return err
}

// drain sends every client away.
func (n *node) drain(cause error) {
	window := n.cfg.Drain
	if errors.Is(cause, ErrNow) {
		window = 0
	}
	n.log.Info("draining", "window", window)
	for _, l := range n.loops {
		l.mailbox.send(func(l *loop) { l.beginDrain(window) })
	}
}
