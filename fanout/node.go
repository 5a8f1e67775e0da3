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
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/tickwire/tickwire/fanout/epoll"
)

// ErrNow, as the cause of a cancelled context, ends a node without the drain
// window: someone pressed ctrl-C and waits.
var ErrNow = errors.New("fanout: stop now")

// Node is a fanout process: its master board, tape readers and loops.
type Node struct {
	*shared
	tape     *tape
	loops    []*loop
	addr     netip.AddrPort
	draining atomic.Bool
	closed   sync.Once
	end      context.CancelFunc // of what New began
}

// shared is what the loops of a node have in common.
type shared struct {
	cfg    *Config
	log    *slog.Logger
	master *master
	http   *handover
	events *events
	work   *epoll.Work // for handshakes and signatures, half of the cores: the loops have the other
	certs  *certs      // nil: the stream is plain
	auth   *auth       // nil: anybody may
	guard  guard
	taken  atomic.Int64 // connections of all loops, of Config.MaxConns
	shakes atomic.Int64 // TLS handshakes under way, of Config.Handshakes

	proxies   []netip.Prefix // balancers
	warnProxy sync.Once      // of one that does not say whom it speaks for
}

// New opens a node's listeners; an error is a setting that cannot work, or that ctx ended
// while the issuer of tokens was asked for its keys. Close closes them, Run or not.
func New(ctx context.Context, cfg Config, reg prometheus.Registerer, log *slog.Logger) (_ *Node, err error) {
	if err := cfg.Complete(); err != nil {
		return nil, fmt.Errorf("fanout: %w", err)
	}
	if cfg.Node == "" {
		host, _ := os.Hostname()
		cfg.Node = fmt.Sprintf("%s-%d", host, os.Getpid())
	}
	if missing := cfg.missing(); missing != "" {
		log.Warn("INSECURE: other machines are served without what is missing", "listen", cfg.Listen, "missing", missing)
	}
	n := &Node{shared: &shared{cfg: &cfg, log: log, master: newMaster(), events: newEvents(reg), work: epoll.NewWork(max(1, cores/2))}}
	life, end := context.WithCancel(context.Background())
	n.end = end
	defer context.AfterFunc(ctx, end)()
	n.guard = newGuard(&cfg)
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	if n.proxies, err = parseProxies(cfg.ProxyFrom); err != nil {
		return nil, fmt.Errorf("fanout: %w", err)
	}
	if n.certs, err = newCerts(&cfg, log); err != nil {
		return nil, err
	}
	if n.auth, err = newAuth(life, n.shared); err != nil {
		return nil, fmt.Errorf("fanout: %w", err)
	}
	n.tape, err = newTape(cfg.Redis, n.master, n.post, reg, log)
	if err != nil {
		return nil, err
	}
	n.tape.staleAfter = cfg.StaleAfter
	if n.auth != nil {
		n.tape.revoke, n.tape.revokedRead = n.revoke, func() { n.auth.revoked.known.Store(true) }
	}
	if n.addr, err = freeAddr(cfg.Listen); err != nil {
		return nil, err
	}
	n.http = newHandover(n.addr)
	for range cfg.Loops {
		l, err := newLoop(n.shared)
		if err != nil {
			return nil, err
		}
		n.loops = append(n.loops, l)
		if err := l.listen(n.addr.String()); err != nil {
			return nil, err
		}
	}
	n.registerCounts(reg)
	return n, nil
}

// freeAddr resolves an address to listen on. SO_REUSEPORT would let two nodes share a
// port without a word; a plain listener is refused when anybody has it.
func freeAddr(listen string) (netip.AddrPort, error) {
	probe, err := net.Listen("tcp", listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return netip.AddrPort{}, fmt.Errorf("fanout: --listen %s: %w; is another tickwire running? choose another with --listen", listen, err)
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("fanout: --listen %s: %w; an address is HOST:PORT", listen, err)
	}
	defer probe.Close()
	return probe.Addr().(*net.TCPAddr).AddrPort(), nil
}

