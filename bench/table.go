package bench

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
)

// printHead writes what a report begins with, and returns what writes a row of it.
func printHead(w io.Writer, verdict string, partial bool, problems []string) (row func(name, format string, args ...any)) {
	if partial {
		verdict += " (partial: the run broke off)"
	}
	fmt.Fprintln(w, verdict)
	for _, p := range problems {
		fmt.Fprintln(w, "  "+p)
	}
	return func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-26s "+format+"\n", append([]any{name}, args...)...)
	}
}

// Print writes the report as a table.
func (r *Result) Print(w io.Writer) {
	verdict := "VERIFIED"
	switch {
	case r.Scenario == "limit":
		verdict = "MEASURED"
	case r.SeqsAlone && !r.Failed():
		verdict = "SEQS CHECKED (--no-verify: values were not)"
	case !r.Verified:
		verdict = "NOT VERIFIED"
	}
	row := printHead(w, verdict, r.Partial, r.Problems)
	row("machine", "%s; %s; tickwire %s", r.Machine, r.At.Format(time.RFC3339), r.Version)
	if r.Scenario == "limit" {
		r.printLimit(row)
		return
	}
	row("scenario", "%s, %s load, %s over %s, %d node(s), %s", r.Scenario, r.Load, r.Encoding, r.Over, r.Nodes, r.Store)
	if n := len(r.Steps); r.Scenario == "sweep" && n > 0 {
		row("sweep", "of %s, from %.0f to %.0f; the other rows are of the last run", r.swept(), r.Steps[0].Value, r.Steps[n-1].Value)
	}
	row("subscribers", "%d x %d of %d symbols, up in %.1f s (%.0f/s), %.0f us of node CPU each", r.Conns, r.Subs, r.Symbols, r.RampSeconds, r.ConnectsPS, r.ConnectUS)
	switch {
	case r.Offered == 0 && r.SeqsAlone:
		row("offered", "unknown: the tape was not read")
	case r.Offered == 0:
		row("offered", "%.0f updates/s were on the tape", r.PublishedPS)
	case r.PublishedPS == 0:
		row("offered", "%.0f updates/s by the feed", r.Offered)
	default:
		row("offered", "%.0f updates/s by the feed, of which %.0f were on the tape", r.Offered, r.PublishedPS)
	}
	row("delivered", "%.0f updates/s in %.0f messages/s, %.1f bytes an update", r.UpdatesPS, r.MessagesPS, r.BytesPerUpd)
	row("conflated", "%.2f %% merged; by rate %d, slow %d, catch-up %d", 100*r.Conflation.Ratio, r.Conflation.Rate, r.Conflation.Slow, r.Conflation.CatchUp)
	r.printReaders(row)
	if r.ReconnectsPS > 0 {
		row("reconnects", "%.0f/s while it was measured", r.ReconnectsPS)
	}
	if r.RecoverySeconds > 0 {
		row("recovery", "%.2f s from the kill of a node until every subscriber was whole, %.0f us of its CPU each", r.RecoverySeconds, r.RecoveryUS)
	}
	r.printRolling(row)
	if r.Scenario == "saturate" {
		row("highest rate", "%s", r.highest())
	}
	r.printSteps(row)
	if r.Seconds > 0 { // else it broke off before
		r.printCost(row)
	}
	row("verified", "%d distinct updates held against the feed's, %d too late; %d subscriptions ended right", r.Checked, r.Unproved, r.Ended)
	r.printOdd(row)
}

// printLimit writes what a bare loop took, and whether it could do what was asked for.
func (r *Result) printLimit(row printer) {
	asked := r.Offered * r.perUpdate()
	row("asked for", "%.0f writes/s to %d sockets, as by the %s load at %.0f updates/s", asked, r.Conns, r.Load, r.Offered)
	if r.FloorUS == 0 {
		return // it broke off
	}
	row("floor", "%.2f us a write of %d bytes, %.0f writes/s, %.2f cores busy", r.FloorUS, limitBytes, r.FloorPS, r.FloorUS*r.FloorPS/1e6)
	if r.FloorPS < publishedLeast*asked {
		row("limit", "it does not get further: the loop's core, or the harness's, is at its end")
	}
}

// perUpdate is to how many subscribers an update goes, on the average.
func (r *Result) perUpdate() float64 {
	return ratio(float64(r.Conns)*float64(r.Subs), float64(r.Symbols))
}

// swept is the setting that the steps go through.
func (r *Result) swept() string { return cmp.Or(r.Settings.Of, "updates") }

// printer writes a row of the table.
type printer func(name, format string, args ...any)

// printReaders writes what subscribers had of it.
func (r *Result) printReaders(row printer) {
	if l := r.LatencyUS; l.Max > 0 {
		row("latency from due", "%s", &l)
	}
	if s := r.SentAgeUS; s.Max > 0 {
		row("of it, until it was sent", "%s", &s)
	}
	if s := r.SlowLatencyUS; s.Max > 0 {
		row("of slow readers", "%s", &s)
	}
	if r.Woken > 0 {
		row("slow readers found", "%d bytes that were sent before they read on, one of them %d", r.Unread, r.UnreadMax)
	}
	if r.Most > 0 {
		row("shares", "%d to %d messages a subscriber", r.Fewest, r.Most)
	}
}

