package feed

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/tickwire/tickwire/codec"
)

// replay is a source: a file of recorded frames through the venues' own parsers. A
// line is
//
//	recv_unix_ns TAB tag TAB frame
//
// where the tag is the venue (coinbase, kraken, binance_spot ...), or I for received
// and O for sent by the recorder when one venue is named for the whole file.
type replay struct {
	file  string
	venue string  // of lines tagged I
	speed float64 // 1: as recorded; 0: as fast as the tape takes it
	loop  bool
	log   *slog.Logger
	open  func(stream string) (*source, error) // a stream's way in, made at first use

	sources map[string]*source
}

// source is one stream's way in, and its counts.
type source struct {
	in     chan<- *block
	counts *counts
	frame  frame  // under way; it remembers the venue's symbols
	block  *block // gathering
}

// blockTicks is how many ticks a source gathers when more are at hand.
const blockTicks = 64

// lineMax bounds a line: Coinbase's book snapshots have some 300 KB.
const lineMax = 16 << 20

// tags are the names that recordings have for venues, besides ours.
var tags = map[string]string{
	"binance_spot": "binance", "binance_usdm": "binance-usdm", "binance_coinm": "binance-coinm",
}

// run plays the file, once or for ever. Once played, its symbols say closed.
func (r *replay) run(ctx context.Context) error {
	r.sources = make(map[string]*source)
	for {
		if err := r.play(ctx); err != nil {
			return err
		}
		if !r.loop {
			break
		}
		for _, s := range r.sources {
			r.say(ctx, s, codec.Live, true) // numbers begin anew
		}
	}
	for name, s := range r.sources {
		r.say(ctx, s, codec.Closed, false)
		r.log.Info("replayed", "stream", name, "file", r.file)
	}
	<-ctx.Done() // the quotes stay served
	return nil
}

func (r *replay) say(ctx context.Context, s *source, status int64, gap bool) {
	b := newBlock()
	b.status, b.gap = status, gap
	s.send(ctx, b)
}

// play plays the file once.
func (r *replay) play(ctx context.Context) error {
	file, err := os.Open(r.file)
	if err != nil {
		return fmt.Errorf("feed: replay: %w", err)
	}
	defer file.Close()
	text, err := decompress(file)
	if err != nil {
		return fmt.Errorf("feed: replay: %s: %w", r.file, err)
	}
	lines := bufio.NewScanner(text)
	lines.Buffer(make([]byte, 1<<20), lineMax)
	pace := pacer{speed: r.speed}
	for n := 1; lines.Scan() && ctx.Err() == nil; n++ {
		if err := r.line(ctx, lines.Bytes(), &pace); err != nil {
			if errors.Is(err, errVenue) {
				return fmt.Errorf("feed: replay: %s:%d: %w", r.file, n, err)
			}
			r.log.Warn("replay: a frame is refused", "file", r.file, "line", n, "err", err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("feed: replay: %s: %w", r.file, err)
	}
	r.flush(ctx)
	return nil
}

var (
	errVenue = errors.New("a line tagged I needs --venue, any other tag is a venue")
	errLine  = errors.New("a line is recv_unix_ns TAB tag TAB frame")
)

// line plays one line.
func (r *replay) line(ctx context.Context, line []byte, pace *pacer) error {
	stamp, rest, ok1 := bytes.Cut(line, []byte("\t"))
	tag, raw, ok2 := bytes.Cut(rest, []byte("\t"))
	recv, err := strconv.ParseInt(string(stamp), 10, 64)
	if !ok1 || !ok2 || err != nil || recv < 0 {
		return errLine
	}
	v, err := r.venueOf(string(tag))
	if err != nil {
		return err
	}
	s := r.sources[v.name]
	if s == nil {
		if s, err = r.open(v.name); err != nil {
			return fmt.Errorf("%w: %w", errVenue, err)
		}
		r.sources[v.name] = s
	}
	if string(tag) == "O" {
		s.counts.frames.WithLabelValues("control", "sent").Inc()
		return nil
	}
	if wait := pace.until(recv); wait > 0 {
		r.flush(ctx)
		if !pause(ctx, wait) {
			return nil
		}
	}
	if err := s.parse(v, raw, recv/1000); err != nil {
		return err
	}
	if len(s.block.ticks) >= blockTicks || r.speed != 0 {
		r.flush(ctx)
	}
	return nil
}

func (r *replay) venueOf(tag string) (*venue, error) {
	name := tag
	if tag == "I" || tag == "O" {
		name = r.venue
	} else if ours, ok := tags[tag]; ok {
		name = ours
	}
	if v := venues[name]; v != nil {
		return v, nil
	}
	return nil, fmt.Errorf("%w: tag %q", errVenue, tag)
}

func (r *replay) flush(ctx context.Context) {
	for _, s := range r.sources {
		s.flush(ctx)
	}
}

// parse reads a frame into the source's block and counts what it was. A refused
// frame says nothing at all.
func (s *source) parse(v *venue, raw []byte, recvUS int64) error {
	f := &s.frame
	f.reset()
	if err := v.parse(f, raw); err != nil {
		reason := "malformed"
		if errors.Is(err, codec.ErrRange) {
			reason = "range"
		}
		s.counts.refused.WithLabelValues(reason).Inc()
		return fmt.Errorf("%s: %w: %.200s", v.name, err, raw)
	}
	s.counts.frame(f)
	f.recvAt(recvUS)
	if s.block == nil {
		s.block = newBlock()
	}
	s.block.ticks = append(s.block.ticks, f.ticks...)
	return nil
}

// flush sends what was gathered.
func (s *source) flush(ctx context.Context) {
	if s.block != nil && len(s.block.ticks) > 0 {
		s.send(ctx, s.block)
		s.block = nil
	}
}

func (s *source) send(ctx context.Context, b *block) {
	select {
	case s.in <- b:
	case <-ctx.Done():
	}
}

// pacer keeps a recording's pace.
type pacer struct {
	speed float64
	first int64 // recv of the first line, ns
	start time.Time
}

// until is how long to wait before a line received at recv is due.
func (p *pacer) until(recv int64) time.Duration {
	if p.speed == 0 || recv == 0 {
		return 0
	}
	if p.first == 0 {
		p.first, p.start = recv, time.Now()
	}
	return time.Until(p.start.Add(time.Duration(float64(recv-p.first) / p.speed)))
}

// pause waits; false when ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// decompress knows gzip and zstd by their first bytes.
func decompress(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(r, 1<<16)
	magic, _ := buffered.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(buffered)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return zstd.NewReader(buffered)
	}
	return buffered, nil
}

// parseSpeed reads --speed: a factor, with or without an x, or max.
func parseSpeed(text string) (float64, error) {
	if text == "max" {
		return 0, nil
	}
	speed, err := strconv.ParseFloat(strings.TrimSuffix(text, "x"), 64)
	if err != nil || !(speed > 0) {
		return 0, fmt.Errorf("feed: --speed %s: a factor such as 1 or 10, or max", text)
	}
	return speed, nil
}
