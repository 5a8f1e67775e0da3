package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/client"
)

// watchCmd shows symbols live: a board in a terminal, lines elsewhere.
type watchCmd struct {
	Symbols []string `arg:"" name:"symbol" help:"Symbols, as coinbase:BTC-USD, or patterns, as 'sim:*'."`

	URL      string   `default:"ws://127.0.0.1:8080/v1/stream" env:"TICKWIRE_URL" placeholder:"URL" help:"Stream of a node. [${default}]"`
	JSON     bool     `env:"TICKWIRE_JSON" help:"Print one JSON line per update: symbol, seq, flags, changed fields."`
	Rate     float64  `env:"TICKWIRE_RATE" placeholder:"N" help:"Updates a second and symbol at the most. [all of them]"`
	Fields   []string `env:"TICKWIRE_FIELDS" placeholder:"NAME" help:"Fields wanted, as bid,ask. [all of them]"`
	Encoding string   `default:"msgpack" enum:"msgpack,json" env:"TICKWIRE_ENCODING" placeholder:"NAME" help:"Of the messages: msgpack or json. [${default}]"`
	Token    string   `env:"TICKWIRE_TOKEN" placeholder:"JWT" help:"Token that the node asks for. [none]"`
}

func (c *watchCmd) Run(ctx context.Context) error {
	if !strings.HasPrefix(c.URL, "ws://") && !strings.HasPrefix(c.URL, "wss://") {
		return fmt.Errorf("watch: --url %s: a stream begins with ws:// or wss:// and ends in /v1/stream", c.URL)
	}
	cl := client.New(client.Config{URL: c.URL, Token: c.Token, Encoding: c.Encoding})
	cl.Subscribe(client.Terms{Rate: c.Rate, Fields: c.Fields}, c.Symbols...)
	if !c.JSON && isatty.IsTerminal(os.Stdout.Fd()) {
		return watchBoard(ctx, cl, c.URL)
	}
	return c.lines(ctx, cl)
}

// lines prints an update a line, and on stderr what happens to the connection.
func (c *watchCmd) lines(ctx context.Context, cl *client.Client) error {
	// Run's goroutine alone writes; what is buffered goes out at its next pause.
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var line []byte
	cl.OnUpdate = func(u *client.Update) {
		if c.JSON {
			line = appendJSONLine(line[:0], u)
		} else {
			line = appendTextLine(line[:0], u)
		}
		out.Write(line)
		if err := out.Flush(); err != nil {
			stop(err) // whoever read us has gone
		}
	}
	cl.OnEvent = func(e client.Event) {
		if e.Kind != client.Subscribed {
			fmt.Fprintln(os.Stderr, eventText(e, c.URL))
		}
	}
	err := cl.Run(ctx)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) && isBrokenPipe(cause) {
		return nil
	}
	if ctx.Err() != nil {
		return nil // ctrl-C
	}
	return err
}

func isBrokenPipe(err error) bool {
	return errors.Is(err, io.ErrClosedPipe) || strings.Contains(err.Error(), "broken pipe")
}

// appendJSONLine is an update as one line: decimals as strings, other integers as
// numbers, what is no more known as null.
func appendJSONLine(dst []byte, u *client.Update) []byte {
	dst = fmt.Appendf(dst, `{"symbol":%q,"seq":%d,"flags":[`, u.Symbol, u.Seq)
	for i, flag := range flagNames(u.Flags) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = fmt.Appendf(dst, "%q", flag)
	}
	dst = append(dst, `],"changed":{`...)
	first := true
	for f := codec.Field(0); f < codec.NumFields; f++ {
		if !u.Mask.Has(f) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = fmt.Appendf(dst, "%q:", f.String())
		dst = codec.AppendFieldJSON(dst, &u.Quote, f)
	}
	return append(dst, "}}\n"...)
}

func appendTextLine(dst []byte, u *client.Update) []byte {
	dst = time.Now().AppendFormat(dst, "15:04:05.000 ")
	dst = fmt.Appendf(dst, "%-24s seq=%d", u.Symbol, u.Seq)
	for _, flag := range flagNames(u.Flags) {
		dst = append(append(dst, ' '), flag...)
	}
	for f := codec.Field(0); f < codec.NumFields; f++ {
		if u.Mask.Has(f) {
			dst = fmt.Appendf(dst, " %s=", f)
			dst = codec.AppendText(dst, &u.Quote, f)
		}
	}
	return append(dst, '\n')
}

// flagNames lists an update's flags in words.
func flagNames(f codec.Flags) (names []string) {
	if f&codec.Image != 0 {
		names = append(names, "image")
	}
	if f&codec.Conflated != 0 {
		names = append(names, "conflated", [...]string{"", "rate", "slow", "catch-up"}[f&codec.ReasonMask>>2])
	}
	if f&codec.Gap != 0 {
		names = append(names, "gap")
	}
	return names
}

// eventText says what happened to the connection, and what follows.
func eventText(e client.Event, url string) string {
	switch e.Kind {
	case client.Connected:
		return "connected to " + url + ", node " + e.Hello.Node
	case client.Disconnected:
		return fmt.Sprintf("not connected to %s: %v; again in %v", url, e.Err, e.After.Round(10*time.Millisecond))
	case client.Refused:
		if e.Symbol != "" {
			return fmt.Sprintf("%s: %v", e.Symbol, e.Err)
		}
		return e.Err.Error()
	case client.Lagged:
		return fmt.Sprintf("this reader was too slow for %v: updates were merged", e.After)
	}
	return fmt.Sprintf("the node restarts within %v: connecting again", e.After)
}
