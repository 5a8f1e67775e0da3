package feed

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// counts is what happened to the frames and ticks of one stream, by reason. Sources
// and the sequencer add to it from their own goroutines.
type counts struct {
	updates atomic.Int64 // published
	merged  atomic.Int64 // of which merged because Redis was slow or away
	dropped [numDrops]atomic.Int64
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
	dropSame  drop = iota // nothing changed
	dropOld               // an older number than one before it
	dropRange             // a number that 53 bits cannot hold
	numDrops
)

var dropNames = [numDrops]string{"same", "old", "range"}

func (c *counts) drop(d drop) { c.dropped[d].Add(1) }

// newCounts registers a stream's counts.
func newCounts(reg prometheus.Registerer, stream string) *counts {
	reg = prometheus.WrapRegistererWith(prometheus.Labels{"stream": stream}, reg)
	auto := promauto.With(reg)
	c := &counts{byFrame: make(map[frameKey]prometheus.Counter)}
	c.frames = auto.NewCounterVec(prometheus.CounterOpts{
		Name: "tickwire_feed_frames_total", Help: "Frames received, by what they were.",
	}, []string{"kind", "name"})
	c.refused = auto.NewCounterVec(prometheus.CounterOpts{
		Name: "tickwire_feed_frames_refused_total", Help: "Frames that are not what the venue documents.",
	}, []string{"reason"})
	counter := func(name, help string, labels prometheus.Labels, n *atomic.Int64) {
		auto.NewCounterFunc(prometheus.CounterOpts{
			Name: "tickwire_feed_" + name + "_total", Help: help, ConstLabels: labels,
		}, func() float64 { return float64(n.Load()) })
	}
	counter("updates", "Updates published.", nil, &c.updates)
	counter("merged", "Updates merged because Redis was slow or away.", nil, &c.merged)
	for i := range c.dropped {
		counter("ticks_dropped", "Ticks not published, by reason.", prometheus.Labels{"reason": dropNames[i]}, &c.dropped[i])
	}
	return c
}
