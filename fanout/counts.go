package fanout

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const namespace, subsystem = "tickwire", "fanout"

// counter names one of the counts that every price moves.
type counter int

const (
	cycles counter = iota
	updatesIn
	updatesOut
	images
	messages
	encodings
	writes
	shortWrites
	bytesOut
	bytesIn
	framesIn
	conflatedRate // the three in the order of the wire's reasons
	conflatedSlow
	conflatedCatchUp
	openConns // the last three are gauges
	blockedConns
	openSubs
	numCounters
)

// countInfo is each count as Prometheus has it; counters end in _total.
var countInfo = [numCounters]struct{ metric, label, value, help string }{
	cycles:           {metric: "cycles", help: "Cycles of the loops."},
	updatesIn:        {metric: "updates_applied", help: "Updates applied to the loops' boards."},
	updatesOut:       {metric: "updates_sent", help: "Updates put into messages."},
	images:           {metric: "images_sent", help: "Of which are whole quotes."},
	messages:         {metric: "messages_sent", help: "Data messages sent."},
	encodings:        {metric: "encodings", help: "Updates encoded; the others shared their bytes."},
	writes:           {metric: "writes", help: "Writes to sockets."},
	shortWrites:      {metric: "short_writes", help: "Writes that a socket did not take whole: the connection is blocked until it does."},
	bytesOut:         {metric: "sent_bytes", help: "Bytes written to sockets."},
	bytesIn:          {metric: "received_bytes", help: "Bytes read from sockets."},
	framesIn:         {metric: "frames_received", help: "WebSocket frames received."},
	conflatedRate:    {"conflated_updates", "reason", "rate", "Updates sent that merge several."},
	conflatedSlow:    {"conflated_updates", "reason", "slow", "Updates sent that merge several."},
	conflatedCatchUp: {"conflated_updates", "reason", "catch-up", "Updates sent that merge several."},
	openConns:        {metric: "connections", help: "Connections open, handshakes included."},
	blockedConns:     {metric: "blocked_connections", help: "Connections that wait for their socket."},
	openSubs:         {metric: "subscriptions", help: "Subscriptions of all connections."},
}

// counts are a loop's own, plain integers; published is where a scrape reads them, as
// of its last cycle.
type (
	counts    [numCounters]uint64
	published [numCounters]atomic.Uint64
)

// publish copies the loop's counts where a scrape may read them.
func (l *loop) publish() {
	l.count[openConns], l.count[blockedConns], l.count[openSubs] = uint64(l.open), uint64(l.blocked), uint64(l.nsubs)
	for i, n := range l.count {
		if l.published[i].Load() != n {
			l.published[i].Store(n)
		}
	}
}

// registerCounts has a scrape read the sums of what the loops published.
func (n *Node) registerCounts(reg prometheus.Registerer) {
	factory := promauto.With(reg)
	for i, info := range countInfo {
		opts := prometheus.Opts{Namespace: namespace, Subsystem: subsystem, Name: info.metric, Help: info.help}
		if info.label != "" {
			opts.ConstLabels = prometheus.Labels{info.label: info.value}
		}
		sum := func() (sum float64) {
			for _, l := range n.loops {
				sum += float64(l.published[i].Load())
			}
			return sum
		}
		if counter(i) >= openConns {
			factory.NewGaugeFunc(prometheus.GaugeOpts(opts), sum)
			continue
		}
		opts.Name += "_total"
		factory.NewCounterFunc(prometheus.CounterOpts(opts), sum)
	}
	factory.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: "pause_seconds",
		Help: "What the busiest loop waits between two messages to a connection that has many."},
		func() (most float64) {
			for _, l := range n.loops {
				most = max(most, time.Duration(l.pacer.published.Load()).Seconds())
			}
			return most
		})
	factory.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: "symbols", Help: "Symbols on the board."},
		func() float64 { return float64(len(n.master.list())) })
}

// events counts what happens to connections and requests, where it happens.
type events struct {
	acceptErrors, lapped, chokes                            prometheus.Counter
	handshakes, closed, closeFrames, told, requests, errors *prometheus.CounterVec
}

func newEvents(reg prometheus.Registerer) *events {
	factory := promauto.With(reg)
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name + "_total", Help: help}
	}
	vec := func(name, label, help string) *prometheus.CounterVec {
		return factory.NewCounterVec(opts(name, help), []string{label})
	}
	return &events{
		acceptErrors: factory.NewCounter(opts("accept_errors", "Accepts refused by the system.")),
		lapped:       factory.NewCounter(opts("lapped", "Times a loop read the master board because its queue was full, its start included.")),
		chokes:       factory.NewCounter(opts("chokes", "Times a connection was held back because its client did not answer a ping.")),
		handshakes:   vec("handshakes", "outcome", "Connections by what became of their request: upgraded, given to plain HTTP, or refused."),
		closed:       vec("closed", "reason", "Connections gone."),
		closeFrames:  vec("close_frames_sent", "code", "Close frames sent."),
		told:         vec("control_messages_sent", "type", "Messages sent that are not data."),
		requests:     vec("requests", "op", "Requests that could be read."),
		errors:       vec("request_errors", "code", "Requests, or names in them, answered with an error."),
	}
}

// number is a code as a label.
func number[T ~int | ~uint16](code T) string { return strconv.Itoa(int(code)) }
