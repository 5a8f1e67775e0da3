package fanout

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/epoll"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts print into testdata; read the diff")

// TestScripts plays testdata/*.txt: commands, a line of dashes, and what the conns
// then received. Commands:
//
//	conn N [json]              a subscriber, upgraded already
//	request N {...}            it sends a request
//	send N TEXT                it sends what need not be a request
//	tick SYMBOL field=value... an update of the tape; gap and image are flags,
//	                           history=N a new one
//	flood N SYMBOL...          N times, a millisecond apart: updates of them all
//	skip                       what the conns received so far is not printed
//	cycle                      the loop runs one cycle
//	full N / take N BYTES      its socket takes nothing more / so many bytes
//	writable N                 its socket takes everything again, and says so
//	reset N                    its next write meets a reset
//	cost DURATION              what a write takes, on the clock
//	time DURATION              the clock goes on, and the loop runs a cycle
//	lap                        the mailbox overflows
//	limit N                    a conn may hold N subs
//	state N                    prints what the loop knows of a conn
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { playScript(t, file) })
	}
}

func playScript(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t)
	var got strings.Builder
	for i, block := range strings.Split(strings.TrimRight(string(text), "\n"), "\n\n") {
		if i > 0 {
			got.WriteString("\n")
		}
		commands, _, found := strings.Cut(block+"\n", "----\n")
		got.WriteString(commands)
		for line := range strings.Lines(commands) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				s.do(line)
			}
		}
		if found {
			got.WriteString("----\n" + s.received())
		}
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(text), got.String()); diff != "" {
		t.Errorf("the script goes otherwise (-want +got); go test -run Scripts -rewrite writes it:\n%s", diff)
	}
}

// stage is a loop without a kernel: its sockets are filled by command.
type stage struct {
	t      *testing.T
	l      *loop
	stream stream
	now    time.Time
	cost   time.Duration // of a write
	seqs   map[string]int64
	conns  map[int]uint32 // conn index by script number
	fds    map[int]*fakeSocket
	print  strings.Builder
}

// fakeSocket takes up to room bytes; what it took is read by the script.
type fakeSocket struct {
	room   int
	took   []byte
	reset  bool
	closed bool
}

func (s *stage) Read(fd int, p []byte) (int, error) { return 0, epoll.ErrAgain }
func (s *stage) Close(fd int)                       { s.fds[fd].closed = true }
func (s *stage) Write(fd int, p []byte) (int, error) {
	s.now = s.now.Add(s.cost)
	f := s.fds[fd]
	if f.reset {
		return 0, unix.ECONNRESET
	}
	n := min(f.room, len(p))
	f.room -= n
	f.took = append(f.took, p[:n]...)
	if n < len(p) {
		return n, epoll.ErrAgain
	}
	return n, nil
}

