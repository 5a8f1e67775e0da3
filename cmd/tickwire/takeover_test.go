package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// Two feeds and a node: for how long a subscriber hears nothing when the one that writes is
// killed, and when it is told to end, time after time. Nothing is flagged as a gap.
func TestTakeover(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	port := tapetest.Port(t)
	feed := func() *process {
		return tickwire(t, "feed", "--redis", r.url(), "--metrics", "off", "--sim-rate", "2000", "--sim-symbols", "20")
	}
	writer := feed()
	tickwire(t, "fanout", "--redis", r.url(), "--listen", "127.0.0.1:"+port, "--metrics", "off")
	w := startWatch(t, port, "sim:*")
	within(t, 10*time.Second, "prices come", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.seqs) == 20
	})
	for i, end := range []string{"kill -9", "SIGTERM", "kill -9", "SIGTERM"} {
		standby := feed()
		time.Sleep(3 * time.Second) // it has watched the stream for long enough, and said that it stands by
		w.mu.Lock()
		w.pause = 0
		gaps := w.flags["gap"]
		w.mu.Unlock()
		if end == "SIGTERM" {
			if code, _ := writer.stop(syscall.SIGTERM); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if strings.Contains(writer.text(), "whoever comes") {
				t.Error("the stream was not handed to who stands by")
			}
		} else {
			writer.kill()
		}
		time.Sleep(3 * time.Second)
		w.mu.Lock()
		t.Logf("%s: nothing for %v", end, w.pause.Round(time.Millisecond))
		if since := time.Since(w.last); since > time.Second {
			t.Errorf("%s: nothing since %v", end, since)
		}
		if got := w.flags["gap"] - gaps; got > 0 {
			t.Errorf("%d: %s: %d updates say gap", i, end, got)
		}
		w.mu.Unlock()
		writer = standby
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, line := range w.back {
		t.Error(line)
	}
}

// A new node beside a tape of 10,000 symbols: how long until a subscriber has the first of
// them, and all.
func TestNewNode(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	tickwire(t, "feed", "--redis", r.url(), "--metrics", "off", "--sim-rate", "20000", "--sim-symbols", "10000")
	within(t, 10*time.Second, "the tape has a checkpoint of all", func() bool { return len(checkpointOf(t, r.url(), "sim/0")) == 10_000 })
	port := tapetest.Port(t)
	began := time.Now()
	tickwire(t, "fanout", "--redis", r.url(), "--listen", "127.0.0.1:"+port, "--metrics", "off")
	w := startWatch(t, port, "sim:*")
	has := func(symbols int) func() bool {
		return func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(w.seqs) >= symbols
		}
	}
	within(t, 10*time.Second, "a symbol", has(1))
	t.Logf("the first of 10,000 symbols %v after the node was begun", time.Since(began).Round(time.Millisecond))
	within(t, 20*time.Second, "all symbols", has(10_000))
	t.Logf("all of them %v after", time.Since(began).Round(time.Millisecond))
}
