package fanout

import (
	"fmt"

	"github.com/tickwire/tickwire/codec"
)

// note is what the request under way knows of a row, so that one with thousands of
// symbols searches no list for each.
type note struct {
	request  uint64 // of this number; of another, it says nothing
	lane, at uint32 // the conn's sub of the row; lane 0: none
	inReply  bool   // the reply has a result of the row
	ahead    bool   // the client holds a later seq
}

// note returns a row's note.
func (l *loop) note(id uint32) *note {
	n := &l.notes[id]
	if n.request != l.noting {
		*n = note{request: l.noting}
	}
	return n
}

// noteSubs begins the notes of a request with what the conn subscribes to.
func (l *loop) noteSubs(ci uint32) {
	l.noting++
	l.conns[ci].budget -= int32(l.conns[ci].subs / costSubs)
	for li := l.conns[ci].lanes; li != 0; li = l.lanes[li].next {
		for i, s := range l.subs.get(l.lanes[li].subs)[:l.lanes[li].n] {
			n := l.note(s.id())
			n.lane, n.at = li, uint32(i)
		}
	}
}

// subscribed finds a symbol's row, and its note if the conn has a sub of it.
func (l *loop) subscribed(symbol []byte) (uint32, *note) {
	if id, known := l.board.ids[string(symbol)]; known {
		if n := l.note(id); n.lane != 0 {
			return id, n
		}
	}
	return 0, nil
}

func (l *loop) subscribe(ci uint32, r *codec.Request) {
	period, view, ok := l.terms(ci, r)
	if !ok {
		return
	}
	if len(r.Symbols) == 0 {
		l.fail(ci, r.ID, codec.CodeMalformed, "subscribe needs symbols")
		return
	}
	l.reply.Rate, l.reply.Fields = rateOf(period), narrowed(view)
	l.noteSubs(ci)
	l.noteAhead(r.Resume)
	li, patterns := l.laneFor(ci, period, view), 0
	if li == 0 {
		l.fail(ci, r.ID, codec.CodeTooManySubs, tooManyTerms)
		return
	}
	for _, symbol := range r.Symbols {
		id, known := l.board.ids[string(symbol)]
		isPattern := codec.ValidPattern(symbol)
		switch {
		case !isPattern && !codec.ValidSymbol(symbol):
			l.failed(string(symbol), codec.CodeBadSymbol, "a symbol is venue:NAME, a pattern ends in *")
		case !l.allows(ci, symbol):
			l.failed(string(symbol), codec.CodeNotAllowed, notCovered)
		case isPattern:
			if patterns++; patterns > patternsMax {
				l.failed(string(symbol), codec.CodeTooManySubs, fmt.Sprintf("at most %d patterns in one request", patternsMax))
				continue
			}
			l.subscribePattern(ci, li, pattern{id: r.ID, prefix: string(symbol[:len(symbol)-1]), period: period, view: view})
		case known:
			l.subscribeRow(ci, li, id, true)
		default:
			l.failed(string(symbol), codec.CodeUnknownSymbol, "not on the board; it may appear later")
		}
	}
	if l.sendReply(ci) && !l.conns[ci].asleep() {
		l.resumeAll(ci, r.Resume)
	}
}

// subscribeRow joins the lane to a row; a sub that the conn had of it ends.
func (l *loop) subscribeRow(ci, li, id uint32, named bool) {
	n, symbol := l.note(id), l.board.names[id]
	n.inReply = true
	switch {
	case n.ahead:
		l.failed(symbol, codec.CodeUnavailable, "this node is behind what you hold")
		return
	case n.lane != 0:
		named = named || l.subAt(n).named()
		l.leave(n.lane, n.at)
	case int(l.conns[ci].subs) >= l.subsMost(ci):
		l.failed(symbol, codec.CodeTooManySubs, fmt.Sprintf("at most %d on one connection", l.subsMost(ci)))
		return
	}
	l.join(li, id, named)
	l.result(id)
}

// noteAhead notes the rows of which a client holds more than this node, be it of a history
// that has begun since: seqs go on from one to the next.
func (l *loop) noteAhead(held []codec.Position) {
	for _, p := range held {
		if id, known := l.board.ids[string(p.Symbol)]; known {
			u := &l.board.rows[id].update
			l.note(id).ahead = p.Seq > u.Seq
		}
	}
}

// resumeAll sends what a client lacks that told what it holds. What does not fit
// one message gets images, as do other histories, and what a client may have that this
// node does not know of: of a reign that was lost another node may have shown more.
func (l *loop) resumeAll(ci uint32, held []codec.Position) {
	l.frame.begin(l.conns[ci].json)
	for _, p := range held {
		id, n := l.subscribed(p.Symbol)
		if n == nil || len(l.frame.buf) >= messageBytes {
			continue // its result says so, or an image follows
		}
		row, ln := &l.board.rows[id], &l.lanes[n.lane]
		if n.ahead || row.update.History != p.History {
			continue
		}
		*l.subAt(n) &^= isNew
		mask, flags := l.master.since(id, p.Seq)
		switch {
		case flags&codec.Image != 0:
			mask = row.update.Quote.Present()
			l.count[images]++
		case row.update.Seq-p.Seq > 1:
			flags |= codec.Conflated | codec.ReasonCatchUp
		}
		if mask &= ln.view; mask != 0 {
			l.putUpdate(row, mask, flags)
		}
	}
	if l.frame.n > 0 {
		l.sendFrame(ci)
	}
}

// since returns the fields of a row that changed after seq, which is what a client that
// resumes lacks: with GAP if there was one, or IMAGE if it lacks all. A loop that is behind
// sends them as it knows them. Status is always among them, for a node may have told it
// stale without a seq of its own.
func (m *master) since(id uint32, seq int64) (mask codec.Mask, flags codec.Flags) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := &m.rows[id]
	if r.gap > seq {
		flags |= codec.Gap
	}
	if r.from > seq {
		flags |= codec.Image
	}
	for f, changed := range &r.changed {
		if changed > seq {
			mask |= 1 << f
		}
	}
	return mask | 1<<codec.Status, flags
}
