package fanout

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/tickwire/tickwire/codec"
)

// Requests that take long leave the cycle to those who wait for prices, and are
// answered in the next ones, in order.
func TestRequestsGiveWay(t *testing.T) {
	crowd := newCrowd(t, 2, 10, false, 0)
	l, now := crowd.loop, time.Now()
	l.now = func() time.Time { now = now.Add(time.Millisecond); return now }
	l.conns[1].budget = 1000
	for range 100 {
		crowd.sink.in = append(crowd.sink.in, masked(ws.OpText, true, []byte(`{"op":"ping"}`))...)
	}
	frames := func() uint64 { return l.count[framesIn] }
	l.begin()
	l.readable(1, false)
	for cycles := 1; frames() < 100; cycles++ {
		if done := frames(); cycles > 10 || done > uint64(cycles)*uint64(requestTime/time.Millisecond) {
			t.Fatalf("%d requests in %d cycles", done, cycles)
		}
		if l.timeout() != 0 {
			t.Fatal("the loop would sleep")
		}
		l.runCycle(nil)
	}
	if l.runCycle(nil); len(l.again) != 0 {
		t.Errorf("%d conns are read for nothing", len(l.again))
	}
}

// A message that is begun must end, and what is begun is bounded for all together.
func TestUnfinishedMessages(t *testing.T) {
	crowd := newCrowd(t, 600, 1, false, 0)
	l, now := crowd.loop, time.Now()
	l.now = func() time.Time { return now }
	l.begin()
	half := append(masked(ws.OpText, false, make([]byte, 60_000)), masked(ws.OpContinuation, true, make([]byte, 60_000))[:1000]...)
	open := 0
	for ci := 1; ci <= 600; ci++ {
		crowd.sink.in = half
		l.readable(uint32(ci), false)
		if l.conns[ci].state == stateOpen {
			open++
		}
	}
	if kept := open * 61_000; l.unfinished > unfinishedMax || kept > unfinishedMax || kept < unfinishedMax-200_000 {
		t.Errorf("%d bytes are kept, %d conns are open", l.unfinished, open)
	}
	for _, wait := range []time.Duration{messageTime, lingerTime} {
		now = now.Add(wait + time.Second)
		for range sweepParts + 1 {
			l.sweepAt = 0
			l.runCycle(nil)
		}
	}
	if l.unfinished != 0 || l.open != 0 {
		t.Errorf("%d bytes are kept, %d conns are open, after %v", l.unfinished, l.open, messageTime)
	}
}

// A reader that takes a byte now and then is stalled all the same.
func TestTrickle(t *testing.T) {
	crowd := newCrowd(t, 1, 1000, false, 0)
	crowd.cfg.Stall = 30 * time.Second
	l, now := crowd.loop, time.Now()
	full := &fullOnce{sink: &crowd.sink}
	l.sock, l.now = full, func() time.Time { return now }
	crowd.tick(1000)
	l.runCycle(nil)
	for range 60 {
		now = now.Add(time.Second)
		full.room = 1
		l.begin()
		l.writable(1)
		l.sweepConn(1)
	}
	if l.conns[1].state != stateGone {
		t.Error("it is open after a minute")
	}
}

// One conn has so many terms and no more; who changes them all at once can.
func TestTerms(t *testing.T) {
	crowd := newCrowd(t, 1, 2*lanesMax, false, 0)
	l := crowd.loop
	ask := func(format string, a ...any) *codec.Reply {
		l.conns[1].budget = 100
		l.request(1, true, fmt.Appendf(nil, format, a...))
		return &l.reply
	}
	ask(`{"op":"unsubscribe","symbols":["sim:*"]}`)
	var fields []string
	for f := range lanesMax + 1 {
		fields = nil
		for bit := range 7 {
			if (f+1)>>bit&1 != 0 {
				fields = append(fields, `"`+codec.FieldNames[bit]+`"`)
			}
		}
		ask(`{"op":"subscribe","symbols":["sim:S%04d"],"fields":[%s]}`, f, strings.Join(fields, ","))
	}
	if n := l.prune(1); n != lanesMax || l.conns[1].subs != lanesMax {
		t.Errorf("%d lanes, %d subs", n, l.conns[1].subs)
	}
	if r := ask(`{"op":"set","symbols":["sim:S0000"],"rate":1}`); r.Results[0].Error == nil || r.Results[0].Error.Code != codec.CodeTooManySubs {
		t.Errorf("%+v", r)
	}
	if r := ask(`{"op":"subscribe","symbols":["sim:*"],"fields":[%s]}`, `"bid"`); r.Results[0].Error != nil {
		t.Errorf("%+v", r.Results[0])
	}
	checkSubs(t, l)
}

