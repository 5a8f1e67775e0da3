package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

var quiet = slog.New(slog.DiscardHandler)

// simConfig is a lively simulated market.
func simConfig(url string) Config {
	return Config{Venue: []string{"sim"}, SimSymbols: 30, SimRate: 3000, SimBurst: 1, SimSeed: 1, Shards: 1, Speed: "1", Redis: url}
}

// begin runs a feed; the channel has what Run returns.
func begin(cfg Config, reg prometheus.Registerer) (stop context.CancelFunc, done chan error) {
	ctx, stop := context.WithCancel(context.Background())
	done = make(chan error, 1)
	go func() { done <- Run(ctx, cfg, reg, quiet) }()
	return stop, done
}

// The whole of it: the simulated market through a Redis that is killed, a feed that
// is stopped and begun again, and one that stood by and takes over. A reader sees one
// unbroken stream, and a gap where Redis was away and where nobody heard the venue.
func TestRunThroughEverything(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	n := follow(t, s.URL, "sim/0")
	stop, done := begin(simConfig(s.URL), prometheus.NewRegistry())
	time.Sleep(1200 * time.Millisecond)
	s.Kill()
	time.Sleep(100 * time.Millisecond)
	s.Start()
	time.Sleep(1200 * time.Millisecond)
	began := time.Now()
	stop()
	if err := ended(t, done); err != nil || time.Since(began) > 1500*time.Millisecond {
		t.Errorf("stopped: %v after %v", err, time.Since(began))
	}
	// The next feed takes over.
	reg := prometheus.NewRegistry()
	stop, done = begin(simConfig(s.URL), reg)
	eventually(t, "the next feed writes", func() bool {
		return gathered(t, reg, "tickwire_feed_entries_total") > 0
	})
	other := prometheus.NewRegistry()
	stopLast, last := begin(simConfig(s.URL), other)
	rdb := s.Client()
	eventually(t, "the last one stands by", func() bool {
		writer, standby := rdb.Get(t.Context(), codec.WriterKey("sim/0")).Val(), rdb.Get(t.Context(), codec.StandbyKey("sim/0")).Val()
		name, _, _ := strings.Cut(writer, " ")
		return name != "" && standby != "" && !strings.HasPrefix(standby, name+" ")
	})
	if n := gathered(t, other, "tickwire_feed_entries_total"); n != 0 {
		t.Errorf("standing by, it wrote %v entries", n)
	}
	time.Sleep(clocksApart + 100*time.Millisecond) // it has heard the venue for long enough
	stop()
	if err := ended(t, done); err != nil {
		t.Errorf("the older: %v", err)
	}
	for _, name := range []string{"updates_total", "entries_total", "checkpoints_total", "symbols"} {
		eventually(t, name+" is counted", func() bool { return gathered(t, other, "tickwire_feed_"+name) > 0 })
	}
	if v := gathered(t, other, "tickwire_feed_redis_away"); v != 0 {
		t.Error("redis is away")
	}
	stopLast()
	if err := ended(t, last); err != nil {
		t.Error(err)
	}
	top, err := s.Client().XInfoStream(context.Background(), codec.TapeKey("sim/0")).Result()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := codec.ParseID(top.LastGeneratedID)
	n.halt(t, id)
	if len(n.errs) > 0 || n.holes > 0 || !unbroken(n.ids) || len(n.quotes) != 30 {
		t.Errorf("%v, %d holes, %d symbols", n.errs, n.holes, len(n.quotes))
	}
	for symbol, q := range n.quotes {
		if q[codec.Status] != codec.Closed || n.gaps[symbol] != 2 {
			t.Errorf("%s: status %d, %d gaps", symbol, q[codec.Status], n.gaps[symbol])
		}
	}
}

