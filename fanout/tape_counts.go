package fanout

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Why a checkpoint was needed, or nothing more comes.
const (
	holeCorrupt = "corrupt" // an entry cannot be read
	holeTrimmed = "trimmed" // the reader came too late: what followed had gone
	holeLost    = "lost"    // what followed was never there, as when Redis failed over
	holeReign   = "reign"   // a new writer does not know all that was read
	holeBack    = "back"    // the stream began again below what was read
	holeOlder   = "older"   // quotes are older than what was shown
	holeGone    = "gone"    // the stream is not listed any more
)

// tapeCounts counts what was read, and every way in which it was not good.
type tapeCounts struct {
	entries, updates, refused, checkpoints, corrupt, epochs, errors prometheus.Counter

	holes             map[string]prometheus.Counter // by reason
	latency, readback prometheus.Histogram
}

func newTapeCounts(reg prometheus.Registerer) tapeCounts {
	counter := func(name, help string) prometheus.Counter {
		return promauto.With(reg).NewCounter(prometheus.CounterOpts{
			Namespace: "tickwire", Subsystem: "tape", Name: name + "_total", Help: help,
		})
	}
	histogram := func(name, help string, first, factor float64, count int) prometheus.Histogram {
		return promauto.With(reg).NewHistogram(prometheus.HistogramOpts{
			Namespace: "tickwire", Subsystem: "tape", Name: name + "_seconds", Help: help,
			Buckets: prometheus.ExponentialBuckets(first, factor, count),
		})
	}
	c := tapeCounts{
		entries:     counter("entries_read", "Entries of the tape read; each has an update or many."),
		updates:     counter("updates_read", "Updates read from the tape, in entries and in checkpoints."),
		refused:     counter("updates_refused", "Updates read from the tape and not taken: their symbol is another stream's, or one too many."),
		checkpoints: counter("checkpoints_read", "Checkpoints of the tape loaded, at the start of a stream and after holes."),
		corrupt:     counter("corrupt", "Entries and checkpoints of the tape that could not be parsed."),
		epochs:      counter("epochs", "Times another reign was read than the one before: a feed took over, or was restarted."),
		errors:      counter("redis_errors", "Reads of the tape that Redis did not answer."),
		latency:     histogram("latency", "From when a feed sent an entry, by its clock, to when its updates are on the node's board.", 50e-6, 1.5, 28),
		readback:    histogram("readback", "To read a checkpoint and bring it to the board.", 1e-3, 2, 14),
		holes:       make(map[string]prometheus.Counter),
	}
	holes := promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "tickwire_tape_holes_total", Help: "Holes of the tape, by reason: an entry could not be parsed (corrupt), was gone before it was read (trimmed) or is not there (lost), a new writer does not know all that was read (reign), the stream began again below that, as when Redis lost data (back), its quotes are older than what was shown (older), or it is not listed any more (gone).",
	}, []string{"reason"})
	for _, reason := range []string{holeCorrupt, holeTrimmed, holeLost, holeReign, holeBack, holeOlder, holeGone} {
		c.holes[reason] = holes.WithLabelValues(reason)
	}
	return c
}

// How far the node is behind each stream is known when it is asked for.
var (
	tapeAge    = prometheus.NewDesc("tickwire_tape_age_seconds", "Since the newest entry read of a stream was sent, by the feed's clock: an idle stream has one every 0.25 s.", []string{"stream"}, nil)
	tapeBehind = prometheus.NewDesc("tickwire_tape_behind_entries", "Entries of a stream that are known to be there and were not read yet.", []string{"stream"}, nil)
	tapeEpochs = prometheus.NewDesc("tickwire_tape_epoch_seconds", "Start of the reign that is read, Unix time: it changes when another feed takes over.", []string{"stream"}, nil)
	tapeStale  = prometheus.NewDesc("tickwire_tape_stale", "1 while a stream's symbols say stale, because it is silent, cannot be read, or has a hole.", []string{"stream"}, nil)
)

func (t *tape) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{tapeAge, tapeBehind, tapeEpochs, tapeStale} {
		to <- d
	}
}

func (t *tape) Collect(to chan<- prometheus.Metric) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, s := range t.streams {
		gauge := func(d *prometheus.Desc, v float64) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, name)
		}
		if at := s.sentAt.Load(); at > 0 {
			gauge(tapeAge, time.Since(time.UnixMicro(at)).Seconds())
		}
		gauge(tapeBehind, float64(s.behind.Load()))
		gauge(tapeEpochs, float64(s.epoch.Load())/1e3)
		stale := 0.0
		if s.stale.Load() {
			stale = 1
		}
		gauge(tapeStale, stale)
	}
}
