package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// smallTape is a report of a few seconds, on a real Redis.
func smallTape(t *testing.T, set func(*Config)) *tapeBench {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cfg := Config{Scenario: "tape", Updates: 1000, Symbols: 20, Duration: time.Second, Seed: 1, Exe: small(t).Exe}
	set(&cfg)
	if err := cfg.Complete(); err != nil {
		t.Fatal(err)
	}
	b := newTapeBench(&cfg, io.Discard)
	b.transports = []transport{{name: self}, {name: "tickwire --gather 20ms", gather: 20 * time.Millisecond}, {name: "published", as: asPublish}, {name: "added", as: asXAdd}}
	b.fills, b.readers = []int{1, 10}, []int{0, 1}
	return b
}

// arrived reports whether all that was offered arrived, update by update.
func arrived(r *TapeReport) bool {
	return !r.Failed() && !slices.ContainsFunc(r.Runs, func(run TapeRun) bool {
		return run.Limit != "" || math.Abs(run.Arrived-1000) > 3 || run.Missed != 0
	})
}

// All that is offered arrives, however it is carried; fuller entries have fewer bytes; and
// every figure is there. A second in which the machine stood still is measured again.
func TestTape(t *testing.T) {
	var r *TapeReport
	for range 3 {
		b := smallTape(t, func(*Config) {})
		if err := b.all(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r = b.report; arrived(r) {
			break
		}
	}
	if !arrived(r) || len(r.Runs) != 8 || len(r.Entries) != 4 || len(r.Demands) != 15 {
		t.Fatalf("%+v", r)
	}
	for i := range r.Runs {
		run := &r.Runs[i]
		single := !run.tape() && run.PerMessage == 1 && math.Abs(run.MessagesPS-1000) < 200
		kept := (run.KeptPS > 0) == (run.Transport != "published") && math.Abs(run.Held-retention*run.KeptPS) < 1
		took := run.RedisUS > 0 && run.RedisCores > 0 && run.InBytes > run.Bytes && run.OutPS > run.OutBytes
		if !(run.tape() && run.PerMessage > 1 || single) || !kept || !took || run.LatencyUS.P50 < 1 || run.LatencyUS.P99 < run.LatencyUS.P50 {
			t.Errorf("%+v", run)
		}
	}
	loose, full := r.find(self, 1000, 1), r.find("tickwire --gather 20ms", 1000, 1)
	if full.PerMessage < 2*loose.PerMessage || full.Bytes >= loose.Bytes || full.KeptBytes >= loose.KeptBytes || full.LatencyUS.P50 < loose.LatencyUS.P50 {
		t.Errorf("gathered: %+v\nor not: %+v", full, loose)
	}
	if one, ten := loose.OutPS, r.find(self, 1000, measuredNodes).OutPS; ten < 5*one {
		t.Errorf("%.0f bytes a second are sent to one node, %.0f to %d", one, ten, measuredNodes)
	}
	checkEntries(t, r)
	var text bytes.Buffer
	r.Print(&text)
	if out, err := json.Marshal(r); err != nil || !strings.Contains(string(out), `"redis_us_per_update"`) || strings.Count(text.String(), "kept up") != 4 {
		t.Errorf("%v: %s\n%s", err, out, &text)
	}
}

// checkEntries holds the costs of entries against each other: 1 and 10 updates, nobody
// and one reader.
func checkEntries(t *testing.T, r *TapeReport) {
	t.Helper()
	for i, c := range r.Entries {
		if c.EntryUS <= 0 || c.Kept <= 0 || c.RoundUS <= 0 || c.Entries < 0.5*entryPace || c.Reads < 0.5*float64(c.Readers) || c.Reads > 1.1*float64(c.Readers) {
			t.Errorf("%+v", c)
		}
		if i < 2 {
			if full := r.Entries[i+2]; full.PerEntry != 10 || c.PerEntry != 1 || full.InBytes >= c.InBytes || full.OutBytes >= c.OutBytes || full.Kept >= c.Kept {
				t.Errorf("%+v is no less an update than %+v", full, c)
			}
		}
	}
	if r.CPU.Entry <= 0 || r.CPU.Read <= 0 || r.Out.Read <= 0 || r.Out.ReadUpdate <= 0 {
		t.Errorf("us %+v, bytes %+v", r.CPU, r.Out)
	}
	for i := range r.Demands {
		d := &r.Demands[i]
		calculated, measured := d.Cores > 0, d.CoresThen > 0
		if calculated != (d.Transport == singly || strings.HasPrefix(d.Transport, self)) || measured != (d.Transport != singly && d.Nodes < 100) {
			t.Errorf("%+v", d)
		}
	}
}

// A feed that writes much does not keep it for long.
func TestHeldFor(t *testing.T) {
	for _, test := range []struct {
		run  TapeRun
		want float64
	}{
		{TapeRun{Transport: self, Bytes: 65, MessagesPS: 500, PerMessage: 20}, retention},
		{TapeRun{Transport: self, Bytes: 64, MessagesPS: 1 << 10, PerMessage: 1 << 9}, 8},
		{TapeRun{Transport: self, Bytes: 65, MessagesPS: 10_000, PerMessage: 1}, 10},
		{TapeRun{Transport: "XADD", Bytes: 65, MessagesPS: 1e6, PerMessage: 1}, retention},
		{TapeRun{Transport: self}, retention},
	} {
		if got := test.run.heldFor(); got != test.want {
			t.Errorf("%+v: %g s", test.run, got)
		}
	}
}

// A Redis that was named is left as it was, and one that has a tape is not touched.
func TestTapeElsewhere(t *testing.T) {
	own := smallTape(t, func(*Config) {})
	s, err := newStand(t.Context(), own.cfg, own.begin)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	rdb, err := tapes.Open(s.redis, tapes.Role{Name: "test", Conns: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer rdb.Close()
	b := smallTape(t, func(cfg *Config) { cfg.Redis = s.redis })
	for _, how := range []transport{b.transports[0], b.transports[3]} {
		if run, err := b.run(t.Context(), how, 1000, 1); err != nil || run.Limit != "" {
			t.Errorf("%v: %+v", err, run)
		}
	}
	if keys := rdb.Now().Keys(t.Context(), "*").Val(); len(keys) > 0 {
		t.Errorf("these are left: %v", keys)
	}
	rdb.Now().Set(t.Context(), codec.WriterKey(tapeStream), "somebody", 0)
	if err := b.entries(t.Context()); err == nil || !strings.Contains(err.Error(), "has a tape sim/0") {
		t.Error(err)
	}
	if keys := rdb.Now().Keys(t.Context(), "*").Val(); len(keys) != 1 {
		t.Errorf("of one key there are %v", keys)
	}
}

// A writer that dies, and a Redis that cuts a reader off, end a run, which says so; what was
// measured before stands, and the next is measured.
func TestTapeBreaksOff(t *testing.T) {
	b := smallTape(t, func(cfg *Config) { cfg.Exe, cfg.Duration = "/bin/false", time.Minute })
	run, err := b.run(t.Context(), b.transports[2], 1000, 1)
	if err != nil || !strings.Contains(run.Problem, "writer: exit status 1") || run.Limit == "" {
		t.Errorf("%v: %+v", err, run)
	}
	b = smallTape(t, func(cfg *Config) { cfg.Duration = time.Minute })
	s, err := newStand(t.Context(), b.cfg, b.begin)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	rdb, err := b.open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer rdb.Close()
	cut := time.AfterFunc(2*time.Second, func() { rdb.Now().ClientKillByFilter(context.Background(), "TYPE", "pubsub") })
	defer cut.Stop()
	err = b.measure(t.Context(), s, rdb, b.transports[2], &TapeRun{Nodes: 1, Offered: 1000})
	if err == nil || !strings.Contains(err.Error(), "redis has cut it off") {
		t.Error(err)
	}
}

// A report that is interrupted has what was measured so far.
func TestTapeInterrupted(t *testing.T) {
	b := smallTape(t, func(*Config) {})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if err := b.all(ctx); !errors.Is(err, errInterrupted) || !b.report.Failed() || len(b.report.Runs) != 1 {
		t.Errorf("%v: %+v", err, b.report)
	}
}

// What is due while it is measured counts, on time or late; seqs that are passed over were
// missed; what is no update is an error.
func TestTapeReader(t *testing.T) {
	r := newTapeReader(nil)
	r.timed(1000, 2000)
	for _, u := range []struct{ seq, due int64 }{{5, 999}, {6, 1000}, {9, 1999}, {10, 2000}} {
		up := codec.Update{Seq: u.seq, Mask: 1 << codec.EventTime, Quote: codec.Empty}
		up.Quote[codec.EventTime] = u.due
		if err := r.takeUpdate(codec.AppendTapeUpdate(nil, "sim:A", &up)); err != nil {
			t.Fatal(err)
		}
	}
	if took, err := r.counts(); err != nil || r.arrived != 2 || r.latency.TotalCount() != 2 || took.missed != 2 || took.updates != 4 || took.messages != 4 {
		t.Errorf("%v: %d arrived, %+v", err, r.arrived, took)
	}
	for _, text := range []string{"", "\x00", "\x94\xa1", "\xdd\xff\xff\xff\xff"} {
		if r.takeUpdate([]byte(text)) == nil {
			t.Errorf("%q is an update", text)
		}
	}
}

// What costs are made of is found again, whatever else they have in common, and none of it is
// below zero.
func TestFit(t *testing.T) {
	want := perEntry{Entry: 20, Update: 0.1, Read: 12, ReadUpdate: 0.03}
	var all []spent
	for _, fill := range []float64{1, 10, 100} {
		for _, readers := range []float64{0, 1, 4, 16} {
			reads := 0.9 * readers // some were for two entries
			all = append(all, spent{1, fill, reads, fill * readers, want.of(1, fill, reads, fill*readers)})
		}
	}
	if got := fitted(all); fmt.Sprintf("%.6f", got) != fmt.Sprintf("%.6f", want) {
		t.Errorf("%+v", got)
	}
	var f fit
	f.add(1, 1, 10, 10)
	f.add(1, 10, 9, 9)
	if a, b := f.solve(); b != 0 || a < 9 || a > 10 {
		t.Error(a, b)
	}
	if got := fitted(nil); got != (perEntry{}) {
		t.Errorf("%+v", got)
	}
}
