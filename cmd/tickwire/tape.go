package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// tapeCmd is for who operates a Redis and wonders how the tape in it is.
type tapeCmd struct {
	Status tapeStatusCmd `cmd:"" help:"Print how each stream is: who writes it, how far, how fast, and whether anything is missing."`
	Tail   tapeTailCmd   `cmd:"" help:"Print entries as they come, decoded."`
	Verify tapeVerifyCmd `cmd:"" help:"Check all that is retained, and what comes for a while, against the checkpoint; fail if anything is wrong."`
	Drop   tapeDropCmd   `cmd:"" help:"Take a stream that nobody writes off the tape, for good."`
}

// tapeRedis is where the tape is.
type tapeRedis struct {
	Redis string `default:"redis://127.0.0.1:6379" secret:"" env:"TICKWIRE_REDIS" placeholder:"URL" help:"Redis of the tape. [${default}]"`
}

// tapeStreams are what is looked at of it.
type tapeStreams struct {
	tapeRedis
	Streams []string `arg:"" optional:"" name:"stream" help:"Streams, as coinbase/0; without any, all."`
	JSON    bool     `env:"TICKWIRE_JSON" help:"Print one JSON object a line."`
}

// tapeConns is more than a tape has streams, of which each holds a connection while it is read.
const tapeConns = 300

// with does something with the tape until ctx ends. A read that waits does not see that,
// but the end of its connection. The master is asked, also of a URL with replicas=true: two
// answers may be of two replicas, which are never equally far.
func (c *tapeRedis) with(ctx context.Context, do func(*tapes.Redis) error) error {
	r, err := tapes.Open(c.Redis, tapes.Role{Name: "tickwire-tape", Conns: tapeConns})
	if err != nil {
		return fmt.Errorf("tape: --redis: %w", err)
	}
	defer r.Close()
	defer context.AfterFunc(ctx, func() { r.Close() })()
	if err = do(r); err == nil {
		return nil
	}
	return fmt.Errorf("tape: %w", r.Advise(err, "name the Redis of the feed with --redis: that of tickwire up, in memory, cannot be reached"))
}

const noStreams = "there is no stream: is a feed running?"

type tapeStatusCmd struct {
	tapeStreams
}

func (c *tapeStatusCmd) Run(ctx context.Context) error {
	return c.with(ctx, func(r *tapes.Redis) error { return c.run(ctx, r, os.Stdout, os.Stderr) })
}

func (c *tapeStatusCmd) run(ctx context.Context, r *tapes.Redis, stdout, stderr io.Writer) error {
	names, err := r.Streams(ctx, c.Streams...)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		fmt.Fprintln(stderr, "tickwire:", noStreams)
		return nil
	}
	all, err := r.Statuses(ctx, names)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printJSON(stdout, all)
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STREAM\tWRITER\tSTANDBY\tEPOCH\tSINCE\tN\tLAG\tENTRIES/S\tUPDATES/S\tENTRIES\tBYTES\tSYMBOLS\tCHECKPOINT\tLAST HOLE")
	for i := range all {
		printStatus(w, &all[i])
	}
	return w.Flush()
}

// printStatus prints a line of the table.
func printStatus(w io.Writer, s *tapes.Status) {
	standby, load, both := strings.Cut(s.Standby, " ")
	if both {
		standby += " (" + load + ")"
	}
	since, lag, checkpoint := "-", "-", "-"
	if s.Entries > 0 {
		begun := time.UnixMilli(s.Epoch)
		since = fmt.Sprintf("%s, %s ago", begun.Format("2006-01-02 15:04:05"), shortTime(time.Since(begun)))
	}
	if s.SentAt > 0 {
		if lag = shortTime(s.Lag); s.Silent {
			lag = "silent " + lag
		}
	}
	if s.Checkpoint != 0 {
		checkpoint = shortTime(s.Checkpoint) + " ago"
	}
	hole := "-"
	switch {
	case s.Hole != nil && s.Hole.Age != 0:
		hole = fmt.Sprintf("%s, %s ago", s.Hole.ID, shortTime(s.Hole.Age))
	case s.Hole != nil:
		hole = s.Hole.ID
	case s.Entries > 0:
		hole = "none in " + shortTime(s.Retained) + " retained"
	}
	if s.Trouble != "" {
		hole += "; TROUBLE: " + codec.Printable(s.Trouble)
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%d\t%s\t%.1f\t%.1f\t%d\t%s\t%d\t%s\t%s\n", codec.Printable(s.Stream), cmp.Or(s.Writer, "-"), cmp.Or(standby, "-"),
		s.Epoch, since, s.N, lag, s.EntryRate, s.UpdateRate, s.Entries, shortBytes(s.Bytes), s.Symbols, checkpoint, hole)
}

