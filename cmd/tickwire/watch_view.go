package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/client"
)

// flashFor is how long a price keeps the colour of its direction.
const flashFor = 700 * time.Millisecond

// A symbol has one line where the terminal is wide, two where there is room for all of
// them, and otherwise one with less in it.
const (
	wideColumns  = 140
	fewColumns   = 80
	fewLines     = 24
	aroundRows   = 4 // lines above and below the rows
	columnsWide  = "%-20s %12s %8s %12s %10s %12s %10s %8s %23s"
	columnsSmall = "%-16s %12s %8s %12s %12s %8s"
)

var (
	dim        = lipgloss.NewStyle().Faint(true)
	bold       = lipgloss.NewStyle().Bold(true)
	up         = lipgloss.NewStyle().Foreground(lipgloss.AdaptiveColor{Light: "28", Dark: "42"})
	down       = lipgloss.NewStyle().Foreground(lipgloss.AdaptiveColor{Light: "124", Dark: "203"})
	alarm      = lipgloss.NewStyle().Foreground(lipgloss.AdaptiveColor{Light: "130", Dark: "214"})
	plainStyle = lipgloss.NewStyle()
)

func direction(d int) lipgloss.Style {
	switch {
	case d > 0:
		return up
	case d < 0:
		return down
	}
	return plainStyle
}

// view is one drawing of the board into a terminal of that size.
type view struct {
	width, height int
	now           time.Time
}

// draw draws the rows from top on, which it keeps within what there is to scroll.
func (v *view) draw(b *termBoard, top *int) string {
	if v.width <= 0 || v.height <= 0 {
		v.width, v.height = fewColumns, fewLines // not told yet
	}
	rows := b.sorted()
	room := max(1, v.height-aroundRows)
	line, each, heading := v.wide, 1, fmt.Sprintf(columnsWide, "symbol", "last", "day", "bid", "size", "ask", "size", "spread", "range")+" status"
	switch {
	case v.width >= wideColumns:
	case 2*len(rows) <= room:
		line, each, heading = v.tall, 2, ""
	default:
		line, heading = v.small, fmt.Sprintf(columnsSmall, "symbol", "last", "day", "bid", "ask", "spread")+" status"
	}
	fits := max(1, room/each)
	*top = max(0, min(*top, len(rows)-fits))
	lines := []string{v.title(b), dim.Render(heading)}
	for _, r := range rows[*top:min(len(rows), *top+fits)] {
		lines = append(lines, line(r)...)
	}
	if len(rows) == 0 {
		lines = append(lines, dim.Render("waiting for the first quote"))
	}
	lines = append(lines, "", v.footer(b, len(rows), *top, fits))
	cut := lipgloss.NewStyle().MaxWidth(v.width)
	for i := range lines {
		lines[i] = cut.Render(lines[i])
	}
	return strings.Join(lines[:min(len(lines), v.height)], "\n")
}

// title says how the connection is, and how much comes over it.
func (v *view) title(b *termBoard) string {
	state := up.Render("● " + b.state)
	if b.state != "live" {
		state = alarm.Render("○ " + b.state)
	}
	s := &b.shown
	text := fmt.Sprintf("%d updates/s", s.updates)
	if s.conflated > 0 {
		text += fmt.Sprintf(", %d conflated", s.conflated)
	}
	if s.node.n > 0 {
		text += "  node " + s.node.text()
	}
	if s.feed.n > 0 {
		text += "  feed " + s.feed.text()
	}
	return bold.Render("tickwire") + "  " + state + "  " + text
}

