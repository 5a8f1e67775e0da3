package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tickwire/tickwire/codec"
)

// Config is a run's settings; a tag carries the flag's name, default, environment
// variable and help. Zero is what the named load, or the scenario, says.
type Config struct {
	Load      string         `env:"TICKWIRE_BENCH_LOAD" placeholder:"NAME" help:"Standard load: sparse, watchlist, wall, ticker or idle; the flags below change parts of it. [watchlist; idle: idle]"`
	Conns     int            `env:"TICKWIRE_BENCH_CONNS" placeholder:"N" help:"Subscribers."`
	Subs      int            `env:"TICKWIRE_BENCH_SUBS" placeholder:"N" help:"Symbols each subscribes to."`
	Symbols   int            `env:"TICKWIRE_BENCH_SYMBOLS" placeholder:"N" help:"Symbols of the market."`
	Updates   float64        `env:"TICKWIRE_BENCH_UPDATES" placeholder:"N" help:"Updates a second, of all symbols. [the load's; with more subscribers than it has, fewer, so that as many are delivered]"`
	Zipf      float64        `env:"TICKWIRE_BENCH_ZIPF" placeholder:"S" help:"Subscribers prefer some symbols, by Zipf's law with this exponent, above 1. [all alike]"`
	Encoding  string         `default:"msgpack" enum:"msgpack,json" env:"TICKWIRE_BENCH_ENCODING" placeholder:"NAME" help:"Of the messages: msgpack or json. [${default}]"`
	Rate      float64        `env:"TICKWIRE_BENCH_RATE" placeholder:"N" help:"Updates a second and symbol that subscribers ask for. [as they come]"`
	Nodes     int            `default:"1" env:"TICKWIRE_BENCH_NODES" placeholder:"N" help:"Node processes. [${default}]"`
	Ramp      float64        `default:"2000" env:"TICKWIRE_BENCH_RAMP" placeholder:"N" help:"Connects a second. [${default}]"`
	Duration  time.Duration  `env:"TICKWIRE_BENCH_DURATION" placeholder:"TIME" help:"How long is measured. [20s; soak: 1h; chaos: 5m]"`
	Redis     string         `secret:"" env:"TICKWIRE_REDIS" placeholder:"URL" help:"Redis of the tape. [a redis-server of its own, or one in memory]"`
	Stormy    bool           `env:"TICKWIRE_BENCH_STORMY" help:"Now and then one symbol has two updates in three for a while. [a calm market: all alike]"`
	TLS       bool           `env:"TICKWIRE_BENCH_TLS" help:"Its own nodes speak TLS: wss, with a certificate of this run."`
	Tokens    bool           `env:"TICKWIRE_BENCH_TOKENS" help:"Its own nodes ask for tokens, and each subscriber has one of its own (EdDSA)."`
	ResumeTLS bool           `env:"TICKWIRE_BENCH_RESUME_TLS" help:"Of wss: TLS sessions are resumed, as browsers do. [full handshakes]"`
	Pace      *time.Duration `env:"TICKWIRE_PACE" placeholder:"TIME" help:"--pace of the nodes. [a node's own]"`
	Seed      uint64         `default:"1" env:"TICKWIRE_BENCH_SEED" placeholder:"N" help:"The same seed, the same market, and the same faults. [${default}]"`
	Slow      float64        `env:"TICKWIRE_BENCH_SLOW" placeholder:"SHARE" help:"Share of the subscribers that read slowly. [slow: 0.1]"`
	SlowBytes int            `env:"TICKWIRE_BENCH_SLOW_BYTES" placeholder:"N" help:"Bytes a second that they read; 0 is nothing until the end. [0]"`
	Churn     float64        `env:"TICKWIRE_BENCH_CHURN" placeholder:"N" help:"Subscribers that leave and come back, a second. [churn: a twentieth]"`
	Bound     time.Duration  `default:"50ms" env:"TICKWIRE_BENCH_BOUND" placeholder:"TIME" help:"Of saturate and sweep: the p99 latency that is still good. [${default}]"`
	Of        string         `env:"TICKWIRE_BENCH_OF" placeholder:"NAME" help:"Of sweep: the setting that it goes through: updates, conns, subs or symbols."`
	Values    numbers        `env:"TICKWIRE_BENCH_VALUES" placeholder:"N,..." help:"Of sweep: the values, ascending."`
	Burst     float64        `env:"TICKWIRE_BENCH_BURST" placeholder:"N" help:"All updates of a second come in its first 1/N. [1; burst: 20]"`
	Drain     time.Duration  `env:"TICKWIRE_BENCH_DRAIN" placeholder:"TIME" help:"Of roll: --drain of the nodes. [10s]"`
	Floor     bool           `default:"true" negatable:"" env:"TICKWIRE_BENCH_FLOOR" help:"Measure the floor beside it: a bare loop of writes. [${default}]"`
	JSON      bool           `json:"-" env:"TICKWIRE_BENCH_JSON" help:"Print the report as one JSON object."`
	Report    string         `json:"-" env:"TICKWIRE_BENCH_REPORT" placeholder:"FILE" help:"Write the report as a page, with plots."`

	URL         []string `env:"TICKWIRE_BENCH_URL" placeholder:"URL" help:"Measure nodes that run already: ws://HOST:PORT/v1/stream, or wss, comma-separated. [nodes of its own]"`
	NodeMetrics []string `env:"TICKWIRE_BENCH_NODE_METRICS" placeholder:"URL" help:"Of --url: their http://HOST:PORT/metrics, for CPU and memory."`
	CA          string   `env:"TICKWIRE_CA" placeholder:"FILE" help:"Of --url wss: certificate authorities to trust, PEM. [the system's]"`
	Cert        string   `env:"TICKWIRE_CERT" placeholder:"FILE" help:"Of --url wss: certificate to show to nodes that ask for one, PEM. [none]"`
	Key         string   `env:"TICKWIRE_KEY" placeholder:"FILE" help:"Its key, PEM. [none]"`
	Token       string   `json:"-" secret:"" env:"TICKWIRE_BENCH_TOKEN" placeholder:"JWT" help:"Of --url: what subscribers show."`
	Verify      bool     `default:"true" negatable:"" env:"TICKWIRE_BENCH_VERIFY" help:"Of --url: hold every value against the tape of --redis; without, seqs are checked alone. [${default}]"`

	Scenario string `kong:"-"`          // steady, ...
	Version  string `kong:"-" json:"-"` // of tickwire, for the report
	Exe      string `kong:"-" json:"-"` // the tickwire binary that is run as feed, node and worker
	TLSCert  string `kong:"-" json:"-"` // of --tls: the nodes' certificate, and its key
	TLSKey   string `kong:"-" json:"-"`
	Verifies string `kong:"-" json:"-"` // of --tokens: file of the public key that nodes verify with
	Signs    []byte `kong:"-" json:"-"` // PEM of the private one

	fitSymbols, fitSubs bool // they are the load's: fewer will do
	complete            bool
}

