package fanout

import (
	"strconv"
	"sync/atomic"

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
	numCounters
)

// countInfo is each count as Prometheus has it.
var countInfo = [numCounters]struct{ metric, label, value, help string }{
	cycles:           {metric: "cycles", help: "Cycles of the loops."},
	updatesIn:        {metric: "updates_applied", help: "Updates applied to the loops' boards."},
	updatesOut:       {metric: "updates_sent", help: "Updates put into messages."},
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
}

// counts are a loop's own, plain integers.
type counts [numCounters]uint64

// published is where a scrape reads a loop's counts, as of its last cycle.
type published struct {
	counts  [numCounters]atomic.Uint64
	conns   atomic.Int64 // open, handshakes included
	subs    atomic.Int64
	blocked atomic.Int64
}

// publish copies the loop's counts where a scrape may read them.
func (l *loop) publish() {
	for i, n := range l.count {
		if l.published.counts[i].Load() != n {
			l.published.counts[i].Store(n)
		}
	}
	l.published.conns.Store(int64(l.open))
	l.published.subs.Store(int64(l.nsubs))
	l.published.blocked.Store(int64(l.blocked))
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

// collector reads the loops' published counts when Prometheus asks.
type collector struct {
	node          *Node
	counts        [numCounters]*prometheus.Desc
	conns         *prometheus.Desc
	blocked, subs *prometheus.Desc
	symbols       *prometheus.Desc
}

func newCollector(n *Node) *collector {
	desc := func(name, help string, labels prometheus.Labels) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, subsystem, name), help, nil, labels)
	}
	c := &collector{
		node:    n,
		conns:   desc("connections", "Connections open, handshakes included.", nil),
		blocked: desc("blocked_connections", "Connections that wait for their socket.", nil),
		subs:    desc("subscriptions", "Subscriptions of all connections.", nil),
		symbols: desc("symbols", "Symbols on the board.", nil),
	}
	for i, info := range countInfo {
		var labels prometheus.Labels
		if info.label != "" {
			labels = prometheus.Labels{info.label: info.value}
		}
		c.counts[i] = desc(info.metric+"_total", info.help, labels)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	var sums counts
	var conns, blocked, subs int64
	for _, l := range c.node.loops {
		for i := range sums {
			sums[i] += l.published.counts[i].Load()
		}
		conns += l.published.conns.Load()
		blocked += l.published.blocked.Load()
		subs += l.published.subs.Load()
	}
	for i, desc := range c.counts {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(sums[i]))
	}
	gauge := func(desc *prometheus.Desc, v int64) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(v))
	}
	gauge(c.conns, conns)
	gauge(c.blocked, blocked)
	gauge(c.subs, subs)
	gauge(c.symbols, int64(len(c.node.master.list())))
}

// number is a code as a label.
func number[T ~int | ~uint16](code T) string { return strconv.Itoa(int(code)) }
