package fanout

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// When others ask for more than a cycle has time for, the answer to a ping is taken all
// the same; a request waits.
func TestPongsAreNotPutOff(t *testing.T) {
	crowd := newCrowd(t, 1, 1, false, 0)
	l, c, now := crowd.loop, &crowd.conns[1], time.Now()
	l.now = func() time.Time { return now }
	l.begin()
	l.writePing(1, nil)
	now = now.Add(2 * requestTimeMost)
	l.stamp()
	pong := masked(ws.OpPong, true, binary.BigEndian.AppendUint32(nil, c.pinged))
	crowd.sink.in = append(pong, masked(ws.OpText, true, []byte(`{"op":"ping"}`))...)
	l.readable(1, false)
	if c.asked || !c.answers {
		t.Error("the pong had to wait")
	}
	if !c.queued || l.count[framesIn] != 1 {
		t.Errorf("of a pong and a request %d were taken", l.count[framesIn])
	}
	if l.runCycle(nil); l.count[framesIn] != 2 {
		t.Error("the request was forgotten")
	}
}

// Who sends whole requests is not taken for one who ends nothing, although others do, and
// there is no time for his.
func TestWhatIsPutOffIsNotUnfinished(t *testing.T) {
	crowd := newCrowd(t, 1, 1, false, 0)
	l, c, now := crowd.loop, &crowd.conns[1], time.Now()
	l.now = func() time.Time { return now }
	l.begin()
	l.unfinished = unfinishedMax // of others
	now = now.Add(2 * requestTimeMost)
	l.stamp()
	crowd.sink.in = masked(ws.OpText, true, []byte(`{"op":"ping"}`))
	l.readable(1, false)
	if !c.queued || c.restLen == 0 {
		t.Fatal("it was not put off")
	}
	if l.runCycle(nil); c.state != stateOpen || l.count[framesIn] != 1 || l.unfinished != unfinishedMax {
		t.Errorf("state %d, %d frames, %d bytes unfinished", c.state, l.count[framesIn], l.unfinished)
	}
}

// Whoever has much to say has no more of a cycle's time than others.
func TestRequestsTakeTurns(t *testing.T) {
	crowd := newCrowd(t, 4, 1, false, 0)
	l, now := crowd.loop, time.Now()
	l.now = func() time.Time { now = now.Add(time.Millisecond); return now }
	ping := masked(ws.OpPing, true, nil)
	for ci, n := range []int{0, 100, 100, 100, 1} {
		if n > 0 {
			l.conns[ci].budget = 1000
			l.keepRest(&l.conns[ci], bytes.Repeat(ping, n))
			l.readLater(uint32(ci))
		}
	}
	l.runCycle(nil)
	if l.conns[4].restLen > 0 {
		t.Error("one ping waited behind hundreds of others")
	}
	for cycles := 0; l.unfinished > 0; cycles++ {
		if cycles > 100 {
			t.Fatalf("%d bytes are left", l.unfinished)
		}
		l.runCycle(nil)
	}
}

// One who sends without end is read no further than what he had read has been acted on.
func TestMuchIsReadInTurns(t *testing.T) {
	const pings = 100_000
	crowd := newCrowd(t, 1, 1, false, 0)
	l, now := crowd.loop, time.Now()
	l.now = func() time.Time { now = now.Add(10 * time.Microsecond); return now }
	crowd.sink.in = bytes.Repeat(masked(ws.OpPing, true, nil), pings)
	l.conns[1].budget = pings
	l.begin()
	l.readable(1, false)
	for cycles := 0; l.count[framesIn] < pings; cycles++ {
		l.conns[1].budget = pings // it is not about these
		if rest := l.conns[1].restLen; cycles > 1000 || rest > readBytes+ws.MaxHeaderSize {
			t.Fatalf("after %d cycles %d bytes wait, %d frames were taken", cycles, rest, l.count[framesIn])
		}
		l.runCycle(nil)
	}
}

// What is encoded for all is bounded, and not used any more when it was thrown away.
func TestArenaIsBounded(t *testing.T) {
	l := newCrowd(t, 1, 1, false, 0).loop
	l.begin()
	l.frame.begin(false)
	r := &l.board.rows[0]
	put := func(mask codec.Mask) (encoded uint64) {
		before := l.count[encodings]
		l.putUpdate(r, mask, 0)
		return l.count[encodings] - before
	}
	if put(1<<codec.Bid) != 1 || put(1<<codec.Bid) != 0 {
		t.Error("an encoding is not shared")
	}
	l.arena = append(l.arena, make([]byte, arenaBytes)...)
	if put(1<<codec.BidSize) != 1 || len(l.arena) > 100 {
		t.Errorf("an arena of %d bytes", len(l.arena))
	}
	if put(1<<codec.Bid) != 1 {
		t.Error("what was thrown away was used again")
	}
}

// The images of those who come do not count as what a longer pause has less of.
func TestImagesAreNoReasonForAPause(t *testing.T) {
	c := newCrowd(t, 1, 100, false, 0)
	s := &slowSink{now: time.Now(), cost: 10 * time.Millisecond, writes: make([]int, 2), last: make([]time.Time, 2)}
	c.conns[1].fd = 1
	c.sock, c.now = s, func() time.Time { return s.now }
	c.tick(100)
	if c.runCycle(nil); c.flushed < s.cost {
		t.Errorf("flushing took %v", c.flushed)
	}
	for _, request := range []string{`{"op":"unsubscribe","id":2,"symbols":["sim:*"]}`, `{"op":"subscribe","id":3,"symbols":["sim:*"]}`} {
		c.request(1, true, []byte(request))
	}
	if c.runCycle(nil); c.flushed != 0 || c.count[images] < 100 {
		t.Errorf("%d images, of which %v are a reason", c.count[images], c.flushed)
	}
}
