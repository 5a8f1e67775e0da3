package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

type tapeTailCmd struct {
	tapeStreams
	Symbol     []string `env:"TICKWIRE_TAIL_SYMBOL" placeholder:"SYMBOL" help:"Symbols, as coinbase:BTC-USD, or patterns, as 'sim:*'. [all]"`
	From       string   `env:"TICKWIRE_TAIL_FROM" placeholder:"ID" help:"Where to begin: at an entry's id, as 1795750944246-812, or at the beginning of what is retained. [what comes next]"`
	Count      int      `env:"TICKWIRE_TAIL_COUNT" placeholder:"N" help:"End after so many lines. [never]"`
	Heartbeats bool     `env:"TICKWIRE_TAIL_HEARTBEATS" help:"Print heartbeats, too: entries without updates, of an idle stream."`

	from tapes.From
}

func (c *tapeTailCmd) Validate() (err error) {
	for _, name := range c.Symbol {
		if !codec.ValidSymbol([]byte(name)) && !codec.ValidPattern([]byte(name)) {
			return fmt.Errorf("--symbol %s is no symbol and no pattern: take VENUE:NAME, as coinbase:BTC-USD, 'coinbase:*' or '*'", name)
		}
	}
	if c.Count < 0 {
		return errors.New("--count must not be below zero")
	}
	if c.from, err = tapes.ParseFrom(c.From); err != nil {
		return fmt.Errorf("--from %w", err)
	}
	return nil
}

func (c *tapeTailCmd) Run(ctx context.Context) error {
	signal.Ignore(syscall.SIGPIPE) // a write says that nobody reads, which is an end like ctrl-C
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go untilClosed(ctx, os.Stdout, stop)
	done := make(chan error, 1)
	go func() {
		done <- c.with(ctx, func(r *tapes.Redis) error { return c.run(ctx, r, os.Stdout, os.Stderr, stop) })
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done(): // whoever reads our lines may have stopped to
		select {
		case err := <-done:
			return err
		case <-time.After(patience):
			return nil
		}
	}
}

// untilClosed waits until nobody reads what is written to a pipe, a socket or a terminal. Of
// an idle tape there is nothing to write, which would find that out.
func untilClosed(ctx context.Context, f *os.File, stop func()) {
	const closed = unix.POLLERR | unix.POLLHUP | unix.POLLNVAL // which are told unasked
	fds := []unix.PollFd{{Fd: int32(f.Fd())}}
	for ctx.Err() == nil {
		if n, err := unix.Poll(fds, 200); n > 0 && fds[0].Revents&closed != 0 || err != nil && !errors.Is(err, unix.EINTR) {
			stop()
			return
		}
	}
}

// run prints until ctx ends; stop ends it.
func (c *tapeTailCmd) run(ctx context.Context, r *tapes.Redis, stdout, stderr io.Writer, stop func()) error {
	out := bufio.NewWriterSize(stdout, 64<<10)
	defer out.Flush()
	lines := 0
	var line []byte
	print := func(text []byte) {
		if c.Count > 0 && lines == c.Count {
			return
		}
		lines++
		if _, err := out.Write(text); err != nil || lines == c.Count {
			stop()
		}
	}
	t := tapes.Tail{Streams: c.Streams, Symbols: c.Symbol, From: c.from}
	t.OnEntry = func(e *tapes.Read) {
		switch {
		case e.Count == 0 && !c.Heartbeats && (e.ID.N > 0 || len(c.Symbol) > 0): // a reign is of all symbols
		case c.JSON:
			line = appendEntryJSON(line[:0], e)
			print(line)
		case e.Count == 0:
			line = appendEntryHead(line[:0], e)
			print(append(line, idleText(e)...))
		default:
			for i := range e.Updates {
				line = appendEntryUpdate(appendEntryHead(line[:0], e), &e.Updates[i])
				print(line)
			}
		}
	}
	t.OnPage = func() {
		if out.Flush() != nil {
			stop()
		}
	}
	t.OnNote = func(stream, note string) {
		if stream != "" {
			note = stream + ": " + note
		}
		out.Flush() // in the order in which it came
		fmt.Fprintln(stderr, "tickwire:", note)
	}
	return t.Run(ctx, r)
}

func appendEntryHead(dst []byte, e *tapes.Read) []byte {
	dst = time.UnixMicro(e.SentAt).AppendFormat(dst, "15:04:05.000 ")
	return fmt.Appendf(dst, "%s %s ", e.Stream, e.ID)
}

// idleText is what there is to say of an entry without updates.
func idleText(e *tapes.Read) string {
	if e.ID.N == 0 {
		return fmt.Sprintf("a reign begins, after %s\n", e.Prev)
	}
	return "heartbeat\n"
}

// appendEntryUpdate appends a change: a decimal whose point is not known is a question mark.
func appendEntryUpdate(dst []byte, u *tapes.Update) []byte {
	dst = fmt.Appendf(dst, "%s seq=%d", u.Symbol, u.Seq)
	for _, flag := range u.Flags.Words() {
		dst = append(append(dst, ' '), flag...)
	}
	for f := range codec.Field(codec.NumFields) {
		if !u.Mask.Has(f) {
			continue
		}
		dst = append(append(append(dst, ' '), f.String()...), '=')
		if u.Unknown.Has(f) {
			dst = append(dst, '?')
		} else {
			dst = codec.AppendText(dst, &u.Quote, f)
		}
	}
	return append(dst, '\n')
}

// appendEntryJSON appends an entry as one line; its updates are as the protocol has them,
// and what cannot be said in decimals is named as unknown.
func appendEntryJSON(dst []byte, e *tapes.Read) []byte {
	stream, _ := json.Marshal(e.Stream)
	dst = fmt.Appendf(dst, `{"stream":%s,"id":"%s","prev":"%s","history":%d,"sent_at":%d,"server":%d,"updates":[`, stream, e.ID, e.Prev, e.History, e.SentAt, e.Server)
	for i := range e.Updates {
		u := e.Updates[i]
		u.Mask &^= u.Unknown
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = codec.AppendUpdateJSON(dst, u.Symbol, &u.Update)
		if u.Unknown == 0 {
			continue
		}
		var names []string
		for f := range codec.Field(codec.NumFields) {
			if u.Unknown.Has(f) {
				names = append(names, f.String())
			}
		}
		dst = fmt.Appendf(dst[:len(dst)-1], `,"unknown":["%s"]}`, strings.Join(names, `","`))
	}
	return append(dst, "]}\n"...)
}
