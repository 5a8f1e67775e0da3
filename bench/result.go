package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is a run's report, as --json prints it.
type Result struct {
	Verified  bool     `json:"verified"`   // everything that came was right, and complete in the end
	Partial   bool     `json:"partial"`    // the run broke off
	Problems  []string `json:"problems"`   // why it is not verified
	SeqsAlone bool     `json:"seqs_alone"` // --no-verify: values were not looked at

	At          time.Time `json:"at"` // when it began
	Version     string    `json:"version"`
	Settings    Config    `json:"settings"`
	Scenario    string    `json:"scenario"`
	Load        string    `json:"load"`
	Encoding    string    `json:"encoding"`
	Over        string    `json:"over"` // ws or wss
	Conns       int       `json:"conns"`
	Subs        int       `json:"subs_per_conn"`
	Symbols     int       `json:"symbols"`
	Offered     float64   `json:"offered_updates_per_s"`   // by the feed, of all symbols
	PublishedPS float64   `json:"published_updates_per_s"` // on the tape, as it was read beside the nodes
	Nodes       int       `json:"nodes"`
	Store       string    `json:"store"`
	Machine     string    `json:"machine"`

	RampSeconds  float64 `json:"ramp_s"`
	ConnectsPS   float64 `json:"connects_per_s"`
	ConnectUS    float64 `json:"connect_cpu_us"`   // of the nodes' CPU a subscriber, until all were up: handshake, upgrade, images
	ReconnectsPS float64 `json:"reconnects_per_s"` // while it was measured
	Seconds      float64 `json:"measured_s"`

	RecoverySeconds float64   `json:"recovery_s"`        // of storm: from the kill to everybody whole
	RecoveryUS      float64   `json:"recovery_cpu_us"`   // of the new node's CPU a subscriber, its start included
	Steps           []Step    `json:"steps"`             // of saturate, sweep and door
	Rolling         []Rolling `json:"rolling,omitempty"` // of roll

	MessagesPS  float64    `json:"messages_per_s"`
	UpdatesPS   float64    `json:"updates_per_s"` // delivered
	BytesPerUpd float64    `json:"bytes_per_update"`
	Conflation  conflation `json:"conflation"`
	Gaps        int64      `json:"gaps"`

	LatencyUS     percentiles `json:"latency_us"`      // from when a tick was due
	SlowLatencyUS percentiles `json:"slow_latency_us"` // of slow subscribers, who are not in latency_us
	SentAgeUS     percentiles `json:"sent_age_us"`     // from when a tick was due until the node sent it, as it says
	Fewest        int64       `json:"fewest_messages"` // of the subscriber that got the fewest, those apart that are slow
	Most          int64       `json:"most_messages"`   // and of the one that got most
	Woken         int         `json:"woken"`           // slow subscribers, who read on when all was measured
	Unread        int64       `json:"unread_bytes"`    // that such a one then found, sent before: on the average
	UnreadMax     int64       `json:"unread_bytes_max"`

	CPUPerUpdUS float64 `json:"cpu_us_per_update"` // of the nodes
	CPUPerMsgUS float64 `json:"cpu_us_per_message"`
	FloorUS     float64 `json:"floor_us_per_write"` // of a bare loop at the same pace
	FloorPS     float64 `json:"floor_writes_per_s"`
	NoFloor     string  `json:"no_floor"`      // why it was not measured
	OfFloor     float64 `json:"cost_of_floor"` // a message's, as a multiple; 0: the floor had another pace
	ServerCPU   float64 `json:"server_cores"`  // kept busy
	HarnessCPU  float64 `json:"harness_cores"` // by all else
	Saturated   bool    `json:"harness_saturated"`

	RSSPerConn    int64 `json:"rss_per_conn_bytes"`    // beyond the idle node's
	KernelPerConn int64 `json:"kernel_per_conn_bytes"` // socket buffers of both ends
	RSS           int64 `json:"rss_bytes"`

	Timeline     []Moment  `json:"timeline"`     // second by second
	Distribution []Percent `json:"distribution"` // of all latencies

	door      string // of a step of scenario door
	rss       []memorySample
	cores     int   // that all else has
	others    bool  // --url
	unscraped int   // times that --node-metrics said nothing
	wrong     bool  // something that came was wrong, or lost
	broken    error // why the run broke off

	Checked  int64            `json:"checked"` // distinct updates held against the feed's
	Unproved int64            `json:"unproved"`
	Ended    int              `json:"subscriptions_ended_right"`
	Missed   int64            `json:"missed"`     // updates that a peer lost
	Repeats  int64            `json:"repeats"`    // of a seq that the subscriber had: not counted
	Ahead    int64            `json:"ahead_us"`   // by which an update came before it was due, at the most
	Stale    int64            `json:"said_stale"` // distinct updates that a node called stale, and the feed did not
	Lost     map[string]int64 `json:"lost"`
	Refused  map[string]int64 `json:"refused"`
}

