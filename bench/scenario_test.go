package bench

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// runSmall makes a run of a few seconds, with settings of its own.
func runSmall(t *testing.T, set func(*Config)) (*Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cfg := small(t)
	set(&cfg)
	return Run(ctx, cfg, nil)
}

// Every scenario does what it says, and what it measures is right.
func TestScenarios(t *testing.T) {
	for _, test := range []struct {
		name string
		set  func(*Config)
		did  func(*Result) bool
	}{
		{"steady", func(c *Config) { c.Encoding, c.Floor = "json", true }, func(r *Result) bool {
			fresh := r.SentAgeUS.P50 > 0 && r.SentAgeUS.P50 <= r.LatencyUS.P50
			return fresh && r.Fewest > 0 && r.Most >= r.Fewest && r.FloorUS > 0 && (r.OfFloor > 0 || math.Abs(r.FloorPS/r.MessagesPS-1) > 0.09)
		}},
		{"slow", func(c *Config) { c.Updates, c.Subs, c.Slow, c.Duration = 40_000, 20, 0.25, 6*time.Second }, func(r *Result) bool {
			// Each found some of what was sent before it read on, but 8 KiB and a message at most.
			return r.Conflation.Slow > 0 && r.Woken == r.Conns/4 && r.Unread > 0 && r.UnreadMax < 24<<10
		}},
		{"slow", func(c *Config) {
			c.Updates, c.Subs, c.Slow, c.SlowBytes, c.Duration = 40_000, 20, 0.25, 4000, 6*time.Second
		}, func(r *Result) bool { return r.Conflation.Slow > 0 && r.SlowLatencyUS.Max > 0 }},
		{"burst", func(c *Config) { c.Duration, c.Burst, c.Floor = 3*time.Second, 0, true }, func(r *Result) bool { return r.UpdatesPS > 0 && r.FloorPS > 0 }},
		{"churn", func(c *Config) { c.Churn = 20 }, func(r *Result) bool { return r.Lost["left"] > 10 }},
		{"storm", func(c *Config) { c.Duration = 8 * time.Second }, func(r *Result) bool { return r.RecoverySeconds > 0 }},
		{"idle", func(c *Config) { c.Conns, c.Subs, c.Ramp = 5000, 0, 2000 }, func(r *Result) bool {
			return r.UpdatesPS == 0 && r.RSSPerConn > 0 && r.Conns == 5000 // of 1,000 the heap may have room for all
		}},
		{"soak", func(c *Config) {}, func(r *Result) bool { return r.UpdatesPS > 0 }},
		{"saturate", func(c *Config) { c.Bound, c.Updates, c.Duration = time.Hour, 500_000, time.Second }, func(r *Result) bool {
			n := len(r.Steps)
			return n > 1 && r.Steps[0].Within && r.Steps[n-1].Limit != "" && r.PublishedPS > 0
		}},
		{"sweep", func(c *Config) { c.Of, c.Values, c.Duration = "conns", []float64{10, 40}, time.Second }, func(r *Result) bool {
			return len(r.Steps) == 2 && r.Steps[0].Value == 10 && r.Steps[1].UpdatesPS > 0 && r.Conns == 40 && r.Steps[0].Offered == 4*r.Steps[1].Offered
		}},
		{"roll", func(c *Config) { c.Drain, c.Duration = time.Second, 0 }, func(r *Result) bool {
			last := r.Rolling[len(r.Rolling)-1]
			return last.Open == r.Conns && last.Reconnects >= int64(r.Conns) && last.Conns[0]+last.Conns[1] == r.Conns
		}},
		{"limit", func(c *Config) { c.Floor = true }, func(r *Result) bool { return r.FloorUS > 0 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath("haproxy"); err != nil && test.name == "roll" {
				if os.Getenv("CI") == "true" {
					t.Fatal("haproxy is not installed")
				}
				t.Skip("haproxy is not installed")
			}
			res, err := runSmall(t, func(c *Config) {
				c.Scenario = test.name
				test.set(c)
			})
			if err != nil || !res.Verified || !test.did(res) {
				t.Errorf("%v\n%+v", err, res)
			}
		})
	}
}

