package fanout

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/epoll"
)

// wire is a socket whose peer sends so many bytes at a time, and now has room for so many.
type wire struct {
	in   []byte
	sent int
	room int
	out  []byte
}

func (w *wire) Close(fd int) {}

func (w *wire) Read(fd int, p []byte) (int, error) {
	if len(w.in) == 0 {
		return 0, epoll.ErrAgain
	}
	n := copy(p, w.in[:min(w.sent, len(w.in))])
	w.in = w.in[n:]
	return n, nil
}

func (w *wire) Write(fd int, p []byte) (int, error) {
	n := min(w.room, len(p))
	w.room -= n
	w.out = append(w.out, p[:n]...)
	if n < len(p) {
		return n, epoll.ErrAgain
	}
	return n, nil
}

// fuzzLoop is a loop on a wire whose clock stands still, so that the same bytes have the
// same answers.
func fuzzLoop(f *testing.F) (*loop, *wire) {
	cfg := Config{Node: "fuzz", Heartbeat: time.Hour, Loops: 1, Limits: usual(f)}
	cfg.MaxConns, cfg.MaxSubs, cfg.Stall = 100, 100, time.Hour
	l := testLoop(f, &cfg)
	l.http = newHandover(netip.AddrPort{})
	l.log = slog.New(slog.DiscardHandler)
	w := new(wire)
	now := time.UnixMicro(1_700_000_000_000_000)
	l.sock, l.now, l.start = w, func() time.Time { return now }, now
	return l, w
}

// noSocket is a descriptor that is not open: what a loop does to it by itself fails.
const noSocket = 1 << 30

// play has a conn in a state send bytes, so many at a time, and take so many; it returns
// what came back, and whether the node ended the conn.
func play(t *testing.T, l *loop, w *wire, state uint8, send []byte, sent, took int) (answer []byte, ended bool) {
	w.in, w.sent, w.out = send, sent, nil
	l.taken.Add(1)
	ci := l.newConn(noSocket)
	c := &l.conns[ci]
	c.state = state
	for rounds := 0; ; rounds++ {
		l.begin()
		if w.room = took; c.blocked {
			l.writable(ci)
		}
		l.readable(ci, false)
		if c.restLen > limitBytesMost+ws.MaxHeaderSize || c.msgLen > limitBytesMost || l.unfinished != int(c.restLen+c.msgLen) {
			t.Fatalf("%d and %d bytes are kept, %d of all", c.restLen, c.msgLen, l.unfinished)
		}
		if l.runCycle(nil); c.fd != noSocket {
			ended = true
			break
		}
		if len(w.in) == 0 && len(l.again) == 0 && !c.blocked {
			ended = c.state == stateClosing
			l.lose(ci, "peer")
			l.begin()
			l.reap()
			break
		}
		if rounds > 4*(len(send)+len(w.out)+1000) {
			t.Fatalf("no end: %d bytes are left, blocked is %v", len(w.in), c.blocked)
		}
	}
	if l.open != 0 || l.unfinished != 0 || l.tails != 0 || l.blocked != 0 {
		t.Fatalf("open %d, unfinished %d, tails %d, blocked %d are left behind", l.open, l.unfinished, l.tails, l.blocked)
	}
	return w.out, ended
}

// samePieces plays bytes whole and in pieces, and fails if the answers are not the same.
func samePieces(t *testing.T, l *loop, w *wire, state uint8, send []byte, sent, took uint8) (answer []byte, ended bool) {
	if len(send) > 3*limitBytesMost {
		t.Skip("longer than a node keeps anyway")
	}
	answer, ended = play(t, l, w, state, bytes.Clone(send), len(send), 1<<30)
	few := 1 + len(send)/512 // pieces of a long message are longer, for time's sake
	pieces, endedToo := play(t, l, w, state, bytes.Clone(send), int(sent)+few, int(took)+1+len(answer)/512)
	if !bytes.Equal(answer, pieces) || ended != endedToo {
		t.Fatalf("%q\nis answered %q, %v, in pieces of %d; whole, %q, %v", send, pieces, endedToo, int(sent)+few, answer, ended)
	}
	return answer, ended
}

// FuzzFrames sends bytes behind the upgrade, to the requests of a node or to an echo.
func FuzzFrames(f *testing.F) {
	for i, r := range rules() {
		f.Add(frames(r.send, closeFrame(1000, "")), uint8(i), uint8(7*i), i%2 == 0)
	}
	f.Add(bytes.Repeat(pingFrame("x"), 100+floodMax+1), uint8(0), uint8(0), false)
	l, w := fuzzLoop(f)
	f.Fuzz(func(t *testing.T, send []byte, sent, took uint8, echoes bool) {
		if l.service = l; echoes {
			l.service = echo{l}
		}
		answer, ended := samePieces(t, l, w, stateOpen, send, sent, took)
		var p parser
		closed := false
		for len(answer) > 0 {
			h, rest, err := p.header(answer)
			if err != nil || ws.CheckHeader(h, ws.StateClientSide) != nil || int64(len(rest)) < h.Length || closed {
				t.Fatalf("%q is no frame of a server (%v), or comes behind a close frame", answer, err)
			}
			closed = h.OpCode == ws.OpClose
			answer = rest[h.Length:]
		}
		if closed != ended {
			t.Fatalf("a close frame was sent: %v, and the conn ended: %v", closed, ended)
		}
	})
}

// FuzzHandshake sends bytes to a conn that is new. Where they are taken for an upgrade,
// net/http reads the same in them.
func FuzzHandshake(f *testing.F) {
	for i, c := range handshakes {
		f.Add(c.head(), uint8(i), uint8(i))
	}
	f.Add([]byte(upgradeHead+string(textFrame(ping1))), uint8(10), uint8(10))
	f.Add([]byte("GET / HTTP/1.1\r\nX: "+string(make([]byte, headBytes))), uint8(255), uint8(255))
	l, w := fuzzLoop(f)
	f.Fuzz(func(t *testing.T, send []byte, sent, took uint8) {
		answer, ended := samePieces(t, l, w, stateHandshake, send, sent, took)
		if len(answer) == 0 {
			if ended || headEnd(send) != 0 || len(send) >= headBytes {
				t.Fatalf("%q is not answered", send)
			}
			return
		}
		res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
		if err != nil {
			t.Fatalf("%q is answered %q: %v", send, answer, err)
		}
		if res.StatusCode != http.StatusSwitchingProtocols {
			if body, err := io.ReadAll(res.Body); err != nil || len(body) == 0 || !res.Close || res.StatusCode < 400 || !ended {
				t.Fatalf("%q is answered %q (%v)", send, answer, err)
			}
			return
		}
		end := headEnd(send)
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(send[:end])))
		if err != nil {
			t.Fatalf("%q is taken, which net/http refuses: %v", send[:end], err)
		}
		keys := r.Header["Sec-Websocket-Key"]
		if r.Method != http.MethodGet || r.URL.Path != codec.StreamPath || r.ContentLength != 0 || len(r.TransferEncoding) > 0 ||
			len(keys) != 1 || !isKey([]byte(keys[0])) || len(r.Header["Sec-Websocket-Version"]) != 1 {
			t.Fatalf("%q is taken, in which net/http reads %+v", send[:end], r)
		}
	})
}
