package fanout

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// httpMax bounds the plain HTTP connections of a node; a browser opens six.
const httpMax = 1024

// handover is the net.Listener that net/http serves from: loops offer it the
// connections that did not ask for an upgrade.
type handover struct {
	addr   net.Addr
	conns  chan net.Conn
	open   atomic.Int64
	closed chan struct{}
	once   sync.Once
}

func newHandover(addr netip.AddrPort) *handover {
	return &handover{
		addr:   net.TCPAddrFromAddrPort(addr),
		conns:  make(chan net.Conn, httpMax),
		closed: make(chan struct{}),
	}
}

// offer hands over a connection, or says why it cannot; it never blocks a loop.
func (h *handover) offer(c net.Conn) error {
	if h.open.Add(1) > httpMax {
		h.open.Add(-1)
		return errHTTPFull
	}
	select {
	case <-h.closed:
		h.open.Add(-1)
		return net.ErrClosed
	default:
	}
	h.conns <- &counted{Conn: c, open: &h.open} // has room: open bounds what is in it
	return nil
}

func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handover) Addr() net.Addr { return h.addr }

func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// serve answers plain HTTP until ctx ends.
func (h *handover) serve(ctx context.Context, mux http.Handler, log *slog.Logger) error {
	srv := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: handshakeTime,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    handshakeBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(h); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// readFirst is a connection of which the beginning was read already.
type readFirst struct {
	net.Conn
	first []byte
}

func (c *readFirst) Read(p []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// counted gives its place back when it is closed.
type counted struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}