// The connections that a node takes are the node's, on whatever loop they come.
func TestMaxConnsIsTheNodes(t *testing.T) {
	n := startNode(t, func(cfg *Config) { cfg.Loops, cfg.MaxConns = 4, 12 })
	var peers []*peer
	for range 12 {
		peers = append(peers, dial(t, n.addr))
	}
	conn, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(3 * time.Second))
	if got, _ := io.ReadAll(conn); !strings.HasPrefix(string(got), "HTTP/1.1 503") {
		t.Errorf("%q", got)
	}
	peers[0].conn.Close()
	eventually(t, 3*time.Second, "a place is free", func() bool { return n.taken.Load() == 11 })
	dial(t, n.addr).next(codec.TypeHello)
}

// A close frame behind other frames is seen, and the conn is gone without a wait.
func TestCloseBehindFrames(t *testing.T) {
	n := startNode(t, nil)
	p := dial(t, n.addr)
	p.next(codec.TypeHello)
	p.conn.Write(masked(ws.OpText, true, []byte{0xff})) // closes with 1007
	if code := p.closedWith(); code != ws.StatusInvalidFramePayloadData {
		t.Fatal(code)
	}
	wsutil.WriteClientMessage(p.conn, ws.OpPing, nil)
	raw := append(masked(ws.OpPing, true, nil), masked(ws.OpClose, true, ws.NewCloseFrameBody(ws.StatusInvalidFramePayloadData, ""))...)
	p.conn.Write(raw)
	eventually(t, lingerTime/2, "it is gone", func() bool { return n.opened() == 0 })
}

