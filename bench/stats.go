package bench

import (
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/tickwire/tickwire/codec"
)

// counts is what a worker's subscribers got, summed.
type counts struct {
	Messages  int64    `json:"messages"`
	Updates   int64    `json:"updates"`
	Bytes     int64    `json:"bytes"` // of WebSocket frames
	Gaps      int64    `json:"gaps"`
	Repeats   int64    `json:"repeats"`   // of a seq that the subscriber had: not updates
	Ahead     int64    `json:"ahead"`     // us by which an update came before it was due, at the most
	Conflated [3]int64 `json:"conflated"` // updates that merge several, by reason: rate, slow, catch-up
	Merged    int64    `json:"merged"`    // updates of the feed that were merged into others
	Missed    int64    `json:"missed"`    // that never came, from a peer that promises each

	Connects int64            `json:"connects"`
	Lost     map[string]int64 `json:"lost"`    // connections that ended, or never began, by reason
	Refused  map[string]int64 `json:"refused"` // symbols, by the server's text

	Checked  int64            `json:"checked"`  // updates held against the feed's
	Unproved int64            `json:"unproved"` // that the witness could not judge any more
	Wrong    map[string]int64 `json:"wrong"`    // by what was wrong
	Examples []string         `json:"examples"` // of these, the first few
}

// examplesMax is how many wrong updates are told in words.
const examplesMax = 5

func newCounts() counts {
	return counts{Lost: make(map[string]int64), Refused: make(map[string]int64), Wrong: make(map[string]int64)}
}

// reasonsMax is how many reasons are told apart: a server may make them up.
const reasonsMax = 50

// countReason counts one.
func countReason(m map[string]int64, why string) {
	why = printable(why)
	if _, known := m[why]; !known && len(m) >= reasonsMax {
		why = "others"
	}
	m[why]++
}

// printableMost is how long a text of a server may be, in bytes.
const printableMost = 200

// printable makes a text of a server fit for a terminal, and not long.
func printable(text string) string {
	if len(text) > printableMost {
		text = text[:printableMost] + "..."
	}
	return codec.Printable(text)
}

// restart counts anew what flows; verdicts and losses stay, whenever they were.
func (c *counts) restart() {
	c.Messages, c.Updates, c.Bytes, c.Gaps, c.Repeats, c.Ahead, c.Merged, c.Connects, c.Conflated = 0, 0, 0, 0, 0, 0, 0, 0, [3]int64{}
}

// add sums what several workers counted.
func (c *counts) add(d *counts) {
	c.Messages += d.Messages
	c.Updates += d.Updates
	c.Bytes += d.Bytes
	c.Gaps += d.Gaps
	c.Repeats += d.Repeats
	c.Ahead = max(c.Ahead, d.Ahead)
	c.Merged += d.Merged
	c.Missed += d.Missed
	c.Connects += d.Connects
	c.Checked += d.Checked
	c.Unproved += d.Unproved
	for i, n := range d.Conflated {
		c.Conflated[i] += n
	}
	for _, m := range [...]struct{ to, from map[string]int64 }{{c.Lost, d.Lost}, {c.Refused, d.Refused}, {c.Wrong, d.Wrong}} {
		for why, n := range m.from {
			m.to[why] += n
		}
	}
	if room := examplesMax - len(c.Examples); room > 0 {
		c.Examples = append(c.Examples, d.Examples[:min(room, len(d.Examples))]...)
	}
}

// wrongs is how many updates, or ends, were wrong.
func (c *counts) wrongs() (n int64) {
	for _, some := range c.Wrong {
		n += some
	}
	return n
}

// mostLost says why most connections were lost, in words that follow others; "" for none.
func (c *counts) mostLost() string {
	most := ""
	for why, n := range c.Lost {
		if n > c.Lost[most] || n == c.Lost[most] && why < most {
			most = why
		}
	}
	if most == "" {
		return ""
	}
	return fmt.Sprintf("; %d times: %s", c.Lost[most], most)
}

// latencyMaxUS bounds what is told apart: 10 minutes.
const latencyMaxUS = 600_000_000

// newHistogram counts latencies in us, exact to three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, latencyMaxUS, 3) }
