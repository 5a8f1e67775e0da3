package fanout

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"
)

// Whoever is far away soon has a window that fills the line, however large the messages
// are, and keeps it; one that reads slowly keeps the smallest, one that stops has it
// again, and so has one that has no use for more.
func TestWindow(t *testing.T) {
	for _, rows := range []int{20, 100, 1000} {
		t.Run(fmt.Sprint(rows), func(t *testing.T) {
			crowd := newCrowd(t, 1, 1000, false, 0)
			l, c, now := crowd.loop, &crowd.conns[1], time.Now()
			l.now = func() time.Time { return now }
			pong := func(after time.Duration) {
				now = now.Add(after)
				l.begin()
				if !l.pong(1, binary.BigEndian.AppendUint32(nil, c.pinged)) {
					t.Fatal("the pong was not waited for")
				}
			}
			begin := func(line time.Duration) {
				c.answers, c.asked, c.window = false, false, windowMin
				l.writePing(1, nil)
				pong(line)
			}
			choke := func() (sent int) {
				before := crowd.sink.wrote
				for range 5000 {
					if crowd.tick(rows); c.choked {
						return crowd.sink.wrote - before
					}
					l.runCycle(nil)
				}
				t.Fatal("never choked")
				return 0
			}
			const line = 150 * time.Millisecond
			begin(line)
			for range 20 {
				choke()
				pong(line)
			}
			for range 20 {
				if sent := choke(); c.window != windowMax || sent < windowMax {
					t.Fatalf("a window of %d, of which %d were sent, for a client that is far away", c.window, sent)
				}
				pong(line)
			}
			choke()
			if pong(lagAfter); c.window != windowMin {
				t.Errorf("a window of %d for a client that stopped", c.window)
			}
			c.window = windowMax
			for range 20 { // it reads all, at once
				for !c.asked {
					crowd.tick(rows)
					l.runCycle(nil)
				}
				pong(time.Millisecond)
			}
			if c.window > 4*max(windowMin, messageBytes) || c.choked { // what may follow a ping in one go
				t.Errorf("a window of %d for a client that needs none", c.window)
			}
			begin(time.Millisecond)
			for range 50 {
				sent := choke()
				if c.window != windowMin {
					t.Fatalf("a window of %d for a client that is slow", c.window)
				}
				pong(time.Duration(sent) * time.Second / 100_000) // is what it reads
			}
		})
	}
}

// A line that is far away and narrow is filled, and what waits in it grows no older than
// two windows: the one that chokes, and the one behind the next ping.
func TestWindowFillsALine(t *testing.T) {
	const line = 150 * time.Millisecond
	for _, width := range []int{30_000, 300_000, 3_000_000} { // bytes a second
		crowd := newCrowd(t, 1, 1000, false, 0)
		l, c, now := crowd.loop, &crowd.conns[1], time.Now()
		l.now = func() time.Time { return now }
		l.writePing(1, nil)
		answer := now.Add(line)
		pong := func() {
			now = answer
			l.begin()
			if !l.pong(1, binary.BigEndian.AppendUint32(nil, c.pinged)) {
				t.Fatal("the pong was not waited for")
			}
		}
		var (
			arrived = now                      // when all that was written will have
			began   = now.Add(5 * time.Second) // when the window has found its size
			end     = now.Add(15 * time.Second)
			carried int
			oldest  time.Duration
		)
		for now.Before(end) {
			pong()
			for !c.choked {
				asked, before := c.asked, crowd.sink.wrote
				crowd.tick(20)
				l.runCycle(nil)
				n := crowd.sink.wrote - before
				arrived = later(arrived, now).Add(time.Duration(n) * time.Second / time.Duration(width))
				if c.asked && !asked {
					answer = arrived.Add(line)
				}
				if now.After(began) {
					carried += n
					oldest = max(oldest, arrived.Sub(now))
				}
			}
		}
		if filled := float64(carried) / end.Sub(began).Seconds() / float64(width); filled < 0.8 || oldest > 2*windowLines*line {
			t.Errorf("%d bytes a second: %.0f %% filled, and the oldest bytes are %v old", width, 100*filled, oldest)
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
