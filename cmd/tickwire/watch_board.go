package main

import (
	"cmp"
	"context"
	"maps"
	"math"
	"os"
	"slices"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/client"
)

// frameEvery is how often the board is drawn, however fast prices come.
const frameEvery = 100 * time.Millisecond

// watchBoard draws the board until q, ctrl-C or ctx.
func watchBoard(ctx context.Context, cl *client.Client, out *os.File, url string, refusals *refusals) error {
	b := newTermBoard(url)
	cl.OnUpdate = b.update
	cl.OnEvent = func(e client.Event) {
		b.event(e)
		refusals.note(e)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	// The signals are main's: they end ctx.
	program := tea.NewProgram(&termModel{board: b, width: 80, height: 24}, tea.WithContext(ctx), tea.WithOutput(out), tea.WithoutSignalHandler())
	ended := make(chan error, 1)
	go func() {
		ended <- follow(ctx, cl)
		program.Quit()
	}()
	_, err := program.Run()
	byCtx := ctx.Err() != nil
	stop()
	if final := <-ended; final != nil {
		return final
	}
	if byCtx {
		return nil
	}
	return err
}

// termBoard is what the client's goroutine leaves for the drawing one.
type termBoard struct {
	url string

	mu    sync.Mutex // protects what follows
	rows  map[string]*termRow
	state client.EventKind // Live, or why not
	note  string           // what happened last
	tally tally
	shown tally // of the last whole second
	since time.Time
}

// tally counts over a second.
type tally struct {
	updates, conflated int
	node, feed         delay // from when they sent it
}

// delay sums how long updates were under way.
type delay struct{ us, n int64 }

func (d *delay) add(from, to int64) {
	d.us += to - from
	d.n++
}

// text is the mean. Below zero the clocks differ by more than the way takes.
func (d *delay) text(name string) string {
	if d.n == 0 {
		return ""
	}
	return name + (time.Duration(d.us/d.n) * time.Microsecond).Round(10*time.Microsecond).String()
}

// termRow is one symbol.
type termRow struct {
	symbol    string
	quote     codec.Quote
	moves     map[codec.Field]move
	places    int   // decimals that its prices have needed so far
	conflated int64 // updates that were merged into others, since the start
	updates   int
	perSec    int
}

// move is which way a price went last.
type move struct {
	direction int
	at        time.Time
}

func newTermBoard(url string) *termBoard {
	return &termBoard{url: url, rows: make(map[string]*termRow), state: client.Connecting, since: time.Now()}
}

// update takes an update of the client.
func (b *termBoard) update(u *client.Update) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.rows[u.Symbol]
	if r == nil {
		r = &termRow{symbol: u.Symbol, quote: codec.Empty, moves: make(map[codec.Field]move)}
		b.rows[u.Symbol] = r
	}
	for _, f := range [...]codec.Field{codec.Last, codec.Bid, codec.Ask} {
		was, is := r.quote.Float(f), u.Quote.Float(f)
		if was < is || was > is {
			r.moves[f] = move{cmp.Compare(is, was), time.UnixMicro(u.ReceivedAt)}
		}
		r.places = max(r.places, needs(&u.Quote, f))
	}
	r.quote = u.Quote
	r.updates++
	b.tally.updates++
	b.tally.node.add(u.SentAt, u.ReceivedAt)
	switch {
	case u.Flags&codec.Conflated != 0:
		r.conflated += u.Conflated
		b.tally.conflated += int(u.Conflated)
	case u.Flags&codec.Image == 0 && u.Mask.Has(codec.RecvTime):
		b.tally.feed.add(u.Quote[codec.RecvTime], u.ReceivedAt)
	}
}

// event takes an event of the client.
func (b *termBoard) event(e client.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e.Kind {
	case client.Live, client.Connecting, client.Stale:
		b.state = e.Kind
	case client.Subscribed:
		if e.Matched != 0 {
			return // that is seen
		}
	}
	b.note = e.String()
}

// count turns what was counted into numbers per second, once a second.
func (b *termBoard) count(now time.Time) {
	passed := now.Sub(b.since)
	if passed < time.Second {
		return
	}
	perSec := func(n int) int { return int(math.Round(float64(n) / passed.Seconds())) }
	b.shown, b.tally, b.since = b.tally, tally{}, now
	b.shown.updates, b.shown.conflated = perSec(b.shown.updates), perSec(b.shown.conflated)
	for _, r := range b.rows {
		r.perSec, r.updates = perSec(r.updates), 0
	}
}

// sorted lists the rows by symbol.
func (b *termBoard) sorted() []*termRow {
	return slices.SortedFunc(maps.Values(b.rows), func(a, b *termRow) int { return cmp.Compare(a.symbol, b.symbol) })
}

// termModel is bubbletea's view of the board.
type termModel struct {
	board         *termBoard
	width, height int
	top           int // first row drawn
}

type frameTick time.Time

func (m *termModel) Init() tea.Cmd {
	return tea.Tick(frameEvery, func(t time.Time) tea.Msg { return frameTick(t) })
}

// scrolls is by how many rows a key moves the board.
var scrolls = map[string]int{
	"down": 1, "j": 1, "pgdown": 10, "space": 10,
	"up": -1, "k": -1, "pgup": -10, "home": -1 << 30, "g": -1 << 30,
}

func (m *termModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case frameTick:
		return m, m.Init()
	case tea.WindowSizeMsg:
		if msg.Width > 0 && msg.Height > 0 { // some do not know
			m.width, m.height = msg.Width, msg.Height
		}
	case tea.KeyPressMsg:
		switch key := msg.String(); key {
		case "q", "ctrl+c", "esc":
			return m, tea.Quit
		default:
			m.top += scrolls[key]
		}
	}
	return m, nil
}
