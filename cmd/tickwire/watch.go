package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
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

	URL       string   `default:"ws://127.0.0.1:8080/v1/stream" env:"TICKWIRE_URL" placeholder:"URL" help:"Stream of a node. [${default}]"`
	JSON      bool     `env:"TICKWIRE_JSON" help:"Print one JSON line per update: symbol, seq, flags, changed fields."`
	Rate      float64  `env:"TICKWIRE_RATE" placeholder:"N" help:"Updates a second and symbol at the most. [all of them]"`
	Fields    []string `env:"TICKWIRE_FIELDS" placeholder:"NAME" help:"Fields wanted, as bid,ask. [all of them]"`
	Encoding  string   `default:"msgpack" enum:"msgpack,json" env:"TICKWIRE_ENCODING" placeholder:"NAME" help:"Of the messages: msgpack or json. [${default}]"`
	CA        string   `env:"TICKWIRE_CA" placeholder:"FILE" help:"Of wss: certificate authorities to trust, PEM. [the system's]"`
	Cert      string   `env:"TICKWIRE_CERT" placeholder:"FILE" help:"Of wss: certificate to show to a node that asks for one, PEM. [none]"`
	Key       string   `env:"TICKWIRE_KEY" placeholder:"FILE" help:"Its key, PEM. [none]"`
	Token     string   `secret:"" env:"TICKWIRE_TOKEN" placeholder:"JWT" help:"Token that the node asks for. Others see it in ps when it is a flag: the variable, or a file, is better. [none]"`
	TokenFile string   `env:"TICKWIRE_TOKEN_FILE" placeholder:"FILE" help:"Or a file that has it; read again before each connection, and before the token ends: whatever writes a new one there has watch stay. [none]"`
}

// patience is how long ctrl-C waits for the connection to end properly. It may not:
// whoever reads our lines may have stopped.
const patience = 500 * time.Millisecond

// Validate refuses what a node would refuse.
func (c *watchCmd) Validate() error {
	if !(c.Rate >= 0) {
		return errors.New("--rate must not be below zero")
	}
	switch {
	case (c.Cert == "") != (c.Key == ""):
		return errors.New("--cert and --key go together")
	case (c.CA != "" || c.Cert != "") && !strings.HasPrefix(c.URL, "wss://"):
		return errors.New("--ca, --cert and --key are of TLS, which --url does not speak: take wss://")
	case c.Token != "" && c.TokenFile != "":
		return errors.New("--token and --token-file (TICKWIRE_TOKEN and TICKWIRE_TOKEN_FILE) are both there: take one")
	}
	return nil
}

func (c *watchCmd) Run(ctx context.Context) error {
	return c.run(ctx, os.Stdout, os.Stderr)
}

func (c *watchCmd) run(ctx context.Context, stdout, stderr io.Writer) error {
	secure, err := c.tls()
	if err != nil {
		return err
	}
	cfg := client.Config{URL: c.URL, Token: c.Token, Encoding: c.Encoding, TLS: secure}
	file := tokenFile{name: c.TokenFile}
	if file.name != "" {
		cfg.Renew = file.read
		if cfg.Token, err = file.read(ctx); err != nil {
			return fmt.Errorf("--token-file: %w", err)
		}
	}
	cl := client.New(cfg)
	cl.Subscribe(client.Terms{Rate: c.Rate, Fields: c.Fields}, c.Symbols...)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	refusals := refusals{left: make(map[string]bool), stop: stop, lost: func() { file.again(ctx, cl) }}
	for _, name := range c.Symbols {
		refusals.left[name] = true
	}
	if f, ok := stdout.(*os.File); ok && !c.JSON && isatty.IsTerminal(f.Fd()) {
		return advise(watchBoard(ctx, cl, f, c.URL, &refusals))
	}
	c.lines(cl, stdout, stderr, &refusals)
	return advise(follow(ctx, cl))
}