func gathered(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range all {
		if family.GetName() == name {
			m := family.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return -1 // not there, or not yet
}

// A Redis that is not there ends a feed at its start, at once, with what to do about
// it, and without the password.
func TestRunWithoutRedis(t *testing.T) {
	t.Parallel()
	hung, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	auth := tapetest.Start(t, "--requirepass", "open")
	cluster, sentinel := tapetest.Start(t, "--cluster-enabled", "yes"), tapetest.Start(t, "--sentinel")
	replica := tapetest.Start(t, "--replicaof", "127.0.0.1", auth.Port)
	for _, c := range []struct{ url, say string }{
		{"redis://127.0.0.1:1", "connection refused; start redis-server, or use \"tickwire up\", which needs none"},
		{"redis://:secret@127.0.0.1:1/2", "connection refused; start redis-server"},
		{"redis://" + hung.Addr().String(), "timeout; start redis-server"},
		{"redis://u:secret@127.0.0.1:" + auth.Port, "WRONGPASS"},
		{"redis://127.0.0.1:" + auth.Port, "NOAUTH"},
		{cluster.URL, "it is a Cluster: add cluster=true"},
		{sentinel.URL, "it is a Sentinel: add master_name=NAME"},
		{sentinel.URL + "?master_name=nobody", `the Sentinels know no master "nobody"`},
		{replica.URL, "it is a replica: name its master"},
		{"http://u:secret@127.0.0.1:1", "a URL is redis://HOST:PORT"},
		{"redis://u:secret@127.0.0.1:port", "a URL is redis://HOST:PORT"},
		{"redis://127.0.0.1:1/db/2", "a URL is redis://HOST:PORT"},
		{"127.0.0.1:6379", "a URL is redis://HOST:PORT"},
		{"", "a URL is redis://HOST:PORT"},
	} {
		began := time.Now()
		err := Run(t.Context(), simConfig(c.url), nil, quiet)
		if err == nil || !strings.Contains(err.Error(), c.say) || !strings.HasPrefix(err.Error(), "feed: ") {
			t.Errorf("%s: %v", c.url, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: it took %v", c.url, took)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the password is shown: %v", c.url, err)
		}
	}
	// Who is stopped meanwhile is stopped.
	stop, done := begin(simConfig("redis://"+hung.Addr().String()), nil)
	time.Sleep(100 * time.Millisecond)
	began := time.Now()
	stop()
	if err := ended(t, done); err != nil || time.Since(began) > time.Second {
		t.Errorf("stopped: %v after %v", err, time.Since(began))
	}
}

// What a Config cannot mean is refused before anything is begun, by the flag's name.
func TestConfigRefuses(t *testing.T) {
	for _, c := range []struct {
		say  string
		edit func(*Config)
	}{
		{"--venue nyse: there are binance, ", func(c *Config) { c.Venue = []string{"nyse"} }},
		{"--venue sim: named twice", func(c *Config) { c.Venue = []string{"sim", "sim"} }},
		{"--venue-url kraken: add", func(c *Config) { c.VenueURL = map[string]string{"kraken": "ws://x"} }},
		{"--speed and --loop", func(c *Config) { c.Loop = true }},
		{"--speed and --loop", func(c *Config) { c.Speed = "2" }},
		{"--symbols are asked", func(c *Config) { c.Symbols = []string{"BTC-USD"} }},
		{"--symbols are asked", func(c *Config) { c.Venue, c.Replay, c.Symbols = nil, "x", []string{"BTC-USD"} }},
		{"--venue-url nyse", func(c *Config) { c.VenueURL = map[string]string{"nyse": "ws://x"} }},
		{"--replay takes one --venue", func(c *Config) { c.Replay, c.Venue = "x", []string{"kraken", "coinbase"} }},
		{"--replay takes one --venue", func(c *Config) { c.Replay, c.Venue = "x", []string{"sim"} }},
		{"--speed fast", func(c *Config) { c.Venue, c.Replay, c.Speed = nil, "x", "fast" }},
		{"--speed 0", func(c *Config) { c.Venue, c.Replay, c.Speed = nil, "x", "0" }},
		{"--shards is from 1 to 64", func(c *Config) { c.Shards = -1 }},
		{"--shards is from 1 to 64", func(c *Config) { c.Shards = 65 }},
		{"and of venues, not of a --replay", func(c *Config) { c.Venue, c.Replay, c.Shards = nil, "x", 2 }},
		{"--gather is from 0s to 100ms", func(c *Config) { c.Gather = -1 }},
		{"--gather is from 0s to 100ms", func(c *Config) { c.Gather = time.Second }},
		{"--retention is from 2s", func(c *Config) { c.Retention = time.Second }},
		{"--retention is from 2s", func(c *Config) { c.Retention = 25 * time.Hour }},
		{"--sim-symbols", func(c *Config) { c.SimSymbols = 0 }},
		{"--sim-symbols", func(c *Config) { c.SimSymbols = 1 << 30 }},
		{"--sim-rate", func(c *Config) { c.SimRate = -1 }},
		{"--sim-rate", func(c *Config) { c.SimRate = 1e300 }},
		{"--sim-burst", func(c *Config) { c.SimBurst = 0.5 }},
		{"--symbols kraken:BTC-USD: add --venue kraken", func(c *Config) { c.Venue = []string{"coinbase"}; c.Symbols = []string{"kraken:BTC-USD"} }},
	} {
		cfg := simConfig("redis://127.0.0.1:1")
		c.edit(&cfg)
		if err := Run(t.Context(), cfg, nil, quiet); err == nil || !strings.HasPrefix(err.Error(), "feed: --") || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v", c.say, err)
		}
	}
}

// Every setting has a help line and a variable, which is its flag's name.
func TestConfigTags(t *testing.T) {
	typ := reflect.TypeFor[Config]()
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Tag.Get("kong") == "-" {
			continue // cmd's to set
		}
		if f.Tag.Get("help") == "" || !strings.HasPrefix(f.Tag.Get("env"), "TICKWIRE_") {
			t.Errorf("%s: %s", f.Name, f.Tag)
		}
		if want := strings.ToUpper(f.Name); strings.ReplaceAll(strings.TrimPrefix(f.Tag.Get("env"), "TICKWIRE_"), "_", "") != want {
			t.Errorf("%s: %s", f.Name, f.Tag.Get("env"))
		}
	}
}

