package main

import (
	"context"
	"log/slog"

	"github.com/tickwire/tickwire/cmd/tickwire/web"
	"github.com/tickwire/tickwire/fanout"
)

type fanoutCmd struct {
	Redis   string        `default:"redis://127.0.0.1:6379" env:"TICKWIRE_REDIS" placeholder:"URL" help:"Redis of the tape. [${default}]"`
	Metrics string        `default:"127.0.0.1:9090" env:"TICKWIRE_METRICS" placeholder:"ADDR" help:"Address of /metrics, /debug/pprof and the probes, kept from the public; \"off\" for none. [${default}]"`
	Fanout  fanout.Config `embed:""`
}

func (c *fanoutCmd) Validate() error { return c.Fanout.Validate() }

func (c *fanoutCmd) Run(ctx context.Context, log *slog.Logger) error {
	c.Fanout.Redis, c.Fanout.Page = c.Redis, web.FS
	reg := newRegistry()
	node, err := fanout.New(c.Fanout, reg, log)
	if err != nil {
		return err
	}
	defer node.Close()
	stop, err := serveOps(c.Metrics, reg, node.Unready)
	if err != nil {
		return err
	}
	defer stop()
	log.Info("serving", "page", "http://"+shown(node.Addr()), "stream", "ws://"+shown(node.Addr())+"/v1/stream")
	return node.Run(ctx)
}
