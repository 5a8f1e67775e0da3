package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// scenario is what happens while it is measured.
type scenario struct {
	help string
	run  func(context.Context, *Config, *ticker) (*Result, error)
	set  func(*Config) // its own defaults
}

// scenarios is what can be measured.
var scenarios map[string]scenario

func init() {
	scenarios = map[string]scenario{
		"steady":   {"the load as it is", steady, nil},
		"slow":     {"a share of the subscribers reads slowly, or not at all", steady, slowDefaults},
		"churn":    {"subscribers leave and come, so many a second", steady, churnDefaults},
		"storm":    {"a node is killed, and all its subscribers come back at once", storm, nil},
		"idle":     {"connections that want nothing: their memory", steady, idleDefaults},
		"soak":     {"for hours: memory must stay flat", steady, soakDefaults},
		"saturate": {"the load grows until the p99 latency is above --bound", saturate, nil},
		"peers":    {"the same load on what could be taken instead: RunPeers", steady, nil},
		"limit":    {"the floor alone: a bare loop of writes at the load's pace", limit, nil},
	}
}

// Scenarios names what can be measured.
func Scenarios() []string { return slices.Sorted(maps.Keys(scenarios)) }

// Help says what a scenario is.
func Help(name string) string { return scenarios[name].help }

func slowDefaults(cfg *Config) {
	if cfg.Slow == 0 {
		cfg.Slow = 0.1
	}
}

func churnDefaults(cfg *Config) {
	if cfg.Churn == 0 {
		cfg.Churn = float64(cfg.Conns) / 20
	}
}

func idleDefaults(cfg *Config) {
	cfg.Subs, cfg.Floor = 0, false
}

func soakDefaults(cfg *Config) {
	if cfg.Duration == defaultDuration {
		cfg.Duration = time.Hour
	}
}

func steady(ctx context.Context, cfg *Config, tick *ticker) (*Result, error) {
	return single(ctx, cfg, tick, nil)
}

// storm kills the first node in the middle, begins it anew at its address, and times
// how long it takes until every subscriber has everything again.
func storm(ctx context.Context, cfg *Config, tick *ticker) (*Result, error) {
	return single(ctx, cfg, tick, func(ctx context.Context, r *run) error {
		if !sleep(ctx, cfg.Duration/4) {
			return nil
		}
		began := time.Now()
		if err := r.stand.replace(0); err != nil {
			return err
		}
		for r.crew.sum().Ready == cfg.Conns { // until they have noticed
			if !sleep(ctx, 20*time.Millisecond) {
				return fmt.Errorf("bench: nobody noticed that node 1 was killed")
			}
		}
		for r.crew.sum().Ready < cfg.Conns {
			if !sleep(ctx, 20*time.Millisecond) {
				return fmt.Errorf("bench: %d of %d subscribers were back when the time was over", r.crew.sum().Ready, cfg.Conns)
			}
		}
		r.res.RecoverySeconds = time.Since(began).Seconds()
		return nil
	})
}

// saturate doubles the feed's rate until the p99 latency is above the bound, and
// returns the last run that was below.
func saturate(ctx context.Context, cfg *Config, tick *ticker) (*Result, error) {
	var best *Result
	step := *cfg
	step.Floor = false
	for {
		tick.say("saturate: %.0f updates/s offered", step.Updates)
		res, err := single(ctx, &step, tick, nil)
		if err != nil || !res.Verified {
			return res, err
		}
		within := time.Duration(res.LatencyUS.P99)*time.Microsecond <= cfg.Bound
		res.Steps = append(res.Steps, Step{step.Updates, res.UpdatesPS, res.Conflation.Ratio, res.LatencyUS.P50, res.LatencyUS.P99, res.ServerCPU, within})
		if best != nil {
			res.Steps = append(best.Steps, res.Steps...)
		}
		if !within {
			if best == nil {
				return res, nil
			}
			best.Steps = res.Steps
			return best, nil
		}
		best = res
		step.Updates *= saturateStep
	}
}

// saturateStep is the ratio of a rate to the one before.
const saturateStep = 1.5

// limit measures the floor for the load's own pace.
func limit(ctx context.Context, cfg *Config, tick *ticker) (*Result, error) {
	s := &stand{cfg: cfg}
	s.splitCPUs()
	defer s.close()
	res := newResult(cfg, s)
	// One update a message, each to as many as subscribe to a symbol.
	res.UpdatesPS = cfg.Updates * float64(cfg.Conns) * float64(cfg.Subs) / float64(cfg.Symbols)
	res.MessagesPS, res.BytesPerUpd = res.UpdatesPS, limitBytes
	tick.say("limit: %.0f writes/s to %d sockets", res.MessagesPS, cfg.Conns)
	err := s.floor(ctx, res)
	res.UpdatesPS, res.MessagesPS, res.Verified, res.Partial = 0, 0, err == nil, err != nil
	return res, err
}

// limitBytes is a usual update's frame.
const limitBytes = 60

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
