package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/alicebob/miniredis/v2"
	"golang.org/x/sync/errgroup"

	"github.com/tickwire/tickwire/cmd/tickwire/web"
	"github.com/tickwire/tickwire/fanout"
	"github.com/tickwire/tickwire/feed"
)

// upCmd runs feed and node in one process, with a Redis in memory unless a real
// one is named: the same code path over the same protocol.
type upCmd struct {
	Redis   string        `secret:"" env:"TICKWIRE_REDIS" placeholder:"URL" help:"Redis of the tape, as redis://host:port. [one in memory]"`
	TLS     bool          `env:"TICKWIRE_TLS" help:"Serve wss and https; without --tls-cert with a certificate made for this run."`
	Metrics string        `default:"127.0.0.1:9090" env:"TICKWIRE_METRICS" placeholder:"ADDR" help:"Address of /metrics, /debug/pprof and the probes, kept from the public; \"off\" for none. [${default}]"`
	Feed    feed.Config   `embed:""`
	Fanout  fanout.Config `embed:""`
}

// memoryRetention is short because the Redis in memory looks through a whole stream
// at every read: half a minute of 400 updates a second cost a core.
const memoryRetention = 2 * time.Second

// readyEvery is how often up looks whether there is something to see.
const readyEvery = 20 * time.Millisecond

// Validate refuses wrong flags before anything starts.
func (c *upCmd) Validate() error {
	node := c.Fanout
	if c.TLS && node.TLSCert == "" {
		node.TLSCert, node.TLSKey = "made for this run", "and its key"
	}
	return cmp.Or(c.Feed.Validate(), node.Complete())
}

// Check reads what the flags name.
func (c *upCmd) Check(log *slog.Logger) error {
	return cmp.Or(checkRedis(c.Redis), checkAddr("--listen", c.Fanout.Listen), checkMetrics(c.Metrics), c.Fanout.Check(log))
}

func (c *upCmd) Run(ctx context.Context, log *slog.Logger) error {
	if c.Redis == "" {
		memory := miniredis.NewMiniRedis()
		if err := memory.Start(); err != nil {
			return fmt.Errorf("redis in memory: %w", err)
		}
		defer memory.Close()
		c.Redis = "redis://" + memory.Addr()
		c.Feed.Retention = cmp.Or(c.Feed.Retention, memoryRetention)
	}
	trust := ""
	if c.TLS && c.Fanout.TLSCert == "" {
		made, err := makeCertificate(c.Fanout.Listen)
		if err != nil {
			return err
		}
		defer made.remove()
		c.Fanout.TLSCert, c.Fanout.TLSKey = made.cert, made.key
		trust = fmt.Sprintf("its certificate, made for this run: %s  (watch --ca, curl --cacert)\n", made.cert)
	}
	c.Feed.Redis, c.Fanout.Redis, c.Fanout.Page = c.Redis, c.Redis, web.FS
	thrift()
	reg := newRegistry()
	node, err := fanout.New(ctx, c.Fanout, reg, log)
	if err != nil {
		return err
	}
	defer node.Close()
	stop, err := serveOps(c.Metrics, reg, node.Unready, log)
	if err != nil {
		return err
	}
	defer stop()
	// The node outlives the feed by its drain: who is sent away has the last price.
	g, both := errgroup.WithContext(ctx)
	g.Go(func() error { return feed.Run(both, c.Feed, reg, log) })
	g.Go(func() error { return node.Run(both) })
	g.Go(func() error {
		for node.Unready() != "" && both.Err() == nil {
			time.Sleep(readyEvery)
		}
		if both.Err() == nil {
			page, _ := urls(node)
			fmt.Printf("tickwire is up: %s  (ctrl-C ends it)\n%s", page, trust)
		}
		return nil
	})
	return g.Wait()
}
