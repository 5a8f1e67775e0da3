// Command tickwire is the whole service in one binary: feed, fanout, both at
// once, and a terminal to watch them.
//
// To add a command, write its file with a struct whose fields are its flags and a
// Run method, and give it a line in commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/tickwire/tickwire/fanout"
)

// commands is the product as a table.
type commands struct {
	Up       upCmd          `cmd:"" help:"Run everything in one process: feed, tape, node and page. Needs nothing else."`
	Feed     feedCmd        `cmd:"" help:"Read exchanges and write the tape to Redis."`
	Fanout   fanoutCmd      `cmd:"" help:"Read the tape from Redis and serve subscribers: one node."`
	Watch    watchCmd       `cmd:"" help:"Show symbols live in the terminal, or as JSON lines."`
	Bench    benchCmd       `cmd:"" help:"Measure: subscribers by the thousand, every update verified."`
	Keys     keysCmd        `cmd:"" help:"Make a key to sign tokens with, and its public half for nodes."`
	Token    tokenCmd       `cmd:"" help:"Sign, show, verify and revoke tokens."`
	Tape     tapeCmd        `cmd:"" help:"Look at the tape in Redis: how it is, what comes, whether it is right."`
	Floor    benchFloorCmd  `cmd:"" name:"bench-floor" hidden:""`
	Worker   benchWorkerCmd `cmd:"" name:"bench-worker" hidden:""`
	Writer   benchWriterCmd `cmd:"" name:"bench-writer" hidden:""`
	Settings configCmd      `cmd:"" name:"config" help:"Print what a command would run with, and from where; check it."`
	Probe    probeCmd       `cmd:"" help:"Ask a process of this machine whether it is ready; exits 1 if not."`
	Version  versionCmd     `cmd:"" help:"Print version, commit and Go release."`

	Config string `env:"TICKWIRE_CONFIG" placeholder:"FILE" help:"File of settings, YAML: flags by their names, under commands by theirs; a flag and a variable count before it. [none]"`
	Log    string `default:"info" enum:"debug,info,warn,error" env:"TICKWIRE_LOG" placeholder:"LEVEL" help:"What to log: debug, info, warn or error. [${default}]"`

	file *settings         // --config; nil without
	read map[string][]byte // files, by name: of a pipe there is no second time
}

// BeforeResolve has kong ask the file of settings for what was not given.
func (c *commands) BeforeResolve(k *kong.Context, ctx context.Context) (err error) {
	for _, flag := range k.Model.Flags {
		name, _ := k.FlagValue(flag).(string)
		if flag.Name != "config" || name == "" {
			continue
		}
		text := c.read[name]
		if text == nil {
			if text, err = readText(ctx, name); err != nil {
				return fmt.Errorf("--config: %w", err)
			}
			c.read = map[string][]byte{name: text}
		}
		if c.file, err = readSettings(name, text, k.Model); err != nil {
			return fmt.Errorf("--config: %w", err)
		}
		k.AddResolver(c.file)
	}
	return nil
}

// parser is kong for the table.
func (c *commands) parser(ctx context.Context) *kong.Kong {
	return kong.Must(c, kong.Name("tickwire"), kong.Description(about), kong.ShortUsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Exit(exit))
}

const about = `A real-time market data ticker: exchange prices in, per-symbol deltas out over WebSocket, conflated for whoever cannot keep up.

  tickwire up                                a lively simulated market on http://localhost:8080
  tickwire up --venue coinbase               live from an exchange
  tickwire up --replay FILE --speed max      a recorded session
  tickwire watch 'sim:*'                     the same in the terminal

Every flag has an environment variable, shown beside it, and a key in a file that --config names.`

func main() {
	ctx, stop := onSignal(context.Background())
	defer stop()
	var cli commands
	parser := cli.parser(ctx)
	k, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	var level slog.Level
	level.UnmarshalText([]byte(cli.Log)) // kong has checked it
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	run := func() error { return k.Run(log) }
	if of := k.Command(); strings.HasPrefix(of, "token ") || strings.HasPrefix(of, "tape ") && !strings.HasPrefix(of, "tape tail") {
		run = whole(ctx, run)
	}
	if err := run(); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "tickwire:", err)
		if errors.Is(err, errInterrupted) {
			os.Exit(130) // as shells have it
		}
		os.Exit(1)
	}
}

var errInterrupted = errors.New("interrupted before it was done")

// whole is for what is done or not: that a signal ends it is a failure, or a script takes for
// verified what was not. What waits for a pipe, or a Redis that never answers, is left waiting.
func whole(ctx context.Context, run func() error) func() error {
	return func() error {
		done := make(chan error, 1)
		go func() { done <- run() }()
		select {
		case err := <-done:
			if err == nil || ctx.Err() == nil {
				return err
			}
		case <-ctx.Done():
		}
		return errInterrupted
	}
}

// exit ends the process; how kong says that it was called wrongly is 2 elsewhere.
func exit(code int) {
	if code == 80 {
		code = 2
	}
	os.Exit(code)
}

// shown is an address a browser can open.
func shown(addr netip.AddrPort) string {
	if addr.Addr().IsUnspecified() || addr.Addr().IsLoopback() {
		return fmt.Sprintf("localhost:%d", addr.Port())
	}
	return addr.String()
}

// onSignal ends the context on SIGTERM, which leaves time to drain, and on
// ctrl-C, which does not. A second signal kills.
func onSignal(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		cause := context.Canceled
		if <-signals == syscall.SIGINT {
			cause = fanout.ErrNow
		}
		signal.Stop(signals)
		cancel(cause)
	}()
	return ctx, func() { cancel(context.Canceled) }
}