// Addr is where the node listens.
func (n *Node) Addr() netip.AddrPort { return n.addr }

// Secure reports whether it speaks TLS: wss, and https.
func (n *Node) Secure() bool { return n.certs != nil }

// Unready says why the node should not be sent anyone; "" when it should.
func (n *Node) Unready() string {
	if n.draining.Load() {
		return "draining"
	}
	if n.auth != nil {
		if why := n.auth.unready(); why != "" {
			return why
		}
	}
	return n.tape.unready()
}

// post hands a batch to every loop.
func (n *Node) post(b *batch) {
	b.refs.Add(int32(len(n.loops)))
	for _, l := range n.loops {
		l.mailbox.post(b)
	}
	b.release()
}

// revoke has tokens taken no more, and ends who came with one.
func (n *Node) revoke(list []revocation) {
	if n.auth.revoked.add(list, time.Now()) == 0 {
		return
	}
	for _, l := range n.loops {
		l.mailbox.send((*loop).revoke)
	}
}

// Run serves subscribers until ctx ends, then drains; it returns nil when the last
// client is gone. An error is an epoll's or the HTTP server's.
func (n *Node) Run(ctx context.Context) error {
	defer n.Close() // not before nobody posts to a loop
	// What serves lives as long as the loops do; they outlive ctx by the drain.
	serving, stop := context.WithCancel(context.Background())
	defer stop()
	g, serving := errgroup.WithContext(serving)
	loops, looping := errgroup.WithContext(serving)
	for _, l := range n.loops {
		loops.Go(l.run)
	}
	g.Go(func() error { return n.tape.run(serving) })
	g.Go(func() error { return n.serveHTTP(serving) })
	if n.certs != nil {
		g.Go(func() error { return n.certs.watch(serving) })
	}
	if n.auth != nil {
		g.Go(func() error { return n.auth.run(serving) })
	}
	g.Go(func() error {
		select {
		case <-ctx.Done():
			n.drain(context.Cause(ctx), looping)
		case <-looping.Done(): // something failed
			n.drain(ErrNow, looping)
		}
		err := loops.Wait()
		stop()
		n.end() // somebody may wait for an issuer
		return err
	})
	return g.Wait()
}

// serveHTTP answers what is not the stream until ctx ends; answers under way have a
// second to end.
func (n *Node) serveHTTP(ctx context.Context) error {
	srv := &http.Server{
		Handler:        newMux(n.shared, n.Unready),
		ReadTimeout:    n.cfg.HandshakeTime,
		WriteTimeout:   30 * time.Second,
		MaxHeaderBytes: n.cfg.HeadBytes,
		ErrorLog:       slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),

		DisableGeneralOptionsHandler: true, // its answers leave the connection open
	}
	srv.SetKeepAlivesEnabled(false)
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	})
	defer stop()
	if err := srv.Serve(n.http); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// drain gives notice, and sends every client away.
func (n *Node) drain(cause error, looping context.Context) {
	n.draining.Store(true)
	window := n.cfg.Drain
	if errors.Is(cause, ErrNow) {
		window = 0
	} else {
		sleep(looping, n.cfg.Notice)
	}
	n.log.Info("draining", "window", window)
	for _, l := range n.loops {
		l.mailbox.send(func(l *loop) { l.beginDrain(window) })
	}
}

// Close gives back every descriptor that is still open. Run must not be under way.
func (n *Node) Close() {
	n.closed.Do(func() {
		n.end()
		for _, l := range n.loops {
			l.closeSockets()
		}
		if n.certs != nil {
			n.certs.shakes.Wait() // they wake their polls
		}
		for _, l := range n.loops {
			l.stopAccepting()
			l.poll.Close()
		}
		if n.http != nil {
			n.http.Close()
		}
	})
}

// listen opens the loop's listener; those of all loops share the port.
func (l *loop) listen(addr string) (err error) {
	if l.listener, err = epoll.Listen(addr); err != nil {
		return fmt.Errorf("fanout: %w", err)
	}
	return l.poll.AddListener(l.listener, listenerKey)
}