// text is the mean. Below zero the clocks differ by more than the way takes.
func (d delay) text() string {
	ms := float64(d.us) / float64(d.n) / 1000
	if ms < 0 {
		return "clock ahead"
	}
	if ms < 10 {
		return fmt.Sprintf("%.2f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

func (v *view) footer(b *termBoard, rows, top, fits int) string {
	keys := "q quits"
	if rows > fits {
		keys = fmt.Sprintf("%d-%d of %d, ↑↓ scroll, q quits", top+1, min(rows, top+fits), rows)
	}
	style := dim
	if b.state != "live" {
		style = alarm
	}
	return dim.Render(keys) + "  " + style.Render(b.note)
}

// text is a field, right-aligned to n columns and coloured while it has just moved.
func (v *view) text(r *termRow, f codec.Field, n int) string {
	text := number(r, f)
	if pad := n - len([]rune(text)); pad > 0 {
		text = strings.Repeat(" ", pad) + text
	}
	if m, ok := r.moves[f]; ok && v.now.Sub(m.at) < flashFor {
		return direction(m.direction).Render(text)
	}
	return text
}

// number is a field exactly, or a dash.
func number(r *termRow, f codec.Field) string {
	if r.quote[f] == codec.Absent {
		return "–"
	}
	text := string(codec.AppendText(nil, &r.quote, f))
	if !codec.Prices.Has(f) {
		return text
	}
	return trimmed(text, max(r.places, needs(&r.quote, f)))
}

// trimmed is a decimal text with that many of its decimals: an average price makes
// the scale finer than prices are.
func trimmed(text string, places int) string {
	whole, decimals, _ := strings.Cut(text, ".")
	if places == 0 || decimals == "" {
		return whole
	}
	return whole + "." + decimals[:min(places, len(decimals))]
}

// needs is how many decimals a field's value has, less zeros at the end.
func needs(q *codec.Quote, f codec.Field) int {
	if q[f] == codec.Absent {
		return 0
	}
	_, decimals, _ := strings.Cut(string(codec.AppendText(nil, q, f)), ".")
	return len(strings.TrimRight(decimals, "0"))
}

// day is the change since the day's open, in n columns.
func day(r *termRow, n int) string {
	open, last := client.Float(&r.quote, codec.Open), client.Float(&r.quote, codec.Last)
	change := 100 * (last/open - 1)
	if !(open > 0) || change != change {
		return fmt.Sprintf("%*s", n, "–")
	}
	text := fmt.Sprintf("%*s", n, fmt.Sprintf("%+.2f%%", change))
	return direction(cmp.Compare(last, open)).Render(text)
}

// spread is ask less bid, exactly.
func spread(r *termRow) string {
	bid, ask := r.quote[codec.Bid], r.quote[codec.Ask]
	if bid == codec.Absent || ask == codec.Absent {
		return "–"
	}
	return trimmed(string(codec.AppendDecimal(nil, ask-bid, int(max(0, r.quote[codec.PriceScale])))), r.places)
}

// status is what is the matter with a symbol.
func status(r *termRow) string {
	switch s := r.quote[codec.Status]; {
	case s < 0 || s >= int64(len(codec.StatusNames)):
		return dim.Render("–")
	case s == codec.Live:
		return dim.Render(codec.StatusNames[s])
	default:
		return alarm.Render(codec.StatusNames[s])
	}
}

// name is a symbol in n columns: of a long one the ends, which tell it from others.
func name(r *termRow, n int) string {
	if len(r.symbol) <= n {
		return fmt.Sprintf("%-*s", n, r.symbol)
	}
	head := n / 3
	return r.symbol[:head] + "…" + r.symbol[len(r.symbol)-(n-head-1):]
}

func (v *view) small(r *termRow) []string {
	return []string{name(r, 16) + " " + v.text(r, codec.Last, 12) + " " + day(r, 8) + " " + v.text(r, codec.Bid, 12) + " " +
		v.text(r, codec.Ask, 12) + fmt.Sprintf(" %8s ", spread(r)) + status(r)}
}

func (v *view) wide(r *termRow) []string {
	size := func(f codec.Field) string { return fmt.Sprintf(" %10s ", number(r, f)) }
	return []string{name(r, 20) + " " + v.text(r, codec.Last, 12) + " " + day(r, 8) + " " + v.text(r, codec.Bid, 12) + size(codec.BidSize) +
		v.text(r, codec.Ask, 12) + size(codec.AskSize) + fmt.Sprintf("%8s %23s ", spread(r), number(r, codec.Low)+" - "+number(r, codec.High)) +
		status(r) + pace(r)}
}

// tall is two lines; the second is what explains the first.
func (v *view) tall(r *termRow) []string {
	arrow := " "
	if m, ok := r.moves[codec.Last]; ok {
		arrow = direction(m.direction).Render(map[int]string{1: "▲", -1: "▼"}[m.direction])
	}
	side := func(f, size codec.Field) string {
		text := v.text(r, f, 1) + dim.Render(" × "+number(r, size))
		return text + strings.Repeat(" ", max(0, 22-lipgloss.Width(text)))
	}
	return []string{
		bold.Render(name(r, 20)) + v.text(r, codec.Last, 13) + " " + arrow + day(r, 9) +
			dim.Render("  spread ") + fmt.Sprintf("%-8s ", spread(r)) + status(r) + pace(r),
		dim.Render("  bid ") + side(codec.Bid, codec.BidSize) + dim.Render(" ask ") + side(codec.Ask, codec.AskSize) +
			dim.Render(" "+number(r, codec.Low)+" - "+number(r, codec.High)),
	}
}

// pace is how many updates come a second, and how many were conflated since the start.
func pace(r *termRow) string {
	text := fmt.Sprintf(" %d/s", r.perSec)
	if r.conflated > 0 {
		text += fmt.Sprintf(" ~%d", r.conflated)
	}
	return dim.Render(text)
}
