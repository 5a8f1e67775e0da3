package bench

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// checker holds every update that a worker's subscribers receive against the truth.
type checker struct {
	truth  *truth    // nil: nothing is checked
	seen   []seenRow // by symbol
	claims []claim
	words  []string // symbols
	end    []int64  // what subscribers must end with, when the feed goes on; see settle
}

// seenRow is what was received of a symbol lately, by whichever subscriber: servers
// send the same bytes to many, and what was judged once need not be again.
type seenRow struct {
	history int64
	kept    [4]kept
	turn    uint8
}

// kept is an update that came to a subscriber who held prev.
type kept struct {
	bytes []byte // from its seq on
	prev  int64
	what  what
}

// what is what counts of an update.
type what struct {
	seq    int64
	due    int64 // us since the Unix epoch, when the tick was due; 0: it does not say
	flags  codec.Flags
	status int64 // codec.Absent: it does not say
}

func whatOf(u *codec.Update) what {
	x := what{seq: u.Seq, flags: u.Flags, status: codec.Absent}
	if u.Mask.Has(codec.EventTime) {
		x.due = max(0, u.Quote[codec.EventTime])
	}
	if u.Mask.Has(codec.Status) {
		x.status = u.Quote[codec.Status]
	}
	return x
}

// claim is an update to be judged as soon as the witness has read so far.
type claim struct {
	sym  uint32
	prev int64
	at   int64 // us since the Unix epoch, when it came
	u    codec.Update
}

// claimPatience is how long the witness may be behind a subscriber.
const claimPatience = 10 * time.Second

// staleMost is for how long, in us, a node may send what it calls stale: one that begins reads
// the tape up to its end, and until then does not know whether that is of now.
const staleMost = 2_000_000

// lastPatience is what it may be in the end: an idle stream speaks four times a second.
const lastPatience = time.Second

func newChecker(load *Load) checker {
	k := checker{seen: make([]seenRow, len(load.Symbols)), words: load.Symbols}
	if load.Redis != "" {
		k.truth = newTruth(load.Symbols)
	}
	return k
}

// known finds an update by its bytes among those that others had, and takes it. It
// returns how many bytes it has, 0 if it is not known.
func (w *worker) known(c *conn, s *sub, body []byte) int {
	row := &w.seen[s.sym]
	for i := range row.kept {
		k := &row.kept[i]
		if k.prev == s.seq && len(k.bytes) > 0 && bytes.HasPrefix(body, k.bytes) {
			w.tally(c, s, &k.what)
			return len(k.bytes)
		}
	}
	return 0
}

// remember keeps an update under its bytes.
func (w *worker) remember(s *sub, u *codec.Update, body []byte) {
	row := &w.seen[s.sym]
	k := &row.kept[row.turn%4]
	row.turn++
	*k = kept{append(k.bytes[:0], body...), s.seq, whatOf(u)}
}

// take takes a parsed update.
func (w *worker) take(c *conn, s *sub, u *codec.Update) {
	if u.Seq < 1 {
		w.wrong(fmt.Sprintf("%s: seq %d", w.words[s.sym], u.Seq), "no seq")
		return
	}
	row := &w.seen[s.sym]
	renewed := false
	if u.Flags&codec.Image != 0 {
		renewed = row.history != u.History
		row.history = u.History
	}
	if u.Seq < s.seq && !renewed {
		w.wrong(fmt.Sprintf("%s: seq went back from %d to %d", w.words[s.sym], s.seq, u.Seq), "seq went back")
	}
	if w.truth != nil {
		w.claims = append(w.claims, claim{s.sym, s.seq, w.now, *u})
	}
	x := whatOf(u)
	w.tally(c, s, &x)
}

// tally counts an update of a subscriber, who then holds its seq.
func (w *worker) tally(c *conn, s *sub, x *what) {
	n, seq, flags, due := &w.count, x.seq, x.flags, x.due
	image := flags&codec.Image != 0
	if x.status == codec.Absent && s.stale > 0 && seq > s.seq && w.now-s.stale > staleMost {
		w.wrong(fmt.Sprintf("conn %d, %s: seq %d", c.number, w.words[s.sym], seq), "stale is not taken back")
	}
	switch {
	case x.status != codec.Stale && (x.status != codec.Absent || image):
		s.stale = 0
	case x.status == codec.Stale && s.stale == 0:
		s.stale = w.now
	}
	if seq == s.seq {
		n.Repeats++ // the node's own word, that it is stale; or what it has sent before
		return
	}
	n.Updates++
	if due > 0 && (!image || s.seq > 0 && c.waits == 0) { // an image that was asked for is as old as it is
		age := w.now - due
		n.Ahead = max(n.Ahead, -age)
		if age = min(max(1, age), latencyMaxUS); !c.slow {
			w.second.RecordValue(age)
			if w.measuring && w.sentAt > 0 {
				w.sent.RecordValue(min(max(1, w.sentAt-due), latencyMaxUS))
			}
		} else if w.measuring {
			w.slow.RecordValue(age)
		}
	}
	gap := flags&codec.Gap != 0
	if gap {
		n.Gaps++
	}
	if flags&codec.Conflated != 0 {
		if reason := flags & codec.ReasonMask >> 2; reason > 0 {
			n.Conflated[reason-1]++
		}
	}
	if s.seq == 0 {
		w.got(c)
	} else if seq > s.seq+1 && !gap { // after a gap, seqs may jump
		n.Merged += seq - s.seq - 1
	}
	s.seq = seq
}

