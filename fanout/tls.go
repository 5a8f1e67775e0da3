package fanout

import (
	"crypto/tls"
	"errors"
	"net/http"
	"slices"

	"github.com/tickwire/tickwire/fanout/epoll"
)

// TLS of a conn is a part of its socket: what write is given is sealed into the loop's
// scratch, and what the kernel does not take of that is the tail, as it is without.
// Conflation stays above it, for what is sealed must be sent. Only the handshake runs in
// a goroutine, beside the loop.

// shake begins TLS on a conn.
func (l *loop) shake(ci uint32) {
	if l.shakes.Add(1) > int64(l.cfg.Handshakes) && !l.dropHanging() {
		l.shakes.Add(-1)
		l.events.handshakes.WithLabelValues("tls_full").Inc()
		l.drop(ci)
		return
	}
	c := &l.conns[ci]
	t := epoll.NewServer(int(c.fd), l.certs.config.Load(), l.work)
	c.state, c.secure, l.passes[ci].tls = stateShaking, true, t
	key := epoll.Key{Index: ci, Gen: c.gen}
	if l.shaking = append(l.shaking, key); len(l.shaking) > 2*l.cfg.Handshakes {
		l.shaking = slices.DeleteFunc(l.shaking, func(key epoll.Key) bool { return !l.isShaking(key) })
	}
	l.certs.shakes.Go(func() {
		err := t.Handshake()
		l.mailbox.send(func(l *loop) { l.shaken(key, err) })
	})
}

// dropHanging makes room for a handshake: it gives up the one that has waited for its client
// for longest. An honest one takes some round trips; those that never end would keep all
// places. When most do not wait for their clients but for us, none goes: who is given up
// comes again, and what was computed for him was in vain.
func (l *loop) dropHanging() bool {
	if l.work.Hanging() < l.cfg.Handshakes/2 {
		return false
	}
	for i, key := range l.shaking {
		if l.isShaking(key) && l.passes[key.Index].tls.Hangs() {
			l.shaking = slices.Delete(l.shaking, i, i+1)
			l.events.handshakes.WithLabelValues("tls_full").Inc()
			l.drop(key.Index)
			return true
		}
	}
	return false
}

func (l *loop) isShaking(key epoll.Key) bool {
	c := &l.conns[key.Index]
	return c.gen == key.Gen && c.state == stateShaking
}

// shaken takes up a conn whose handshake has ended. What its client sent right behind
// has been read already, and raises no event.
func (l *loop) shaken(key epoll.Key, err error) {
	l.shakes.Add(-1)
	c := &l.conns[key.Index]
	switch {
	case c.gen != key.Gen || c.state != stateShaking:
	case err != nil:
		l.log.Debug("TLS handshake", "err", err)
		if plain := new(tls.RecordHeaderError); errors.As(err, plain) && plain.Conn != nil {
			l.passes[key.Index].tls, c.secure = nil, false
			l.refuse(key.Index, refusal{http.StatusBadRequest, "not_tls", "this port speaks TLS: use wss:// or https://"})
			return
		}
		l.events.handshakes.WithLabelValues("tls_failed").Inc()
		l.drop(key.Index)
	default:
		c.state, c.since = stateHandshake, l.clock
		l.readable(key.Index, true)
	}
}

// read reads a conn's socket.
func (l *loop) read(ci uint32, p []byte) (int, error) {
	t := l.passes[ci].tls
	if t == nil {
		return l.sock.Read(int(l.conns[ci].fd), p)
	}
	n, err := t.Read(p)
	switch {
	case n > 0:
		l.conns[ci].heldSince = l.clock // some record came whole
	case err == epoll.ErrAgain:
		l.keepRecord(ci, t.Held())
	}
	if t.Pending() > 0 { // it answers a key update, or says what is wrong
		l.cipher = t.Take(l.cipher[:0])
		l.send(ci, l.cipher)
	}
	return n, err
}

// keepRecord notes what TLS keeps of a record that has not come whole. Like the beginning
// of a message it has its time, and counts: a header of 5 bytes takes 17 KB, and a message
// of TLS itself, which nobody need end, 128.
func (l *loop) keepRecord(ci uint32, held int) {
	c := &l.conns[ci]
	if c.held == 0 {
		c.heldSince = l.clock
	}
	l.unfinished += held - int(c.held)
	c.held = uint32(held)
	l.bound(ci)
}

// seal makes records of p, valid until the next; nil when the conn is lost.
func (l *loop) seal(ci uint32, p []byte) []byte {
	var err error
	if l.cipher, err = l.passes[ci].tls.Seal(l.cipher[:0], p); err != nil {
		l.lose(ci, "reset")
		return nil
	}
	return l.cipher
}

// endSending tells the peer that no more follows.
func (l *loop) endSending(ci uint32) {
	if t := l.passes[ci].tls; t != nil {
		t.EndSending()
		l.cipher = t.Take(l.cipher[:0])
		if !l.send(ci, l.cipher) {
			return // writable does it again, when that is gone
		}
	}
	epoll.Shutdown(int(l.conns[ci].fd))
}

// closeSockets closes those of a loop that failed; another has none left.
func (l *loop) closeSockets() {
	for ci := 1; ci < len(l.conns); ci++ {
		l.closeSocket(uint32(ci))
	}
}

// closeSocket closes a conn's socket, unless it was handed over.
func (l *loop) closeSocket(ci uint32) {
	if t := l.passes[ci].tls; t != nil {
		t.Close()
	} else if fd := l.conns[ci].fd; fd >= 0 {
		l.sock.Close(int(fd))
	}
}
