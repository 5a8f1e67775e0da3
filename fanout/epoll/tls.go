package epoll

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"time"
)

// TLS is a TLS connection on a non-blocking descriptor, which it owns. Its handshake has
// a goroutine, for crypto/tls cannot leave one and come back; afterwards the loop reads
// and writes, and nothing blocks: what answers ErrAgain may be asked again, which
// crypto/tls allows for reads. Writes go to a buffer, which never fails, and from there
// to the kernel.
type TLS struct {
	conn  *tls.Conn
	fd    int
	ready chan struct{} // a token: the descriptor may be readable, or writable

	mu      sync.Mutex // protects what follows, until the handshake has ended
	shaking bool
	closed  bool

	out []byte // records that the kernel has not taken yet
}

// NewClient begins TLS as a client, on a descriptor that is connected. Handshake is next.
func NewClient(fd int, config *tls.Config) *TLS {
	t := &TLS{fd: fd, ready: make(chan struct{}, 1), shaking: true}
	t.conn = tls.Client(&tlsSocket{t}, config)
	return t
}

// Handshake shakes hands: it blocks, and is for a goroutine of its own. Until it
// returns the loop may call Ready, for every event, and Close, which ends it.
func (t *TLS) Handshake() error {
	err := t.conn.Handshake()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shaking = false
	if t.closed {
		Close(t.fd)
		return net.ErrClosed
	}
	return err
}

// Ready has a handshake go on.
func (t *TLS) Ready() {
	select {
	case t.ready <- struct{}{}:
	default:
	}
}

// Read reads what there is: ErrAgain when nothing is, 0 at the end of stream. After a
// handshake it must be called until ErrAgain: what the peer sent right behind its own
// part has been read from the descriptor already, and no event follows.
func (t *TLS) Read(p []byte) (int, error) {
	n, err := t.conn.Read(p)
	if len(t.out) > 0 { // a key update is answered
		if ferr := t.Flush(); ferr != nil && ferr != ErrAgain {
			return n, ferr
		}
	}
	switch {
	case n > 0 && (err == ErrAgain || err == io.EOF):
		return n, nil // it will say so again
	case err == io.EOF:
		return 0, nil
	}
	return n, err
}

// Write sends p whole; what the kernel does not take now, Flush sends.
func (t *TLS) Write(p []byte) error {
	if _, err := t.conn.Write(p); err != nil {
		return err
	}
	if err := t.Flush(); err != nil && err != ErrAgain {
		return err
	}
	return nil
}

// Pending is how many bytes wait for the kernel.
func (t *TLS) Pending() int { return len(t.out) }

// Flush sends what waits; ErrAgain when some still does.
func (t *TLS) Flush() error {
	n, err := Write(t.fd, t.out)
	t.out = t.out[:copy(t.out, t.out[n:])]
	switch {
	case err != nil:
		return err
	case len(t.out) > 0:
		return ErrAgain
	}
	t.out = nil
	return nil
}

// Close closes the descriptor: at once, or when the handshake under way has noticed.
func (t *TLS) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.closed = true
	if !t.shaking {
		Close(t.fd)
	}
	t.Ready()
}

// await blocks a handshake until its descriptor may be ready.
func (t *TLS) await() error {
	<-t.ready
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		t.Ready() // for whoever asks again
		return net.ErrClosed
	}
	return nil
}

// tlsSocket is what crypto/tls takes for a net.Conn. It blocks in a handshake alone.
type tlsSocket struct{ *TLS }

func (s *tlsSocket) Read(p []byte) (int, error) {
	for {
		n, err := Read(s.fd, p)
		switch {
		case err == nil && n == 0:
			return 0, io.EOF
		case err != ErrAgain || !s.isShaking():
			return n, err
		}
		if err := s.await(); err != nil {
			return 0, err
		}
	}
}

func (s *tlsSocket) Write(p []byte) (int, error) {
	if !s.isShaking() {
		s.out = append(s.out, p...)
		return len(p), nil
	}
	for sent := 0; sent < len(p); {
		n, err := Write(s.fd, p[sent:])
		sent += n
		if err == ErrAgain {
			err = s.await()
		}
		if err != nil {
			return sent, err
		}
	}
	return len(p), nil
}

func (t *TLS) isShaking() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shaking
}

// The loop owns the descriptor and knows its own deadlines.

func (s *tlsSocket) Close() error                     { return nil }
func (s *tlsSocket) LocalAddr() net.Addr              { return nil }
func (s *tlsSocket) RemoteAddr() net.Addr             { return nil }
func (s *tlsSocket) SetDeadline(time.Time) error      { return nil }
func (s *tlsSocket) SetReadDeadline(time.Time) error  { return nil }
func (s *tlsSocket) SetWriteDeadline(time.Time) error { return nil }