// search finds the highest rate that is within, wherever it began, and comes to an end
// where there is none, or no other.
func TestSearch(t *testing.T) {
	for _, test := range []struct{ first, truth, least, most float64 }{
		{1000, 1000, 1000 / searchClose, 1000},
		{1000, 777_777, 777_777 / searchClose, 777_777},
		{1000, 120, 120 / searchClose, 120},
		{1000, 99, 0, 0}, // it looks no further down than 100
		{1000, math.Inf(1), searchMost, searchMost},
		{searchMost, math.Inf(1), searchMost, searchMost},
	} {
		best, tries := 0.0, 0
		err := search(test.first, func(rate float64) (bool, error) {
			tries++
			if rate <= test.truth {
				best = max(best, rate)
			}
			return rate <= test.truth, nil
		})
		if err != nil || best < test.least || best > test.most || tries > 30 {
			t.Errorf("%+v: %v after %d tries, %v", test, best, tries, err)
		}
	}
	if err := search(1, func(float64) (bool, error) { return true, errWrong }); err != errWrong {
		t.Error(err)
	}
}

// A sweep goes through all values, past one whose subscribers do not come up, and ends
// with the first that is wrong or breaks off.
func TestSweepEnds(t *testing.T) {
	broken := errors.New("redis-server died")
	for _, test := range []struct {
		name string
		res  Result
		err  error
		want int // runs
	}{
		{"verified", Result{Verified: true}, nil, 3},
		{"not all come up", Result{Partial: true}, errRamp, 3},
		{"not all come up, and those who did were lied to", Result{Partial: true, wrong: true}, errRamp, 2},
		{"not verified", Result{}, nil, 2},
		{"broken off", Result{}, broken, 2},
	} {
		var ran []float64
		last, err := goThrough([]float64{1, 2, 3}, newTicker(nil), func(v float64) (*Result, error) {
			if ran = append(ran, v); v == 2 {
				return &test.res, test.err
			}
			return &Result{Verified: true}, nil
		})
		if len(ran) != test.want || len(last.Steps) != test.want || errors.Is(err, broken) != (test.err == broken) {
			t.Errorf("%s: %v were run, of which %d are told, and then %v", test.name, ran, len(last.Steps), err)
		}
	}
}

// What workers report is added up; the fewest and the most messages of a subscriber are
// those of all.
func TestReportsAddUp(t *testing.T) {
	sum := add([]Report{{Ready: 2, Fewest: 5, Most: 9, UnreadMax: 7}, {Ready: 3, Fewest: 3, Most: 8, UnreadMax: 9}, {Ready: 4, Fewest: 4, Most: 7}})
	if sum.Ready != 9 || sum.Fewest != 3 || sum.Most != 9 || sum.UnreadMax != 9 {
		t.Errorf("%+v", sum)
	}
}

