package fanout

import "github.com/prometheus/client_golang/prometheus"

// collector reads the loops' published counts when Prometheus asks.
type collector struct {
	node  *node
	descs [numCounters]*prometheus.Desc
	gauge map[string]*prometheus.Desc
}

func newCollector(n *node) *collector {
	c := &collector{node: n, gauge: make(map[string]*prometheus.Desc)}
	for i, name := range countNames {
		var labels prometheus.Labels
		if label := labelOf[name.metric]; label != "" {
			labels = prometheus.Labels{label: name.value}
		}
		c.descs[i] = prometheus.NewDesc("tickwire_fanout_"+name.metric+"_total", countHelp[name.metric], nil, labels)
	}
	for name, help := range map[string]string{
		"connections":         "Connections open, handshakes included.",
		"blocked_connections": "Connections that wait for their socket.",
		"subscriptions":       "Subscriptions of all connections.",
		"symbols":             "Symbols on the board.",
	} {
		c.gauge[name] = prometheus.NewDesc("tickwire_fanout_"+name, help, nil, nil)
	}
	return c
}

func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	for i, desc := range c.descs {
		var sum uint64
		for _, l := range c.node.loops {
			sum += l.published.counts[i].Load()
		}
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(sum))
	}
	var conns, blocked, subs int64
	for _, l := range c.node.loops {
		conns += l.published.conns.Load()
		blocked += l.published.blocked.Load()
		subs += l.published.subs.Load()
	}
	gauge := func(name string, v int64) {
		ch <- prometheus.MustNewConstMetric(c.gauge[name], prometheus.GaugeValue, float64(v))
	}
	gauge("connections", conns)
	gauge("blocked_connections", blocked)
	gauge("subscriptions", subs)
	gauge("symbols", int64(len(c.node.master.list())))
}

// countHelp says what each metric counts.
var countHelp = map[string]string{
	"cycles":            "Cycles of the loops.",
	"updates_applied":   "Updates applied to the loops' boards.",
	"updates_sent":      "Updates put into messages.",
	"messages_sent":     "Data messages sent.",
	"encodings":         "Updates encoded; the others shared their bytes.",
	"writes":            "Writes to sockets.",
	"short_writes":      "Writes that a socket did not take whole: the connection is blocked until it does.",
	"chokes":            "Times a connection was held back because its client did not answer a ping.",
	"sent_bytes":        "Bytes written to sockets.",
	"received_bytes":    "Bytes read from sockets.",
	"frames_received":   "WebSocket frames received.",
	"requests":          "Requests answered.",
	"request_errors":    "Requests, or symbols in them, answered with an error.",
	"heartbeats_sent":   "Heartbeats sent.",
	"lags_sent":         "Lag messages sent.",
	"lapped":            "Times a loop read the master board because its queue was full, its start included.",
	"accepts":           "Connections accepted.",
	"upgrades":          "WebSocket handshakes completed.",
	"accept_errors":     "Accepts refused by the system.",
	"http_connections":  "Connections handed to plain HTTP.",
	"refused":           "Connections refused before an upgrade.",
	"conflated_updates": "Updates sent that merge several.",
	"closed":            "Connections gone.",
	"close_frames_sent": "Close frames sent.",
}
