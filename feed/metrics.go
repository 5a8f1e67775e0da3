package feed

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// counts is what happened to the frames, ticks and entries of one stream, by reason.
// Sources, the sequencer and the writer add to it from their own goroutines.
type counts struct {
	updates, merged prometheus.Counter
	symbols         prometheus.Gauge

	// Why a tick was not published: nothing changed, an older number than one before
	// it, a number that 53 bits cannot hold, a symbol the protocol has no room for.
	same, old, outOfRange, badSymbol prometheus.Counter

	entries, bytes, checkpoints, redisErrors, corrupt, holes prometheus.Counter
	reigns, fenced                                           prometheus.Counter
	away, writer, restore                                    prometheus.Gauge

	frames  *prometheus.CounterVec // by kind and name
	refused *prometheus.CounterVec // by reason
	events  *prometheus.CounterVec // of the connections to the venue

	// byFrame keeps the handles of frames: finding one by its labels costs more than
	// parsing a frame. The stream's source owns it.
	byFrame map[frameKey]prometheus.Counter
}

type frameKey struct {
	kind kind
	name string
}

// newCounts registers the counts of a stream; reg may be nil.
func newCounts(reg prometheus.Registerer, stream string) *counts {
	auto := promauto.With(prometheus.WrapRegistererWith(prometheus.Labels{"stream": stream}, reg))
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		return auto.NewCounterVec(prometheus.CounterOpts{Name: "tickwire_feed_" + name + "_total", Help: help}, labels)
	}
	counter := func(name, help string) prometheus.Counter { return vector(name, help).WithLabelValues() }
	gauge := func(name, help string) prometheus.Gauge {
		return auto.NewGauge(prometheus.GaugeOpts{Name: "tickwire_feed_" + name, Help: help})
	}
	dropped := vector("ticks_dropped", "Ticks not published, by reason: nothing changed, older than one before, a number out of range, or a symbol too many or too long.", "reason")
	c := &counts{
		updates:     counter("updates", "Updates published on the tape."),
		merged:      counter("merged", "Updates merged into the next of their symbol because Redis was slow or away."),
		symbols:     gauge("symbols", "Symbols that the stream has."),
		same:        dropped.WithLabelValues("same"),
		old:         dropped.WithLabelValues("old"),
		outOfRange:  dropped.WithLabelValues("range"),
		badSymbol:   dropped.WithLabelValues("symbol"),
		entries:     counter("entries", "Entries written to the tape."),
		bytes:       counter("entry_bytes", "Bytes of the entries written to the tape."),
		checkpoints: counter("checkpoints", "Checkpoints written beside the tape, each of all symbols."),
		redisErrors: counter("redis_errors", "Attempts to write to the tape that Redis did not take."),
		corrupt:     counter("corrupt", "Entries and checkpoints that the feed could not read when it began."),
		holes:       counter("holes", "Times the feed took up a stream without all of its state: seqs jump, which clients see as a gap."),
		away:        gauge("redis_away", "1 while Redis does not take the tape, or does not say who writes it."),
		writer:      gauge("writer", "1 while this feed writes the stream, 0 while it stands by."),
		reigns:      counter("reigns", "Reigns that this feed began over the stream, each with a new epoch."),
		fenced:      counter("fenced", "Reigns that ended because another feed had begun one."),
		restore:     gauge("restore_seconds", "What the last reign took to begin: to fence, and to read back the state."),
		frames:      vector("frames", "Frames received from the venue, by what they were.", "kind", "name"),
		refused:     newRefused(reg, stream),
		events:      vector("session_events", "What happened to the connections to the venue, by event.", "event"),
		byFrame:     make(map[frameKey]prometheus.Counter),
	}
	for _, event := range []string{"dialled", "dial_failed", "disconnected", "silent", "rotated", "unconfirmed", "refused"} {
		c.events.WithLabelValues(event) // a series begins at 0
	}
	return c
}

// newRefused registers the count of refused frames alone.
func newRefused(reg prometheus.Registerer, stream string) *prometheus.CounterVec {
	return promauto.With(prometheus.WrapRegistererWith(prometheus.Labels{"stream": stream}, reg)).NewCounterVec(prometheus.CounterOpts{
		Name: "tickwire_feed_frames_refused_total", Help: "Frames, or parts of them, that are not what the venue documents, by reason.",
	}, []string{"reason"})
}

// frame counts a frame by what it was.
func (c *counts) frame(f *frame) {
	key := frameKey{f.kind, f.name}
	n, ok := c.byFrame[key]
	if !ok {
		n = c.frames.WithLabelValues(f.kind.String(), f.name)
		c.byFrame[key] = n
	}
	n.Inc()
}

// event counts what happened to a connection.
func (c *counts) event(name string) { c.events.WithLabelValues(name).Inc() }
