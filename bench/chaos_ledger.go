package bench

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// position is where a quote stands: a seq of a history. What is newer has the higher seq,
// whatever its history.
type position struct{ history, seq int64 }

func (p position) String() string { return fmt.Sprintf("seq %d of history %d", p.seq, p.history) }

// ledger has the quote of every seq, as the tape says it or, until that is read, as the
// first subscriber does: of one seq all must say the same.
type ledger struct {
	violations *violations
	ids        map[string]int
	rows       []ledgerRow

	mu        sync.Mutex           // protects what follows
	published map[string]time.Time // by stream: when the newest updates were sent
	epochs    map[string]int64     // by stream: the newest reign
	histories map[int64]bool       // that were on the tape
	holes     int64                // entries that did not follow, as they were read here
	checked   int64                // seqs of which a subscriber and the tape said the same
	unproved  int64                // that subscribers had and the tape was not seen to have
}

// ledgerRow is one symbol.
type ledgerRow struct {
	symbol string
	mu     sync.Mutex // protects what follows
	quote  codec.Quote
	newest position
	known  map[int64]*ledgerQuote // by seq
	order  []int64                // of known, the oldest first
}

// ledgerQuote is that of one seq. Status is zero: a node may say stale of its own.
type ledgerQuote struct {
	history         int64
	quote           codec.Quote
	published, seen bool // on the tape, by a subscriber
}

// ledgerDepth is how many versions of a symbol are kept: some minutes.
const ledgerDepth = 1000

func newLedger(symbols []string, v *violations) *ledger {
	l := &ledger{
		violations: v, ids: make(map[string]int), rows: make([]ledgerRow, len(symbols)),
		published: make(map[string]time.Time), epochs: make(map[string]int64), histories: make(map[int64]bool),
	}
	for i, symbol := range symbols {
		l.ids[symbol] = i
		l.rows[i].symbol, l.rows[i].quote, l.rows[i].known = symbol, codec.Empty, make(map[int64]*ledgerQuote)
	}
	return l
}

// enter takes what an entry of the tape, or a checkpoint, has. Where Redis is another one
// again, an entry may be of a reign that is over: on its way when that one was lost.
func (l *ledger) enter(stream string, e *codec.Entry, items []codec.TapeItem, checkpoint bool) {
	l.mu.Lock()
	l.epochs[stream] = max(l.epochs[stream], e.ID.Epoch)
	old := checkpoint || e.ID.Epoch < l.epochs[stream]
	l.mu.Unlock()
	for i := range items {
		if id, ok := l.ids[string(items[i].Symbol)]; ok {
			l.enterUpdate(&l.rows[id], &items[i].Update, old)
		}
	}
	if checkpoint || len(items) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.histories[e.History] = true
	if at := time.UnixMicro(e.SentAt); at.After(l.published[stream]) {
		l.published[stream] = at
	}
}

// enterUpdate takes an update. Of what is old it may be that a newer one was known before.
func (l *ledger) enterUpdate(r *ledgerRow, u *codec.Update, old bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u.Flags&codec.Image != 0 {
		r.quote = codec.Empty
	}
	r.quote.Merge(&u.Quote, u.Mask)
	at := position{u.History, u.Seq}
	v, quote := r.version(l, at.seq), r.quote
	if at.seq >= r.newest.seq {
		r.newest = at
	} else if !v.published && !old {
		l.violations.add(tapeViolation, "%s: %v after %v", r.symbol, at, r.newest)
	}
	quote[codec.Status] = 0
	if v.seen && !v.published {
		if wrong := v.differs(at.history, &quote); wrong == "" {
			l.count(&l.checked)
		} else {
			l.violations.add(valueViolation, "%s: %v: the tape has what a subscriber was shown otherwise:%s", r.symbol, at, wrong)
		}
	}
	v.history, v.quote, v.published = at.history, quote, true
}

// version is that of a seq, made if need be. The caller holds r.mu.
func (r *ledgerRow) version(l *ledger, seq int64) *ledgerQuote {
	v := r.known[seq]
	if v != nil {
		return v
	}
	if len(r.order) == ledgerDepth {
		if old := r.known[r.order[0]]; !old.published {
			l.count(&l.unproved)
		}
		delete(r.known, r.order[0])
		r.order = append(r.order[:0], r.order[1:]...)
	}
	v = new(ledgerQuote)
	r.known[seq], r.order = v, append(r.order, seq)
	return v
}