// shortTime is a time as precise as a glance is.
func shortTime(d time.Duration) string {
	switch abs := d.Abs(); {
	case abs < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case abs < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case abs < 2*oneDay:
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%dd", d/oneDay)
}

// shortBytes is a size; none is not known.
func shortBytes(n int64) string {
	switch {
	case n == 0:
		return "-"
	case n < 1<<20:
		return fmt.Sprintf("%.1fKiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1fMiB", float64(n)/(1<<20))
}

// printJSON prints an object a line.
func printJSON[T any](w io.Writer, all []T) error {
	enc := json.NewEncoder(w)
	for i := range all {
		if err := enc.Encode(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

type tapeVerifyCmd struct {
	tapeStreams
	For time.Duration `default:"5s" env:"TICKWIRE_VERIFY_FOR" placeholder:"TIME" help:"How long to look at what comes; a checkpoint or two more are waited for. [${default}]"`
}

func (c *tapeVerifyCmd) Validate() error {
	if c.For < 0 {
		return errors.New("--for must not be below zero")
	}
	return nil
}

func (c *tapeVerifyCmd) Run(ctx context.Context) error {
	return c.with(ctx, func(r *tapes.Redis) error { return c.run(ctx, r, os.Stdout) })
}

func (c *tapeVerifyCmd) run(ctx context.Context, r *tapes.Redis, stdout io.Writer) error {
	names, err := r.Streams(ctx, c.Streams...)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return errors.New(noStreams)
	}
	all, err := r.Verify(ctx, names, c.For)
	if err != nil {
		return fmt.Errorf("this broke off, and says nothing of the tape: %w", err)
	}
	bad := 0
	for i := range all {
		if !all[i].Good() {
			bad++
		}
		if !c.JSON {
			printReport(stdout, &all[i])
		}
	}
	if c.JSON {
		if err := printJSON(stdout, all); err != nil {
			return err
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d streams are wrong", bad, len(all))
	}
	return nil
}

// printReport prints what was checked of a stream, and what is wrong with it.
func printReport(w io.Writer, r *tapes.Report) {
	verdict := "good"
	if !r.Good() {
		verdict = "WRONG"
	}
	fmt.Fprintf(w, "%s: %s: entries %d, from %s to %s, updates %d; reigns that began %d, after a break %d; seqs that jump %d", codec.Printable(r.Stream), verdict,
		r.Entries, cmp.Or(r.From, "-"), cmp.Or(r.To, "-"), r.Updates, r.Reigns, r.Breaks, r.Jumps)
	if r.Trimmed > 0 {
		fmt.Fprintf(w, "; trimmed before it was read, and not checked, %d times", r.Trimmed)
	}
	if r.AsOf != "" {
		fmt.Fprintf(w, "; checkpoint %s: %d of %d symbols are what the entries add up to", r.AsOf, r.Compared, r.Symbols)
	}
	if r.Merged > 0 {
		fmt.Fprintf(w, ", %d came merged with later updates", r.Merged)
	}
	fmt.Fprintln(w)
	for _, text := range r.Findings {
		fmt.Fprintf(w, "  %s\n", text)
	}
	if r.More > 0 {
		fmt.Fprintf(w, "  and %d more\n", r.More)
	}
}

type tapeDropCmd struct {
	tapeRedis
	Stream string `arg:"" help:"The stream, as coinbase/0, named exactly."`
}

func (c *tapeDropCmd) Run(ctx context.Context) error {
	return c.with(ctx, func(r *tapes.Redis) error {
		removed, err := r.Drop(ctx, c.Stream)
		for _, key := range removed {
			fmt.Println("removed", codec.Printable(key))
		}
		return err
	})
}
