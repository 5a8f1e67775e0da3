package feed

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// link is one connection to a venue. Its reader goroutine only reads; all else,
// writing too, is the session's.
type link struct {
	leg    *leg
	conn   net.Conn
	cancel context.CancelFunc // ends the dial and the reader
	up     bool               // dialled
	gone   bool               // given up: what still arrives is void
	began  time.Time
	heard  time.Time // the last frame, pongs too
	pinged time.Time

	queue   [][]byte      // requests to send
	sendAt  time.Time     // the next of them
	asked   int           // requests made: their ids
	wanted  map[want]bool // subscriptions not confirmed yet
	ready   bool          // all were confirmed once, or given up: at readyAt
	readyAt time.Time
	tries   int
	askAt   time.Time       // when to ask again for what is wanted; zero while the queue is not empty
	spoke   map[string]bool // symbols whose data came
	gap     bool            // what came before was interrupted: a symbol's first data says so
}

// inbound is what a link's goroutines tell the session.
type inbound struct {
	link *link
	op   ws.OpCode
	raw  *bytes.Buffer // goes back to buffers
	us   int64         // receive time, us since the epoch
	conn net.Conn      // dialled
	err  error         // of the dial, or the end of the connection
}

// readBytes is a link's read buffer: some 300 frames of a busy second.
const readBytes = 64 << 10

// frameMax bounds a message. Coinbase's book snapshots, the largest that come unasked,
// have some 3 MB.
const frameMax = 16 << 20

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// userAgent names us: the doors in front of some venues refuse the nameless.
var userAgent = ws.HandshakeHeaderHTTP{"User-Agent": {"tickwire"}}

// open dials, tells the session, and reads until the connection ends.
func (l *link) open(ctx context.Context, url string, timeout time.Duration, inbox chan<- inbound) {
	dialer := ws.Dialer{Timeout: timeout, ReadBufferSize: readBytes, Header: userAgent}
	conn, from, _, err := dialer.Dial(ctx, url)
	if err != nil {
		post(ctx, inbox, inbound{link: l, err: err})
		return
	}
	if from == nil {
		from = bufio.NewReaderSize(conn, readBytes)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if !post(ctx, inbox, inbound{link: l, conn: conn}) {
		return
	}
	post(ctx, inbox, inbound{link: l, err: l.read(ctx, from, inbox)})
}

// read is step 1: a message arrives, and its receive time is taken here. What a peer
// only claims to send costs no memory.
func (l *link) read(ctx context.Context, from io.Reader, inbox chan<- inbound) error {
	message := func(h ws.Header, body io.Reader) error {
		a := inbound{link: l, op: h.OpCode, us: time.Now().UnixMicro(), raw: buffers.Get().(*bytes.Buffer)}
		a.raw.Reset()
		if _, err := a.raw.ReadFrom(body); err != nil {
			return err
		}
		if !post(ctx, inbox, a) {
			return ctx.Err()
		}
		return nil
	}
	r := wsutil.Reader{Source: from, State: ws.StateClientSide, MaxMessageSize: frameMax, OnIntermediate: message}
	for {
		h, err := r.NextFrame()
		if err == nil {
			err = message(h, &r)
		}
		if err != nil {
			return err
		}
	}
}

func post(ctx context.Context, inbox chan<- inbound, a inbound) bool {
	select {
	case inbox <- a:
		return true
	case <-ctx.Done():
		return false
	}
}

// writeTimeout bounds a write. Requests are small: a socket that does not take one
// has been dead for long.
const writeTimeout = 2 * time.Second

// write sends a message, in one write to the socket.
func (l *link) write(op ws.OpCode, payload []byte) error {
	b, err := ws.CompileFrame(ws.MaskFrame(ws.NewFrame(op, true, payload)))
	if err != nil {
		return err
	}
	l.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err = l.conn.Write(b)
	return err
}

// close gives the link up; the venue is told when it can be.
func (l *link) close() {
	if l.gone {
		return
	}
	l.gone = true
	if l.conn != nil {
		l.write(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
	}
	l.cancel()
}