// Moment is one second of a run.
type Moment struct {
	At        float64 `json:"at_s"` // since it was measured
	UpdatesPS float64 `json:"updates_per_s"`
	P50       int64   `json:"p50_us"`
	P99       int64   `json:"p99_us"`
	Max       int64   `json:"max_us"`
}

func inUS(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// Percent is a latency, and how many percent of the updates had no more.
type Percent struct {
	Quantile float64 `json:"quantile"`
	US       int64   `json:"us"`
}

// ConflatedPercent is for the page.
func (r *Result) ConflatedPercent() float64 { return 100 * r.Conflation.Ratio }

// memorySample is the nodes' memory at a moment.
type memorySample struct {
	at  time.Time
	rss int64
}

// sample notes the nodes' memory, once a second.
func (r *Result) sample(ctx context.Context, s *stand) {
	if n := len(r.rss); n == 0 || time.Since(r.rss[n-1].at) >= time.Second {
		r.rss = append(r.rss, memorySample{time.Now(), s.serverUsed(ctx).rss})
	}
}

// conflation says how many of the feed's updates came merged into others.
type conflation struct {
	Ratio   float64 `json:"ratio"` // merged of all that were published for the subscribers
	Rate    int64   `json:"rate"`  // updates that merge several, by reason
	Slow    int64   `json:"slow"`
	CatchUp int64   `json:"catch_up"`
}

type percentiles struct {
	P50  int64 `json:"p50"`
	P90  int64 `json:"p90"`
	P99  int64 `json:"p99"`
	P999 int64 `json:"p999"`
	Max  int64 `json:"max"`
}

func percentilesOf(h *hdrhistogram.Histogram) percentiles {
	return percentiles{h.ValueAtQuantile(50), h.ValueAtQuantile(90), h.ValueAtQuantile(99), h.ValueAtQuantile(99.9), h.Max()}
}

func newResult(cfg *Config, s *stand) *Result {
	return &Result{
		Problems: []string{},
		Scenario: cfg.Scenario, Load: cfg.Load, Encoding: cfg.Encoding, Over: s.over(), Conns: cfg.Conns, Subs: cfg.Subs, Symbols: cfg.Symbols,
		Offered: cfg.Updates, Nodes: max(cfg.Nodes, len(s.endpoints)), Store: s.store, Machine: machine, SeqsAlone: !cfg.Verify, cores: max(1, len(s.otherCPUs)), others: len(cfg.URL) > 0,
		At: time.Now().UTC().Truncate(time.Second), Version: cfg.Version, Settings: *cfg,
	}
}

// measured takes what was counted while it was measured.
func (r *Result) measured(passed time.Duration, w *window, cpu time.Duration) {
	r.LatencyUS, r.SlowLatencyUS, r.SentAgeUS = percentilesOf(w.latency), percentilesOf(w.slow), percentilesOf(w.sent)
	r.Fewest, r.Most = min(w.Fewest, w.Most), w.Most
	for _, b := range w.latency.CumulativeDistributionWithTicks(5) {
		r.Distribution = append(r.Distribution, Percent{b.Quantile, b.ValueAt})
	}
	c := &w.Counts
	r.Seconds = passed.Seconds()
	r.MessagesPS = ratio(float64(c.Messages), r.Seconds)
	r.UpdatesPS = ratio(float64(c.Updates), r.Seconds)
	r.BytesPerUpd = ratio(float64(c.Bytes), float64(c.Updates))
	r.conflated(c)
	r.CPUPerUpdUS = ratio(float64(cpu.Microseconds()), float64(c.Updates))
	r.CPUPerMsgUS = ratio(float64(cpu.Microseconds()), float64(c.Messages))
	r.ServerCPU = ratio(cpu.Seconds(), r.Seconds)
	r.ReconnectsPS = ratio(float64(c.Connects), r.Seconds)
	r.ConnectsPS = ratio(float64(r.Conns), r.RampSeconds)
}

// harness takes what all but the nodes used, and whether that was the bottleneck: all
// together, or a process that cannot use more than one core. The system counts in ticks of
// 10 ms for each process: of less than a second that says nothing.
func (r *Result) harness(passed time.Duration, before, after []time.Duration) {
	if passed < time.Second {
		return
	}
	for i := range min(len(before), len(after)) {
		busy := (after[i] - before[i]).Seconds() / passed.Seconds()
		r.HarnessCPU += busy
		r.Saturated = r.Saturated || busy > saturatedAt
	}
	r.Saturated = r.Saturated || r.HarnessCPU > saturatedAt*float64(r.cores)
}

// conflated takes what was merged.
func (r *Result) conflated(c *counts) {
	r.Conflation = conflation{ratio(float64(c.Merged), float64(c.Merged+c.Updates)), c.Conflated[0], c.Conflated[1], c.Conflated[2]}
	r.Gaps, r.Repeats, r.Ahead = c.Gaps, c.Repeats, c.Ahead
}

// memory takes the nodes' memory, and the kernel's, above what it was without a subscriber.
func (r *Result) memory(idle, now usage) {
	r.RSSPerConn, r.RSS = max(0, now.rss-idle.rss)/int64(r.Conns), now.rss
	r.KernelPerConn = max(0, now.sockets-idle.sockets) / int64(r.Conns)
}

// saturatedAt is how much of its cores a harness may use before its figures are its own.
const saturatedAt = 0.9

// finish takes the last reports, and judges.
func (r *Result) finish(k *crew) {
	sum := k.sum()
	c := &sum.Counts
	r.Checked, r.Unproved, r.Lost, r.Refused = c.Checked, c.Unproved, c.Lost, c.Refused
	r.Ended, r.Stale = sum.Subs, sum.Stale
	r.PublishedPS = ratio(float64(sum.Published), r.Seconds)
	if sum.Kind == theLast { // what the slow were sent last counts, too
		r.conflated(c)
		r.Woken, r.Unread, r.UnreadMax = sum.Woken, sum.Unread/int64(max(1, sum.Woken)), sum.UnreadMax
	}
	for kind, n := range c.Wrong {
		r.Problems = append(r.Problems, fmt.Sprintf("%d times: %s", n, kind))
	}
	if r.Missed = c.Missed; r.Missed > 0 {
		r.Problems = append(r.Problems, fmt.Sprintf("%d updates were lost", r.Missed))
	}
	r.wrong = len(r.Problems) > 0
	r.Problems = append(r.Problems, c.Examples...)
	if sum.Trouble != "" {
		r.Problems = append(r.Problems, "the witness cannot read the tape: "+sum.Trouble)
	}
	if r.unscraped > 0 {
		r.Problems = append(r.Problems, fmt.Sprintf("%d times --node-metrics said nothing: CPU and memory are too low", r.unscraped))
	}
	if sum.Blind {
		r.Problems = append(r.Problems, "the witness did not read the tape to its end")
	}
	if sum.Holes > 0 {
		r.Problems = append(r.Problems, fmt.Sprintf("the witness lost the tape %d times", sum.Holes))
	}
	if c.Unproved > c.Checked/100 {
		r.Problems = append(r.Problems, fmt.Sprintf("%d updates came too late to be judged, beside %d that were", c.Unproved, c.Checked))
	}
	r.Timeline = k.timeline()
	if r.Scenario == "soak" && r.RSS == 0 {
		r.Problems = append(r.Problems, "nobody saw the nodes' memory")
	}
	if r.Scenario == "soak" && r.leaks() {
		r.Problems = append(r.Problems, "the nodes' memory grows")
	}
	r.Verified = len(r.Problems) == 0 && !r.SeqsAlone && sum.Kind == theLast && (c.Checked > 0 || r.Subs == 0)
}

// breakOff marks a run that did not come to its end, and says why.
func (r *Result) breakOff(why error) {
	if !r.Partial {
		r.Problems = slices.Insert(r.Problems, 0, "")
	}
	r.Partial, r.Verified, r.broken, r.Problems[0] = true, false, why, why.Error()
}

// Failed reports whether something was wrong, or the run broke off.
func (r *Result) Failed() bool {
	return r.Partial || len(r.Problems) > 0 || !r.Verified && !r.SeqsAlone
}

// leaks reports whether memory grows: the last third of the samples has a twentieth and
// 4 MB more than the third before.
func (r *Result) leaks() bool {
	n := len(r.rss) / 3
	if n == 0 {
		return false
	}
	mean := func(some []memorySample) (sum float64) {
		for _, s := range some {
			sum += float64(s.rss) / float64(len(some))
		}
		return sum
	}
	before, after := mean(r.rss[n:2*n]), mean(r.rss[2*n:])
	return after > 1.05*before && after > before+4<<20
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
