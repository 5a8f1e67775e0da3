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
// and O for sent by the recorder, when one venue is named for the whole file. What was
// sent is counted and skipped. A recv_unix_ns of 0 is not known.
type replay struct {
	file  string
	venue string  // of lines tagged I
	speed float64 // 1: as recorded; 0: as fast as the tape takes it
	loop  bool
	log   *slog.Logger
	open  func(stream string) (*source, error) // a stream's way in, made at first use

	players map[string]player  // by the tags of lines
	streams map[string]*source // by the names of venues
	bad     int                // lines that are none
}

// player is where lines of a tag go.
type player struct {
	venue *venue
	to    *source
}

// lineMax bounds a line: Coinbase's book snapshots have some 3 MB.
const lineMax = 16 << 20

var errVenue = errors.New("a line tagged I or O needs --venue")

// run plays the file, once or for ever. Once played, its symbols say closed.
func (r *replay) run(ctx context.Context) error {
	r.players, r.streams = make(map[string]player), make(map[string]*source)
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
			s.sayAll(ctx, codec.Live, true) // numbers begin anew
		}
	}
	for name, s := range r.streams {
		s.sayAll(ctx, codec.Closed, false)
		r.log.Info("replayed", "stream", name, "file", r.file, "frames_refused", s.refused)
	}
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
	lines := lineReader{from: bufio.NewReaderSize(text, 1<<16)}
	pace := pacer{speed: r.speed}
	for ctx.Err() == nil {
		line, err := lines.next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = r.line(ctx, line, &pace)
		}
		var refused refusal
		switch {
		case errors.As(err, &refused):
			r.log.Warn("replay: "+err.Error(), "file", r.file, "line", lines.n)
		case err != nil:
			return fmt.Errorf("feed: replay: %s:%d: %w", r.file, lines.n, err)
		}
	}
	r.flush(ctx)
	return nil
}

// line plays one line. A refusal is returned when it is worth a line in the log.
func (r *replay) line(ctx context.Context, line []byte, pace *pacer) error {
	stamp, rest, ok1 := bytes.Cut(line, []byte("\t"))
	tag, raw, ok2 := bytes.Cut(rest, []byte("\t"))
	recv, err := strconv.ParseInt(string(stamp), 10, 64)
	if !ok1 || !ok2 || err != nil || recv < 0 {
		return r.none(errLine)
	}
	p, ok := r.players[string(tag)]
	if !ok {
		if p, err = r.player(string(tag)); err != nil {
			return err
		}
	}
	switch {
	case p.to == nil:
		return r.none(errTag)
	case string(tag) == "O":
		p.to.counts.frames.WithLabelValues(kindControl.String(), "sent").Inc()
		return nil
	}
	if wait := pace.until(recv); wait > 0 {
		r.flush(ctx)
		if !pause(ctx, wait) {
			return nil
		}
	}
	if _, err := p.to.parse(p.venue, raw, recv/1000); err != nil && p.to.loud() {
		return err
	}
	if p.to.full() {
		p.to.flush(ctx)
	}
	return nil
}

var (
	errLine = fmt.Errorf("%w: a line is recv_unix_ns TAB tag TAB frame", refusedLine)
	errTag  = fmt.Errorf("%w: its tag is no venue", refusedLine)
	errLong = fmt.Errorf("%w: it is longer than %d bytes", refusedLine, lineMax)
)

// none counts a line that is none: on any stream there is, or else in the log alone.
func (r *replay) none(err error) error {
	for _, s := range r.streams {
		s.refuse(refusedLine)
		break
	}
	if r.bad++; r.bad > 10 {
		return nil
	}
	return err
}

// player finds where lines of a tag go: nowhere when the tag is no venue.
func (r *replay) player(tag string) (player, error) {
	name := tag
	if tag == "I" || tag == "O" {
		name = r.venue
	}
	p := player{venue: venueTagged(name)}
	switch {
	case p.venue == nil && name != tag:
		return p, errVenue
	case p.venue == nil:
		return p, nil // tags are not remembered that a file makes up
	}
	p.to = r.streams[p.venue.name]
	if p.to == nil {
		to, err := r.open(p.venue.name)
		if err != nil {
			return p, err
		}
		if len(r.streams) == 0 {
			for range r.bad { // lines before there was a stream to count them
				to.refuse(refusedLine)
			}
		}
		p.to, r.streams[p.venue.name] = to, to
	}
	r.players[tag] = p
	return p, nil
}

func (r *replay) flush(ctx context.Context) {
	for _, s := range r.streams {
		s.flush(ctx)
	}
}

// lineReader reads lines of any length, and refuses those that are too long.
type lineReader struct {
	from *bufio.Reader
	line []byte
	n    int // number of the line read last
}

// next returns a line that is not empty, without its end. It is valid until the next.
func (l *lineReader) next() ([]byte, error) {
	for {
		l.n++
		l.line = l.line[:0]
		for more := true; more; {
			part, err := l.from.ReadSlice('\n')
			if more = err == bufio.ErrBufferFull; !more && err != nil && (err != io.EOF || len(l.line)+len(part) == 0) {
				return nil, err
			}
			if len(l.line) <= lineMax {
				l.line = append(l.line, part...)
			}
		}
		line := bytes.TrimRight(l.line, "\r\n")
		if len(line) > lineMax {
			return nil, errLong
		}
		if len(line) > 0 {
			return line, nil
		}
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
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
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
