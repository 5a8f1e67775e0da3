package main

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/tickwire/tickwire/cmd/tickwire/web"
	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout"
)

type fanoutCmd struct {
	Redis   string        `default:"redis://127.0.0.1:6379" secret:"" env:"TICKWIRE_REDIS" placeholder:"URL" help:"Redis of the tape. [${default}]"`
	Metrics string        `default:"127.0.0.1:9090" env:"TICKWIRE_METRICS" placeholder:"ADDR" help:"Address of /metrics, /debug/pprof and the probes, kept from the public; \"off\" for none. [${default}]"`
	Fanout  fanout.Config `embed:""`
}

func (c *fanoutCmd) Validate() error { return c.Fanout.Complete() }

// Check reads what the flags name.
func (c *fanoutCmd) Check(log *slog.Logger) error {
	return cmp.Or(checkRedis(c.Redis), checkAddr("--listen", c.Fanout.Listen), checkMetrics(c.Metrics), c.Fanout.Check(log))
}

func (c *fanoutCmd) Run(ctx context.Context, log *slog.Logger) error {
	c.Fanout.Redis, c.Fanout.Page = c.Redis, web.FS
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
	page, stream := urls(node)
	log.Info("serving", "page", page, "stream", stream)
	return node.Run(ctx)
}

// thrift has garbage collected when it is half of what is in use, unless GOGC says
// otherwise. A node makes garbage in handshakes alone, and keeps room for as much: after
// 17,900 of TLS it had 8.0 KB of RSS for each connection, so 6.2, for a tenth more CPU a
// handshake.
func thrift() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

// urls are where a browser finds a node on this machine, and a client its stream.
func urls(node *fanout.Node) (page, stream string) {
	at := "://" + shown(node.Addr())
	if node.Secure() {
		at = "s" + at
	}
	return "http" + at, "ws" + at + codec.StreamPath
}
