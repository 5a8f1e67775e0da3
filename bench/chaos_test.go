//go:build chaos

package bench

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec/tapes"
)

// chaosConfig is a run of the binary that was built.
func chaosConfig(t *testing.T, conns int) Config {
	t.Helper()
	cfg := Config{Scenario: "chaos", Conns: conns, Duration: 2 * time.Minute, Seed: 1, Exe: small(t).Exe}
	if err := cfg.Complete(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// Whatever goes wrong, everybody ends with the right price, and nobody is shown an older
// one as a newer one.
func TestChaos(t *testing.T) {
	res, err := RunChaos(t.Context(), chaosConfig(t, 1000), os.Stderr)
	if err != nil {
		t.Error(err)
	}
	if res == nil {
		return
	}
	var text bytes.Buffer
	res.Print(&text)
	t.Log(text.String())
	if !res.Survived || len(res.Faults) < 5 {
		t.Error("not survived")
	}
}

// underway is a run whose faults the test makes itself.
func underway(t *testing.T, s *chaosStand) *chaos {
	t.Helper()
	c, err := newChaos(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(func() {
		stop()
		c.alive.Wait()
		if c.res.finish(c, nil); t.Failed() || !c.res.Survived {
			c.res.Logs = s.keepLogs()
			var text bytes.Buffer
			c.res.Print(&text)
			t.Error(text.String())
		}
	})
	if err := c.begin(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.up(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

// mustConverge fails the test unless everybody has, in time, what was published since.
func (c *chaos) mustConverge(t *testing.T, what string) {
	t.Helper()
	since, lacking, err := c.converge(t.Context(), time.Now(), convergeWithin)
	if err != nil || len(lacking) > 0 {
		t.Fatalf("%s: %v %s", what, err, strings.Join(lacking, "\n"))
	}
	if took := time.Since(since); took > time.Second {
		t.Logf("%s: %.2f s", what, took.Seconds())
	}
}

// testStand is a stand of which nothing has begun.
func testStand(t *testing.T, conns int) *chaosStand {
	t.Helper()
	cfg := chaosConfig(t, conns)
	s, err := emptyStand(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.steady = time.Now()
	t.Cleanup(s.close)
	return s
}

// A writer that is left with a master which everybody else has lost goes on writing
// there. Nobody is shown any of it once another has taken over; and when the master is
// made a replica, the writer disturbs nobody.
func TestSplit(t *testing.T) {
	s := testStand(t, 500)
	if err := s.beginRedis(t.Context()); err != nil {
		t.Fatal(err)
	}
	old, err := s.redis.master(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.streams = []string{"sim/0"} // one: it is not handed over for balance
	writer := s.feed(0, "redis://"+old.rdb.Options().Addr)
	other := s.feed(1, s.url)
	s.feeds = []*member{writer, other} // whose time comes later
	if err := writer.begin(); err != nil {
		t.Fatal(err)
	}
	if err := s.beginNodes(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := underway(t, s)
	aside := beside(t, c, "redis://"+old.rdb.Options().Addr)
	if err := other.begin(); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, "the other stands by", func() bool { return strings.Contains(other.text(), "standing by") })

	cut := time.Now()
	old.link.cut()
	within(t, 20*time.Second, "the replica takes over", func() bool {
		steady, away := s.redisSince()
		return away.IsZero() && steady.After(cut)
	})
	c.mustConverge(t, "the other writes")
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		c.mustConverge(t, "both write") // to what the new master has
		if len(aside.silent(s.streams, time.Now().Add(-2*time.Second))) > 0 {
			t.Fatal("the old one writes no more:\n", writer.text())
		}
	}
	if err := old.link.mend(); err != nil {
		t.Fatal(err)
	}
	within(t, wholeWithin, "the old master is a replica", func() bool { return s.redis.whole(t.Context()) })
	for range 10 {
		c.mustConverge(t, "the way is mended")
		time.Sleep(500 * time.Millisecond)
	}
	within(t, 10*time.Second, "the old writer is refused", func() bool { return strings.Contains(writer.text(), "READONLY") })
}

// beside is a ledger of another Redis's.
func beside(t *testing.T, c *chaos, url string) *ledger {
	t.Helper()
	rdb, err := tapes.Open(url, tapes.Role{Name: "test", Conns: 4})
	if err != nil {
		t.Fatal(err)
	}
	var symbols []string
	for i := range c.ledger.rows {
		symbols = append(symbols, c.ledger.rows[i].symbol)
	}
	l := newLedger(symbols, newViolations())
	ctx, stop := context.WithCancel(t.Context())
	for _, stream := range c.stand.streams {
		r, err := newSurvivor(rdb, l, stream)
		if err != nil {
			t.Fatal(err)
		}
		c.alive.Go(func() { r.run(ctx) })
	}
	t.Cleanup(func() {
		stop()
		rdb.Close()
	})
	return l
}

func within(t *testing.T, most time.Duration, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(most); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in time: ", what)
		}
	}
}
