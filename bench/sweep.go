package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Step is one value of a setting that a run goes through, and what came of it.
type Step struct {
	Value      float64 `json:"value"`
	Door       string  `json:"door,omitempty"` // of door: how subscribers came in
	ConnectUS  float64 `json:"connect_cpu_us"`
	Offered    float64 `json:"offered_updates_per_s"`
	Deliveries float64 `json:"offered_deliveries_per_s"`
	UpdatesPS  float64 `json:"updates_per_s"`
	MessagesPS float64 `json:"messages_per_s"`
	Conflated  float64 `json:"conflation_ratio"`
	P50        int64   `json:"p50_us"`
	P99        int64   `json:"p99_us"`
	SentP99    int64   `json:"sent_age_p99_us"` // what of it had passed when the node sent it
	Fewest     int64   `json:"fewest_messages"` // of a subscriber
	Most       int64   `json:"most_messages"`
	ServerCPU  float64 `json:"server_cores"`
	HarnessCPU float64 `json:"harness_cores"`
	CPUPerUpd  float64 `json:"cpu_us_per_update"`
	CPUPerMsg  float64 `json:"cpu_us_per_message"`
	RSSPerConn int64   `json:"rss_per_conn_bytes"`
	Within     bool    `json:"within_bound"`
	Broken     bool    `json:"broke_off"`
	Limit      string  `json:"limit"` // what was not within: the latency, or what else was at its end
}

// step is what came of a run with a value.
func (r *Result) step(value float64) Step {
	limit := r.limit(r.Settings.Bound)
	return Step{
		Value: value, Door: r.door, ConnectUS: r.ConnectUS, Offered: r.Offered, Deliveries: r.Offered * r.perUpdate(),
		UpdatesPS: r.UpdatesPS, MessagesPS: r.MessagesPS, Conflated: r.Conflation.Ratio,
		P50: r.LatencyUS.P50, P99: r.LatencyUS.P99, SentP99: r.SentAgeUS.P99, Fewest: r.Fewest, Most: r.Most,
		ServerCPU: r.ServerCPU, HarnessCPU: r.HarnessCPU, CPUPerUpd: r.CPUPerUpdUS, CPUPerMsg: r.CPUPerMsgUS, RSSPerConn: r.RSSPerConn,
		Within: limit == "", Broken: limit == brokeOff, Limit: limit,
	}
}

// settings are what a sweep can go through, and how a value is set. But for that of
// updates, the feed's rate follows, so that as much is to be delivered.
var settings = map[string]func(cfg *Config, value float64){
	"updates": func(cfg *Config, v float64) { cfg.Updates = v },
	"conns": func(cfg *Config, v float64) {
		cfg.Updates *= float64(cfg.Conns) / v
		cfg.Conns = int(v)
		cfg.Nodes = max(cfg.Nodes, (cfg.Conns+processConns()-1)/processConns())
	},
	"subs": func(cfg *Config, v float64) {
		cfg.Updates *= float64(cfg.Subs) / v
		cfg.Subs = int(v)
	},
	"symbols": func(cfg *Config, v float64) {
		cfg.Updates *= v / float64(cfg.Symbols)
		cfg.Symbols = int(v)
	},
}

// at is the settings of one value.
func (cfg *Config) at(value float64) Config {
	step := *cfg
	step.Floor = false
	settings[cfg.Of](&step, value)
	return step
}

// completeSweep refuses values that cannot work.
func (cfg *Config) completeSweep() error {
	switch {
	case cfg.Scenario != "sweep" && (cfg.Of != "" || len(cfg.Values) > 0):
		return errors.New("--of and --values are of bench sweep")
	case cfg.Scenario != "sweep":
		return nil
	case settings[cfg.Of] == nil:
		return fmt.Errorf("bench sweep goes through the values of one setting: --of %s", strings.Join(slices.Sorted(maps.Keys(settings)), ", or "))
	case len(cfg.Values) < 2 || !slices.IsSorted(cfg.Values):
		return errors.New("--values are two or more, ascending: --values 100,1000,10000")
	}
	for _, v := range cfg.Values {
		if v < 1 {
			return errors.New("--values are at least 1")
		}
		step := cfg.at(v)
		step.Scenario, step.Of, step.Values = "steady", "", nil
		if err := step.Complete(); err != nil {
			return fmt.Errorf("--of %s, %g: %w", cfg.Of, v, err)
		}
	}
	return nil
}

// sweep measures the load once for each value.
func sweep(ctx context.Context, cfg *Config, tick *ticker) (*Result, error) {
	return goThrough(cfg.Values, tick, func(v float64) (*Result, error) {
		tick.say("sweep: %s %g", cfg.Of, v)
		step := cfg.at(v)
		return single(ctx, &step, tick, nil)
	})
}

// goThrough runs once for each value, and returns the last run, with what came of all; it
// ends with the first that was not verified, but for one whose subscribers did not come up.
func goThrough(values []float64, tick *ticker, run func(float64) (*Result, error)) (last *Result, err error) {
	var steps []Step
	for _, v := range values {
		res, err := run(v)
		if res != nil {
			s := res.step(v)
			tick.say("  %s", &s)
			steps = append(steps, s)
			res.Steps, last = steps, res
		}
		if err != nil && !errors.Is(err, errRamp) {
			return last, err
		}
		if res.wrong || err == nil && !res.Verified {
			break
		}
	}
	return last, nil
}
