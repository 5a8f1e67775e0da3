package bench

import (
	"regexp"
	"strings"
	"testing"
)

// pageComparison has a system of each kind.
func pageComparison() *Comparison {
	run := func(cpu float64) *Result {
		return &Result{
			Verified: true, Seconds: 8, UpdatesPS: 4000, CPUPerUpdUS: cpu, LatencyUS: percentiles{P99: int64(1000 * cpu)}, RSSPerConn: 10_240,
			Distribution: []Percent{{0, 100}, {50, 1000}, {99, int64(1000 * cpu)}, {100, 99_000}},
		}
	}
	late, lossy := run(0.5), run(0.75)
	late.UpdatesPS = 1300
	lossy.Verified, lossy.Missed, lossy.Problems = false, 12, []string{"12 updates were lost"}
	return &Comparison{Load: "sparse", Conns: 400, Subs: 5, Symbols: 500, Offered: 1000, Seconds: 8, Runs: 2, Machine: "a machine", Systems: []System{
		{Name: "tickwire", Runs: []*Result{run(2), run(4)}},
		{Name: "even", Version: "1.2", Runs: []*Result{run(1), run(1)}},
		{Name: "late", Runs: []*Result{late, late}},
		{Name: "lossy", Runs: []*Result{lossy, run(1)}},
		{Name: "<i>weak</i>", Runs: []*Result{{Problems: []string{"it cannot take <u>this</u> load"}}, {}}},
		{Name: "absent", Missing: "npm ci in x"},
	}}
}

// rows finds the classes and the text of a chart's bars, first to last.
var rows = regexp.MustCompile(`(?s)<div class="row([^"]*)"><div class="name">(\S+) .*?class="bar" style="width:([\d.]+)%;"(.*?)class="value"[^>]*>([^<]*)<.*?</div>\n(.*?)</div>\n`)

// Bars are sorted, and a system that did not do the work is not the winner.
func TestCompareCharts(t *testing.T) {
	got := written(t, pageComparison())
	figures := strings.Split(got, "<figure>")[1:]
	if len(figures) != 5 {
		t.Fatalf("%d figures, not four charts and a plot", len(figures))
	}
	want := [][]string{
		{"even", "", "1 us", ""}, {"tickwire", " self", "3 us", ""},
		{"late", " bad", "0.5 us", "did not keep up: 32 %"}, {"lossy", " bad", "0.875 us", "12 updates lost"},
	}
	all := rows.FindAllStringSubmatch(figures[0], -1)
	if len(all) != len(want) {
		t.Fatalf("%d bars, not %d: %q", len(all), len(want), all)
	}
	for i, w := range want {
		bar := all[i]
		if bar[2] != w[0] || bar[1] != w[1] || bar[5] != w[2] || !strings.Contains(bar[6], w[3]) || w[3] == "" && strings.Contains(bar[6], "said") {
			t.Errorf("bar %d is %q, not %q", i+1, bar[1:], w)
		}
	}
	if all[1][3] != "75.00" || !strings.Contains(all[1][4], `class="whisker" style="left:50.00%;width:50.00%;"`) {
		t.Errorf("2 to 4 us, of an axis to 4, are at %q", all[1])
	}
	if strings.Contains(all[0][4], "whisker") {
		t.Error("runs that were alike have a whisker")
	}
	for _, chart := range figures[:4] {
		wants(t, chart, "it cannot take &lt;u&gt;this&lt;/u&gt; load", "<b>absent</b>: not run: npm ci in x")
	}
	wants(t, figures[1], "tick offered", "4,000")
	wants(t, figures[2], ">3 ms<", ">1 ms<")
	wants(t, figures[3], ">10 KB<")
	wants(t, figures[4], "<svg", `class="heavy" style="border-color:var(--ink0)"></i>tickwire`, `class=" dashed" style="border-color:var(--ink2)"></i>late`)
	wants(t, got, "tickwire verified", "400 subscribers x 5 of 500 symbols", "a machine", "&lt;i&gt;weak", "us/message")
	if strings.Contains(got, "<i>weak") || strings.Contains(got, "<u>this") || strings.Contains(got, "broke off") {
		t.Error("a name or a problem is markup, or a whole comparison is called partial")
	}
}

// Where most is best, the first has most; where Tickwire merged, it says so.
func TestCompareMost(t *testing.T) {
	c := pageComparison()
	c.Systems[0].Runs[0].Conflation.Ratio = 0.05
	c.Systems[0].Runs[0].UpdatesPS, c.Systems[0].Runs[1].UpdatesPS = 3800, 3800
	all := rows.FindAllStringSubmatch(strings.Split(written(t, c), "<figure>")[2], -1)
	if len(all) != 4 || all[0][2] != "even" || all[1][2] != "tickwire" || !strings.Contains(all[1][6], "5.0 % merged") || all[2][2] != "lossy" {
		t.Errorf("%q", all)
	}
}

// A comparison that broke off, or never began, has a page that says it.
func TestComparePartial(t *testing.T) {
	c := pageComparison()
	c.Systems[0].Runs = c.Systems[0].Runs[:1]
	c.Systems[0].Runs[0].Verified, c.Systems[0].Runs[0].Problems = false, []string{"7 times: stale"}
	c.Systems[1].Runs = nil
	got := written(t, c)
	wants(t, got, "Partial: the comparison broke off", "Tickwire is not verified</b>7 times: stale", "<b>even 1.2</b>: not run: the comparison broke off", "verified 0 of 1")
	for _, c := range []*Comparison{{}, {Runs: 1, Systems: []System{{Name: "tickwire"}}}, {Systems: []System{{Name: "x", Runs: []*Result{{Seconds: 1}}}}}} {
		wants(t, written(t, c), "Nothing was measured")
	}
}