// testLoop is a loop of no node.
func testLoop(t testing.TB, cfg *Config) *loop {
	t.Helper()
	l, err := newLoop(&shared{
		cfg: cfg, master: newMaster(), events: newEvents(prometheus.NewRegistry()), log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.poll.Close)
	return l
}

func newStage(t *testing.T) *stage {
	cfg := Config{Node: "stage", Heartbeat: 5 * time.Second, Pace: 16 * time.Millisecond, Loops: 1, Limits: usual(t)}
	cfg.MaxConns = 100
	s := &stage{t: t, now: time.UnixMicro(1_700_000_000_000_000), seqs: map[string]int64{}, conns: map[int]uint32{}, fds: map[int]*fakeSocket{}}
	l := testLoop(t, &cfg)
	l.now, l.start, l.sock = func() time.Time { return s.now }, s.now, s
	s.l = l
	s.cycle()
	return s
}

// cycle is one of the loop, in which no socket has anything to say.
func (s *stage) cycle() {
	s.l.runCycle(nil)
}

func (s *stage) do(line string) {
	word := strings.Fields(line)
	n := 0
	if len(word) > 1 {
		n, _ = strconv.Atoi(word[1])
	}
	switch word[0] {
	case "conn":
		s.fds[n] = &fakeSocket{room: 1 << 30}
		ci := s.l.newConn(n)
		c := &s.l.conns[ci]
		c.state, c.json = stateOpen, len(word) > 2 && word[2] == "json"
		s.conns[n] = ci
	case "request":
		_, body, _ := strings.Cut(line, "{")
		s.l.request(s.conns[n], true, []byte("{"+body))
	case "send":
		_, text, _ := strings.Cut(line, word[1]+" ")
		s.l.request(s.conns[n], true, []byte(text))
	case "tick":
		s.tick(word[1], word[2:])
	case "flood":
		for i := range n {
			for _, symbol := range word[2:] {
				s.tick(symbol, []string{fmt.Sprintf("bid=%d", 1000+i)})
			}
			s.now = s.now.Add(time.Millisecond)
			s.cycle()
		}
	case "skip":
		s.received()
	case "cycle":
		s.cycle()
	case "full":
		s.fds[n].room = 0
	case "take":
		s.fds[n].room, _ = strconv.Atoi(word[2])
		s.l.writable(s.conns[n])
	case "writable":
		s.fds[n].room = 1 << 30
		s.l.writable(s.conns[n])
	case "reset":
		s.fds[n].reset = true
	case "cost", "time":
		d, err := time.ParseDuration(word[1])
		if err != nil {
			s.t.Fatal(err)
		}
		if word[0] == "cost" {
			s.cost = d
			return
		}
		s.now = s.now.Add(d)
		s.cycle()
	case "lap":
		for range mailboxMax + 1 {
			s.l.mailbox.post(newBatch())
		}
	case "limit":
		s.l.cfg.MaxSubs = n
	case "state":
		s.state(n)
	default:
		s.t.Fatalf("unknown command %q", line)
	}
}

func (s *stage) state(n int) {
	c := &s.l.conns[s.conns[n]]
	lanes := 0
	for li := c.lanes; li != 0 && c.state != stateFree; li = s.l.lanes[li].next {
		lanes++
	}
	fmt.Fprintf(&s.print, "%d: subs=%d lanes=%d blocked=%v paused=%v tail=%d closed=%v\n",
		n, c.subs, lanes, c.blocked, c.paused, int(c.tailLen-c.tailOff)*b2i(c.blocked), s.fds[n].closed)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// tick lets the master board have an update and posts what it says changed.
func (s *stage) tick(symbol string, words []string) {
	u := codec.Update{Quote: codec.Empty, Seq: s.seqs[symbol] + 1, History: 1}
	if s.seqs[symbol] == 0 {
		u.Flags = codec.Image
	}
	for _, w := range words {
		name, value, hasValue := strings.Cut(w, "=")
		switch {
		case w == "gap":
			u.Flags |= codec.Gap
		case w == "image":
			u.Flags |= codec.Image
		case name == "seq":
			u.Seq, _ = strconv.ParseInt(value, 10, 64)
		case name == "history":
			u.History, _ = strconv.ParseInt(value, 10, 64)
			u.Flags |= codec.Image
		case hasValue:
			f, ok := codec.FieldByName(name)
			if !ok {
				s.t.Fatalf("no field %q", name)
			}
			u.Mask |= 1 << f
			if value == "none" {
				continue
			}
			v, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				s.t.Fatal(err)
			}
			u.Quote[f] = v
		}
	}
	s.seqs[symbol] = u.Seq
	b := newBatch()
	m := s.l.master
	m.mu.Lock()
	m.merge(b, &s.stream, []byte(symbol), &u)
	m.publish()
	m.mu.Unlock()
	b.refs.Add(1)
	s.l.mailbox.post(b)
	b.release()
}

// received prints and forgets what the conns' sockets took.
func (s *stage) received() string {
	for n := range 100 {
		f := s.fds[n]
		if f == nil {
			continue
		}
		for len(f.took) > 0 {
			h, rest, err := (&parser{most: limitBytesMost}).header(f.took)
			if err != nil || len(rest) < int(h.Length) {
				break // the rest of it is still in the tail
			}
			payload := rest[:h.Length]
			f.took = bytes.Clone(rest[h.Length:])
			s.printMessage(n, h, payload)
		}
	}
	out := s.print.String()
	s.print.Reset()
	return out
}

func (s *stage) printMessage(n int, h ws.Header, payload []byte) {
	w := &s.print
	if h.OpCode == ws.OpClose {
		code, reason := ws.ParseCloseFrameData(payload)
		fmt.Fprintf(w, "%d <- close %d %s\n", n, code, reason)
		return
	}
	if h.OpCode == ws.OpText {
		fmt.Fprintf(w, "%d <- %s\n", n, payload)
		return
	}
	var m codec.Message
	if err := codec.ParseMessage(payload, &m); err != nil {
		s.t.Fatal(err)
	}
	if m.Type != codec.TypeData {
		s.printControl(n, &m)
		return
	}
	fmt.Fprintf(w, "%d <- data\n", n)
	for i := range m.Updates {
		u := &m.Updates[i]
		fmt.Fprintf(w, "     %s seq=%d%s", s.l.board.names[u.ID], u.Seq, flagWords(u))
		for f := codec.Field(0); f < codec.NumFields; f++ {
			if u.Mask.Has(f) {
				if u.Quote[f] == codec.Absent {
					fmt.Fprintf(w, " %s=none", f)
				} else {
					fmt.Fprintf(w, " %s=%d", f, u.Quote[f])
				}
			}
		}
		fmt.Fprintln(w)
	}
}

func (s *stage) printControl(n int, m *codec.Message) {
	if m.Control == nil {
		s.t.Fatal("unexpected message type", m.Type)
	}
	line := codec.AppendControlJSON(nil, m.Control)
	fmt.Fprintf(&s.print, "%d <- %s\n", n, line)
}

func flagWords(u *codec.Update) (words string) {
	if u.Flags&codec.Image != 0 {
		words += fmt.Sprintf(" image history=%d", u.History)
	}
	if u.Flags&codec.Conflated != 0 {
		words += " conflated:" + [...]string{"", "rate", "slow", "catch-up"}[u.Flags&codec.ReasonMask>>2]
	}
	if u.Flags&codec.Gap != 0 {
		words += " gap"
	}
	return words
}
