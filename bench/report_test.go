package bench

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// written is a report's page; its plots must be sound, and it may load nothing.
func written(t *testing.T, report interface{ WriteHTML(io.Writer) error }) string {
	t.Helper()
	var b strings.Builder
	if err := report.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	for _, fetched := range []string{"<script", "<link", " src=", "url(", "@import"} {
		if strings.Contains(b.String(), fetched) {
			t.Errorf("the page has %q: it must need nothing else", fetched)
		}
	}
	for i, svg := range strings.Split(b.String(), "<svg")[1:] {
		svg, _, _ = strings.Cut("<svg"+svg, "</figure>")
		if strings.Contains(svg, "#0102") || strings.Contains(svg, "#FFFFFF") || strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("plot %d has a colour that is not the page's, or no number", i)
		}
		for d := xml.NewDecoder(strings.NewReader(svg)); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("plot %d: %v", i, err)
			}
		}
	}
	return b.String()
}

func wants(t *testing.T, page string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// measuredResult has a second in which latencies are a thousandfold.
func measuredResult() *Result {
	r := &Result{
		Verified: true, Scenario: "storm", Load: "sparse", Conns: 200, Subs: 5, Symbols: 50, Offered: 200, Seconds: 12, UpdatesPS: 4000,
		LatencyUS: percentiles{P50: 1100, P99: 2300}, RSSPerConn: 2048, RSS: 28 << 20, ServerCPU: 0.3, CPUPerUpdUS: 9.5, RecoverySeconds: 0.85,
	}
	for i := range 12 {
		m := Moment{At: float64(i + 1), UpdatesPS: 4000, P50: 1100, P99: 2300, Max: 4000}
		if i == 4 {
			m.P99, m.Max = 800_000, 2_300_000
		}
		r.Timeline = append(r.Timeline, m)
		r.rss = append(r.rss, memorySample{time.Unix(int64(i), 0), 28 << 20})
	}
	for _, q := range []float64{0, 50, 90, 99, 99.9, 100} {
		r.Distribution = append(r.Distribution, Percent{q, int64(1000 + 10*q)})
	}
	return r
}

func TestReportPlots(t *testing.T) {
	got := written(t, measuredResult())
	if n := strings.Count(got, "<svg"); n != 4 {
		t.Errorf("%d plots, not 4", n)
	}
	wants(t, got, `class="verdict">verified`, ">1.1 ms<", ">2.3 ms<", ">2 KB<", ">9.50 us<", "0.85 s",
		">2 s</text>", ">12 s</text>", ">10 ms\u00a0<", ">1 s\u00a0<", ">4k\u00a0<", ">30 MB\u00a0<", ">p99.9<")
	if strings.Contains(got, `class="alarm"`) || strings.Contains(got, "Latency by updates") {
		t.Error("a good run of storm has an alarm, or saturate's plots")
	}
}

func TestReportSteps(t *testing.T) {
	r := measuredResult()
	for i, rate := range []float64{500, 1000, 2000} {
		r.Steps = append(r.Steps, Step{Value: rate, Deliveries: 12 * rate, UpdatesPS: 10 * rate, CPUPerUpd: 2, CPUPerMsg: 10, RSSPerConn: 2048, P50: 1000, P99: int64(4000 * (i + 1)), Within: i < 2})
	}
	got := written(t, r)
	wants(t, got, "Latency by updates a second offered", "Deliveries by", "CPU by", "Memory by", "p99, not within", "</i>offered<", ">500</text>", ">2k</text>")
	r.Steps[2].Within, r.Settings.Of = true, "conns"
	got = written(t, r)
	wants(t, got, "Latency by subscribers")
	if strings.Contains(got, "not within") {
		t.Error("a step within the bound is shown as above")
	}
}

// What is wrong is the first that a page says, and it is text.
func TestReportProblems(t *testing.T) {
	r := measuredResult()
	r.Verified, r.Partial, r.Problems, r.Saturated = false, true, []string{"7 times: <b>stale</b>"}, true
	got := written(t, r)
	wants(t, got, "Not verified, and partial: the run broke off", "<li>7 times: &lt;b&gt;stale&lt;/b&gt;</li>", "The harness was the bottleneck")
	if strings.Contains(got, "<b>stale") || strings.Contains(got, `class="verdict"`) {
		t.Error("a problem is markup, or the run is called verified")
	}
	if strings.Index(got, "stale") > strings.Index(got, `class="tiles"`) {
		t.Error("the problem comes after the figures")
	}
	// Nodes that run elsewhere, whose values nobody looked at.
	r = measuredResult()
	r.Verified, r.SeqsAlone, r.ServerCPU, r.RSS = false, true, 0, 0
	for i := range r.rss {
		r.rss[i].rss = 0
	}
	if got := written(t, r); strings.Contains(got, `class="alarm"`) || !strings.Contains(got, "seqs checked") || strings.Contains(got, "node CPU an") || strings.Contains(got, "node memory a") || strings.Contains(got, "Resident") {
		t.Error("a run with --no-verify is a failure, or verified, or has figures of nodes that nobody saw")
	}
	for _, r := range []*Result{{}, {Partial: true, Timeline: []Moment{{At: 1}}, Distribution: []Percent{{100, 0}}}, {FloorUS: 3.2}} {
		if strings.Contains(written(t, r), "<svg") {
			t.Error("a run without figures has a plot")
		}
	}
	// Seconds in which nothing came.
	written(t, &Result{Timeline: make([]Moment, 3), Distribution: make([]Percent, 3), Seconds: 3, Steps: make([]Step, 2)})
}

func TestReportTicks(t *testing.T) {
	labels := func(s scale) string {
		var all []string
		for _, tick := range s.ticks(ticksMost) {
			if tick.Label != "" {
				all = append(all, tick.Label)
			}
		}
		return strings.Join(all, ", ")
	}
	for want, s := range map[string]scale{
		"0 s, 1 s, 2 s, 3 s, 4 s, 5 s":                          seconds(5),
		"0 s, 5 s, 10 s, 15 s, 20 s":                            seconds(20.02),
		"0 min, 10 min, 20 min, 30 min, 40 min, 50 min, 60 min": seconds(3601),
		"0 h, 2 h, 4 h, 6 h, 8 h, 10 h":                         seconds(10 * 3600),
		"0, 10k, 20k, 30k, 40k, 50k":                            linear(41_000, 5, short),
		"0, 0.1, 0.2, 0.3":                                      linear(0.3, 5, plain),
		"0, 1":                                                  linear(0, 1, plain),
		"0.5 ms, 1 ms, 2 ms, 5 ms":                              logScale(0.6, 4, lasting),
		"1 ms, 10 ms, 100 ms, 1 s, 10 s":                        logScale(0.7, 12_000, lasting),
		"2 ms, 5 ms":                                            logScale(2, 2, lasting),
		"1M, 2M, 5M":                                            logScale(1e6, 4.5e6, short),
	} {
		if got := labels(s); got != want {
			t.Errorf("%s instead of %s", got, want)
		}
	}
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567.8: "1,234,568"} {
		if got := grouped(v); got != want {
			t.Errorf("%s instead of %s", got, want)
		}
	}
	for v, want := range map[float64]string{0: "0", 0.0123: "0.0123", 4.426: "4.43", 21.27: "21.3", 2967.55: "2968"} {
		if got := plain(v); got != want {
			t.Errorf("%s instead of %s", got, want)
		}
	}
	if s := logScale(1, 100, plain); fmt.Sprintf("%.2f %.2f", s.at(10), s.at(0)) != "0.50 0.00" {
		t.Errorf("10 is at %f of 1 to 100", s.at(10))
	}
}
