package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// checkpointOf is the state the feed has published last, straight from Redis.
func checkpointOf(t *testing.T, url, stream string) map[string]map[string]any {
	t.Helper()
	opt, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(opt)
	defer rdb.Close()
	blob, err := rdb.Get(context.Background(), codec.CheckpointKey(stream)).Bytes()
	if err != nil {
		return nil
	}
	e, body, err := codec.ParseEntry(blob)
	if err != nil {
		t.Fatal(err)
	}
	quotes := map[string]map[string]any{}
	for range e.Count {
		u := codec.Update{Quote: codec.Empty}
		symbol, rest, err := codec.ParseTapeUpdate(body, &u)
		if err != nil {
			t.Fatal(err)
		}
		body = rest
		q := map[string]any{"seq": float64(u.Seq)}
		for f := codec.Field(0); f < codec.NumFields; f++ {
			if !u.Mask.Has(f) {
				continue
			}
			text := string(codec.AppendText(nil, &u.Quote, f))
			if _, decimal := f.Scale(); decimal || f == codec.Status {
				q[f.String()] = text
			} else {
				q[f.String()] = float64(u.Quote[f])
			}
		}
		quotes[string(symbol)] = q
	}
	return quotes
}

// One feed, two nodes, a watcher on each. A node, the feed and Redis are killed, with
// and without Redis's data; within 10 s of the last restart both watchers hold what
// the feed has published, and no seq ever went back.
func TestKillNineEverything(t *testing.T) {
	r := startRedis(t)
	ports := []string{tapetest.Port(t), tapetest.Port(t)}
	feed := func() *process {
		return tickwire(t, "feed", "--redis", r.url(), "--venue", "sim", "--sim-rate", "2000", "--sim-symbols", "12")
	}
	node := func(i int) *process {
		return tickwire(t, "fanout", "--redis", r.url(), "--listen", "127.0.0.1:"+ports[i], "--metrics", "off")
	}
	f, nodes := feed(), []*process{node(0), node(1)}
	watchers := []*watcher{startWatch(t, ports[0], "sim:*"), startWatch(t, ports[1], "--encoding", "json", "sim:*")}
	flowing := func(step string) {
		t.Helper()
		for i, w := range watchers {
			w.mu.Lock()
			from := w.lines
			w.mu.Unlock()
			within(t, 10*time.Second, fmt.Sprintf("%s: watcher %d receives", step, i), func() bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				return w.lines > from+500
			})
		}
	}
	flowing("at first")
	for _, step := range []struct {
		name             string
		feed, node, wipe bool
	}{
		{"node, feed and redis, with its data", true, true, false},
		{"redis alone, with its data", false, false, false},
		{"redis alone, without its data", false, false, true},
		{"node, feed and redis, without its data", true, true, true},
		{"feed alone", true, false, false},
	} {
		if step.node {
			nodes[1].kill()
		}
		if step.feed {
			f.kill()
		}
		if step.name != "feed alone" {
			r.kill()
			time.Sleep(300 * time.Millisecond)
			if step.wipe {
				r.wipe(t)
			}
			r.start(t)
		}
		if step.feed {
			f = feed()
		}
		if step.node {
			nodes[1] = node(1)
		}
		flowing(step.name)
	}
	if code, took := f.stop(interrupt); code != 0 || took > time.Second+500*time.Millisecond {
		t.Errorf("the feed stopped with %d after %v", code, took)
	}
	want := checkpointOf(t, r.url(), "sim/0")
	for i, w := range watchers {
		within(t, 10*time.Second, fmt.Sprintf("watcher %d holds the feed's final state: %s", i, w.differs(want)), func() bool {
			return w.differs(want) == ""
		})
		w.mu.Lock()
		for _, line := range w.back {
			t.Errorf("watcher %d: %s", i, line)
		}
		t.Logf("watcher %d: %d lines, flags %v", i, w.lines, w.flags)
		w.mu.Unlock()
	}
}
