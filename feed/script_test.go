package feed

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tickwire/tickwire/codec"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts print into testdata; read the diff")

// TestScripts plays testdata/sequencer/*.txt: commands, a line of dashes, and the
// entry that the writer would take then, with the ticks that were dropped. Commands:
//
//	tick SYMBOL CHANNEL [order=N] [gap] field=value...   none is known to be none
//	status SYMBOL NAME [gap]    what we say of a symbol; * is every one
//	time DURATION               the clock goes on, and the watchdog looks
//	full                        Redis is away and the batch has grown too large
//	checkpoint                  prints the images instead
//	restart [PART]              a new reign restores the last checkpoint; PART is
//	                            what is missing: end, or checkpoint
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/sequencer/*.txt")
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
				s.do(strings.Fields(line))
			}
		}
		if found {
			got.WriteString("----\n" + s.taken())
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

// stage is a sequencer, a clock, and a reader that adds up what is published.
type stage struct {
	t     *testing.T
	seq   *sequencer
	heard *sequencer // of a feed that stands by
	clock time.Time
	board map[string]*codec.Quote
	out   strings.Builder
	spent batch
	drops [4]int64 // as counted when they were printed last
	epoch int64    // of the reign
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, board: map[string]*codec.Quote{}, clock: time.Unix(1_700_000_000, 0)}
	s.begin()
	s.standBy()
	return s
}

func (s *stage) begin() {
	s.seq = newSequencer(newCounts(nil, "x/0"))
	s.drops = [4]int64{}
}

func (s *stage) standBy() {
	s.heard = newSequencer(newCounts(nil, "x/0"))
	s.heard.stand()
}

var channelNames = [numChannels]string{"book", "trade", "aggtrade", "stats", "status"}

func (s *stage) do(words []string) {
	s.t.Helper()
	s.seq.at = s.clock
	switch args := words[1:]; words[0] {
	case "tick":
		s.seq.apply(s.tick(args))
	case "status":
		v := int64(slices.Index(codec.StatusNames[:], args[1]))
		t := &tick{symbol: strings.TrimPrefix(args[0], "*"), channel: chStatus, gap: slices.Contains(args[2:], "gap"), quote: codec.Empty}
		t.set(codec.Status, v)
		s.seq.apply(t)
	case "time":
		d, err := time.ParseDuration(args[0])
		s.must(err)
		s.clock = s.clock.Add(d)
		s.seq.at = s.clock
		s.seq.watch()
	case "full":
		s.seq.pending.full = true
	case "checkpoint":
		body, count := s.seq.images(nil)
		s.print(body, count)
	case "heard": // by a feed that stands by
		writer := s.seq
		s.seq = s.heard
		s.do(args)
		s.seq = writer
	case "both":
		s.do(args)
		s.do(append([]string{"heard"}, args...))
	case "restart":
		s.clock = s.clock.Add(time.Minute)
		s.restart(args)
		s.seq.adopt(s.heard, s.clock)
	case "takeover": // by that feed, at once
		asOf := s.clock
		s.restart(args)
		s.seq.adopt(s.heard, asOf)
		s.standBy()
	default:
		s.t.Fatalf("no command %q", words[0])
	}
}

func (s *stage) tick(args []string) *tick {
	t := &tick{symbol: args[0], channel: channel(slices.Index(channelNames[:], args[1])), quote: codec.Empty}
	for _, arg := range args[2:] {
		name, value, _ := strings.Cut(arg, "=")
		f, ok := codec.FieldByName(name)
		_, decimal := f.Scale()
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case name == "gap":
			t.gap = true
		case name == "order":
			s.must(err)
			t.order = n
		case !ok:
			s.t.Fatalf("no field %q", name)
		case value == "none":
			t.set(f, codec.Absent)
		case decimal:
			s.must(t.quote.SetText(f, []byte(value)))
			t.mask |= 1 << f
		default:
			s.must(err)
			t.set(f, n)
		}
	}
	return t
}

// restart restores a new sequencer from the checkpoint of the old one.
func (s *stage) restart(missing []string) {
	body, count := s.seq.images(nil)
	history, e := s.seq.history, codec.Entry{ID: codec.ID{Epoch: 1}, History: s.seq.history, Count: count}
	s.begin()
	if !slices.Contains(missing, "checkpoint") {
		cursor, err := codec.NewCursor("x/0")
		s.must(err)
		_, err = cursor.Load(codec.AppendEntry(nil, &e, body))
		s.must(err)
		s.seq.restore(cursor.Items)
	}
	s.epoch += 5_000_000
	s.seq.settle(history, s.epoch, len(missing) == 0)
}

// taken is the entry as a reader sees it. What the reader adds up to must be the
// sequencer's own state.
func (s *stage) taken() string {
	b := s.seq.cut(&s.spent)
	s.print(b.body, b.count)
	for i := range s.seq.states {
		st := &s.seq.states[i]
		if board := s.board[st.symbol]; st.known() && (board == nil || *board != st.update.Quote) {
			s.t.Errorf("%s: a reader has %v, the sequencer %v", st.symbol, board, st.update.Quote)
		}
	}
	c := s.seq.counts
	for i, dropped := range []prometheus.Counter{c.same, c.old, c.outOfRange, c.badSymbol} {
		if n := value(dropped); n != s.drops[i] {
			fmt.Fprintf(&s.out, "dropped: %d %s\n", n-s.drops[i], [...]string{"same", "old", "range", "symbol"}[i])
			s.drops[i] = n
		}
	}
	defer s.out.Reset()
	return s.out.String()
}

// print prints updates, and has the reader take them.
func (s *stage) print(body []byte, count int) {
	s.t.Helper()
	for range count {
		var u codec.Update
		symbol, rest, err := codec.ParseTapeUpdate(body, &u)
		s.must(err)
		body = rest
		board := s.board[string(symbol)]
		if board == nil || u.Flags&codec.Image != 0 {
			board = new(codec.Quote)
			*board = codec.Empty
			s.board[string(symbol)] = board
		}
		board.Merge(&u.Quote, u.Mask)
		fmt.Fprintf(&s.out, "%s %d", symbol, u.Seq)
		if u.Flags&codec.Image != 0 {
			s.out.WriteString(" IMAGE")
		}
		if u.Flags&codec.Gap != 0 {
			s.out.WriteString(" GAP")
		}
		for f := range codec.Field(codec.NumFields) {
			if u.Mask.Has(f) {
				fmt.Fprintf(&s.out, " %s=%s", f, codec.AppendText(nil, board, f))
			}
		}
		s.out.WriteString("\n")
	}
	if len(body) > 0 {
		s.t.Errorf("%d bytes after %d updates", len(body), count)
	}
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}
