package fanout

import (
	"fmt"
	"io/fs"
	"runtime"
	"time"
)

// Config is a node's settings; a tag carries the flag's name, default,
// environment variable and help.
type Config struct {
	Listen    string        `default:"127.0.0.1:8080" env:"TICKWIRE_LISTEN" placeholder:"ADDR" help:"Address of the stream, the page and the snapshot. [${default}]"`
	Metrics   string        `default:"127.0.0.1:9090" env:"TICKWIRE_METRICS" placeholder:"ADDR" help:"Address of /metrics and /debug/pprof, kept from the public; \"off\" for none. [${default}]"`
	Node      string        `env:"TICKWIRE_NODE" placeholder:"NAME" help:"Name of this node, told to clients. [host name and process id]"`
	Streams   []string      `env:"TICKWIRE_STREAMS" placeholder:"VENUE/SHARD" help:"Streams to serve. [all that Redis lists]"`
	Loops     int           `env:"TICKWIRE_LOOPS" placeholder:"N" help:"Event loops. [one per core]"`
	MaxConns  int           `default:"18000" env:"TICKWIRE_MAX_CONNS" placeholder:"N" help:"Connections this node takes; more are refused with 503. [${default}]"`
	MaxSubs   int           `default:"10000" env:"TICKWIRE_MAX_SUBS" placeholder:"N" help:"Subscriptions one connection may hold. [${default}]"`
	Heartbeat time.Duration `default:"5s" env:"TICKWIRE_HEARTBEAT" placeholder:"TIME" help:"Silence after which a heartbeat is sent. [${default}]"`
	Stall     time.Duration `default:"30s" env:"TICKWIRE_STALL" placeholder:"TIME" help:"A connection whose socket takes nothing for so long is closed. [${default}]"`
	Drain     time.Duration `default:"5s" env:"TICKWIRE_DRAIN" placeholder:"TIME" help:"On SIGTERM clients are sent away over so long. [${default}]"`

	Redis string `kong:"-"` // URL of the tape's Redis
	Page  fs.FS  `kong:"-"` // what / serves; nil: nothing
}

// check completes a Config and refuses what cannot work.
func (cfg *Config) check() error {
	if cfg.Loops == 0 {
		cfg.Loops = runtime.GOMAXPROCS(0)
	}
	for _, limit := range []struct {
		flag       string
		value, min int64
	}{
		{"loops", int64(cfg.Loops), 1},
		{"max-conns", int64(cfg.MaxConns), 1},
		{"max-subs", int64(cfg.MaxSubs), 1},
		{"heartbeat", int64(cfg.Heartbeat), int64(time.Second)},
		{"stall", int64(cfg.Stall), int64(time.Second)},
		{"drain", int64(cfg.Drain), 0},
	} {
		if limit.value < limit.min {
			return fmt.Errorf("fanout: --%s is too small: at least %v", limit.flag, limit.min)
		}
	}
	return nil
}
