package epoll

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// TLS is a TLS connection on a non-blocking descriptor, which it owns. Its handshake has
// a goroutine, for crypto/tls cannot leave one and come back; afterwards the loop reads
// and seals, and nothing blocks: what answers ErrAgain may be asked again, which
// crypto/tls allows for reads. What is to be sent goes to memory, which never fails, and
// from there to the kernel: by Flush, or by the caller, as bytes of Seal and Take.
type TLS struct {
	conn  *tls.Conn
	sock  tlsSocket // under it
	fd    int
	ready chan struct{} // a word: the descriptor may be readable, or writable
	hangs atomic.Bool   // the handshake waits for its peer
	work  *Work         // it has a place while it computes; nil: no matter

	mu      sync.Mutex // protects what follows, until the handshake has ended
	shaking bool
	closed  bool

	out  []byte // records that nobody has taken yet
	held int    // see Held
}

// NewClient begins TLS as a client, on a descriptor that is connected. Handshake is next.
func NewClient(fd int, config *tls.Config) *TLS {
	t := newTLS(fd)
	t.conn = tls.Client(&t.sock, config)
	return t
}

// NewServer begins TLS as a server. Of the handshakes that share work, so many compute at
// a time as it has places; one that waits for its peer has none.
func NewServer(fd int, config *tls.Config, work *Work) *TLS {
	t := newTLS(fd)
	t.work = work
	t.conn = tls.Server(&t.sock, config)
	return t
}

func newTLS(fd int) *TLS {
	t := &TLS{fd: fd, ready: make(chan struct{}, 1), shaking: true}
	t.sock = tlsSocket{nobody{}, t}
	return t
}

// Handshake shakes hands: it blocks, and is for a goroutine of its own. Until it
// returns the loop may call Ready, for every event, and Close, which ends it.
func (t *TLS) Handshake() error {
	t.work.Begin()
	err := net.ErrClosed // by who has not waited for its place
	if !t.isClosed() {
		err = t.conn.Handshake()
	}
	t.work.Done()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shaking = false
	if t.closed {
		Close(t.fd)
		return net.ErrClosed
	}
	return err
}

// Hangs reports whether the handshake waits for its peer.
func (t *TLS) Hangs() bool { return t.hangs.Load() }

// Ready has a handshake go on.
func (t *TLS) Ready() {
	select {
	case t.ready <- struct{}{}:
	default:
	}
}

// Read reads what there is: ErrAgain when nothing is, 0 at the end of stream. It must be
// called until ErrAgain, for what was read from the descriptor raises no event any more:
// so after a handshake, too. What it has to say itself, as to a key update, is then
// pending.
func (t *TLS) Read(p []byte) (int, error) {
	n, err := t.conn.Read(p)
	switch {
	case n > 0 && (err == ErrAgain || err == io.EOF):
		return n, nil // it will say so again
	case err == ErrAgain:
		t.held = trim(t.conn)
	case err == io.EOF:
		return 0, nil
	}
	return n, err
}

// Held is how many bytes of memory a record has that has not come whole, or a message of
// TLS itself, as of the last Read that was answered ErrAgain. A peer need not go on.
func (t *TLS) Held() int { return t.held }

// Seal appends what is pending, and the records that carry p, to dst. An error is for good.
func (t *TLS) Seal(dst, p []byte) ([]byte, error) {
	t.out = append(dst, t.out...)
	_, err := t.conn.Write(p)
	dst, t.out = t.out, nil
	return dst, err
}

// Take appends what is pending to dst, for the caller to send.
func (t *TLS) Take(dst []byte) []byte {
	dst, t.out = append(dst, t.out...), nil
	return dst
}

// EndSending has the peer told that no more follows; that is then pending.
func (t *TLS) EndSending() { t.conn.CloseWrite() }

// Detach makes a net.Conn of a connection that has shaken hands, for the standard library
// to serve, and gives up the descriptor; on an error it stays.
func (t *TLS) Detach() (net.Conn, error) {
	c, err := Detach(t.fd)
	if err != nil {
		return nil, err
	}
	t.sock.Conn, t.closed = c, true
	return t.conn, nil
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
	t.work.Done()
	t.hangs.Store(true)
	t.work.hang(1)
	<-t.ready
	t.work.hang(-1)
	t.hangs.Store(false)
	t.work.GoOn()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		t.Ready() // for whoever asks again
		return net.ErrClosed
	}
	return nil
}

// tlsSocket is what crypto/tls takes for a net.Conn. It blocks in a handshake alone.
type tlsSocket struct {
	net.Conn // nobody, or the descriptor's, once detached
	t        *TLS
}

func (s *tlsSocket) Read(p []byte) (int, error) {
	if s.Conn != (nobody{}) {
		return s.Conn.Read(p)
	}
	for {
		n, err := Read(s.t.fd, p)
		switch {
		case err == nil && n == 0:
			return 0, io.EOF
		case err != ErrAgain || !s.t.isShaking():
			return n, err
		}
		if err := s.t.await(); err != nil {
			return 0, err
		}
	}
}

func (s *tlsSocket) Write(p []byte) (int, error) {
	if s.Conn != (nobody{}) {
		return s.Conn.Write(p)
	}
	if !s.t.isShaking() {
		s.t.out = append(s.t.out, p...)
		return len(p), nil
	}
	for sent := 0; sent < len(p); {
		n, err := Write(s.t.fd, p[sent:])
		sent += n
		if err == ErrAgain {
			err = s.t.await()
		}
		if err != nil {
			return sent, err
		}
	}
	return len(p), nil
}

func (t *TLS) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

func (t *TLS) isShaking() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shaking
}

// nobody is a net.Conn for as long as a loop owns the descriptor and knows its own
// deadlines.
type nobody struct{ net.Conn }

func (nobody) Close() error                     { return nil }
func (nobody) SetDeadline(time.Time) error      { return nil }
func (nobody) SetReadDeadline(time.Time) error  { return nil }
func (nobody) SetWriteDeadline(time.Time) error { return nil }