// Symbols named with their venue are that venue's, others everybody's; a venue for
// which none are named has its own list.
func TestSymbolsOf(t *testing.T) {
	cfg := Config{Venue: []string{"coinbase", "kraken"}}
	if got := cfg.symbolsOf("kraken"); !slices.Equal(got, kraken.symbols) {
		t.Error(got)
	}
	cfg.Symbols = []string{"BTC-USD", "coinbase:ETH-USD"}
	if got := cfg.symbolsOf("coinbase"); !slices.Equal(got, []string{"BTC-USD", "ETH-USD"}) {
		t.Error(got)
	}
	if got := cfg.symbolsOf("kraken"); !slices.Equal(got, []string{"BTC-USD"}) {
		t.Error(got)
	}
	cfg.Symbols = []string{"coinbase:ETH-USD"}
	if got := cfg.symbolsOf("kraken"); !slices.Equal(got, kraken.symbols) {
		t.Error(got)
	}
}

// One stream that cannot be begun ends the feed, and nothing of the others is left.
func TestRunEndsWhenAStreamCannotBegin(t *testing.T) {
	before := goleak.IgnoreCurrent()
	m := miniredis.RunT(t)
	m.Set(codec.TapeKey("kraken/0"), "not a stream")
	cfg := simConfig("redis://" + m.Addr())
	cfg.Venue = []string{"sim", "kraken"}
	done := make(chan error, 1)
	go func() { done <- Run(context.Background(), cfg, prometheus.NewRegistry(), quiet) }()
	select {
	case err := <-done:
		if err == nil || !strings.HasPrefix(err.Error(), "feed: kraken/0: fence: ") {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it goes on")
	}
	m.Close()
	goleak.VerifyNone(t, before)
}

// Many symbols: the first images are more than an entry may have.
func TestManySymbols(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	cfg := simConfig(s.URL)
	cfg.SimSymbols, cfg.SimRate = 20_000, 20_000
	n := follow(t, s.URL, "sim/0")
	stop, done := begin(cfg, nil)
	eventually(t, "all symbols are there", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return len(n.quotes) == cfg.SimSymbols
	})
	stop()
	if err := ended(t, done); err != nil {
		t.Error(err)
	}
	rdb := s.Client()
	top := rdb.XRevRangeN(t.Context(), codec.TapeKey("sim/0"), "+", "-", 1).Val()
	id, _ := codec.ParseID(top[0].ID)
	n.halt(t, id)
	if len(n.errs) > 0 || n.holes > 0 {
		t.Errorf("%v, %d holes", n.errs, n.holes)
	}
	for _, m := range rdb.XRange(t.Context(), codec.TapeKey("sim/0"), "-", "+").Val() {
		if size := len(m.Values[codec.EntryField].(string)); size > bodyMax+2048 {
			t.Errorf("entry %s: %d bytes", m.ID, size)
		}
	}
	blob, err := rdb.Get(t.Context(), codec.CheckpointKey("sim/0")).Bytes()
	e, body, perr := codec.ParseEntry(blob)
	r := newReader()
	if err := errors.Join(err, perr, r.read(body, e.Count, false)); err != nil || e.ID != id || fmt.Sprint(r.quotes) != fmt.Sprint(n.quotes) {
		t.Errorf("the checkpoint, of %d symbols as of %s, is not what was read, %d as of %s: %v", len(r.quotes), e.ID, len(n.quotes), id, err)
	}
}
