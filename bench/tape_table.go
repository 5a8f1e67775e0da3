package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

func (run *TapeRun) String() string {
	if run.Problem != "" {
		return run.Problem
	}
	return fmt.Sprintf("%.0f/s arrived in %.0f, p50 %s, p99 %s, redis %.2f us an update, %.2f cores, beside it %.2f%s",
		run.Arrived, run.MessagesPS, ms(run.LatencyUS.P50), ms(run.LatencyUS.P99), run.RedisUS, run.RedisCores, run.OtherCores,
		strings.TrimSuffix(": "+run.Limit, ": "))
}

// Print writes the report as tables.
func (r *TapeReport) Print(w io.Writer) {
	fmt.Fprintf(w, "tape: from feed to board through %s; %d symbols, %.0f s a run; %s; %s; tickwire %s\n",
		r.Store, r.Symbols, r.Seconds, r.Machine, r.At.Format(time.RFC3339), r.Version)
	if r.Partial {
		fmt.Fprintf(w, "partial: it broke off: %s\n", r.Problem)
	}
	if len(r.Runs) > 0 {
		r.printRuns(w)
	}
	if len(r.Entries) > 0 {
		r.printEntries(w)
	}
	if len(r.Demands) > 0 {
		r.printDemands(w)
	}
}

// table writes lines of cells; the first line is the heads.
func table(w io.Writer, lines [][]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, cells := range lines {
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	t.Flush()
}

func cell(digits int, v float64) string { return fmt.Sprintf("%.*f", digits, v) }

// known is a cell of what there may be none of.
func known(digits int, v float64) string {
	if v == 0 {
		return "-"
	}
	return cell(digits, v)
}

func (r *TapeReport) printRuns(w io.Writer) {
	lines := [][]string{{"updates/s", "transport", "arrived/s", "p50 ms", "p99 ms", "redis us", "writer us", "reader us", "redis cores", "messages/s", "updates/message",
		"bytes", "in", "out", "kept", "MB/hour", "MB held", "result"}}
	for i := range r.Runs {
		run := &r.Runs[i]
		if run.Nodes > 1 {
			continue
		}
		result := "kept up"
		if run.Limit != "" {
			result = run.Limit
		}
		if run.Missed > 0 {
			result += fmt.Sprintf(", %d merged or lost", run.Missed)
		}
		lines = append(lines, []string{cell(0, run.Offered), run.Transport, cell(0, run.Arrived), cell(2, inMS(run.LatencyUS.P50)), cell(2, inMS(run.LatencyUS.P99)),
			cell(2, run.RedisUS), cell(2, run.WriterUS), cell(2, run.ReaderUS), cell(2, run.RedisCores), cell(0, run.MessagesPS), cell(1, run.PerMessage),
			cell(0, run.Bytes), cell(0, run.InBytes), cell(0, run.OutBytes), known(0, run.KeptBytes), known(0, run.KeptPS*3600/1e6), known(1, run.Held/1e6), result})
	}
	fmt.Fprintln(w, "\nus and bytes are of an update: of its own, over Redis's connections, and kept in its memory, where an hour would take so many MB, and the half a minute that it is held does")
	table(w, lines)
}

func (r *TapeReport) printEntries(w io.Writer) {
	fmt.Fprintf(w, "\ncost of an entry, at %d entries/s; an idle Redis's %.0f us a second are not in it\n", entryPace, r.IdleUS)
	lines := [][]string{{"updates/entry", "readers", "entries/s", "reads/entry", "us/entry", "us/update", "in B/update", "out B/update", "kept B/update"}}
	for i := range r.Entries {
		c := &r.Entries[i]
		lines = append(lines, []string{fmt.Sprint(c.PerEntry), fmt.Sprint(c.Readers), cell(0, c.Entries), cell(2, c.Reads), cell(1, c.EntryUS), cell(2, c.UpdateUS),
			cell(0, c.InBytes), cell(0, c.OutBytes), cell(0, c.Kept)})
	}
	table(w, lines)
	for _, p := range []struct {
		unit string
		of   *perEntry
	}{{"us of Redis", &r.CPU}, {"bytes out of it", &r.Out}} {
		fmt.Fprintf(w, "%s: %.2f an entry, %.3f an update in it; %.2f for each reader of an entry, %.3f an update in it\n", p.unit, p.of.Entry, p.of.Update, p.of.Read, p.of.ReadUpdate)
	}
}

func (r *TapeReport) printDemands(w io.Writer) {
	fmt.Fprintln(w, "\nwhat so many nodes ask of Redis: calculated from these, and in brackets measured, or too much for this machine; a Redis has one core: asked for more, entries get fuller, and come later")
	head := []string{"updates/s", "transport", "entries/s"}
	for _, unit := range []string{"cores", "MB/s out"} {
		for _, n := range demandedNodes {
			head = append(head, fmt.Sprintf("%s of %d", unit, n))
		}
	}
	lines := [][]string{head}
	for some := range slices.Chunk(r.Demands, len(demandedNodes)) {
		d := &some[0]
		cells := []string{cell(0, d.Updates), d.Transport, cell(0, d.Entries)}
		for i := range some {
			cells = append(cells, some[i].both(2, some[i].Cores, some[i].CoresThen))
		}
		for i := range some {
			cells = append(cells, some[i].both(2, some[i].Out/1e6, some[i].OutThen/1e6))
		}
		lines = append(lines, cells)
	}
	table(w, lines)
}

// both is a figure as it was calculated, and as it was measured.
func (d *Demand) both(digits int, calculated, measured float64) string {
	said := known(digits, calculated)
	switch {
	case d.DidNotFit:
		said += " (too much)"
	case measured > 0:
		said += " (" + cell(digits, measured) + ")"
	}
	return said
}