func (l *ledger) count(n *int64) {
	l.mu.Lock()
	*n++
	l.mu.Unlock()
}

// compare holds a subscriber's whole quote against what is known of its seq, and returns
// in what they differ, or "".
func (l *ledger) compare(id int, at position, held *codec.Quote) string {
	r, quote := &l.rows[id], *held
	quote[codec.Status] = 0
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.version(l, at.seq)
	if !v.published && !v.seen {
		v.history, v.quote, v.seen = at.history, quote, true
		return ""
	}
	wrong := v.differs(at.history, &quote)
	if wrong == "" && !v.seen {
		v.seen = true
		l.count(&l.checked)
	}
	return wrong
}

// differs tells in which a quote of the same seq is another, or "".
func (v *ledgerQuote) differs(history int64, quote *codec.Quote) (text string) {
	if history != v.history {
		text = fmt.Sprintf(" history %d, not %d", history, v.history)
	}
	for f := range quote {
		if quote[f] != v.quote[f] {
			text += fmt.Sprintf(" %s %s, not %s", codec.Field(f), shownValue(quote[f]), shownValue(v.quote[f]))
		}
	}
	return text
}

func shownValue(v int64) string {
	if v == codec.Absent {
		return "absent"
	}
	return fmt.Sprint(v)
}

// forget has what is written next be the newest.
func (l *ledger) forget() {
	for i := range l.rows {
		r := &l.rows[i]
		r.mu.Lock()
		r.newest, r.quote = position{}, codec.Empty
		r.mu.Unlock()
	}
}

// holed counts an entry that did not follow.
func (l *ledger) holed() { l.count(&l.holes) }

// has reports whether the tape was seen to have a seq.
func (l *ledger) has(id int, at position) bool {
	r := &l.rows[id]
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.known[at.seq]
	return v != nil && v.published && v.history == at.history
}

// status is what the tape says of a symbol now.
func (l *ledger) status(id int) int64 {
	r := &l.rows[id]
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.quote[codec.Status]
}

// newest is the newest position of every symbol.
func (l *ledger) newest() (all []position) {
	for i := range l.rows {
		l.rows[i].mu.Lock()
		all = append(all, l.rows[i].newest)
		l.rows[i].mu.Unlock()
	}
	return all
}

// silent names the streams on which no update was sent since a moment.
func (l *ledger) silent(streams []string, since time.Time) (silent []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, stream := range streams {
		if !l.published[stream].After(since) {
			silent = append(silent, stream)
		}
	}
	return silent
}

// sums are the ledger's figures so far.
func (l *ledger) sums() (checked, unproved int64, histories []int64) {
	for i := range l.rows {
		l.rows[i].mu.Lock()
		for _, v := range l.rows[i].known {
			if !v.published {
				unproved++
			}
		}
		l.rows[i].mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.checked, l.unproved + unproved, slices.Sorted(maps.Keys(l.histories))
}

// violations are what must not happen and did: how often, and some of each kind.
type violations struct {
	began    time.Time
	mu       sync.Mutex // protects what follows
	counts   map[string]int64
	examples []string
}

// The kinds of violations, as they are told.
const (
	seqViolation      = "a seq went back"
	tapeViolation     = "a feed wrote a seq below one that was on the tape: nodes cannot show it"
	timeViolation     = "event_time went back: an older price was shown as a newer one"
	valueViolation    = "a value that was not published at its seq"
	protocolViolation = "the protocol was broken"
	exitViolation     = "a process ended by itself"

	examplesEach = 5 // of a kind
)

func newViolations() *violations {
	return &violations{began: time.Now(), counts: make(map[string]int64)}
}

// add notes one.
func (v *violations) add(kind, format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.counts[kind]++; v.counts[kind] <= examplesEach {
		v.examples = append(v.examples, fmt.Sprintf("at %.1f s: %s: ", time.Since(v.began).Seconds(), kind)+fmt.Sprintf(format, args...))
	}
}

func (v *violations) sum() (n int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, count := range v.counts {
		n += count
	}
	return n
}