func (p *percentiles) String() string {
	return fmt.Sprintf("p50 %s  p90 %s  p99 %s  p99.9 %s  max %s", ms(p.P50), ms(p.P90), ms(p.P99), ms(p.P999), ms(p.Max))
}

// printSteps writes what came of each value that the run went through.
func (r *Result) printSteps(row printer) {
	for _, s := range r.Steps {
		name := fmt.Sprintf("%s %.0f", r.swept(), s.Value)
		if s.Door != "" {
			name = s.Door
			s.Limit = fmt.Sprintf("a subscriber took %.0f us to let in, and %d bytes", s.ConnectUS, s.RSSPerConn)
		}
		row("  "+name, "%s", &s)
	}
}

func (s *Step) String() string {
	if s.Broken {
		return s.Limit
	}
	return fmt.Sprintf("%.0f/s delivered in %.0f, %.1f %% merged, p50 %s, p99 %s, sent %s, %.2f cores, harness %.2f, %.2f us an update, %.2f a message, shares %s%s",
		s.UpdatesPS, s.MessagesPS, 100*s.Conflated, ms(s.P50), ms(s.P99), ms(s.SentP99), s.ServerCPU, s.HarnessCPU, s.CPUPerUpd, s.CPUPerMsg, s.shares(),
		strings.TrimSuffix(": "+s.Limit, ": "))
}

// shares is how many times the fewest messages of a subscriber the most are.
func (s *Step) shares() string {
	if s.Fewest == 0 {
		return "-" // one had none
	}
	return fmt.Sprintf("%.2f", float64(s.Most)/float64(s.Fewest))
}

// printCost writes what the nodes took.
func (r *Result) printCost(row printer) {
	switch {
	case r.ServerCPU == 0 && r.others:
		row("node CPU", "unknown: name the nodes' --node-metrics")
	case r.UpdatesPS == 0:
		row("node CPU", "%.2f cores busy", r.ServerCPU)
	default:
		row("node CPU", "%.2f us an update, %.2f us a message, %.2f cores busy", r.CPUPerUpdUS, r.CPUPerMsgUS, r.ServerCPU)
	}
	switch {
	case r.NoFloor != "":
		row("floor", "not measured: %s", r.NoFloor)
	case r.OfFloor > 0:
		row("floor", "%.2f us a write, at %.0f writes/s: a message costs %.2f of it", r.FloorUS, r.FloorPS, r.OfFloor)
	case r.FloorUS > 0:
		row("floor", "%.2f us a write, at %.0f writes/s: not the run's pace, so no multiple", r.FloorUS, r.FloorPS)
	}
	switch {
	case r.RSS == 0 && r.others:
		row("node memory", "unknown: name the nodes' --node-metrics")
	case r.RSSPerConn == 0:
		row("node memory", "no more than without subscribers; RSS %.0f MB", float64(r.RSS)/(1<<20))
	default:
		row("node memory", "%d bytes a connection; RSS %.0f MB", r.RSSPerConn, float64(r.RSS)/(1<<20))
	}
	row("kernel memory", "%d bytes a connection in the socket buffers of this machine", r.KernelPerConn)
}

// printOdd writes what a run should not have, and what it was held up by.
func (r *Result) printOdd(row printer) {
	if r.Gaps > 0 {
		row("gaps", "%d updates said that their symbol was interrupted before", r.Gaps)
	}
	if r.Repeats > 0 {
		row("repeats", "%d had no new seq: not counted above", r.Repeats)
	}
	if r.Ahead >= 1000 {
		row("clock", "updates came up to %s before they were due: the feed's clock is ahead, latencies are that much too good", ms(r.Ahead))
	}
	if silent := r.silent(); silent > 0 {
		row("silence", "in %d of %d seconds nobody got an update", silent, len(r.Timeline))
	}
	if r.Stale > 0 {
		row("stale", "%d of these a node called stale, and the feed did not", r.Stale)
	}
	if r.Saturated {
		row("harness", "%.2f cores busy: IT IS THE BOTTLENECK, take fewer conns or more cores", r.HarnessCPU)
	} else {
		row("harness", "%.2f cores busy", r.HarnessCPU)
	}
	for why, n := range r.Lost {
		row("lost", "%d: %s", n, why)
	}
	for why, n := range r.Refused {
		row("refused", "%d: %s", n, why)
	}
}

// silent is how many seconds brought nobody anything.
func (r *Result) silent() (n int) {
	for _, s := range r.Timeline {
		if s.UpdatesPS == 0 && r.UpdatesPS > 0 {
			n++
		}
	}
	return n
}

func ms(us int64) string { return fmt.Sprintf("%.2f ms", float64(us)/1000) }
