package client

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// frames are a node's frames as bytes.
func frames(all ...ws.Frame) []byte {
	var b bytes.Buffer
	for _, f := range all {
		ws.WriteFrame(&b, f)
	}
	return b.Bytes()
}

func frame(op ws.OpCode, fin bool, payload string) ws.Frame {
	return ws.NewFrame(op, fin, []byte(payload))
}

// wired is a wire whose other end writes these bytes, in pieces, and then no more;
// answers closes it and is what it sent.
func wired(t *testing.T, sent []byte, piece int) (w *wire, answers func() *bytes.Buffer) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ours, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	theirs, got := conn.(*net.TCPConn), new(bytes.Buffer)
	var both sync.WaitGroup
	both.Go(func() { io.Copy(got, theirs) })
	both.Go(func() {
		for part := range slices.Chunk(sent, piece) {
			if _, err := theirs.Write(part); err != nil {
				return
			}
		}
		theirs.CloseWrite()
	})
	w = newWire(ours, nil)
	w.deadline = func() time.Time { return time.Now().Add(soon) }
	return w, func() *bytes.Buffer {
		ours.Close()
		both.Wait()
		theirs.Close()
		return got
	}
}

func TestRead(t *testing.T) {
	long := strings.Repeat("0123456789", 20_000) // more than the buffer
	all := frames(
		frame(ws.OpBinary, true, "whole"),
		frame(ws.OpBinary, true, ""),
		frame(ws.OpText, false, "in "), frame(ws.OpPing, true, "p1"), frame(ws.OpContinuation, false, ""),
		frame(ws.OpPong, true, "unasked"), frame(ws.OpContinuation, true, "pieces "),
		frame(ws.OpBinary, true, long),
		frame(ws.OpBinary, false, long), frame(ws.OpContinuation, true, long),
		frame(ws.OpText, false, "\xc3"), frame(ws.OpContinuation, true, "\xa9"), // é across frames
		frame(ws.OpPing, true, strings.Repeat("p", 125)),
		frame(ws.OpClose, true, "\x03\xf4the node restarts"),
	)
	want := []string{"whole", "", "in pieces ", long, long + long, "é"}
	for _, piece := range []int{13, 4096, len(all)} {
		w, answers := wired(t, all, piece)
		for i, text := range want {
			op, message, err := w.message()
			if err != nil || string(message) != text {
				t.Fatalf("pieces of %d: message %d: %v, %d bytes: %.20q", piece, i, err, len(message), message)
			}
			if isText := i == 2 || i == 5; isText != (op == ws.OpText) {
				t.Errorf("message %d has op code %d", i, op)
			}
		}
		_, _, err := w.message()
		if err == nil || err.Error() != "closed by the node: 1012 the node restarts" {
			t.Errorf("pieces of %d: %v", piece, err)
		}
		checkAnswers(t, answers())
	}
}

// checkAnswers wants two pongs and a close, masked.
func checkAnswers(t *testing.T, got *bytes.Buffer) {
	t.Helper()
	for _, want := range []ws.Frame{frame(ws.OpPong, true, "p1"), frame(ws.OpPong, true, strings.Repeat("p", 125)), frame(ws.OpClose, true, "\x03\xf4")} {
		f, err := readFrame(got)
		if err != nil {
			t.Fatal(err)
		}
		if !f.Header.Masked || f.Header.OpCode != want.Header.OpCode || string(f.Payload) != string(want.Payload) {
			t.Errorf("answer %+v %q, want %q", f.Header, f.Payload, want.Payload)
		}
	}
}