// follow runs the client until it ends, or ctx does: by ctrl-C, which is no error, or
// by a refusal or a write that failed, which are its cause.
func follow(ctx context.Context, cl *client.Client) error {
	done := make(chan error, 1)
	go func() { done <- cl.Run(ctx) }()
	select {
	case err := <-done:
		if ctx.Err() == nil {
			return err
		}
	case <-ctx.Done():
		select {
		case <-done:
		case <-time.After(patience):
		}
	}
	if why := (fatal{}); errors.As(context.Cause(ctx), &why) {
		return why.error
	}
	return nil
}

// fatal is a cause that makes watch fail.
type fatal struct{ error }

// refusals ends watch when nothing that it was asked for can come.
type refusals struct {
	left map[string]bool // names not refused
	some bool            // one was taken
	stop context.CancelCauseFunc
	lost func() // called when the connection was lost, before the next
}

// note takes an event of the client.
func (r *refusals) note(e client.Event) {
	if e.Kind == client.Connecting || e.Kind == client.Stale {
		r.lost()
	}
	r.some = r.some || e.Kind == client.Subscribed
	if e.Kind != client.Refused || e.After > 0 || r.some {
		return
	}
	delete(r.left, e.Symbol)
	if len(r.left) == 0 || e.Symbol == "" { // a whole request
		r.stop(fatal{fmt.Errorf("watch: %s", e)})
	}
}

// lines has an update printed a line, and on stderr what happens to the connection.
func (c *watchCmd) lines(cl *client.Client, stdout, stderr io.Writer, refusals *refusals) {
	out := bufio.NewWriterSize(stdout, 64<<10)
	appendLine := appendTextLine
	if c.JSON {
		appendLine = appendJSONLine
	}
	var line []byte
	cl.OnUpdate = func(u *client.Update) {
		line = appendLine(line[:0], u)
		out.Write(line)
	}
	cl.OnMessage = func() {
		if err := out.Flush(); err != nil {
			refusals.stop(fatal{fmt.Errorf("watch: %w", err)}) // whoever read us has gone
		}
	}
	rate := c.Rate
	cl.OnEvent = func(e client.Event) {
		switch {
		case e.Kind == client.Live, e.Kind == client.Connecting, e.Kind == client.Stale:
			fmt.Fprintf(stderr, "tickwire: %s: %s%s\n", c.URL, e, c.advice(e.Err))
		case e.Kind != client.Subscribed, e.Matched == 0:
			fmt.Fprintf(stderr, "tickwire: %s\n", e)
		case e.Rate != rate:
			rate = e.Rate
			fmt.Fprintf(stderr, "tickwire: at most %v updates a second and symbol\n", rate)
		}
		refusals.note(e)
	}
}

// appendJSONLine is an update as one line: decimals as strings, other integers as
// numbers, what is no more known as null.
func appendJSONLine(dst []byte, u *client.Update) []byte {
	symbol, _ := json.Marshal(u.Symbol)
	flags, _ := json.Marshal(append([]string{}, u.Flags.Words()...))
	dst = fmt.Appendf(dst, `{"symbol":%s,"seq":%d,"flags":%s,"changed":{`, symbol, u.Seq, flags)
	for f := range codec.Field(codec.NumFields) {
		if u.Mask.Has(f) {
			dst = append(append(append(dst, '"'), f.String()...), '"', ':')
			dst = append(codec.AppendFieldJSON(dst, &u.Quote, f), ',')
		}
	}
	return append(bytes.TrimSuffix(dst, []byte(",")), "}}\n"...)
}

func appendTextLine(dst []byte, u *client.Update) []byte {
	dst = time.Now().AppendFormat(dst, "15:04:05.000 ")
	dst = fmt.Appendf(dst, "%-24s seq=%d", u.Symbol, u.Seq)
	for _, flag := range u.Flags.Words() {
		dst = append(append(dst, ' '), flag...)
	}
	for f := range codec.Field(codec.NumFields) {
		if u.Mask.Has(f) {
			dst = append(append(append(dst, ' '), f.String()...), '=')
			dst = codec.AppendText(dst, &u.Quote, f)
		}
	}
	return append(dst, '\n')
}
