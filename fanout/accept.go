package fanout

import (
	"net/http"
	"net/netip"

	"github.com/tickwire/tickwire/fanout/epoll"
)

// accept takes what waits at the listener.
func (l *loop) accept() {
	for range acceptChunk {
		fd, from, err := epoll.Accept(l.listener, l.cfg.Stall)
		if err == epoll.ErrAgain {
			return
		}
		if err != nil {
			l.events.acceptErrors.Inc()
			if epoll.OutOfResources(err) {
				// The backlog keeps the peers until some are free, and the listener
				// would be announced without end.
				l.deaf = l.poll.Remove(l.listener) == nil
				return
			}
			continue // a peer that gave up
		}
		l.enter(fd, from)
	}
}

// enter makes a conn of a socket, if there is room for it.
func (l *loop) enter(fd int, from netip.Addr) {
	if l.taken.Add(1) > int64(l.cfg.MaxConns) {
		l.taken.Add(-1)
		l.turnAway(fd, refusal{http.StatusServiceUnavailable, "full", "this node has all the connections it may"})
		epoll.Close(fd)
		return
	}
	ci := l.newConn(fd)
	c := &l.conns[ci]
	if err := l.poll.Add(fd, epoll.Key{Index: ci, Gen: c.gen}); err != nil {
		l.lose(ci, "reset")
	} else if l.isProxy(from) {
		c.state = stateProxied
	} else {
		l.admit(ci, from)
	}
}

// admit lets a conn from an address speak, unless its host has too many; true when it may be
// read at once.
func (l *loop) admit(ci uint32, from netip.Addr) bool {
	c := &l.conns[ci]
	h, ok := l.guard.enter(from)
	if !ok {
		l.turnAway(int(c.fd), refusal{http.StatusTooManyRequests, "host_full", "too many connections from this address"})
		l.drop(ci)
		return false
	}
	l.passes[ci].host, c.since = h, l.clock
	if l.certs != nil {
		l.shake(ci)
		return false
	}
	c.state = stateHandshake
	return true
}
