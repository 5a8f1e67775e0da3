package bench

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// scenario is what happens while it is measured.
type scenario struct {
	run  func(context.Context, *Config, *ticker) (*Result, error)
	set  func(*Config) // its own defaults
	load string        // unless another is named
	own  bool          // it needs nodes, or a feed, of its own
}

// scenarios is what can be measured.
var scenarios map[string]scenario

func init() {
	scenarios = map[string]scenario{
		"steady":   {run: steady},
		"slow":     {run: steady, set: slowDefaults},
		"burst":    {run: steady, set: burstDefaults, own: true},
		"churn":    {run: steady, set: churnDefaults},
		"storm":    {run: storm, own: true},
		"idle":     {run: steady, set: idleDefaults, load: "idle"},
		"soak":     {run: steady, set: soakDefaults},
		"saturate": {run: saturate, own: true},
		"sweep":    {run: sweep, own: true},
		"peers":    {run: steady, own: true}, // of one system; RunPeers has it of all
		"limit":    {run: limit, own: true},
		"tape":     {own: true}, // RunTape has it
		"roll":     {run: roll, set: rollDefaults, load: "sparse", own: true},
		"door":     {run: door, set: func(cfg *Config) { cfg.Floor = false }, load: "sparse", own: true},
	}
}

// Scenarios names what can be measured.
func Scenarios() []string { return slices.Sorted(maps.Keys(scenarios)) }

func burstDefaults(cfg *Config) { cfg.Burst = cmp.Or(cfg.Burst, 20) }
func slowDefaults(cfg *Config)  { cfg.Slow = cmp.Or(cfg.Slow, 0.1) }
func churnDefaults(cfg *Config) { cfg.Churn = cmp.Or(cfg.Churn, float64(cfg.Conns)/20) }
func idleDefaults(cfg *Config)  { cfg.Subs, cfg.Floor = 0, false }
func soakDefaults(cfg *Config)  { cfg.Duration = cmp.Or(cfg.Duration, time.Hour) }

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
		again := r.stand.nodes[:1]
		if err := wait(ctx, "subscribers to notice that node 1 was killed", again, func() bool { return r.crew.sum().Ready < cfg.Conns }); err != nil {
			return err
		}
		if err := wait(ctx, "subscribers to come back", again, func() bool { return r.crew.sum().Ready == cfg.Conns }); err != nil {
			return fmt.Errorf("%w: %d of %d are", err, r.crew.sum().Ready, cfg.Conns)
		}
		r.res.RecoverySeconds = time.Since(began).Seconds()
		r.res.RecoveryUS = ratio(inUS(again[0].used().cpu), float64(cfg.Conns)/float64(cfg.Nodes))
		return nil
	})
}

// doors are the ways in, from the cheapest on.
var doors = []struct {
	name                string
	tls, resume, tokens bool
}{
	{"ws", false, false, false}, {"ws, tokens", false, false, true},
	{"wss", true, false, false}, {"wss, resumed", true, true, false}, {"wss, tokens", true, false, true},
}

// door measures the same load through each way in.
func door(ctx context.Context, cfg *Config, tick *ticker) (*Result, error) {
	var ways []float64
	for i := range doors {
		ways = append(ways, float64(i))
	}
	return goThrough(ways, tick, func(v float64) (*Result, error) {
		way, step := doors[int(v)], *cfg
		step.TLS, step.ResumeTLS, step.Tokens = way.tls, way.resume, way.tokens
		tick.say("door: %s", way.name)
		res, err := single(ctx, &step, tick, nil)
		if res != nil {
			res.door = way.name
		}
		return res, err
	})
}

// limit measures the floor for the load's own pace.
func limit(ctx context.Context, cfg *Config, tick *ticker) (*Result, error) {
	s := &stand{cfg: cfg}
	s.splitCPUs()
	defer s.close()
	res := newResult(cfg, s)
	// One update a message, each to as many as subscribe to a symbol.
	res.UpdatesPS = res.Offered * res.perUpdate()
	res.MessagesPS, res.BytesPerUpd = res.UpdatesPS, limitBytes
	tick.say("limit: %.0f writes/s to %d sockets", res.MessagesPS, cfg.Conns)
	err := s.floor(ctx, res)
	res.UpdatesPS, res.MessagesPS, res.Verified = 0, 0, true
	if err != nil {
		res.breakOff(err)
	}
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
