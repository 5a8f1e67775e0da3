package bench

import (
	"fmt"
	"io"
	"time"
)

// ticker prints a progress line, twice a second.
type ticker struct {
	out  io.Writer
	next time.Time
}

// say prints a line of its own.
func (t *ticker) say(format string, args ...any) {
	if t.out != nil {
		fmt.Fprintf(t.out, "\r"+format+"\x1b[K\n", args...)
	}
}

func newTicker(out io.Writer) *ticker { return &ticker{out: out} }

func (t *ticker) line(phase string, began time.Time, most time.Duration, now *Report) {
	if t.out == nil || time.Now().Before(t.next) {
		return
	}
	t.next = time.Now().Add(500 * time.Millisecond)
	fmt.Fprintf(t.out, "\r%-8s %4.0f of %.0f s  %d open, %d ready  %d updates, %d wrong \x1b[K", phase, time.Since(began).Seconds(), most.Seconds(),
		now.Open, now.Ready, now.Counts.Updates, now.Counts.wrongs())
}