// What a node must not send is refused, without memory for what is only promised.
func TestReadRefuses(t *testing.T) {
	huge := frames(frame(ws.OpBinary, false, strings.Repeat("x", messageMax)), frame(ws.OpContinuation, true, "x"))
	masked := frame(ws.OpBinary, true, "x")
	masked.Header.Masked = true
	for name, sent := range map[string][]byte{
		"masked":                     frames(masked),
		"reserved bits":              {0xc2, 0x01, 'x'},
		"reserved op code":           {0x83, 0x01, 'x'},
		"continuation of nothing":    frames(frame(ws.OpContinuation, true, "x")),
		"a message amid another":     frames(frame(ws.OpText, false, "x"), frame(ws.OpText, true, "x")),
		"a ping in pieces":           frames(frame(ws.OpPing, false, "x")),
		"a long ping":                {0x89, 126, 0, 200},
		"a length below zero":        {0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0},
		"a terabyte":                 {0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0},
		"4 MiB and a byte":           huge,
		"text that is not UTF-8":     frames(frame(ws.OpText, true, "\xff")),
		"text that ends in a letter": frames(frame(ws.OpText, false, "\xc3"), frame(ws.OpContinuation, true, "")),
	} {
		w, answers := wired(t, sent, 1<<20)
		if _, _, err := w.message(); !errors.Is(err, errPromise) {
			t.Errorf("%s: %v", name, err)
		}
		answers()
	}
	for name, sent := range map[string][]byte{
		"amid a header":  {0x82},
		"amid a payload": {0x82, 5, 'x'},
		"amid a length":  {0x82, 127, 0, 0},
		"amid a message": frames(frame(ws.OpBinary, false, "x")),
		"amid a ping":    append(frames(frame(ws.OpBinary, false, "x")), 0x89, 1),
		"a short close":  {0x88, 1, 'x'},
		"an empty close": {0x88, 0},
		"nothing":        {},
	} {
		w, answers := wired(t, sent, 1<<20)
		if _, _, err := w.message(); err == nil || errors.Is(err, errPromise) {
			t.Errorf("%s: %v", name, err)
		}
		answers()
	}
}

// Who takes nothing is left, and half a frame is the last that it gets.
func TestWriteTimeout(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	w := newWire(ours, nil)
	w.deadline = func() time.Time { return time.Now().Add(soon) }
	for _, want := range []error{os.ErrDeadlineExceeded, net.ErrClosed} {
		if err := w.write(ws.OpBinary, []byte("x"), 10*time.Millisecond); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if _, _, err := w.message(); err == nil {
		t.Error("it is still read")
	}
}

// again is a connection that says the same for ever.
type again struct {
	net.Conn
	text []byte
	at   int
}

func (a *again) Read(p []byte) (int, error) {
	n := copy(p, a.text[a.at:])
	a.at = (a.at + n) % len(a.text)
	return n, nil
}

func (a *again) SetReadDeadline(time.Time) error { return nil }

// flow is a session that reads a message of ten updates for ever.
func flow(encoding string) *session {
	p := &peer{json: encoding == "json"}
	var all []codec.Update
	names := make(map[uint32]string)
	for id := range uint32(10) {
		names[id] = "sim:" + string(rune('A'+id))
		all = append(all, delta(id, 1, int64(id)))
	}
	ours, theirs := net.Pipe()
	text := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(ours)
		text <- b
	}()
	p.conn = theirs
	p.data(names, all...)
	theirs.Close()
	c := New(Config{})
	c.OnUpdate = func(u *Update) {}
	s := newSession(c, newWire(&again{text: <-text}, nil))
	for id, name := range names {
		c.board.confirm(name, id, codec.AllFields, false)
		c.board.rows[name].quote = image(id, 0, 1).Quote
	}
	return s
}

func (s *session) step() error {
	_, message, err := s.wire.message()
	if err == nil {
		err = codec.ParseMessage(message, &s.msg)
	}
	if err == nil {
		err = s.take()
	}
	return err
}

// From socket to OnUpdate an update of the binary encoding costs no allocation.
func TestUpdateAllocatesNothing(t *testing.T) {
	s := flow("msgpack")
	if n := testing.AllocsPerRun(1000, func() {
		if err := s.step(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}

func BenchmarkUpdate(b *testing.B) {
	s := flow("msgpack")
	b.ReportAllocs()
	for range b.N {
		if err := s.step(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(10*float64(b.N)/b.Elapsed().Seconds(), "updates/s")
}
