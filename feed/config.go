package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// Config is a feed's settings; a tag carries the flag's name, default, environment
// variable and help.
type Config struct {
	Venue      []string          `env:"TICKWIRE_VENUE" placeholder:"NAME" help:"Exchanges to read: binance, binance-usdm, binance-coinm, coinbase, kraken, or sim, a simulated market. [sim]"`
	Symbols    []string          `env:"TICKWIRE_SYMBOLS" placeholder:"SYMBOL" help:"Symbols to read, as BTC-USD or, for one venue of several, coinbase:BTC-USD. [the venue's largest]"`
	VenueURL   map[string]string `name:"venue-url" env:"TICKWIRE_VENUE_URL" placeholder:"NAME=URL" help:"Another address of a venue, such as its sandbox."`
	Gather     time.Duration     `default:"0s" env:"TICKWIRE_GATHER" placeholder:"TIME" help:"What is published within so long goes into one entry: fuller ones cost Redis and nodes less, for latency. 0s: what comes while the last one is written. [${default}]"`
	Replay     string            `type:"existingfile" env:"TICKWIRE_REPLAY" placeholder:"FILE" help:"Play recorded frames instead; plain, gzip or zstd. Lines tagged I need --venue."`
	Speed      string            `default:"1" env:"TICKWIRE_SPEED" placeholder:"N" help:"Of a replay: 1 as recorded, 10 ten times as fast, max as fast as it goes. [${default}]"`
	Loop       bool              `env:"TICKWIRE_LOOP" help:"Begin a replay again when it ends."`
	SimSymbols int               `default:"24" env:"TICKWIRE_SIM_SYMBOLS" placeholder:"N" help:"Of the simulated market: symbols. [${default}]"`
	SimRate    float64           `default:"200" env:"TICKWIRE_SIM_RATE" placeholder:"N" help:"Of the simulated market: updates a second, of all symbols; event_time is when one was due. [${default}]"`
	SimBurst   float64           `default:"1" env:"TICKWIRE_SIM_BURST" placeholder:"N" help:"Of the simulated market: all updates of a second come in its first 1/N. [${default}]"`
	SimCalm    bool              `env:"TICKWIRE_SIM_CALM" help:"Of the simulated market: no storms, in which one symbol has two updates in three for a while."`
	SimStart   time.Time         `env:"TICKWIRE_SIM_START" placeholder:"TIME" help:"Of the simulated market: when it began, as 2026-01-02T15:04:05Z. Feeds with the same have the same market. [now]"`
	SimSeed    uint64            `default:"1" env:"TICKWIRE_SIM_SEED" placeholder:"N" help:"Of the simulated market: the same seed, the same market. [${default}]"`
	Shards     int               `default:"1" env:"TICKWIRE_SHARDS" placeholder:"N" help:"Streams that a venue's symbols are spread over: the same for all feeds of it. [${default}]"`

	Retention time.Duration `env:"TICKWIRE_RETENTION" placeholder:"TIME" help:"How long entries stay on the tape, and so for how long a node may be away and miss nothing. [30s; in the memory of up 2s]"`

	Redis string `kong:"-"` // URL of the tape's Redis
}

// publisher is a feed under way: a stream for every venue and shard, of which it writes
// those that no other feed does.
type publisher struct {
	cfg     *Config
	rdb     *tapes.Redis
	crew    *crew
	reg     prometheus.Registerer
	log     *slog.Logger
	writers *errgroup.Group
	ctx     context.Context // ends with the first writer that fails
	streams []*stream
}

