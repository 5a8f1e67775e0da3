package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/tickwire/tickwire/codec"
)

const (
	dialTimeout  = 10 * time.Second // dial, TLS, upgrade; and again until hello
	writeTimeout = 10 * time.Second
	byeTimeout   = 100 * time.Millisecond // a close frame may take so long
	messageMax   = 4 << 20                // bytes; a node ends its messages at 16 KiB
	readBuffer   = 64 << 10
	readLeast    = 4 << 10  // bytes that a message grows by
	refusalMax   = 16 << 10 // bytes read of an HTTP refusal
	reasonMax    = 1 << 10  // and kept of its body

	// retryAfterMost bounds for how many seconds an HTTP refusal may send us away.
	retryAfterMost = 60
)

var (
	// errPromise: the node broke a promise of the protocol.
	errPromise = errors.New("protocol error")
	// errDistrust: as that, or we lost count, so that what is held may be wrong.
	errDistrust = fmt.Errorf("%w: out of step", errPromise)
)

// wire is one WebSocket: whole messages in, frames out.
type wire struct {
	conn net.Conn
	from io.Reader // conn, or what came with the answer to the upgrade and then conn

	// deadline is asked before a read that may block: the peer's bytes are due then.
	deadline func() time.Time

	in      wsutil.Reader
	joined  []byte // the last message
	control [ws.MaxControlFramePayloadSize]byte

	mu     sync.Mutex // one frame at a time
	broken bool       // amid a frame: no other may follow
}

// dial opens the WebSocket.
func dial(ctx context.Context, cfg *Config, token string) (*wire, error) {
	protocol := codec.ProtocolMsgpack
	if cfg.Encoding == "json" {
		protocol = codec.ProtocolJSON
	}
	var refused refusal
	d := ws.Dialer{
		Timeout:   dialTimeout,
		Protocols: []string{protocol},
		TLSConfig: cfg.TLS,
		OnStatusError: func(_ int, _ []byte, answer io.Reader) {
			refused = readRefusal(answer)
		},
	}
	if token != "" {
		d.Header = ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + token}})
	}
	// Who echoes no subprotocol is told from a node by its hello.
	conn, early, _, err := d.Dial(ctx, cfg.URL)
	var status ws.StatusError
	switch {
	case errors.As(err, &status) && isFinal(int(status)):
		return nil, &FinalError{Code: int(status), Text: refused.text, Reason: refused.reason}
	case errors.As(err, &status):
		return nil, &retryError{int(status), refused.text, refused.after}
	case err != nil:
		return nil, err
	}
	return newWire(conn, early), nil
}

// newWire reads early, where bytes came with the answer to the upgrade, else conn.
func newWire(conn net.Conn, early *bufio.Reader) *wire {
	w := &wire{conn: conn, from: conn}
	if early != nil {
		w.from = early
	}
	w.in = wsutil.Reader{
		Source: bufio.NewReaderSize(w, readBuffer), State: ws.StateClientSide,
		MaxMessageSize: messageMax, OnIntermediate: w.answer,
	}
	return w
}

// refusal is what an answer says that upgrades nothing.
type refusal struct {
	text   string // one line
	reason string // for programs; or ""
	after  time.Duration
}

// readRefusal reads a node's, which is JSON, or that of whatever stands before it.
func readRefusal(answer io.Reader) (x refusal) {
	r, err := http.ReadResponse(bufio.NewReader(io.LimitReader(answer, refusalMax)), nil)
	if err != nil {
		return x
	}
	defer r.Body.Close()
	if seconds, err := strconv.ParseUint(r.Header.Get("Retry-After"), 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		x.after = time.Duration(min(seconds, retryAfterMost)) * time.Second
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, reasonMax))
	var told struct{ Error, Reason string }
	if json.Unmarshal(body, &told) != nil || told.Error == "" {
		told.Error, told.Reason = string(body), ""
	}
	x.text, x.reason = codec.Printable(told.Error), codec.Printable(told.Reason)
	return x
}

// Read reads the connection's bytes.
func (w *wire) Read(p []byte) (int, error) {
	w.conn.SetReadDeadline(w.deadline())
	return w.from.Read(p)
}

// message returns the next message, valid until the next call. Control frames, also
// those between the frames of a message, are answered on the way; the peer's close
// is an error.
func (w *wire) message() (op ws.OpCode, message []byte, err error) {
	h, err := w.in.NextFrame()
	for err == nil && h.OpCode.IsControl() {
		if err = w.answer(h, &w.in); err == nil {
			h, err = w.in.NextFrame()
		}
	}
	if err != nil {
		return 0, nil, blame(err)
	}
	m := w.joined[:0]
	for err == nil {
		m = slices.Grow(m, readLeast) // with what has come, not with what a header promises
		var n int
		n, err = w.in.Read(m[len(m):cap(m)])
		m = m[:len(m)+n]
	}
	w.joined = m
	if err != io.EOF {
		return 0, nil, blame(err)
	}
	if h.OpCode == ws.OpText && !utf8.Valid(m) {
		return 0, nil, fmt.Errorf("%w: text that is not UTF-8", errPromise)
	}
	return h.OpCode, m, nil
}

// closedError is a close after which the node may be connected to again.
type closedError struct {
	code ws.StatusCode
	text string
}

func (e *closedError) Error() string {
	return codec.Printable(fmt.Sprintf("closed by the node: %d %s", e.code, e.text))
}

// Is reports whether the node, which restarts, has sent us away.
func (e *closedError) Is(target error) bool {
	return target == errDrained && e.code == codec.CloseRestart
}

// blame tells what a node must not send from a connection that ended.
func blame(err error) error {
	var bad ws.ProtocolError
	if errors.As(err, &bad) || err == ws.ErrHeaderLengthMSB || err == wsutil.ErrMessageTooLarge {
		return fmt.Errorf("%w: %w", errPromise, err)
	}
	return err
}

// answer reads a control frame and answers it. A pong that cannot be written is no
// matter here: what is read next says why.
func (w *wire) answer(h ws.Header, from io.Reader) error {
	payload := w.control[:h.Length]
	if _, err := io.ReadFull(from, payload); err == io.EOF {
		return io.ErrUnexpectedEOF // EOF is the end of a message
	} else if err != nil {
		return err
	}
	switch h.OpCode {
	case ws.OpPing:
		w.write(ws.OpPong, payload, writeTimeout)
	case ws.OpClose:
		// ws.CheckCloseFrameData does not know 1012 and 1013: a close is a close.
		code, reason := ws.ParseCloseFrameData(payload)
		w.write(ws.OpClose, payload[:min(2, len(payload)&^1)], byeTimeout)
		if isFinal(int(code)) {
			return &FinalError{Code: int(code), Text: codec.Printable(reason)}
		}
		return &closedError{code, reason}
	}
	return nil
}

// write sends one frame, masked as a client's must be. Who takes nothing for so long
// is left: it may still send.
func (w *wire) write(op ws.OpCode, payload []byte, within time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		return net.ErrClosed
	}
	w.conn.SetWriteDeadline(time.Now().Add(within))
	_, err := w.conn.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(op, true, payload))))
	w.broken = err != nil
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.conn.Close()
	}
	return err
}

// bye sends a close frame and does not wait for its answer, nor for long for a write
// under way.
func (w *wire) bye(code ws.StatusCode) {
	late := time.AfterFunc(2*byeTimeout, func() { w.conn.Close() })
	w.write(ws.OpClose, ws.NewCloseFrameBody(code, ""), byeTimeout)
	late.Stop()
	w.conn.Close()
}
