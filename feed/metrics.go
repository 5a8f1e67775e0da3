package feed

import (
	"fmt"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counts is what happened to the frames, ticks and entries of one stream, by reason.
// Sources, the sequencer and the writer add to it from their own goroutines, without
// the Prometheus client: it reads them when it is asked.
type counts struct {
	updates  atomic.Int64 // published
	merged   atomic.Int64 // of which merged because Redis was slow or away
	dropped  [numDrops]atomic.Int64
	symbols  atomic.Int64
	happened [numHappenings]atomic.Int64 // to the connections to the venue

	entries     atomic.Int64 // written
	bytes       atomic.Int64 // of them
	checkpoints atomic.Int64
	redisErrors atomic.Int64
	away        atomic.Int64 // 1 while Redis does not take the tape
	corrupt     atomic.Int64 // entries and checkpoints that were not restored
	holes       atomic.Int64 // reigns that began without all of the state

	frames  *prometheus.CounterVec // by kind and name
	refused *prometheus.CounterVec // by reason

	// byFrame keeps the handles of frames: finding one by its labels costs more than
	// parsing a frame. The stream's source owns it.
	byFrame map[frameKey]prometheus.Counter
}

type frameKey struct {
	kind kind
	name string
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

// drop is why a tick was not published.
type drop uint8

const (
	dropSame   drop = iota // nothing changed
	dropOld                // an older number than one before it
	dropRange              // a number that 53 bits cannot hold
	dropSymbol             // a symbol that the protocol has no room for
	numDrops
)

var dropNames = [numDrops]string{"same", "old", "range", "symbol"}

func (c *counts) drop(d drop) { c.dropped[d].Add(1) }

func newCounts() *counts {
	return &counts{
		byFrame: make(map[frameKey]prometheus.Counter),
		frames: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tickwire_feed_frames_total", Help: "Frames received, by what they were.",
		}, []string{"kind", "name"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tickwire_feed_frames_refused_total", Help: "Frames that are not what the venue documents.",
		}, []string{"reason"}),
	}
}

// collectors are the counts as Prometheus has them.
func (c *counts) collectors() []prometheus.Collector {
	all := []prometheus.Collector{c.frames, c.refused}
	counter := func(name, help string, labels prometheus.Labels, n *atomic.Int64) {
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "tickwire_feed_" + name + "_total", Help: help, ConstLabels: labels,
		}, func() float64 { return float64(n.Load()) }))
	}
	gauge := func(name, help string, n *atomic.Int64) {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tickwire_feed_" + name, Help: help,
		}, func() float64 { return float64(n.Load()) }))
	}
	counter("updates", "Updates published.", nil, &c.updates)
	counter("merged", "Updates merged because Redis was slow or away.", nil, &c.merged)
	for i := range c.dropped {
		counter("ticks_dropped", "Ticks not published, by reason.", prometheus.Labels{"reason": dropNames[i]}, &c.dropped[i])
	}
	for i := range c.happened {
		counter("session_events", "What happened to the connections to the venue.", prometheus.Labels{"event": happeningNames[i]}, &c.happened[i])
	}
	counter("entries", "Entries written to the tape.", nil, &c.entries)
	counter("entry_bytes", "Bytes of the entries written.", nil, &c.bytes)
	counter("checkpoints", "Checkpoints written.", nil, &c.checkpoints)
	counter("redis_errors", "Attempts to write that Redis did not take.", nil, &c.redisErrors)
	counter("corrupt", "Entries and checkpoints that could not be restored.", nil, &c.corrupt)
	counter("holes", "Reigns that began without all of the state.", nil, &c.holes)
	gauge("symbols", "Symbols of the stream.", &c.symbols)
	gauge("redis_away", "1 while Redis does not take the tape.", &c.away)
	return all
}

// register has a registry show the counts of a stream until unregister is called.
func (c *counts) register(reg prometheus.Registerer, stream string) (unregister func(), err error) {
	reg = prometheus.WrapRegistererWith(prometheus.Labels{"stream": stream}, reg)
	var done []prometheus.Collector
	unregister = func() {
		for _, one := range done {
			reg.Unregister(one)
		}
	}
	for _, one := range c.collectors() {
		if err := reg.Register(one); err != nil {
			unregister()
			return nil, fmt.Errorf("feed: %s: metrics: %w", stream, err)
		}
		done = append(done, one)
	}
	return unregister, nil
}
