package main

import (
	"context"
	"log/slog"
	"net/netip"

	"github.com/tickwire/tickwire/cmd/tickwire/web"
	"github.com/tickwire/tickwire/fanout"
)

type fanoutCmd struct {
	Redis  string        `default:"redis://127.0.0.1:6379" env:"TICKWIRE_REDIS" placeholder:"URL" help:"Redis of the tape. [${default}]"`
	Fanout fanout.Config `embed:""`
}

func (c *fanoutCmd) Validate() error { return c.Fanout.Validate() }

func (c *fanoutCmd) Run(ctx context.Context, log *slog.Logger) error {
	c.Fanout.Redis, c.Fanout.Page = c.Redis, web.FS
	return fanout.Run(ctx, c.Fanout, newRegistry(), log, func(addr netip.AddrPort) {
		log.Info("serving", "page", "http://"+shown(addr), "stream", "ws://"+shown(addr)+"/v1/stream")
	})
}