// numbers is a flag's list, in which blanks are no mistake.
type numbers []float64

// UnmarshalText reads numbers with commas between.
func (n *numbers) UnmarshalText(text []byte) error {
	for part := range strings.SplitSeq(string(text), ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil {
			return fmt.Errorf("%q is not numbers with commas between, as 100,1000 or \"100, 1000\"", text)
		}
		*n = append(*n, v)
	}
	return nil
}

// processConns is how many connections a process may hold: nine of ten descriptors.
func processConns() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 900
	}
	return int(min(limit.Max, 1<<20) / 10 * 9)
}

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
	// Connections that want nothing.
	"idle": {conns: 10_000, symbols: 24, updates: 200},
	// Everyone on one symbol.
	"ticker": {conns: 2000, subs: 1, symbols: 1, updates: 50},
}

// rampTime is what a ramp takes that nothing holds up.
func (cfg *Config) rampTime() time.Duration {
	return time.Duration(float64(cfg.Conns) / cfg.Ramp * float64(time.Second))
}

// rampStall is how long a ramp may get no further, by a hundredth of the subscribers,
// before it is given up.
func (cfg *Config) rampStall() time.Duration { return 30*time.Second + cfg.rampTime()/50 }

// Complete fills in what the load and the scenario say, once, and refuses what cannot
// work. It is no Validate, which kong would call before the scenario is known.
func (cfg *Config) Complete() error {
	if cfg.complete {
		return nil
	}
	if cfg.Scenario == "chaos" {
		return cfg.completeChaos()
	}
	sc, ok := scenarios[cfg.Scenario]
	if !ok {
		return fmt.Errorf("scenario %q: there are %s", cfg.Scenario, strings.Join(Scenarios(), ", "))
	}
	if cfg.Scenario == "tape" {
		return cfg.completeTape()
	}
	cfg.Load = cmp.Or(cfg.Load, sc.load, "watchlist")
	l, ok := loads[cfg.Load]
	if !ok {
		return fmt.Errorf("--load %s: there are %s", cfg.Load, strings.Join(slices.Sorted(maps.Keys(loads)), ", "))
	}
	if err := cfg.validateURL(&sc); err != nil {
		return err
	}
	if cfg.Scenario == "idle" && cfg.Subs > 0 {
		return errors.New("bench idle is of subscribers that want nothing: --subs does not go with it")
	}
	cfg.fitSymbols, cfg.fitSubs = cfg.Symbols == 0, cfg.Subs == 0
	cfg.Conns = cmp.Or(cfg.Conns, l.conns)
	cfg.Subs = cmp.Or(cfg.Subs, l.subs)
	cfg.Symbols = cmp.Or(cfg.Symbols, max(l.symbols, cfg.Subs))
	if len(cfg.URL) == 0 { // of another feed nobody knows
		cfg.Updates = cmp.Or(cfg.Updates, l.updates*min(1, float64(l.conns)/float64(cfg.Conns)))
	}
	if sc.set != nil {
		sc.set(cfg)
	}
	cfg.Duration, cfg.Burst = cmp.Or(cfg.Duration, 20*time.Second), cmp.Or(cfg.Burst, 1)
	switch {
	case cfg.Conns < 1 || cfg.Subs < 0 || cfg.Symbols < 1 || cfg.Nodes < 1:
		return errors.New("--conns, --symbols and --nodes are at least 1, --subs at least 0")
	case cfg.Conns > cfg.Nodes*processConns() && len(cfg.URL) == 0:
		n := processConns()
		return fmt.Errorf("--conns %d: a node holds %d here, by the limit of descriptors (ulimit -Hn); take --nodes %d", cfg.Conns, n, (cfg.Conns+n-1)/n)
	case cfg.Slow < 0 || cfg.Slow > 1 || cfg.SlowBytes < 0 || cfg.Churn < 0:
		return errors.New("--slow is from 0 to 1, --slow-bytes and --churn at least 0")
	case cfg.Subs > cfg.Symbols:
		return fmt.Errorf("--subs %d of --symbols %d: nobody can subscribe to more than there are", cfg.Subs, cfg.Symbols)
	case len(cfg.URL) == 0 && !(cfg.Updates > 0 && cfg.Updates <= searchMost):
		return errors.New("--updates is above 0, and 10 million at most")
	case cfg.SlowBytes > 0 && cfg.Slow == 0:
		return errors.New("--slow-bytes is of slow subscribers: it goes with --slow")
	case cfg.Bound <= 0 || cfg.Rate < 0 || cfg.Drain < 0:
		return errors.New("--bound is above 0, --rate and --drain at least 0")
	case cfg.Scenario == "limit" && (cfg.Subs == 0 || !cfg.Floor):
		return errors.New("bench limit measures the floor of a load that has subscriptions: --load idle and --no-floor do not go with it")
	case cfg.Zipf != 0 && !(cfg.Zipf > 1):
		return errors.New("--zipf is above 1")
	case !(cfg.Burst >= 1 && cfg.Burst <= 1000):
		return errors.New("--burst is from 1 to 1000")
	case !(cfg.Ramp > 0 && cfg.Ramp <= 1e6):
		return errors.New("--ramp is above 0, and a million at most")
	case cfg.Duration < time.Second:
		return errors.New("--duration is at least 1s")
	}
	if err := cfg.completeSweep(); err != nil {
		return err
	}
	cfg.complete = true
	return nil
}

