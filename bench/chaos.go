package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tickwire/tickwire/codec/tapes"
)

// How long things may take in a chaos run.
const (
	convergeWithin = 10 * time.Second // from when a fault is over, and Redis has a master
	convergeMost   = 20 * time.Second // after which all is begun anew
	masterWithin   = 30 * time.Second // for Redis to have a master, else it is begun anew
	wholeWithin    = 45 * time.Second // and its replica
	upWithin       = time.Minute      // for all subscribers to come up
)

// chaos is a chaos run under way.
//
//	choose -> strike -> heal -> Redis has a master -> everybody converges -> choose
type chaos struct {
	cfg    *Config
	rng    *rand.Rand
	stand  *chaosStand
	ledger *ledger
	crowd  *crowd
	subs   []*subscriber
	res    *ChaosReport
	alive  sync.WaitGroup // what goes on until the end

	lasts  atomic.Bool    // the fault that struck has not ended
	ending sync.WaitGroup // it is awaited by

	mu   sync.Mutex // protects what follows
	tick *ticker
	what string // is under way
}

// RunChaos has one thing after another go wrong, and finds out whether subscribers are
// told the truth meanwhile, and have all of it soon after.
func RunChaos(ctx context.Context, cfg Config, progress io.Writer) (*ChaosReport, error) {
	if err := cfg.Complete(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	stand, err := newChaosStand(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	defer stand.close()
	c, err := newChaos(ctx, stand, progress)
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(ctx)
	defer c.alive.Wait()
	defer c.ending.Wait()
	defer stop()
	if err := c.begin(life); err != nil {
		return nil, err
	}
	err = c.run(life)
	if ctx.Err() != nil {
		err = errInterrupted
	}
	c.res.finish(c, err)
	return c.res, err
}

// newChaos is a run on a stand, before anything goes on.
func newChaos(ctx context.Context, stand *chaosStand, progress io.Writer) (*chaos, error) {
	symbols, err := stand.symbols(ctx)
	if err != nil {
		return nil, err
	}
	v := newViolations()
	c := &chaos{
		cfg: stand.cfg, rng: rand.New(rand.NewPCG(stand.cfg.Seed, 0x6368616f73)), stand: stand, ledger: newLedger(symbols, v),
		res: newChaosReport(stand), tick: newTicker(progress),
	}
	c.crowd = &crowd{ledger: c.ledger, violations: v}
	for _, e := range stand.at {
		c.crowd.nodes = append(c.crowd.nodes, "ws://"+e.Host+e.Path)
	}
	return c, nil
}

// begin begins who reads the tape, who looks after the stand, and the subscribers.
func (c *chaos) begin(ctx context.Context) error {
	rdb, err := tapes.Open(c.stand.url, tapes.Role{Name: "tickwire-chaos", Conns: 2 * len(c.stand.streams)})
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	context.AfterFunc(ctx, func() { rdb.Close() })
	for _, stream := range c.stand.streams {
		s, err := newSurvivor(rdb, c.ledger, stream)
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		c.alive.Go(func() { s.run(ctx) })
	}
	c.alive.Go(func() { c.stand.watch(ctx, c.crowd.violations) })
	for i := range c.cfg.Conns {
		s := newSubscriber(c.crowd, i, c.rng.Perm(chaosSymbols)[:chaosSubs])
		c.subs = append(c.subs, s)
		c.alive.Go(func() { s.run(ctx) })
	}
	c.alive.Go(func() { c.progress(ctx) })
	return nil
}

// up waits until everybody is.
func (c *chaos) up(ctx context.Context) error {
	c.do("subscribers come up")
	_, lacking, err := c.converge(ctx, time.Now(), upWithin)
	if err == nil && len(lacking) > 0 {
		err = fmt.Errorf("bench: not all subscribers come up in %v: %s", upWithin, lacking[0])
	}
	c.res.UpSeconds = c.at()
	return err
}

// run has faults strike until the time is over.
func (c *chaos) run(ctx context.Context) error {
	if err := c.up(ctx); err != nil {
		return err
	}
	for c.at() < c.cfg.Duration.Seconds() {
		k := c.choose()
		what, strike := k.plan(c)
		pause := c.between(300*time.Millisecond, 2*time.Second)
		c.do("a moment")
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
		if k.whole {
			if err := c.whole(ctx); err != nil {
				return err
			}
		}
		if err := c.suffer(ctx, k.name, what, strike); err != nil {
			return err
		}
	}
	return nil
}

// suffer is one fault, and the recovery from it.
func (c *chaos) suffer(ctx context.Context, kind, what string, strike func(context.Context) error) error {
	c.do(kind)
	began := time.Now()
	f := Fault{Kind: kind, What: what, At: c.at()}
	if err := strike(ctx); err != nil && !errors.Is(err, errMaster) {
		return err
	}
	c.do(kind + ": recovering")
	if c.lasts.Swap(false) {
		if err := c.recover(ctx, &f); err != nil {
			return err
		}
		c.ending.Wait()
	}
	err := c.stand.heal()
	if err == nil && len(f.Lacking) == 0 {
		err = c.recover(ctx, &f)
	}
	if err != nil {
		return err
	}
	f.Survived = len(f.Lacking) == 0
	f.Seconds = time.Since(began).Seconds()
	c.res.add(f, c.crowd.violations.sum())
	if f.Survived {
		c.say("%6.1f s  %s: %s: recovered in %.2f s", f.At, kind, what, f.Recovery)
		return nil
	}
	c.say("%6.1f s  %s: %s: NOT RECOVERED in %v: %s", f.At, kind, what, convergeWithin, f.Lacking[0])
	_, lacking, err := c.converge(ctx, time.Now(), convergeMost)
	if err == nil && len(lacking) > 0 {
		err = c.startOver(ctx)
	}
	return err
}

// startOver begins all anew that does not recover, for the next fault would be blamed for
// it.
func (c *chaos) startOver(ctx context.Context) error {
	c.say("nor later: all is begun anew")
	for _, m := range c.stand.services() {
		m.kill()
	}
	if err := c.stand.redis.anew(); err != nil {
		return err
	}
	for _, s := range c.subs {
		s.forget()
	}
	c.ledger.forget()
	if err := c.stand.heal(); err != nil {
		return err
	}
	_, _, err := c.converge(ctx, time.Now(), upWithin)
	return err
}

// ends has a fault end after a while, which recovery does not wait for.
func (c *chaos) ends(ctx context.Context, after time.Duration, end func() error) {
	c.lasts.Store(true)
	c.ending.Go(func() {
		if sleep(ctx, after) {
			end() // an error of it heal finds, too
		}
	})
}

// recover notes how long everybody takes to be whole, and what is lacking if that is too
// long.
func (c *chaos) recover(ctx context.Context, f *Fault) error {
	since, lacking, err := c.converge(ctx, time.Now(), convergeWithin)
	f.Recovery, f.Lacking = max(f.Recovery, time.Since(since).Seconds()), lacking
	return err
}

// whole waits until Redis may lose its master.
func (c *chaos) whole(ctx context.Context) error {
	c.do("Redis gets its replica")
	for began := time.Now(); !c.stand.redis.whole(ctx); {
		if !sleep(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
		if time.Since(began) < wholeWithin {
			continue
		}
		if err := c.anew("Redis gets no replica"); err != nil {
			return err
		}
		began = time.Now()
	}
	return nil
}

// anew begins Redis anew.
func (c *chaos) anew(why string) error {
	c.say("%s: it is begun anew", why)
	c.res.Anew++
	return c.stand.redis.anew()
}

// converge waits until every subscriber has what was published after a moment, and
// returns what is lacking when the time is over. It counts from when clients could have
// the master: where that takes too long it is the stand that does not recover, and no
// fault of Tickwire's.
func (c *chaos) converge(ctx context.Context, after time.Time, within time.Duration) (since time.Time, lacking []string, err error) {
	var due []position
	missing := c.subs
	since = after
	for sleep(ctx, 20*time.Millisecond) {
		steady, away := c.stand.redisSince()
		if steady.After(since) || !away.IsZero() { // what another master has is to be had
			since, due, missing = steady, nil, c.subs
		}
		if !away.IsZero() {
			if since = time.Now(); time.Since(away) > masterWithin {
				if err := c.anew("Redis has no master"); err != nil {
					return since, nil, err
				}
			}
			continue
		}
		if due == nil {
			silent := c.ledger.silent(c.stand.streams, since)
			if lacking = nil; len(silent) > 0 {
				lacking = []string{fmt.Sprintf("nothing was published since on %v", silent)}
			} else {
				due = c.ledger.newest()
			}
		}
		if due != nil {
			missing, lacking = c.lacking(missing, due)
		}
		if len(lacking) == 0 || time.Since(since) > within {
			return since, lacking, nil
		}
	}
	return since, nil, ctx.Err()
}

// lackingMost is how many are told.
const lackingMost = 5

// lacking are the subscribers that lack something, and what some of them do.
func (c *chaos) lacking(of []*subscriber, due []position) (still []*subscriber, what []string) {
	for _, s := range of {
		lacks := s.lacks(due)
		if lacks == "" {
			continue
		}
		if still = append(still, s); len(what) < lackingMost {
			what = append(what, lacks)
		}
	}
	if n := len(still) - len(what); n > 0 {
		what = append(what, fmt.Sprintf("%d more", n))
	}
	return still, what
}

// at is the time of the run, in seconds.
func (c *chaos) at() float64 { return time.Since(c.crowd.violations.began).Seconds() }

// do says what is under way, for the progress line.
func (c *chaos) do(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.what = what
}

func (c *chaos) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tick.say(format, args...)
}

// completeChaos fills in what was not said, and refuses what a chaos run does not take.
func (cfg *Config) completeChaos() error {
	cfg.Conns, cfg.Duration = cmp.Or(cfg.Conns, 3000), cmp.Or(cfg.Duration, 5*time.Minute)
	others := cfg.Load != "" || cfg.Subs != 0 || cfg.Symbols != 0 || cfg.Updates != 0 || cfg.Zipf != 0 || cfg.Encoding == "json" || cfg.Rate != 0 || cfg.Nodes > 1 ||
		cfg.Stormy || cfg.Pace != nil || cfg.Slow != 0 || cfg.Churn != 0 || cfg.Burst != 0 || cfg.Of != "" || len(cfg.Values) > 0
	switch {
	case cfg.Redis != "" || len(cfg.URL) > 0 || cfg.TLS || cfg.Tokens:
		return errors.New("bench chaos kills a Redis, feeds and nodes of its own: --redis, --url, --tls and --tokens do not go with it")
	case others || cfg.Report != "":
		return errors.New("bench chaos has a load of its own: it takes --conns, --duration, --seed and --json")
	case cfg.Conns < 1 || cfg.Conns > processConns():
		return fmt.Errorf("--conns of bench chaos is from 1 to %d here, by the limit of descriptors (ulimit -Hn)", processConns())
	case cfg.Duration < time.Second:
		return errors.New("--duration is at least 1s")
	}
	cfg.complete = true
	return nil
}
