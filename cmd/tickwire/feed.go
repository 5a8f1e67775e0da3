package main

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/tickwire/tickwire/feed"
)

// feedCmd's --metrics is beside a node's, so that one host can have both.
type feedCmd struct {
	Redis   string      `default:"redis://127.0.0.1:6379" secret:"" env:"TICKWIRE_REDIS" placeholder:"URL" help:"Redis of the tape. [${default}]"`
	Metrics string      `default:"127.0.0.1:9091" env:"TICKWIRE_METRICS" placeholder:"ADDR" help:"Address of /metrics, /debug/pprof and the probes, kept from the public; \"off\" for none. [${default}]"`
	Feed    feed.Config `embed:""`
}

func (c *feedCmd) Validate() error { return c.Feed.Validate() }

// Check reads what the flags name.
func (c *feedCmd) Check(*slog.Logger) error {
	return cmp.Or(checkRedis(c.Redis), checkMetrics(c.Metrics))
}

func (c *feedCmd) Run(ctx context.Context, log *slog.Logger) error {
	c.Feed.Redis = c.Redis
	reg := newRegistry()
	stop, err := serveOps(c.Metrics, reg, whileRunning(ctx), log)
	if err != nil {
		return err
	}
	defer stop()
	return feed.Run(ctx, c.Feed, reg, log)
}
