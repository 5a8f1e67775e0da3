package bench

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/fanout/epoll"
)

// conn is one subscriber's socket.
type conn struct {
	fd     int32 // -1: none
	gen    uint32
	number int    // of the run: what it subscribes to follows from it
	node   uint16 // index into Load.Nodes
	state  connState
	slow   bool   // reads no faster than Load.SlowBytes
	again  bool   // has been connected before
	heard  bool   // has had a message since
	rest   []byte // the beginning of an unfinished frame, or of the answer to the upgrade
	subs   []sub  // by id
	waits  int    // subs that are not answered, or have no image
	ready  bool   // none waits

	messages uint32 // of data, while it is measured
	unread   uint32 // bytes that a slow one found when it was woken, sent before

	dialledAt int64 // ns since the Unix epoch
	tls       *epoll.TLS
}

type connState uint8

const (
	connIdle connState = iota // to be dialled
	connDialling
	connShaking // hands, for TLS
	connUpgrading
	connOpen
)

// sub is one symbol on one conn, and how far the subscriber is.
type sub struct {
	id    uint32 // the node's number for the symbol
	sym   uint32 // index into Load.Symbols
	seq   int64  // of the last update; 0: none
	stale int64  // since when it is called that, us since the Unix epoch; 0: it is not
}

// errServer is a frame, or a message, that no server may send.
var errServer = errors.New("the server broke its protocol")

// parseFrame takes one whole frame off p; ok is false when it goes on.
func parseFrame(p []byte) (op ws.OpCode, fin bool, payload, rest []byte, ok bool, err error) {
	if len(p) < 2 {
		return 0, false, nil, p, false, nil
	}
	if p[0]&0x70 != 0 || p[1]&0x80 != 0 {
		return 0, false, nil, p, false, fmt.Errorf("%w: reserved bits, or a masked frame", errServer)
	}
	n, at := int(p[1]), 2
	switch n {
	case 126:
		if len(p) < 4 {
			return 0, false, nil, p, false, nil
		}
		n, at = int(binary.BigEndian.Uint16(p[2:])), 4
	case 127:
		if len(p) < 10 {
			return 0, false, nil, p, false, nil
		}
		long := binary.BigEndian.Uint64(p[2:])
		if long > messageMax {
			return 0, false, nil, p, false, fmt.Errorf("%w: a frame of %d bytes", errServer, long)
		}
		n, at = int(long), 10
	}
	if len(p) < at+n {
		return 0, false, nil, p, false, nil
	}
	return ws.OpCode(p[0] & 15), p[0]&0x80 != 0, p[at : at+n], p[at+n:], true, nil
}

// messageMax bounds a message of a server.
const messageMax = 1 << 20

// appendFrame appends a frame as a client sends it: masked, with zeros, which is cheap
// and hides nothing from anybody.
func appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	dst = append(dst, 0x80|byte(op))
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(n))
	}
	return append(append(dst, 0, 0, 0, 0), payload...)
}

// write sends bytes that a fresh socket takes whole: requests are small.
func (w *worker) write(c *conn, p []byte) bool {
	if c.tls != nil {
		if err := c.tls.Write(p); err == nil && c.tls.Pending() < messageMax {
			return true
		}
	} else if n, err := epoll.Write(int(c.fd), p); err == nil && n == len(p) {
		return true
	}
	w.lose(c, "a request could not be written")
	return false
}

// receive reads what the socket has.
func (c *conn) receive(p []byte) (int, error) {
	if c.tls != nil {
		n, err := c.tls.Read(p)
		if c.tls.Pending() > 0 { // it answers a key update
			c.tls.Flush()
		}
		return n, err
	}
	return epoll.Read(int(c.fd), p)
}

// close closes the socket.
func (c *conn) close() {
	if c.tls != nil {
		c.tls.Close()
		c.tls = nil
		return
	}
	epoll.Close(int(c.fd))
}

// handshake is one that has ended.
type handshake struct {
	conn, gen uint32
	err       error
}

// handshakes are those that have ended, handed over to the worker's goroutine.
type handshakes struct {
	mu    sync.Mutex // protects ended
	ended []handshake
}

// shake begins TLS on a socket that is connected.
func (w *worker) shake(c *conn, config *tls.Config) {
	c.state = connShaking
	c.tls = epoll.NewClient(int(c.fd), config)
	t, h := c.tls, handshake{conn: w.index(c), gen: c.gen}
	go func() {
		h.err = t.Handshake()
		w.shaken.mu.Lock()
		defer w.shaken.mu.Unlock()
		w.shaken.ended = append(w.shaken.ended, h)
		w.poll.Wake()
	}()
}

// shakenHands goes on with those whose handshake has ended.
func (w *worker) shakenHands() {
	w.shaken.mu.Lock()
	ended := w.shaken.ended
	w.shaken.ended = nil
	w.shaken.mu.Unlock()
	for _, h := range ended {
		c := &w.conns[h.conn]
		switch {
		case c.gen != h.gen || c.state != connShaking:
		case h.err != nil:
			w.lose(c, "TLS: "+h.err.Error())
		default:
			w.upgrade(c)
			w.read(c) // what came with the handshake
		}
	}
}
