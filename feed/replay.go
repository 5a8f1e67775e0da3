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
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tickwire/tickwire/codec"
)

// replay is a source: a file of recorded frames through the venues' own parsers. A
// line is
//
//	recv_unix_ns TAB tag TAB frame
//
// where the tag is the venue (coinbase, kraken, binance_spot ...), or I for received
// and O for sent by the recorder, when one venue is named for the whole file. What was
// sent is counted and skipped. A recv_unix_ns of 0 is not known.
type replay struct {
	file  string
	venue string  // of lines tagged I
	speed float64 // 1: as recorded; 0: as fast as the tape takes it
	loop  bool
	log   *slog.Logger
	open  func(stream string) (*source, error) // a stream's way in, made at first use

	streams  map[string]*source     // by the names of venues
	tagged   map[string]*source     // by the tags of lines
	badLines *prometheus.CounterVec // lines that are none
	bad      int                    // so many of them
}

// lineMax bounds a line: Coinbase's book snapshots have some 3 MB.
const lineMax = 16 << 20

var (
	errVenue = errors.New("a line tagged I or O needs --venue")
	errLong  = fmt.Errorf("a line of more than %d bytes", lineMax)
)

func newReplay(p *publisher) *replay {
	r := &replay{file: p.cfg.Replay, loop: p.cfg.Loop, log: p.log, open: p.openAlone, badLines: newRefused(p.reg, "replay")}
	r.speed, _ = parseSpeed(p.cfg.Speed) // Validate has read it
	if len(p.cfg.Venue) > 0 {
		r.venue = p.cfg.Venue[0]
	}
	return r
}

// run plays the file, once or for ever. Once played, its symbols say closed.
func (r *replay) run(ctx context.Context) error {
	r.streams, r.tagged = make(map[string]*source), make(map[string]*source)
	for {
		if err := r.play(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		if len(r.streams) == 0 {
			return fmt.Errorf("feed: replay: %s: not one line can be played", r.file)
		}
		if !r.loop {
			break
		}
		for _, s := range r.streams {
			s.say("", codec.Live).gap = true // numbers begin anew
		}
		r.flush(ctx)
	}
	for name, s := range r.streams {
		if s.ticks == 0 {
			r.log.Warn("replay: nothing in it is a price of the venue's", "stream", name, "file", r.file)
		}
		s.say("", codec.Closed)
		r.log.Info("replayed", "stream", name, "file", r.file, "ticks", s.ticks, "frames_refused", s.refused)
	}
	r.flush(ctx)
	<-ctx.Done() // the quotes stay served
	return nil
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
	defer text.Close()
	lines, n, pace := bufio.NewScanner(text), 1, pacer{speed: r.speed}
	lines.Buffer(make([]byte, 1<<16), lineMax)
	for ; ctx.Err() == nil && lines.Scan(); n++ {
		err := r.line(ctx, lines.Bytes(), &pace)
		if _, refused := errors.AsType[refusal](err); refused {
			r.log.Warn("replay: "+err.Error(), "file", r.file, "line", n)
		} else if err != nil {
			return fmt.Errorf("feed: replay: %s:%d: %w", r.file, n, err)
		}
	}
	r.flush(ctx)
	err = lines.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		r.badLine("")
		err = errLong
	}
	if err != nil {
		return fmt.Errorf("feed: replay: %s:%d: %w", r.file, n, err)
	}
	return nil
}

// line plays one line. A refusal is returned when it is worth a line in the log.
func (r *replay) line(ctx context.Context, line []byte, pace *pacer) error {
	if len(line) == 0 {
		return nil
	}
	stamp, rest, ok1 := bytes.Cut(line, []byte("\t"))
	tag, raw, ok2 := bytes.Cut(rest, []byte("\t"))
	recv, err := strconv.ParseInt(string(stamp), 10, 64)
	if !ok1 || !ok2 || err != nil || recv < 0 {
		return r.badLine("a line is recv_unix_ns TAB tag TAB frame")
	}
	to := r.tagged[string(tag)]
	if to == nil {
		if to, err = r.source(string(tag)); err != nil {
			return err
		}
	}
	switch {
	case to == nil:
		return r.badLine("its tag is no venue")
	case string(tag) == "O":
		to.counts.frames.WithLabelValues(kindControl.String(), "sent").Inc()
		return nil
	}
	if wait := pace.until(recv); wait > 0 {
		r.flush(ctx)
		if !pause(ctx, wait) {
			return nil
		}
	}
	if _, err := to.parse(raw, recv/1000); err != nil && sampled(to.refused) {
		return err
	}
	if to.full() {
		to.flush(ctx)
	}
	return nil
}

// badLine counts a line that is none.
func (r *replay) badLine(why string) error {
	r.bad++
	r.badLines.WithLabelValues(string(refusedLine)).Inc()
	if !sampled(r.bad) {
		return nil
	}
	return fmt.Errorf("%w: %s", refusedLine, why)
}

// source finds where lines of a tag go: nowhere when the tag is no venue.
func (r *replay) source(tag string) (*source, error) {
	name := tag
	if tag == "I" || tag == "O" {
		name = r.venue
	}
	v := venueTagged(name)
	switch {
	case v == nil && name != tag:
		return nil, errVenue
	case v == nil:
		return nil, nil // not remembered: a file may make up any number of tags
	}
	to := r.streams[v.name]
	if to == nil {
		var err error
		if to, err = r.open(v.name); err != nil {
			return nil, err
		}
		r.streams[v.name] = to
	}
	r.tagged[tag] = to
	return to, nil
}

func (r *replay) flush(ctx context.Context) {
	for _, s := range r.streams {
		s.flush(ctx)
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
func decompress(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(r, 1<<16)
	magic, _ := buffered.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(buffered)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(buffered)
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(buffered), nil
}

// parseSpeed reads --speed: a factor, with or without an x, or max.
func parseSpeed(text string) (float64, error) {
	if text == "max" {
		return 0, nil
	}
	speed, err := strconv.ParseFloat(strings.TrimSuffix(text, "x"), 64)
	if err != nil || !(speed > 0) {
		return 0, fmt.Errorf("--speed %s: a factor such as 1 or 10, or max", text)
	}
	return speed, nil
}
