package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/client"
)

// frameEvery is how often the terminal board is drawn, however fast prices come.
const frameEvery = 100 * time.Millisecond

// boardFrame is the lines around the rows.
const boardFrame = 6

// flashFor is how long a price keeps the colour of its direction.
const flashFor = 700 * time.Millisecond

// watchBoard draws the board until q, ctrl-C or ctx.
func watchBoard(ctx context.Context, cl *client.Client, url string) error {
	b := &termBoard{url: url, rows: make(map[string]*termRow), state: "connecting"}
	cl.OnUpdate, cl.OnEvent = b.update, b.event
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	program := tea.NewProgram(termModel{board: b}, tea.WithAltScreen(), tea.WithContext(ctx))
	var final error
	go func() {
		if final = cl.Run(ctx); ctx.Err() == nil {
			program.Quit()
		}
	}()
	if _, err := program.Run(); err != nil && ctx.Err() == nil {
		return err
	}
	if ctx.Err() == nil && final != nil {
		return final
	}
	return nil
}

// termBoard is what the client's goroutine leaves for the drawing one.
type termBoard struct {
	url string

	mu      sync.Mutex // protects what follows
	rows    map[string]*termRow
	state   string
	note    string
	updates int
	second  time.Time // updates are counted since
	perSec  int
}

type termRow struct {
	symbol    string
	quote     codec.Quote
	skipped   int64
	updates   int
	perSec    int
	late      time.Duration
	places    int // decimals that its prices have needed so far
	direction int
	moved     time.Time
}

func (b *termBoard) update(u *client.Update) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.rows[u.Symbol]
	if r == nil {
		r = &termRow{symbol: u.Symbol, quote: codec.Empty}
		b.rows[u.Symbol] = r
	}
	if was, now := r.quote[codec.Last], u.Quote[codec.Last]; was != codec.Absent && was != now && r.quote[codec.PriceScale] == u.Quote[codec.PriceScale] {
		r.direction, r.moved = cmp.Compare(now, was), time.Now()
	}
	r.quote = u.Quote
	r.skipped += u.Skipped
	r.updates++
	b.updates++
	r.late = time.Since(time.UnixMicro(u.SentAt))
}

func (b *termBoard) event(e client.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e.Kind {
	case client.Connected:
		b.state, b.note = "live", "node "+e.Hello.Node
	case client.Disconnected:
		b.state, b.note = "reconnecting", eventText(e, b.url)
	case client.Subscribed:
	default:
		b.note = eventText(e, b.url)
	}
}

// count turns updates into updates per second, once a second.
func (b *termBoard) count(now time.Time) {
	if now.Sub(b.second) < time.Second {
		return
	}
	b.perSec, b.updates, b.second = b.updates, 0, now
	for _, r := range b.rows {
		r.perSec, r.updates = r.updates, 0
	}
}

// termModel is bubbletea's view of the board.
type termModel struct {
	board  *termBoard
	height int // lines of the terminal; 0 not known
}

type frameTick time.Time

func nextFrame() tea.Cmd {
	return tea.Tick(frameEvery, func(t time.Time) tea.Msg { return frameTick(t) })
}

func (m termModel) Init() tea.Cmd { return nextFrame() }

func (m termModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case frameTick:
		return m, nextFrame()
	case tea.WindowSizeMsg:
		m.height = msg.Height
	case tea.KeyMsg:
		if k := msg.String(); k == "q" || k == "ctrl+c" || k == "esc" {
			return m, tea.Quit
		}
	}
	return m, nil
}

var (
	dim   = lipgloss.NewStyle().Faint(true)
	bold  = lipgloss.NewStyle().Bold(true)
	up    = lipgloss.NewStyle().Foreground(lipgloss.AdaptiveColor{Light: "28", Dark: "42"})
	down  = lipgloss.NewStyle().Foreground(lipgloss.AdaptiveColor{Light: "124", Dark: "203"})
	alarm = lipgloss.NewStyle().Foreground(lipgloss.AdaptiveColor{Light: "130", Dark: "214"})
)

func (m termModel) View() string {
	b := m.board
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.count(now)
	var w strings.Builder
	state := up.Render("● " + b.state)
	if b.state != "live" {
		state = alarm.Render("○ " + b.state)
	}
	fmt.Fprintf(&w, "%s  %s  %s\n\n", bold.Render("tickwire"), state, dim.Render(fmt.Sprintf("%d updates/s   %s", b.perSec, b.note)))
	w.WriteString(dim.Render(fmt.Sprintf("%-18s %12s %8s %12s %12s %6s %6s %-6s", "symbol", "last", "day", "bid", "ask", "upd/s", "ms", "")) + "\n")
	rows := make([]*termRow, 0, len(b.rows))
	for _, r := range b.rows {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b *termRow) int { return cmp.Compare(a.symbol, b.symbol) })
	if room := m.height - boardFrame; m.height > 0 && len(rows) > room {
		b.note = fmt.Sprintf("%d of %d symbols; a taller terminal shows more", max(0, room), len(rows))
		rows = rows[:max(0, room)]
	}
	for _, r := range rows {
		w.WriteString(r.line(now) + "\n")
	}
	if len(b.rows) == 0 {
		w.WriteString(dim.Render("waiting for the first quote") + "\n")
	}
	w.WriteString("\n" + dim.Render("q to quit"))
	return w.String()
}

// line draws one symbol in 80 columns.
func (r *termRow) line(now time.Time) string {
	text := func(f codec.Field) string {
		if r.quote[f] == codec.Absent {
			return "-"
		}
		return r.price(f)
	}
	last := fmt.Sprintf("%12s", text(codec.Last))
	if now.Sub(r.moved) < flashFor {
		last = direction(r.direction).Render(last)
	}
	day, style := "", dim
	if open, price := r.quote[codec.Open], r.quote[codec.Last]; open > 0 && price != codec.Absent {
		change := 100 * (float64(price)/float64(open) - 1)
		day, style = fmt.Sprintf("%+.2f%%", change), direction(cmp.Compare(price, open))
	}
	status := ""
	if s := r.quote[codec.Status]; s > 0 && s < int64(len(codec.StatusNames)) {
		status = codec.StatusNames[s]
	} else if r.skipped > 0 {
		status = fmt.Sprintf("~%d", r.skipped)
	}
	return fmt.Sprintf("%-18.18s %s %s %12s %12s %6d %6.1f %s", r.symbol, last, style.Render(fmt.Sprintf("%8s", day)),
		text(codec.Bid), text(codec.Ask), r.perSec, r.late.Seconds()*1000, alarm.Render(fmt.Sprintf("%-6.6s", status)))
}

// price is a price's text with the decimals that bid, ask and last have needed so far:
// an average price makes the scale finer than prices are.
func (r *termRow) price(f codec.Field) string {
	needs := func(text string) int {
		if _, decimals, ok := strings.Cut(text, "."); ok {
			return len(strings.TrimRight(decimals, "0"))
		}
		return 0
	}
	for _, f := range []codec.Field{codec.Bid, codec.Ask, codec.Last} {
		if r.quote[f] != codec.Absent {
			r.places = max(r.places, needs(string(codec.AppendText(nil, &r.quote, f))))
		}
	}
	text := string(codec.AppendText(nil, &r.quote, f))
	whole, decimals, _ := strings.Cut(text, ".")
	if places := max(r.places, needs(text)); places > 0 {
		return whole + "." + decimals[:places]
	}
	return whole
}

func direction(d int) lipgloss.Style {
	switch {
	case d > 0:
		return up
	case d < 0:
		return down
	}
	return dim
}
