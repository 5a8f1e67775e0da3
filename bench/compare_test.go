package bench

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// The table says of each system what its runs were worth, and how they spread.
func TestComparisonPrint(t *testing.T) {
	good := func(cpu float64) *Result {
		return &Result{Verified: true, Seconds: 8, UpdatesPS: 4000, CPUPerUpdUS: cpu}
	}
	c := &Comparison{Load: "sparse", Conns: 400, Subs: 5, Symbols: 500, Offered: 1000, Seconds: 8, Runs: 3, Systems: []System{
		{Name: "tickwire", Runs: []*Result{good(2), good(1), good(4)}},
		{Name: "even", Version: "1.2", Runs: []*Result{good(1), good(2)}},
		{Name: "slow", Runs: []*Result{{Verified: true, Seconds: 8, UpdatesPS: 1000}}},
		{Name: "merges", Runs: []*Result{{Verified: true, Seconds: 8, UpdatesPS: 2000, Conflation: conflation{Ratio: 0.5}}}},
		{Name: "lossy", Runs: []*Result{good(1), {Seconds: 8, UpdatesPS: 3900, Missed: 12, Problems: []string{"12 updates were lost"}, Lost: map[string]int64{"closed": 3}}}},
		{Name: "broken", Runs: []*Result{{Partial: true, Problems: []string{"it cannot take this load: 1 of 400 subscribers up in time"}}}},
		{Name: "absent", Missing: "npm ci in x"},
		{Name: "later"},
	}}
	var out bytes.Buffer
	c.Print(&out)
	lines := strings.Split(out.String(), "\n")
	for i, want := range []string{
		"1000 updates/s, which is 4000 deliveries/s; 8 s, 3 run(s)", "us/update", "2.00 (1.00..4.00)", "1.50 (1.00..2.00)",
		"verified 1 of 1, did not keep up: 25 %", "verified 1 of 1, 50.00 % merged", "verified 1 of 2, 12 updates lost, 3 connections lost",
		"- it cannot take this load: 1 of 400", "not run: npm ci in x", "not run: the comparison broke off",
	} {
		if !strings.Contains(strings.Join(strings.Fields(lines[i]), " "), want) {
			t.Errorf("line %d lacks %q:\n%s", i+1, want, &out)
		}
	}
	if !c.Verified("tickwire") || c.Verified("lossy") || c.Verified("later") {
		t.Error("verified is what is not, or not what is")
	}
}

// What is missing, or not there, is told before anything starts.
func TestPeersRefused(t *testing.T) {
	for want, peers := range map[string]PeersConfig{
		"name it with --peers-dir": {Runs: 1, Dir: t.TempDir()},
		"there are tickwire, ":     {Runs: 1, Dir: "peers", Only: []string{"gorrila"}},
	} {
		if _, err := RunPeers(t.Context(), Config{}, peers, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v instead of %q", err, want)
		}
	}
}
