package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"golang.org/x/sys/unix"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/client"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// sample is an update of a symbol, with a last price.
func sample(symbol string, last int64, flags codec.Flags) *client.Update {
	q := codec.Empty
	q[codec.Last], q[codec.Open], q[codec.PriceScale] = last, 6100000, 2
	q[codec.Bid], q[codec.Ask], q[codec.Low], q[codec.High] = last-1, last+2, 6000000, 6200050
	q[codec.BidSize], q[codec.AskSize], q[codec.SizeScale] = 51234567, 100000000, 8
	q[codec.Trades], q[codec.Status], q[codec.RecvTime] = 5, codec.Live, 1_000_000
	return &client.Update{
		Update: codec.Update{Seq: 9, Flags: flags, Mask: 1<<codec.Last | 1<<codec.Trades | 1<<codec.Volume | 1<<codec.Status, Quote: q},
		Symbol: symbol, Conflated: 3, SentAt: time.Now().UnixMicro() - 800, ReceivedAt: time.Now().UnixMicro(),
	}
}

func TestWatchLines(t *testing.T) {
	u := sample("sim:A", 6183760, codec.Conflated|codec.ReasonSlow|codec.Gap)
	want := `{"symbol":"sim:A","seq":9,"flags":["conflated","slow","gap"],"changed":{"last":"61837.60","volume":null,"trades":5,"status":"live"}}` + "\n"
	if got := string(appendJSONLine(nil, u)); got != want {
		t.Errorf("\ngot  %swant %s", got, want)
	}
	u = sample(`sim:"A\`, 6183760, codec.Image)
	var line struct{ Symbol string }
	if err := json.Unmarshal(appendJSONLine(nil, u), &line); err != nil || line.Symbol != u.Symbol {
		t.Errorf("%q: %v", line.Symbol, err)
	}
	if got := string(appendTextLine(nil, u))[13:]; got != `sim:"A\                  `+"seq=9 image last=61837.60 volume=null trades=5 status=live\n" {
		t.Errorf("got %q", got)
	}
}

// bare is what the board shows, without colours.
func bare(m *termModel) string { return ansi.Strip(m.draw()) }

// board is a termBoard of n symbols.
func board(n int) *termModel {
	b := newTermBoard("ws://127.0.0.1:8080")
	b.event(client.Event{Kind: client.Live, Hello: &codec.Hello{Node: "n1"}})
	for i := range n {
		b.update(sample(fmt.Sprintf("binance:SYMBOL%03d-USDT", i), 6183760, codec.Image))
		b.update(sample(fmt.Sprintf("binance:SYMBOL%03d-USDT", i), 6183790, codec.Conflated|codec.ReasonSlow))
	}
	b.since = b.since.Add(-time.Second)
	return &termModel{board: b, width: 80, height: 24}
}

// Whatever the terminal's size: no line is wider, there are not more lines, and what
// there is room for is shown.
func TestBoardFits(t *testing.T) {
	least := []string{" 61837.90 ", " +1.37% ", " live"}
	few := append([]string{" 61837.89 ", " 61837.92 ", " 0.03 "}, least...)
	most := append([]string{" 0.51234567 ", " 1.00000000 ", " 2/s ~3"}, few...)
	all := append([]string{" 60000.00 - 62000.50 "}, most...)
	symbol := "SYMBOL000-USDT "
	for _, c := range []struct {
		rows, width, height int
		shown               []string
	}{
		{100, 200, 24, append(all, "binance:"+symbol)}, {3, 140, 10, append(all, symbol)}, {3, 120, 24, most}, {100, 80, 24, few},
		{3, 40, 24, least}, {3, 60, 24, append(least, "binance:"+symbol)}, {100, 20, 5, nil}, {3, 1, 1, nil}, {0, 80, 24, []string{"waiting"}}, {3, 0, 0, few},
	} {
		m := board(c.rows)
		m.Update(tea.WindowSizeMsg{Width: c.width, Height: c.height})
		text := bare(m)
		t.Logf("%d rows, %dx%d\n%s", c.rows, c.width, c.height, text)
		lines := strings.Split(text, "\n")
		if c.height > 0 && len(lines) > c.height {
			t.Errorf("%+v: %d lines", c, len(lines))
		}
		for _, line := range lines {
			if strings.Contains(line, "SYMBOL") && regexp.MustCompile(`[0-9.]$`).MatchString(line) { // none ends with a number that is whole
				t.Errorf("%+v: cut: %q", c, line)
			}
			if w := lipgloss.Width(line); c.width > 0 && w > c.width {
				t.Errorf("%+v: %d columns: %q", c, w, line)
			}
		}
		for _, want := range c.shown {
			if !strings.Contains(text, want) {
				t.Errorf("%+v: no %s in\n%s", c, want, text)
			}
		}
	}
}

