package main

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/client"
)

const (
	flashFor   = 700 * time.Millisecond // how long a price keeps the colour of its direction
	aroundRows = 4                      // lines above and below the rows
	nameLeast  = 13                     // columns of a symbol before others give way
)

var (
	plainStyle = lipgloss.NewStyle()
	dim        = plainStyle.Faint(true)
	bold       = plainStyle.Bold(true)
	up         = plainStyle.Foreground(lipgloss.Green) // these are as the terminal's user wants them
	down       = plainStyle.Foreground(lipgloss.Red)
	alarm      = plainStyle.Foreground(lipgloss.Yellow)
)

func direction(d int) lipgloss.Style {
	return [...]lipgloss.Style{down, plainStyle, up}[d+1]
}

// cell is one thing about a symbol.
type cell struct {
	text  string
	style lipgloss.Style
}

// columns are what the board shows beside the symbol. A terminal that is too narrow
// shows those of the first ranks.
var columns = [...]struct {
	title string
	rank  int
	width int // at least; below zero: left-aligned
	cell  func(*termRow) cell
}{
	{"last", 1, 10, value(codec.Last)},
	{"day", 2, 8, day},
	{"bid", 4, 10, value(codec.Bid)},
	{"size", 6, 10, value(codec.BidSize)},
	{"ask", 4, 10, value(codec.Ask)},
	{"size", 6, 10, value(codec.AskSize)},
	{"spread", 5, 7, spread},
	{"range", 8, 19, span},
	{"status", 3, -6, status},
	{"updates", 7, -10, pace},
}

// View is the whole screen.
func (m *termModel) View() tea.View {
	v := tea.NewView(m.draw())
	v.AltScreen = true
	return v
}

// draw draws the board; it keeps top within what there is to scroll.
func (m *termModel) draw() string {
	b := m.board
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count(time.Now())
	rows, fits := b.sorted(), max(1, m.height-aroundRows)
	m.top = max(0, min(m.top, len(rows)-fits))
	end := min(len(rows), m.top+fits)
	lines := append([]string{b.title()}, table(rows[m.top:end], m.width)...)
	if len(rows) == 0 {
		lines = append(lines, dim.Render("waiting for the first quote"))
	}
	keys, note := "q quits", dim
	if len(rows) > fits {
		keys = fmt.Sprintf("%d-%d of %d, ↑↓ scroll, q quits", m.top+1, end, len(rows))
	}
	if b.state != client.Live {
		note = alarm
	}
	lines = append(lines, "", dim.Render(keys)+"  "+note.Render(b.note))
	cut := plainStyle.MaxWidth(m.width)
	for i := range lines {
		lines[i] = cut.Render(lines[i])
	}
	return strings.Join(lines[:min(len(lines), m.height)], "\n")
}

// table is a heading and the rows, with as many columns as fit whole: a number that
// is cut reads as another one.
func table(rows []*termRow, width int) []string {
	name, need := len("symbol"), [len(columns) + 1]int{} // columns by rank
	var cells [len(columns)][]cell
	var widths [len(columns)]int
	for _, r := range rows {
		name = max(name, len(r.symbol))
	}
	for i, c := range columns {
		widths[i] = max(c.width, -c.width)
		for _, r := range rows {
			x := c.cell(r)
			cells[i] = append(cells[i], x)
			widths[i] = max(widths[i], utf8.RuneCountInString(x.text))
		}
		need[c.rank] += 1 + widths[i]
	}
	left, rank := width-min(name, nameLeast), 0
	for rank+1 < len(need) && need[rank+1] <= left {
		rank++
		left -= need[rank]
	}
	name = max(1, min(name, min(name, nameLeast)+left))

	lines := []string{fmt.Sprintf("%-*s", name, "symbol")}
	for _, r := range rows {
		lines = append(lines, shortened(r.symbol, name))
	}
	for i, c := range columns {
		if c.rank > rank {
			continue
		}
		if c.width < 0 {
			widths[i] = -widths[i]
		}
		lines[0] += fmt.Sprintf(" %*s", widths[i], c.title)
		for j, x := range cells[i] {
			lines[j+1] += " " + x.style.Render(fmt.Sprintf("%*s", widths[i], x.text))
		}
	}
	lines[0] = dim.Render(lines[0])
	return lines
}

