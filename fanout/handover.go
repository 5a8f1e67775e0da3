package fanout

import (
	"bytes"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/tickwire/tickwire/fanout/epoll"
)

// handover is the net.Listener that net/http serves from: loops give it the
// connections that did not ask for an upgrade.
type handover struct {
	addr  net.Addr
	conns chan net.Conn
	open  atomic.Int64 // places taken
	done  chan struct{}
	close func()
	warn  sync.Once // of connections that could not be handed over
}

func newHandover(addr netip.AddrPort) *handover {
	done := make(chan struct{})
	return &handover{
		addr:  net.TCPAddrFromAddrPort(addr),
		conns: make(chan net.Conn, httpMax),
		done:  done,
		close: sync.OnceFunc(func() { close(done) }),
	}
}

// reserve takes a place, which closing the connection gives back.
func (h *handover) reserve() bool {
	if h.open.Add(1) > httpMax {
		h.open.Add(-1)
		return false
	}
	return true
}

// Accept returns the next connection given.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Addr is the address of the loops' listeners.
func (h *handover) Addr() net.Addr { return h.addr }

// Close ends Accept and closes what nobody accepted.
func (h *handover) Close() error {
	h.close()
	for {
		select {
		case c := <-h.conns:
			c.Close()
		default:
			return nil
		}
	}
}

// handed is a connection of which the beginning was read already.
type handed struct {
	net.Conn
	first []byte
	leave func() // gives its place back, once
}

func (c *handed) Read(p []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

func (c *handed) Close() error {
	c.leave()
	return c.Conn.Close()
}

// handOver gives a conn and what was read of it to net/http.
func (l *loop) handOver(ci uint32, p []byte) {
	if !l.http.reserve() {
		l.refuse(ci, refusal{http.StatusServiceUnavailable, "http_full", "too many plain HTTP connections; try again"})
		return
	}
	h := l.passes[ci].host
	if !l.guard.handOver(h) {
		l.http.open.Add(-1)
		l.refuse(ci, refusal{http.StatusTooManyRequests, "host_full", "too many plain HTTP connections from this address; try again"})
		return
	}
	giveBack := func() {
		l.http.open.Add(-1)
		l.guard.handedBack(h)
	}
	nc, err := l.detach(ci)
	if err != nil {
		giveBack()
		l.http.warn.Do(func() {
			l.log.Warn("plain HTTP is refused, and counted from here on", "err", err)
		})
		l.refuse(ci, refusal{http.StatusServiceUnavailable, "no_descriptor", "no descriptor is left; try again"})
		return
	}
	l.passes[ci].host = nil // it counts until it is closed
	leave := sync.OnceFunc(func() {
		giveBack()
		l.guard.leave(h)
	})
	l.conns[ci].fd, l.passes[ci].tls = -1, nil
	l.drop(ci)
	l.events.handshakes.WithLabelValues("http").Inc()
	l.http.conns <- &handed{Conn: nc, first: bytes.Clone(p), leave: leave} // has room: open bounds what is in it
}

// detach takes a descriptor out of the poll and makes a net.Conn of it.
func (l *loop) detach(ci uint32) (net.Conn, error) {
	fd := int(l.conns[ci].fd)
	if err := l.poll.Remove(fd); err != nil {
		return nil, err
	}
	if t := l.passes[ci].tls; t != nil {
		return t.Detach()
	}
	return epoll.Detach(fd)
}