func TestBoardScrolls(t *testing.T) {
	m := board(100)
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	for _, key := range []string{"up", "pgdown", "down", "pgup", "up", "down", "down"} {
		m.draw()
		m.Update(tea.KeyPressMsg{Code: map[string]rune{"up": tea.KeyUp, "down": tea.KeyDown, "pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp}[key]})
	}
	if text := bare(m); m.top != 2 || !strings.Contains(text, "3-22 of 100") || !strings.Contains(text, "002-") || strings.Contains(text, "001-") {
		t.Errorf("top %d\n%s", m.top, text)
	}
	m.top = 1000
	if m.draw(); m.top != 80 {
		t.Errorf("top %d", m.top)
	}
	m.board.event(client.Event{Kind: client.Connecting, Err: io.EOF, After: time.Second})
	if text := bare(m); !strings.Contains(text, "○ connecting") || !strings.Contains(text, "EOF; again in 1s") {
		t.Error(text)
	}
	for key, msg := range map[string]tea.KeyPressMsg{"q": {Code: 'q', Text: "q"}, "ctrl-C": {Code: 'c', Mod: tea.ModCtrl}} {
		if _, cmd := m.Update(msg); cmd == nil || cmd() != tea.Quit() {
			t.Errorf("%s does not quit", key)
		}
	}
}

// An average price of many decimals does not give them to the others.
func TestBoardDecimals(t *testing.T) {
	m := board(0)
	u := sample("sim:A", 0, 0)
	u.Quote[codec.PriceScale], u.Quote[codec.VWAP] = 8, 10012345678
	u.Quote[codec.Last], u.Quote[codec.Bid], u.Quote[codec.Ask] = 10050000000, 10049000000, 10051000000
	u.Quote[codec.Low], u.Quote[codec.High] = 9000000000, 11000000001
	m.board.update(u)
	m.Update(tea.WindowSizeMsg{Width: 160, Height: 24})
	text := bare(m)
	for _, want := range []string{" 100.50 ", " 100.49 ", " 100.51 ", " 0.02 ", " 90.00 - 110.00000001 "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// A scale that is none takes no board down, nor does a symbol without prices.
func TestBoardWithoutPrices(t *testing.T) {
	m := board(0)
	for scale, name := range map[int64]string{16: "sim:C", -1: "sim:D", math.MaxInt64: "sim:E"} {
		u := sample(name, 100, 0)
		u.Quote[codec.PriceScale], u.Quote[codec.SizeScale] = scale, scale
		m.board.update(u)
	}
	m.board.update(&client.Update{Symbol: "sim:A", Update: codec.Update{Quote: codec.Empty}})
	u := sample("sim:B", 100, 0)
	u.Quote[codec.Open], u.Quote[codec.Status] = 0, codec.Halted
	m.board.update(u)
	text := bare(m)
	if !strings.Contains(text, "halted") || strings.Contains(text, "NaN") || strings.Contains(text, fmt.Sprint(math.MinInt64)) {
		t.Error(text)
	}
}

// upSim is a node with a simulated market; the port of its stream.
func upSim(t *testing.T) (port string) {
	t.Helper()
	port = tapetest.Port(t)
	p := tickwire(t, "up", "--venue", "sim", "--listen", "127.0.0.1:"+port, "--metrics", "off")
	within(t, 20*time.Second, "up", func() bool { return strings.Contains(p.text(), "is up") })
	return port
}

// Lines come, and ctrl-C ends them with 0 within a second, whoever reads them or not.
func TestWatchJSON(t *testing.T) {
	port := upSim(t)
	for _, encoding := range []string{"msgpack", "json"} {
		w := startWatch(t, port, "--encoding", encoding, "--fields", "bid,ask", "--rate", "50", "sim:*")
		within(t, 20*time.Second, "lines", func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.lines > 20
		})
		if code, took := w.stop(interrupt); code != 0 || took > time.Second {
			t.Errorf("%s: exit %d after %v", encoding, code, took)
		}
		if !strings.Contains(w.text(), "connected to node") {
			t.Error(w.text())
		}
		for _, line := range w.back {
			t.Error(line)
		}
	}
	path, _ := binary()
	silent := exec.Command(path, "watch", "--url", "ws://127.0.0.1:"+port, "sim:*")
	out, err := silent.StdoutPipe() // which nobody reads
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := silent.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // more than a pipe holds
	began := time.Now()
	silent.Process.Signal(syscall.SIGINT)
	if err := silent.Wait(); err != nil || time.Since(began) > time.Second {
		t.Errorf("unread: %v after %v", err, time.Since(began))
	}
}

// What cannot work is said, and what may is tried again.
func TestWatchSaysWhy(t *testing.T) {
	dead := "ws://127.0.0.1:" + tapetest.Port(t)
	p := tickwire(t, "watch", "--url", dead, "sim:A")
	within(t, 20*time.Second, "tries again", func() bool {
		return strings.Count(p.text(), "tickwire: "+dead+": not connected: ") > 1 && strings.Contains(p.text(), "refused; again in ")
	})
	if code, took := p.stop(interrupt); code != 0 || took > time.Second {
		t.Errorf("exit %d after %v", code, took)
	}
	live := "ws://127.0.0.1:" + upSim(t)
	for want, args := range map[string][]string{
		"expected \"<symbol>":      {"--url", live},
		"unknown flag":             {"--flag", "sim:A"},
		"a stream is at":           {"--url", "http://localhost", "sim:A"},
		"unknown_field: \"price\"": {"--url", live, "--fields", "price", "sim:A"},
		"--rate must not be":       {"--url", live, "--rate=-1", "sim:A"},
		"watch: bad_rate: 0.01":    {"--url", live, "--rate", "0.01", "sim:A"},
		"watch: nope: bad_symbol":  {"--url", live, "nope"},
		"--encoding must be":       {"--url", live, "--encoding", "xml", "sim:A"},
	} {
		p := tickwire(t, append([]string{"watch"}, args...)...)
		done := make(chan error, 1)
		go func() { done <- p.cmd.Wait() }()
		select {
		case err := <-done:
			if err == nil || !strings.Contains(p.text(), want) {
				t.Errorf("%v: %v\n%s", args, err, p.text())
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%v does not end\n%s", args, p.text())
		}
	}
}

// terminal is a pseudo terminal of 80 columns, and what was drawn on it.
type terminal struct {
	master *os.File
	mu     sync.Mutex
	text   strings.Builder
}

func openTerminal(t *testing.T) (term *terminal, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo terminals here:", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skip("no pseudo terminals here:", err)
	}
	term = &terminal{master: master}
	term.resize(80, 24)
	go func() {
		for r := bufio.NewReader(master); ; {
			b, err := r.ReadByte()
			if err != nil {
				return
			}
			term.mu.Lock()
			term.text.WriteByte(b)
			asks := strings.HasSuffix(term.text.String(), "\x1b[6n")
			term.mu.Unlock()
			if asks { // where the cursor is; libraries wait 5 s for that
				master.WriteString("\x1b[1;1R")
			}
		}
	}()
	return term, slave
}

func (term *terminal) resize(columns, lines uint16) {
	unix.IoctlSetWinsize(int(term.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: lines})
}

func (term *terminal) shows(text string) bool {
	term.mu.Lock()
	defer term.mu.Unlock()
	return strings.Contains(term.text.String(), text)
}

func (term *terminal) clear() {
	term.mu.Lock()
	defer term.mu.Unlock()
	term.text.Reset()
}

// In a terminal the board is drawn, follows its size, and ends by key or signal.
func TestWatchTerminal(t *testing.T) {
	port := upSim(t)
	path, _ := binary()
	for _, end := range []string{"q", "\x03", "signal"} {
		term, slave := openTerminal(t)
		cmd := exec.Command(path, "watch", "--url", "ws://127.0.0.1:"+port, "sim:*")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		cmd.Env = append(os.Environ(), "TERM=xterm-256color")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill() })
		slave.Close()
		within(t, 20*time.Second, "the board", func() bool {
			return term.shows("live") && term.shows("sim:ACORN-USD") && term.shows("updates/s") && term.shows("spread")
		})
		if term.shows("range") {
			t.Error("80 columns show what needs 130")
		}
		term.clear()
		term.resize(160, 40)
		within(t, 20*time.Second, "the wide board", func() bool { return term.shows("range") })
		began := time.Now()
		if end == "signal" {
			cmd.Process.Signal(syscall.SIGINT)
		} else {
			term.master.WriteString(end)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case err := <-done:
			if err != nil || time.Since(began) > time.Second {
				t.Errorf("%q: %v after %v", end, err, time.Since(began))
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%q does not end it", end)
		}
	}
}

// What draws nothing asks a terminal nothing: one that does not answer would be waited for.
func TestTerminalIsNotAsked(t *testing.T) {
	path, _ := binary()
	term, slave := openTerminal(t)
	cmd := exec.Command(path, "version")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	cmd.Env = []string{"TERM=xterm-256color"}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, "the version", func() bool { return term.shows("tickwire ") })
	if term.shows("\x1b") {
		t.Errorf("it writes %q", term.text.String())
	}
}