// wrong counts what must not be.
func (w *worker) wrong(example, kind string) {
	w.count.Wrong[kind]++
	if len(w.count.Examples) < examplesMax {
		w.count.Examples = append(w.count.Examples, printable(example))
	}
}

// judgeLast judges what is left in the end, once the witness had time to read as far.
func (w *worker) judgeLast() {
	for end := time.Now().Add(lastPatience); len(w.claims) > 0 && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		w.judge(claimPatience)
	}
	w.judge(0)
}

// judge asks the truth about what came since, as far as the witness has read.
func (w *worker) judge(patience time.Duration) {
	if w.truth == nil || len(w.claims) == 0 {
		return
	}
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	now, left := time.Now().UnixMicro(), w.claims[:0]
	for i := range w.claims {
		k := &w.claims[i]
		v, heard := w.truth.check(k.sym, k.prev, &k.u), w.truth.heardOf(k.sym)
		switch {
		case v == right:
			w.count.Checked++
		case v == early && now-k.at < patience.Microseconds():
			left = append(left, *k)
		case v == early && heard > k.at:
			w.wrong(fmt.Sprintf("%s: seq %d is not on the tape", w.words[k.sym], k.u.Seq), "never published")
		case v == early || v == aged: // the witness is slow
			w.count.Unproved++
		default:
			w.wrong(fmt.Sprintf("%s: seq %d after %d: %s", w.words[k.sym], k.u.Seq, k.prev, verdictNames[v]), verdictNames[v])
		}
	}
	w.claims = left
}

// witnessed reports whether the witness, if there is one, reads the tape.
func (k *checker) witnessed() bool {
	if k.truth == nil {
		return true
	}
	k.truth.mu.Lock()
	defer k.truth.mu.Unlock()
	return k.truth.trouble == ""
}

// settle begins the end of a run. Of a feed that goes on, what it has said by now is
// what subscribers must end with.
func (k *checker) settle(live bool) {
	if live && k.truth != nil {
		k.end = k.ends()
	}
}

// ends is the seq that a subscriber of each symbol must end with, by index.
func (k *checker) ends() []int64 {
	if k.end != nil {
		return k.end
	}
	k.truth.mu.Lock()
	defer k.truth.mu.Unlock()
	newest := make([]int64, len(k.words))
	for i := range newest {
		newest[i] = k.truth.newest(uint32(i))
	}
	return newest
}

// complete reports whether the witness has read the tape to its end since a moment; a
// feed that goes on has none.
func (k *checker) complete(since time.Time) bool {
	if k.end != nil {
		return true
	}
	k.truth.mu.Lock()
	defer k.truth.mu.Unlock()
	return k.truth.ends != nil || k.truth.readTo.After(since)
}

// behind counts the subscriptions that lack the feed's last word.
func (w *worker) behind() (n int) {
	ends := w.ends()
	for i := range w.conns {
		for _, s := range w.conns[i].subs {
			if s.seq < ends[s.sym] {
				n++
			}
		}
	}
	return n
}

// absent finds the subscribers that are not there in the end, or not subscribed.
func (w *worker) absent() {
	for i := range w.conns {
		c := &w.conns[i]
		if c.state != connOpen || !c.ready {
			w.wrong(fmt.Sprintf("conn %d, to %s", c.number, w.load.Nodes[c.node].Host), "not connected in the end")
		} else if len(c.subs) < w.load.Subs || slices.ContainsFunc(c.subs, func(s sub) bool { return s.id == noID }) {
			w.wrong(fmt.Sprintf("conn %d has %d subscriptions of %d", c.number, len(c.subs), w.load.Subs), "not subscribed in the end")
		}
	}
}

// final holds what every subscriber ended with against the truth, and returns how many
// subscriptions ended right.
func (w *worker) final() (subs int) {
	ends := w.ends()
	for i := range w.conns {
		c := &w.conns[i]
		for _, s := range c.subs {
			if ends[s.sym] == 0 {
				w.wrong(fmt.Sprintf("%s: nobody has said what it ended with", w.words[s.sym]), "no last word of the feed")
			} else if s.seq < ends[s.sym] {
				w.wrong(fmt.Sprintf("conn %d, %s: ended at seq %d, the feed at %d", c.number, w.words[s.sym], s.seq, ends[s.sym]), "an old state in the end")
			} else {
				subs++
			}
		}
	}
	return subs
}
