package main

import (
	"context"
	"log/slog"

	"github.com/tickwire/tickwire/feed"
)

type feedCmd struct {
	Redis string      `default:"redis://127.0.0.1:6379" env:"TICKWIRE_REDIS" placeholder:"URL" help:"Redis of the tape. [${default}]"`
	Feed  feed.Config `embed:""`
}

func (c *feedCmd) Validate() error { return c.Feed.Validate() }

func (c *feedCmd) Run(ctx context.Context, log *slog.Logger) error {
	c.Feed.Redis = c.Redis
	return feed.Run(ctx, c.Feed, newRegistry(), log)
}
