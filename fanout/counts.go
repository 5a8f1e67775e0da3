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

const conflatedHelp = "Updates sent that merge several of the tape's, by reason: the rate asked for, a slow subscriber, or catch-up, when several came together."

// countInfo is each count as Prometheus has it; counters end in _total. A help is read
// alone: /metrics sorts by name.
var countInfo = [numCounters]struct{ metric, label, value, help string }{
	cycles:           {metric: "cycles", help: "Cycles of all loops, in each of which what came is applied and what is due is sent."},
	updatesIn:        {metric: "updates_applied", help: "Updates of the tape applied to boards, of which each loop has one: an update counts once for each loop."},
	updatesOut:       {metric: "updates_sent", help: "Updates sent to subscribers, once for each that gets one."},
	images:           {metric: "images_sent", help: "Updates sent to subscribers that are a symbol's whole quote, as the first of a subscription is."},
	messages:         {metric: "messages_sent", help: "Messages with updates sent to subscribers; one has an update or many."},
	encodings:        {metric: "encodings", help: "Times an update was encoded; subscribers who are sent the same share its bytes."},
	writes:           {metric: "writes", help: "Writes to subscribers' sockets."},
	shortWrites:      {metric: "short_writes", help: "Writes that a subscriber's socket did not take whole; its connection is blocked until it does."},
	bytesOut:         {metric: "sent_bytes", help: "Bytes written to subscribers' sockets."},
	bytesIn:          {metric: "received_bytes", help: "Bytes read from the sockets of the stream's port."},
	framesIn:         {metric: "frames_received", help: "WebSocket frames received from subscribers, pongs included."},
	conflatedRate:    {"conflated_updates", "reason", "rate", conflatedHelp},
	conflatedSlow:    {"conflated_updates", "reason", "slow", conflatedHelp},
	conflatedCatchUp: {"conflated_updates", "reason", "catch-up", conflatedHelp},
	openConns:        {metric: "connections", help: "Connections open now, those in their handshake or closing included; plain HTTP is not."},
	blockedConns:     {metric: "blocked_connections", help: "Connections that wait now for their socket to take more: the subscriber or the line is slow."},
	openSubs:         {metric: "subscriptions", help: "Subscriptions now, of all connections: one for each symbol of each."},
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
		Help: "What the busiest loop waits now between two messages to a connection that has many."},
		func() (most float64) {
			for _, l := range n.loops {
				most = max(most, time.Duration(l.pacer.published.Load()).Seconds())
			}
			return most
		})
	factory.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: "pace_seconds",
		Help: "What pause_seconds is at the most, unless the node is at its end: --pace."}).Set(n.cfg.Pace.Seconds())
	factory.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: "certificate_until_seconds",
		Help: "When the TLS certificate ends, in seconds since the Unix epoch; 0 without one."},
		func() float64 {
			if n.certs == nil {
				return 0
			}
			return float64(n.certs.until().Unix())
		})
	factory.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: "connections_max", Help: "Connections that the node takes: --max-conns."},
		func() float64 { return float64(n.cfg.MaxConns) })
	factory.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: "symbols", Help: "Symbols on the node's board."},
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
	e := &events{
		acceptErrors: factory.NewCounter(opts("accept_errors", "Connections that the system did not let the node accept, as without descriptors.")),
		lapped:       factory.NewCounter(opts("lapped", "Times a loop took the whole board because its queue was full, and once for each loop at its start.")),
		chokes:       factory.NewCounter(opts("chokes", "Times a connection was held back until its client answers a ping: it is behind, be it for a moment.")),
		handshakes:   vec("handshakes", "outcome", "Connections by what became of them before they were open: upgraded, http (given to plain HTTP), or why they were refused, which the answer has as its reason."),
		closed:       vec("closed", "reason", "Stream connections gone, by reason: peer, done (by close frames), reset, drained, stalled (took nothing), unread (kept the most)."),
		closeFrames:  vec("close_frames_sent", "code", "Close frames sent, by close code."),
		told:         vec("control_messages_sent", "type", "Messages sent that have no updates, by type: replies, heartbeats and others."),
		requests:     vec("requests", "op", "Requests of clients, by op; one that cannot be parsed is a request error."),
		errors:       vec("request_errors", "code", "Requests, or names in them, answered with an error, by its number in the protocol."),
	}
	for _, reason := range [...]string{"peer", "done", "reset", "drained", "stalled", "unread"} {
		e.closed.WithLabelValues(reason) // from 0: of one that begins at 1 no rate is known
	}
	return e
}

// number is a code as a label.
func number[T ~int | ~uint16](code T) string { return strconv.Itoa(int(code)) }
