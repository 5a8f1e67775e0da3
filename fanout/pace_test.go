package fanout

import (
	"fmt"
	"testing"
	"time"
)

// However much there is to do, the pause comes to rest: a step is not taken back by the
// next.
func TestPauseComesToRest(t *testing.T) {
	const pace = 16 * time.Millisecond
	for _, work := range []time.Duration{0, 10, 100, 300, 1000, 3000, 10_000, 30_000, 100_000, 1000_000} {
		work *= time.Microsecond // for one message to each conn that waits
		var (
			pause   time.Duration
			changes int
		)
		for step := range 200 {
			load := min(1, float64(work)/float64(max(pause, time.Millisecond)))
			if next := nextPause(pause, pace, load, load); next != pause {
				pause = next
				if step >= 100 {
					changes++
				}
			}
		}
		if changes > 0 {
			t.Errorf("work of %v: the pause changes again and again, last to %v", work, pause)
		}
		if load := float64(work) / float64(max(pause, time.Millisecond)); pause > 0 && load < loadLow/2 || pause < paceLong && load > 1 {
			t.Errorf("work of %v: a pause of %v, which is a load of %.2f", work, pause, load)
		}
	}
}

// A loop that has its hands full with handshakes and requests does not make those wait
// long who have nothing to do with it.
func TestPauseIsOfFlushing(t *testing.T) {
	const pace = 16 * time.Millisecond
	pause := time.Duration(0)
	for range 100 {
		pause = nextPause(pause, pace, 1, 0.4)
	}
	if pause != pace {
		t.Errorf("a pause of %v", pause)
	}
	if pause = nextPause(5*pace, pace, 1, 0.4); pause != 4*pace {
		t.Errorf("after 80 ms, when what there was to flush has become less, %v", pause)
	}
}

// slowSink is a socket for many: a write takes a while, on a clock of its own.
type slowSink struct {
	now    time.Time
	cost   time.Duration
	writes []int       // by descriptor
	last   []time.Time // when
	most   time.Duration
}

func (s *slowSink) Read(int, []byte) (int, error) { return 0, nil }
func (s *slowSink) Close(int)                     {}
func (s *slowSink) Write(fd int, p []byte) (int, error) {
	s.now = s.now.Add(s.cost)
	s.writes[fd]++
	s.most = max(s.most, s.now.Sub(s.last[fd]))
	s.last[fd] = s.now
	return len(p), nil
}

// What is offered is several times what the loop can write: everybody is served as
// often, and as soon as that allows.
func TestOverloadIsSharedEvenly(t *testing.T) {
	const conns = 1500
	for _, test := range []struct {
		cost  time.Duration // of a write
		perMS int           // symbols that change in a millisecond
	}{
		{20 * time.Microsecond, 1}, {20 * time.Microsecond, 4}, {20 * time.Microsecond, 16}, // 30 ms for a message to each
		{2 * time.Millisecond, 1}, // 3 s
	} {
		t.Run(fmt.Sprint(test.cost, test.perMS), func(t *testing.T) {
			cost, once := test.cost, conns*test.cost
			c := newCrowd(t, conns, 50, false, 0)
			c.cfg.Pace = 16 * time.Millisecond
			s := &slowSink{now: time.Now(), cost: cost, writes: make([]int, conns+1), last: make([]time.Time, conns+1)}
			for ci := range c.conns {
				c.conns[ci].fd = int32(ci)
			}
			c.sock, c.start, c.now = s, s.now, func() time.Time { return s.now }
			offered := s.now
			run := func(d time.Duration) {
				for end := s.now.Add(d); s.now.Before(end); c.runCycle(nil) {
					for s.now = s.now.Add(100 * time.Microsecond); offered.Before(s.now); offered = offered.Add(time.Millisecond) {
						c.tick(test.perMS)
					}
				}
			}
			run(5*time.Second + 40*once)
			clear(s.writes)
			s.most = 0
			run(3*time.Second + 7*once)
			least, most := s.writes[1], s.writes[1]
			for _, n := range s.writes[1:] {
				least, most = min(least, n), max(most, n)
			}
			if float64(most) > 1.1*float64(least)+1 {
				t.Errorf("of %d conns one had %d writes, another %d", conns, most, least)
			}
			if s.most > 2*once+once/2 {
				t.Errorf("a conn waited %v, where all are served in %v", s.most, once)
			}
			if c.pacer.load > 0.99 {
				t.Errorf("a load of %.2f at a pause of %v", c.pacer.load, c.pacer.pause)
			}
			t.Logf("%d to %d writes in 3 s, the longest wait %v, pause %v, load %.2f", least, most, s.most, c.pacer.pause, c.pacer.load)
		})
	}
}

// A loop that is at its end has nobody speak twice in a pause, hot or not; who has said
// nothing for longer speaks at once.
func TestAtTheEndOneMessageAPause(t *testing.T) {
	const pause = 50 * time.Millisecond
	for _, hot := range []uint8{0, hotAfter} {
		c, now := newCrowd(t, 1, 1, false, 0), time.Now()
		c.cfg.Pace, c.start, c.now = 16*time.Millisecond, now, func() time.Time { return now }
		said := func(after time.Duration, ticks int) bool {
			now = now.Add(after)
			before := c.count[messages]
			c.pacer.pause, c.pacer.stepped = pause, now.Sub(c.start) // as if there were more to do
			c.tick(ticks)
			c.runCycle(nil)
			return c.count[messages] > before
		}
		said(0, 1)
		c.conns[1].hot = hot
		if !said(3*pause, 1) {
			t.Errorf("hot %d: who had said nothing for three pauses had to wait", hot)
		}
		c.conns[1].hot = hot
		if said(pause/10, 1) {
			t.Errorf("hot %d: it spoke again, a tenth of a pause later", hot)
		}
		if !said(pause, 0) {
			t.Errorf("hot %d: it did not have its turn within a pause", hot)
		}
	}
}