// shortened is a symbol in n columns: of a long one the ends, which tell it from
// others.
func shortened(symbol string, n int) string {
	if len(symbol) <= n {
		return fmt.Sprintf("%-*s", n, symbol)
	}
	head := n / 3
	return symbol[:head] + "…" + symbol[len(symbol)-(n-head-1):]
}

// title says how the connection is, and how much comes over it.
func (b *termBoard) title() string {
	state := up.Render("● live")
	if b.state != client.Live {
		state = alarm.Render("○ " + string(b.state))
	}
	s := &b.shown
	text := fmt.Sprintf("%d updates/s", s.updates)
	if s.conflated > 0 {
		text += fmt.Sprintf(", %d conflated", s.conflated)
	}
	text += s.node.text("  node ") + s.feed.text("  feed ")
	return bold.Render("tickwire") + "  " + state + "  " + text
}

// value is a field, coloured while it has just moved.
func value(f codec.Field) func(*termRow) cell {
	return func(r *termRow) cell {
		style := plainStyle
		if m := r.moves[f]; time.Since(m.at) < flashFor {
			style = direction(m.direction)
		}
		return cell{number(r, &r.quote, f), style}
	}
}

// number is a field exactly, or a dash. An average price makes the scale finer than
// prices are: they have the decimals that they need.
func number(r *termRow, q *codec.Quote, f codec.Field) string {
	if q[f] == codec.Absent {
		return "–"
	}
	text := string(codec.AppendText(nil, q, f))
	whole, decimals, _ := strings.Cut(text, ".")
	if !codec.Prices.Has(f) || decimals == "" {
		return text
	}
	places := min(max(r.places, needs(q, f)), len(decimals))
	return strings.TrimSuffix(whole+"."+decimals[:places], ".")
}

// needs is how many decimals a field's value has, less zeros at the end.
func needs(q *codec.Quote, f codec.Field) int {
	_, decimals, _ := strings.Cut(string(codec.AppendText(nil, q, f)), ".")
	return len(strings.TrimRight(decimals, "0"))
}

// day is the change since the day's open.
func day(r *termRow) cell {
	open, last := r.quote.Float(codec.Open), r.quote.Float(codec.Last)
	switch change := math.Round(1e4*(last/open-1)) / 100; {
	case !(open > 0) || math.IsNaN(change):
		return cell{"–", plainStyle}
	case change == 0:
		return cell{"0.00%", plainStyle}
	default:
		return cell{fmt.Sprintf("%+.2f%%", change), direction(cmp.Compare(change, 0))}
	}
}

// spread is ask less bid, exactly.
func spread(r *termRow) cell {
	q := r.quote
	if q[codec.Bid] == codec.Absent || q[codec.Ask] == codec.Absent {
		return cell{"–", plainStyle}
	}
	q[codec.Ask] -= q[codec.Bid]
	return cell{number(r, &q, codec.Ask), plainStyle}
}

// span is the day's low and high.
func span(r *termRow) cell {
	return cell{number(r, &r.quote, codec.Low) + " - " + number(r, &r.quote, codec.High), plainStyle}
}

// status is what is the matter with a symbol.
func status(r *termRow) cell {
	style := alarm
	if s := r.quote[codec.Status]; s == codec.Live || s == codec.Absent {
		style = dim
	}
	return cell{number(r, &r.quote, codec.Status), style}
}

// pace is how many updates come a second, and how many were conflated since the start.
func pace(r *termRow) cell {
	text := fmt.Sprintf("%d/s", r.perSec)
	if r.conflated > 0 {
		text += fmt.Sprintf(" ~%d", r.conflated)
	}
	return cell{text, dim}
}