// Run reads the sources and writes the tape until ctx ends, then writes what is
// pending, for at most a second, and returns nil. Streams that another feed writes are
// stood by for; a replay that is taken over ends with ErrFenced. reg, which may be nil,
// serves one Run.
func Run(ctx context.Context, cfg Config, reg prometheus.Registerer, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("feed: %w", err)
	}
	rdb, err := openRedis(ctx, cfg.Redis, max(1, len(cfg.Venue))*cfg.Shards)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer rdb.Close()
	p := newPublisher(ctx, &cfg, rdb, reg, log)
	err = p.sources()
	if werr := p.close(); werr != nil {
		return werr
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func newPublisher(ctx context.Context, cfg *Config, rdb *tapes.Redis, reg prometheus.Registerer, log *slog.Logger) *publisher {
	writers, both := errgroup.WithContext(ctx)
	return &publisher{cfg: cfg, rdb: rdb, crew: newCrew(), reg: reg, log: log, writers: writers, ctx: both}
}

// close ends the streams, whose sources have ended, and waits for their writers.
func (p *publisher) close() error {
	for _, s := range p.streams {
		close(s.in)
	}
	return p.writers.Wait()
}

// sources runs them all, until ctx ends or one cannot go on.
func (p *publisher) sources() error {
	if p.cfg.Replay != "" {
		return newReplay(p).run(p.ctx)
	}
	g, ctx := errgroup.WithContext(p.ctx)
	for _, name := range p.cfg.Venue {
		if err := p.agrees(name); err != nil {
			return err
		}
		for k := range p.cfg.Shards {
			p.source(ctx, g, name, shard{k, p.cfg.Shards})
		}
	}
	return g.Wait()
}

// agrees finds out whether who writes a venue spreads its symbols as this feed does: before
// any of them is on another stream than there.
func (p *publisher) agrees(venue string) error {
	ctx, cancel := context.WithTimeout(p.ctx, leaseAnswer)
	defer cancel()
	l := &lease{stream: shard{}.stream(venue), crew: p.crew, shards: p.cfg.Shards}
	key := codec.WriterKey(l.stream)
	value, err := p.rdb.Now().Get(ctx, key).Result()
	if err != nil {
		return nil // there is none, or its writer finds out what is wrong
	}
	if err := l.agree(l.note(value)); err != nil {
		return fmt.Errorf("feed: %s: %w", key, err)
	}
	return nil
}

// source runs that of a shard, unless it has no symbol.
func (p *publisher) source(ctx context.Context, g *errgroup.Group, name string, part shard) {
	if name == "sim" {
		if s := newSim(p.cfg, part); len(s.part) > 0 {
			s.in = p.open(name, part)
			g.Go(func() error { return s.run(ctx) })
		}
		return
	}
	if symbols := part.of(p.cfg.symbolsOf(name)); len(symbols) > 0 {
		s := &session{venue: venues[name], url: cmp.Or(p.cfg.VenueURL[name], venues[name].url), symbols: symbols, in: p.open(name, part), log: p.log}
		g.Go(func() error { return s.run(ctx) })
	}
}

// open begins a stream, and returns the way into it.
func (p *publisher) open(venue string, part shard) *source {
	s := p.newStream(venue, part)
	p.streams = append(p.streams, s)
	in := newSource(venues[venue], s.in, s.seq.counts)
	p.writers.Go(func() error { return s.run(p.ctx) })
	return in
}

// openAlone begins a stream for what cannot stand by, once it may be written.
func (p *publisher) openAlone(venue string) (*source, error) {
	in := p.open(venue, shard{})
	s := p.streams[len(p.streams)-1]
	select {
	case <-s.began:
		return in, nil
	case <-p.ctx.Done():
		return nil, context.Cause(p.ctx)
	}
}

func (p *publisher) newStream(venue string, part shard) *stream {
	name := part.stream(venue)
	c := newCounts(p.reg, name)
	s := &stream{
		in: make(chan *block, 64), seq: newSequencer(c), gather: p.cfg.Gather, log: p.log, began: make(chan struct{}),
		writer: &writer{
			tape:  newTape(p.rdb, name, p.cfg.Retention, c, p.log),
			lease: &lease{stream: name, crew: p.crew, shards: max(1, part.n)},
			crew:  p.crew, log: p.log, jobs: make(chan job, 1), said: make(chan report), shard: part,
			alone: venue == "sim" && p.cfg.SimStart.IsZero(),
		},
	}
	s.seq.patient = p.cfg.Replay != ""
	s.watched = !s.seq.patient && venue != "sim"
	return s
}

// gatherMost bounds --gather: what is published is not much older than that.
const gatherMost = 100 * time.Millisecond

// rateMax bounds --sim-rate, in updates a second: a source makes some 2 million.
const rateMax = 10_000_000

// Validate completes a Config and refuses what cannot work.
func (cfg *Config) Validate() error {
	if len(cfg.Venue) == 0 && cfg.Replay == "" {
		cfg.Venue = []string{"sim"}
	}
	for i, name := range cfg.Venue {
		if venues[name] == nil && name != "sim" {
			return fmt.Errorf("--venue %s: there are %s and sim", name, strings.Join(slices.Sorted(maps.Keys(venues)), ", "))
		}
		if slices.Contains(cfg.Venue[:i], name) {
			return fmt.Errorf("--venue %s: named twice", name)
		}
	}
	for name := range cfg.VenueURL {
		if name == "sim" || !slices.Contains(cfg.Venue, name) {
			return fmt.Errorf("--venue-url %s: add --venue %s, an exchange", name, name)
		}
	}
	if cfg.Replay == "" && (cfg.Loop || cfg.Speed != "1" && cfg.Speed != "") {
		return errors.New("--speed and --loop are of a --replay")
	}
	if len(cfg.Symbols) > 0 && (cfg.Replay != "" || len(cfg.Venue) == 1 && cfg.Venue[0] == "sim") {
		return errors.New("--symbols are asked of exchanges: add --venue; a replay plays all that is in it, and sim has --sim-symbols")
	}
	if cfg.Replay != "" {
		if len(cfg.Venue) > 1 || slices.Contains(cfg.Venue, "sim") {
			return errors.New("--replay takes one --venue, that of lines tagged I")
		}
		if _, err := parseSpeed(cfg.Speed); err != nil {
			return err
		}
	}
	if cfg.Retention != 0 && (cfg.Retention < retentionMin || cfg.Retention > retentionMost) {
		return fmt.Errorf("--retention is from %v to %v", retentionMin, retentionMost)
	}
	if cfg.Gather < 0 || cfg.Gather > gatherMost {
		return fmt.Errorf("--gather is from 0s to %v: an idle stream has a heartbeat every %v", gatherMost, heartbeatEvery)
	}
	if cfg.Shards < 1 || cfg.Shards > shardsMax || cfg.Shards > 1 && cfg.Replay != "" {
		return fmt.Errorf("--shards is from 1 to %d, and of venues, not of a --replay", shardsMax)
	}
	if cfg.SimSymbols < 1 || cfg.SimSymbols > symbolsMax || !(cfg.SimRate >= 0 && cfg.SimRate <= rateMax) || !(cfg.SimBurst >= 1 && cfg.SimBurst <= 1000) {
		return fmt.Errorf("--sim-symbols is from 1 to %d, --sim-rate from 0 to %d, --sim-burst from 1 to 1000", symbolsMax, rateMax)
	}
	if age := time.Since(cfg.SimStart); !cfg.SimStart.IsZero() && (age < 0 || age.Seconds()*cfg.SimRate > simAgeMost) {
		return fmt.Errorf("--sim-start is not in the future, and not longer ago than %.0f updates take: all of them are made to take the market up", simAgeMost)
	}
	for _, symbol := range cfg.Symbols {
		if venue, _, ok := strings.Cut(symbol, ":"); ok && !slices.Contains(cfg.Venue, venue) {
			return fmt.Errorf("--symbols %s: add --venue %s", symbol, venue)
		}
	}
	return nil
}

// symbolsOf are the symbols wanted of a venue, without its name.
func (cfg *Config) symbolsOf(venue string) (symbols []string) {
	for _, symbol := range cfg.Symbols {
		if of, name, ok := strings.Cut(symbol, ":"); !ok {
			symbols = append(symbols, symbol)
		} else if of == venue {
			symbols = append(symbols, name)
		}
	}
	if symbols == nil {
		return venues[venue].symbols
	}
	return symbols
}