// Reach tells a --redis that does not answer before a feed does, which has other advice
// for it.
func (cfg *Config) Reach(ctx context.Context) error {
	at, err := url.Parse(cfg.Redis)
	if cfg.Redis == "" || err != nil || at.Host == "" { // none, or not on the network
		return nil
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(at.Hostname(), cmp.Or(at.Port(), "6379")))
	if err == nil {
		return c.Close()
	}
	advice := "leave out --redis, and the bench begins its own"
	if len(cfg.URL) > 0 {
		advice = "name the nodes' tape, or take --no-verify"
	}
	return fmt.Errorf("bench: --redis: %w; %s", err, advice)
}

// validateURL refuses what goes only with nodes of our own, or only with others.
func (cfg *Config) validateURL(sc *scenario) error {
	others := len(cfg.URL) > 0
	switch {
	case !others && (len(cfg.NodeMetrics) > 0 || cfg.Token != "" || !cfg.Verify):
		return errors.New("--node-metrics, --token and --no-verify go with --url: nodes of our own need none of it")
	case slices.ContainsFunc(cfg.URL, func(u string) bool { return !strings.HasPrefix(u, "ws://") && !strings.HasPrefix(u, "wss://") }):
		return fmt.Errorf("--url is ws://HOST:PORT%s, or wss", codec.StreamPath)
	case others && (cfg.TLS || cfg.Tokens):
		return errors.New("--tls and --tokens are of nodes of our own: with --url, take wss:// and --token")
	case (cfg.Cert == "") != (cfg.Key == ""):
		return errors.New("--cert and --key go together")
	case !others && (cfg.CA != "" || cfg.Cert != ""):
		return errors.New("--ca, --cert and --key go with --url: nodes of our own have a certificate of this run")
	case (cfg.CA != "" || cfg.Cert != "") && !slices.ContainsFunc(cfg.URL, func(u string) bool { return strings.HasPrefix(u, "wss://") }):
		return errors.New("--ca, --cert and --key are of TLS: no --url speaks it, take wss://")
	case others && sc.own:
		return fmt.Errorf("bench %s begins nodes of its own: --url does not go with it", cfg.Scenario)
	case others && (cfg.Nodes > 1 || cfg.Updates != 0 || cfg.Burst > 1):
		return errors.New("--nodes, --updates and --burst are of nodes and a feed of our own: they do not go with --url")
	case others && cfg.Scenario == "soak" && len(cfg.NodeMetrics) == 0:
		return errors.New("bench soak is about the nodes' memory: name their --node-metrics")
	case others && cfg.Verify && cfg.Redis == "":
		return errors.New("--url: name the nodes' tape with --redis, so that every value can be held against it, or take --no-verify")
	}
	return nil
}
