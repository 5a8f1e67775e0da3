package bench

import (
	"bytes"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// A frame is read as gobwas/ws reads it, whole or not at all, whatever follows.
func FuzzFrame(f *testing.F) {
	for _, n := range []int{0, 125, 126, 1 << 16} {
		f.Add(ws.MustCompileFrame(ws.NewBinaryFrame(make([]byte, n))))
	}
	f.Add([]byte{0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0xc2, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		op, fin, payload, rest, ok, err := parseFrame(p)
		r := bytes.NewReader(p)
		h, werr := ws.ReadHeader(r)
		at := len(p) - r.Len()
		whole := werr == nil && !h.Masked && h.Rsv == 0 && h.Length <= messageMax && h.Length <= int64(len(p)-at)
		if ok != whole || ok && err != nil {
			t.Fatalf("%x: %v, %v; gobwas/ws says %+v, %v", p[:min(20, len(p))], ok, err, h, werr)
		}
		if ok && (op != h.OpCode || fin != h.Fin || !bytes.Equal(payload, p[at:at+int(h.Length)]) || len(rest) != len(p)-at-int(h.Length)) {
			t.Fatalf("%x: %v %v %d bytes, %d follow", p[:at], op, fin, len(payload), len(rest))
		}
		if !ok && len(rest) != len(p) {
			t.Fatalf("%d of %d bytes are gone", len(p)-len(rest), len(p))
		}
	})
}

// What a subscriber had before is no update, and after a gap seqs that are passed over
// were not merged.
func TestTally(t *testing.T) {
	w, err := newWorker(&Load{Symbols: []string{"a"}, Conns: 1, Subs: 1, Nodes: make([]Endpoint, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer w.poll.Close()
	w.now = 1_000_000
	c, s := &w.conns[0], &sub{}
	c.waits = 1
	for _, u := range []struct {
		seq   int64
		flags codec.Flags
		due   int64
	}{{5, codec.Image, 1}, {6, 0, 900_000}, {6, 0, 900_000}, {9, codec.Conflated, 999_000}, {500, codec.Gap, 1_002_000}} {
		w.tally(c, s, &what{u.seq, u.due, u.flags, codec.Absent})
	}
	n := &w.count
	if n.Updates != 4 || n.Repeats != 1 || n.Merged != 2 || n.Gaps != 1 || n.Ahead != 2000 || w.second.TotalCount() != 3 || !c.ready || s.seq != 500 {
		t.Errorf("%+v, %d latencies, %+v", n, w.second.TotalCount(), s)
	}
}

// A quote that is called stale may go on for as long as a node needs that begins, not longer.
func TestStaleIsTakenBack(t *testing.T) {
	for after, wrong := range map[int64]int64{staleMost / 2: 0, staleMost + 1: 1} {
		w, err := newWorker(&Load{Symbols: []string{"a"}, Conns: 1, Subs: 1, Nodes: make([]Endpoint, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer w.poll.Close()
		c, s := &w.conns[0], &sub{}
		w.now = 1_000_000
		w.tally(c, s, &what{seq: 5, flags: codec.Image, status: codec.Stale})
		w.now += after
		w.tally(c, s, &what{seq: 6, status: codec.Absent})
		w.tally(c, s, &what{seq: 6, status: codec.Live})
		w.now += staleMost + 1
		w.tally(c, s, &what{seq: 7, status: codec.Absent})
		if n := w.count.Wrong["stale is not taken back"]; n != wrong {
			t.Errorf("after %d us: %d", after, n)
		}
	}
}

// What the tape does not have is told from what the witness has not read yet.
func TestNeverPublished(t *testing.T) {
	w, err := newWorker(&Load{Redis: "redis://none", Symbols: []string{"sim:A"}, Conns: 1, Subs: 1, Nodes: make([]Endpoint, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer w.poll.Close()
	at := time.Now().Add(-claimPatience / 2).UnixMicro()
	w.claims = []claim{{at: at, u: codec.Update{Seq: 9}}}
	if w.judge(claimPatience); len(w.claims) != 1 {
		t.Error("judged while the witness may still read it")
	}
	w.judge(0)
	w.claims = []claim{{at: at, u: codec.Update{Seq: 9}}}
	w.truth.readTo = time.Now()
	w.judge(0)
	if w.count.Unproved != 1 || w.count.Wrong["never published"] != 1 || len(w.claims) > 0 {
		t.Errorf("%+v", w.count)
	}
}

// A node may say anything: what is no message is an error, and what is one counts no
// more updates than it has bytes for.
func FuzzTickwire(f *testing.F) {
	u := codec.Update{ID: 3, Seq: 9, Flags: codec.Image, History: 1, Mask: 1, Quote: codec.Empty}
	f.Add(codec.AppendUpdate(codec.AppendDataHeader(nil, 1, 1), &u), false)
	f.Add([]byte(`{"type":"reply","id":1,"results":[{"symbol":"a","id":3},{"symbol":"b","error":{"code":111,"text":"x","retry":true}}]}`), true)
	f.Add([]byte{0x92, 0}, false)
	w, err := newWorker(&Load{Symbols: []string{"a", "b"}, Conns: 1, Subs: 2, Nodes: make([]Endpoint, 1)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, p []byte, text bool) {
		c := &w.conns[0]
		w.count, w.asks, *c = newCounts(), nil, conn{fd: -1, subs: []sub{{id: 3, sym: 0}, {id: noID, sym: 1}}, waits: 2}
		op := ws.OpBinary
		if text {
			op = ws.OpText
		}
		err := w.speak.message(w, c, op, p)
		if w.count.Updates > int64(len(p)) || w.count.Messages > 1 || err == nil && len(p) == 0 {
			t.Errorf("%x: %+v, %v", p, w.count, err)
		}
	})
}