// A node that dies is told by name, and what was measured before is reported as partial.
func TestNodeDies(t *testing.T) {
	cfg := small(t)
	cfg.Duration = 20 * time.Second
	res, err := single(t.Context(), &cfg, newTicker(nil), func(ctx context.Context, r *run) error {
		if sleep(ctx, time.Second) {
			r.stand.nodes[0].cmd.Process.Signal(syscall.SIGKILL)
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "node 1: signal: killed") {
		t.Errorf("%v instead of the node's name and end", err)
	}
	if res == nil || !res.Partial || res.Verified || res.UpdatesPS == 0 || res.Seconds > 10 {
		t.Errorf("%+v", res)
	}
}

// A worker that dies is noticed at once, not when it is next told something.
func TestWorkerDies(t *testing.T) {
	cfg := small(t)
	cfg.Duration = 30 * time.Second
	began := time.Now()
	res, err := single(t.Context(), &cfg, newTicker(nil), func(ctx context.Context, r *run) error {
		r.crew.procs[0].cmd.Process.Signal(syscall.SIGKILL)
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "worker 1: signal: killed") || !res.Partial || time.Since(began) > 15*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// seer is a progress that calls at a line.
type seer struct {
	line string
	call func()
}

func (s *seer) Write(p []byte) (int, error) {
	if strings.Contains(string(p), s.line) {
		s.call()
	}
	return len(p), nil
}

// A run that is interrupted says so, and what it has measured, and no more than that.
func TestInterrupted(t *testing.T) {
	for line, measured := range map[string]bool{"measure     0": false, "measure     3": true} {
		cfg := small(t)
		cfg.Scenario, cfg.Of, cfg.Values, cfg.Duration = "sweep", "conns", []float64{40, 80}, time.Minute
		ctx, cancel := context.WithCancel(t.Context())
		res, err := Run(ctx, cfg, &seer{line, cancel})
		if err != errInterrupted || res == nil || !res.Partial || len(res.Steps) != 1 || !res.Steps[0].Broken {
			t.Fatalf("%s: %v, %+v", line, err, res)
		}
		if measured && res.UpdatesPS == 0 || !(res.HarnessCPU >= 0 && res.HarnessCPU <= 1.1*float64(runtime.NumCPU())) {
			t.Errorf("%s: %v updates a second, %v cores of the harness busy", line, res.UpdatesPS, res.HarnessCPU)
		}
		if _, err := json.Marshal(res); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// So does the floor alone.
func TestLimitInterrupted(t *testing.T) {
	cfg := small(t)
	cfg.Scenario, cfg.Floor = "limit", true
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	res, err := Run(ctx, cfg, nil)
	if err != errInterrupted || !res.Partial || res.Verified || len(res.Problems) != 1 || res.Problems[0] != errInterrupted.Error() {
		t.Errorf("%v, %+v", err, res)
	}
}

// A clock that is set makes latencies worthless: that is told.
func TestClockSet(t *testing.T) {
	c := clock{now: func() (wall, passed time.Duration) { return 0, 0 }}
	for _, step := range []struct{ wall, passed, set time.Duration }{
		{time.Second, time.Second, 0},
		{2 * time.Second, 2*time.Second + clockSet/2, 0}, // read one after the other
		{-time.Hour, 3 * time.Second, -time.Hour - 3*time.Second},
		{-time.Hour + time.Second, 4 * time.Second, -time.Hour - 3*time.Second},
	} {
		c.now = func() (wall, passed time.Duration) { return step.wall, step.passed }
		c.look()
		if d := c.set - step.set; d.Abs() > clockSet {
			t.Errorf("set by %v after %+v", c.set, step)
		}
	}
	st, symbols := smallStand(t, func(*Config) {})
	r, err := newRun(t.Context(), st, &Load{Nodes: st.endpoints, Redis: st.redis, Symbols: symbols}, newTicker(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer r.crew.close()
	var set atomic.Bool
	r.clock.now = func() (wall, passed time.Duration) {
		if set.Load() {
			return time.Hour, 0
		}
		return 0, 0
	}
	err = r.phases(t.Context(), func(ctx context.Context, _ *run) error {
		sleep(ctx, st.cfg.Duration/2)
		set.Store(true)
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "clock was set by 1h") {
		t.Error(err)
	}
}

// A machine of few descriptors is used by more processes, and told what it needs.
func TestFewDescriptors(t *testing.T) {
	exe := small(t).Exe
	out, err := exec.Command("sh", "-c", "ulimit -n 1000; exec "+exe+" bench idle --conns 2000").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "a node holds 900 here, by the limit of descriptors (ulimit -Hn); take --nodes 3") {
		t.Errorf("%v: %s", err, out)
	}
	var text strings.Builder
	run := exec.Command("sh", "-c", "ulimit -n 1000; exec "+exe+" bench churn --load idle --conns 2000 --nodes 3 --churn 30 --duration 2s --json")
	run.Stdout = &text
	err = run.Run()
	var res Result
	if err == nil {
		err = json.Unmarshal([]byte(text.String()), &res)
	}
	if left := res.Lost["left"]; err != nil || !res.Verified || left < 20 || left > 100 { // of all workers together
		t.Errorf("%v: %s", err, text.String())
	}
}

// What roll says of a balancer it says of the one that deploy has.
func TestRollBalancesAsDeployDoes(t *testing.T) {
	text, err := os.ReadFile("../deploy/compose/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{rollChecks, "balance leastconn", "option httpchk GET /readyz", "option redispatch", "retries 2"} {
		if !strings.Contains(string(text), line) {
			t.Errorf("deploy/compose/haproxy.cfg has no %q", line)
		}
	}
}