// What comes behind a frame that was refused is not read as frames (RFC 6455, 7.1.7): the
// rest of a message that is too long is no close frame, whatever it looks like. A conn
// that ended on it would be reset under a client that is still sending, and might lose
// its 1009.
func TestNothingIsReadBehindRefusal(t *testing.T) {
	n := startNode(t, nil)
	for name, refused := range map[string]func() net.Conn{
		"a frame": func() net.Conn {
			p := dial(t, n.addr)
			p.conn.Write(masked(ws.OpBinary, true, make([]byte, limitBytesMost+1))[:1000])
			if code := p.closedWith(); code != ws.StatusMessageTooBig {
				t.Error(code)
			}
			return p.conn
		},
		"a head": func() net.Conn {
			conn, err := net.Dial("tcp", n.addr)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(conn, strings.Replace(upgradeHead, "GET", "POST", 1))
			conn.SetDeadline(time.Now().Add(3 * time.Second))
			if _, err := io.ReadAll(conn); err != nil {
				t.Error(err)
			}
			return conn
		},
	} {
		conn := refused()
		for range 10 {
			if _, err := conn.Write(masked(ws.OpClose, true, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			time.Sleep(5 * time.Millisecond)
		}
		if n.opened() != 1 {
			t.Errorf("%s: it is gone before its peer", name)
		}
		conn.Close()
		eventually(t, lingerTime/2, "it is gone", func() bool { return n.opened() == 0 })
	}
}

// Text is UTF-8 across its fragments, wherever they are cut, and the first that makes it
// anything else is the last.
func TestTextInFragments(t *testing.T) {
	text := "aéκόσμε€𝒳\U0010ffff"
	for cut := range len(text) {
		if n := wholeRunes([]byte(text[:cut])); !utf8.ValidString(text[:n]) || cut-n > 3 || utf8.ValidString(text[:cut]) && n < cut {
			t.Errorf("%d of %q", n, text[:cut])
		}
	}
	n := startNode(t, nil)
	for _, c := range [][2]string{{"κόσμε", "\xf4\x90\x80\x80"}, {"κόσμε\xf4", "\x90"}, {"", "\x80"}, {"\xe0\x80", ""}, {"\xc3", "a"}} {
		p := dial(t, n.addr)
		p.conn.Write(append(masked(ws.OpText, false, []byte(c[0])), masked(ws.OpContinuation, false, []byte(c[1]))...))
		if code := p.closedWith(); code != ws.StatusInvalidFramePayloadData {
			t.Errorf("%q: closed with %d", c, code)
		}
	}
}

// An upgrade is never asked for on a connection that plain HTTP had.
func TestHTTPConnectionsEnd(t *testing.T) {
	n := startNode(t, nil)
	res, err := http.Get("http://" + n.addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if !res.Close {
		t.Error("the connection is kept")
	}
}

// Who subscribes to nothing and asks nothing is sent away; who does either stays.
func TestIdle(t *testing.T) {
	n := startNode(t, func(cfg *Config) { cfg.Idle = 2 * time.Second })
	n.publish("sim:A", bid(1))
	idle, asks, holds, waits := dial(t, n.addr), dial(t, n.addr), dial(t, n.addr), dial(t, n.addr)
	for _, p := range []*peer{idle, asks, holds, waits} {
		p.next(codec.TypeHello)
	}
	holds.send(`{"op":"subscribe","symbols":["sim:A"]}`)
	waits.send(`{"op":"subscribe","symbols":["later:*"]}`)
	done := make(chan ws.StatusCode, 1)
	go func() { done <- idle.closedWith() }()
	for closed := false; !closed; {
		select {
		case code := <-done:
			if closed = true; code != codec.CloseSilent {
				t.Errorf("closed with %d", code)
			}
		case <-time.After(500 * time.Millisecond):
			asks.send(`{"op":"ping","id":1}`)
			asks.next(codec.TypeReply)
		}
	}
	for _, p := range []*peer{holds, waits} {
		p.next(codec.TypeReply)
		p.send(`{"op":"ping","id":7}`)
		p.next(codec.TypeReply)
	}
	eventually(t, 5*time.Second, "three are left", func() bool { return n.opened() == 3 })
}

// What an operator sets is held, and told where the protocol tells it.
func TestLimitsAsSet(t *testing.T) {
	n, config := startSecure(t, func(cfg *Config) {
		cfg.Loops = 1
		cfg.HeadBytes, cfg.HandshakeTime, cfg.Handshakes, cfg.RequestBytes, cfg.Requests = 1024, time.Second, 3, 2000, 3
	})
	p := dialSecure(t, n.addr, config)
	if l := p.next(codec.TypeHello).Control.(*codec.Hello).Limits; l.RequestBytes != 2000 || l.RequestsPerSecond != 3 {
		t.Errorf("%+v", l)
	}
	for range 6 {
		p.send(`{"op":"ping","id":1}`)
		p.next(codec.TypeReply)
	}
	p.send(`{"op":"ping","id":1}`)
	if e := p.next(codec.TypeError).Control.(*codec.Error); e.Code != codec.CodeTooManyRequests || !strings.Contains(e.Text, "3 a second") {
		t.Errorf("%+v", e)
	}
	long := dialSecure(t, n.addr, config)
	long.next(codec.TypeHello)
	long.send(strings.Repeat(" ", 2001))
	if code := long.closedWith(); code != ws.StatusMessageTooBig {
		t.Errorf("closed with %d", code)
	}
	for want, head := range map[string]string{
		"431": strings.Replace(upgradeHead, "Host: x", "X: "+strings.Repeat("x", 1024), 1),
		"408": "GET ",
	} {
		conn, err := tls.Dial("tcp", n.addr, config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, head)
		answer, _ := io.ReadAll(conn)
		if !strings.HasPrefix(string(answer), "HTTP/1.1 "+want) {
			t.Errorf("%.20q...: %s, want %s", head, answer, want)
		}
	}
	for range 3 { // they take the places of handshakes, for a second
		conn, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	eventually(t, 3*time.Second, "no place is left", func() bool { return n.underWay() == 3 })
	dialSecure(t, n.addr, config).next(codec.TypeHello) // the oldest makes room
	eventually(t, 5*time.Second, "the places are free", func() bool { return n.underWay() == 0 })
	for _, bad := range []func(*Limits){
		func(l *Limits) { l.HeadBytes = 100 }, func(l *Limits) { l.RequestBytes = 1 << 20 }, func(l *Limits) { l.HandshakeTime = time.Hour },
		func(l *Limits) { l.Handshakes = 0 }, func(l *Limits) { l.Requests = 0 }, func(l *Limits) { l.MaxConns = 0 },
		func(l *Limits) { l.HostConns = -1 }, func(l *Limits) { l.MaxSubs = 0 }, func(l *Limits) { l.MaxSubs = codec.LimitMax + 1 }, func(l *Limits) { l.Stall = 0 }, func(l *Limits) { l.Idle = -1 },
	} {
		l := usual(t)
		if bad(&l); l.validate() == nil {
			t.Errorf("%+v is taken", l)
		}
	}
}
