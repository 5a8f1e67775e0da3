package bench

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Config is a run's settings; a tag carries the flag's name, default, environment
// variable and help. Zero is what the named load, or the scenario, says.
type Config struct {
	Load      string        `default:"watchlist" env:"TICKWIRE_BENCH_LOAD" placeholder:"NAME" help:"Standard load: sparse, watchlist, wall or ticker; the flags below change parts of it. [${default}]"`
	Conns     int           `env:"TICKWIRE_BENCH_CONNS" placeholder:"N" help:"Subscribers."`
	Subs      int           `env:"TICKWIRE_BENCH_SUBS" placeholder:"N" help:"Symbols each subscribes to."`
	Symbols   int           `env:"TICKWIRE_BENCH_SYMBOLS" placeholder:"N" help:"Symbols of the market."`
	Updates   float64       `env:"TICKWIRE_BENCH_UPDATES" placeholder:"N" help:"Updates a second, of all symbols."`
	Zipf      float64       `env:"TICKWIRE_BENCH_ZIPF" placeholder:"S" help:"Subscribers prefer some symbols, by Zipf's law with this exponent, above 1. [all alike]"`
	Encoding  string        `default:"msgpack" enum:"msgpack,json" env:"TICKWIRE_BENCH_ENCODING" placeholder:"NAME" help:"Of the messages: msgpack or json. [${default}]"`
	Rate      float64       `env:"TICKWIRE_BENCH_RATE" placeholder:"N" help:"Updates a second and symbol that subscribers ask for. [as they come]"`
	Nodes     int           `default:"1" env:"TICKWIRE_BENCH_NODES" placeholder:"N" help:"Node processes. [${default}]"`
	Ramp      float64       `default:"2000" env:"TICKWIRE_BENCH_RAMP" placeholder:"N" help:"Connects a second. [${default}]"`
	Duration  time.Duration `default:"20s" env:"TICKWIRE_BENCH_DURATION" placeholder:"TIME" help:"How long is measured. [${default}]"`
	Redis     string        `env:"TICKWIRE_REDIS" placeholder:"URL" help:"Redis of the tape. [a redis-server of its own, or one in memory]"`
	Seed      uint64        `default:"1" env:"TICKWIRE_BENCH_SEED" placeholder:"N" help:"The same seed, the same market. [${default}]"`
	Slow      float64       `env:"TICKWIRE_BENCH_SLOW" placeholder:"SHARE" help:"Share of the subscribers that read slowly. [slow: 0.1]"`
	SlowBytes int           `env:"TICKWIRE_BENCH_SLOW_BYTES" placeholder:"N" help:"Bytes a second that they read; 0 is nothing until the end. [0]"`
	Churn     float64       `env:"TICKWIRE_BENCH_CHURN" placeholder:"N" help:"Subscribers that leave and come back, a second. [churn: a twentieth]"`
	Bound     time.Duration `default:"20ms" env:"TICKWIRE_BENCH_BOUND" placeholder:"TIME" help:"Of saturate: the p99 latency that is still good. [${default}]"`
	Floor     bool          `default:"true" negatable:"" env:"TICKWIRE_BENCH_FLOOR" help:"Measure the floor beside it: a bare loop of writes. [${default}]"`
	JSON      bool          `env:"TICKWIRE_BENCH_JSON" help:"Print the report as one JSON object."`
	Report    string        `env:"TICKWIRE_BENCH_REPORT" placeholder:"FILE" help:"Write the report as a page, with plots."`

	Scenario string `kong:"-"` // steady, ...
	Exe      string `kong:"-"` // the tickwire binary that is run as feed, node and worker
}

// defaultDuration is what Duration's tag says.
const defaultDuration = 20 * time.Second

// nodeConns is how many connections a node takes unless it is told otherwise.
const nodeConns = 18_000

// load is a standard load, so that figures can be compared over months.
type load struct {
	conns, subs, symbols int
	updates              float64
}

// loads are the standard loads by name.
var loads = map[string]load{
	// One update a message: 40,000 deliveries a second at 4,000 conns.
	"sparse": {conns: 4000, subs: 5, symbols: 500, updates: 1000},
	// 500 updates a second and conn, some twenty a message when a node is busy.
	"watchlist": {conns: 500, subs: 50, symbols: 200, updates: 2000},
	"wall":      {conns: 50, subs: 1000, symbols: 1000, updates: 2000},
	// Everyone on one symbol.
	"ticker": {conns: 2000, subs: 1, symbols: 1, updates: 50},
}

// rampMost is how long subscribers may take to come up: twice what was asked for, as
// nodes and workers share a machine.
func (cfg *Config) rampMost() time.Duration {
	return time.Duration(2*float64(cfg.Conns)/cfg.Ramp*float64(time.Second)) + 30*time.Second
}

// Validate completes a Config and refuses what cannot work.
func (cfg *Config) Validate() error {
	l, ok := loads[cfg.Load]
	if !ok {
		return fmt.Errorf("--load %s: there are %s", cfg.Load, strings.Join(slices.Sorted(maps.Keys(loads)), ", "))
	}
	cfg.Conns = cmp.Or(cfg.Conns, l.conns)
	cfg.Subs = cmp.Or(cfg.Subs, l.subs)
	cfg.Symbols = cmp.Or(cfg.Symbols, max(l.symbols, cfg.Subs))
	cfg.Updates = cmp.Or(cfg.Updates, l.updates)
	sc, ok := scenarios[cfg.Scenario]
	if !ok {
		return fmt.Errorf("scenario %q: there are %s", cfg.Scenario, strings.Join(Scenarios(), ", "))
	}
	if sc.set != nil {
		sc.set(cfg)
	}
	switch {
	case cfg.Conns < 1 || cfg.Subs < 0 || cfg.Symbols < 1 || cfg.Nodes < 1:
		return errors.New("--conns, --symbols and --nodes are at least 1, --subs at least 0")
	case cfg.Conns > cfg.Nodes*nodeConns:
		return fmt.Errorf("--conns %d: a node holds %d, for a process has 20,000 descriptors; take --nodes %d", cfg.Conns, nodeConns, (cfg.Conns+nodeConns-1)/nodeConns)
	case cfg.Slow < 0 || cfg.Slow > 1 || cfg.SlowBytes < 0 || cfg.Churn < 0:
		return errors.New("--slow is from 0 to 1, --slow-bytes and --churn at least 0")
	case cfg.Subs > cfg.Symbols:
		return fmt.Errorf("--subs %d of --symbols %d: nobody can subscribe to more than there are", cfg.Subs, cfg.Symbols)
	case !(cfg.Updates > 0):
		return errors.New("--updates is above 0")
	case cfg.Zipf != 0 && !(cfg.Zipf > 1):
		return errors.New("--zipf is above 1")
	case !(cfg.Ramp > 0):
		return errors.New("--ramp is above 0")
	case cfg.Duration < time.Second:
		return errors.New("--duration is at least 1s")
	}
	return nil
}
