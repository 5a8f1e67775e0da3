package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/tickwire/tickwire/bench"
	"github.com/tickwire/tickwire/fanout/token"
)

// benchCmd measures.
type benchCmd struct {
	Scenario string            `arg:"" default:"steady" help:"What is measured: steady, slow, burst, churn, storm, idle, soak, saturate, sweep, door or limit; peers, the same load on what could be taken instead; tape, what the tape costs; or chaos, what becomes of subscribers while processes, links and Redis fail. [steady]"`
	Bench    bench.Config      `embed:""`
	Peers    bench.PeersConfig `embed:""`
	page     *os.File
}

// errUnverified has said what was wrong.
var errUnverified = errors.New("bench: not verified")

var errTape = errors.New("bench: a run of the tape broke off: the table says why")

func (c *benchCmd) Validate() error {
	c.Bench.Scenario = c.Scenario
	if err := c.Bench.Complete(); err != nil {
		return err
	}
	return c.Peers.Validate(&c.Bench)
}

func (c *benchCmd) Run(ctx context.Context) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	c.Bench.Exe, c.Bench.Version = exe, version()
	if err := c.Bench.Reach(ctx); err != nil {
		return err
	}
	if c.Bench.TLS || c.Bench.Tokens || c.Scenario == "door" {
		remove, err := c.openDoor()
		if err != nil {
			return err
		}
		defer remove()
	}
	if c.Bench.Report != "" { // what cannot be written is told before the run
		if c.page, err = os.OpenFile(c.Bench.Report, os.O_CREATE|os.O_WRONLY, 0o644); err != nil {
			return err
		}
		defer c.page.Close()
	}
	switch c.Scenario {
	case "peers":
		return c.peers(ctx)
	case "chaos":
		return c.chaos(ctx)
	case "tape":
		return c.tape(ctx)
	}
	res, err := bench.Run(ctx, c.Bench, os.Stderr)
	fmt.Fprintln(os.Stderr)
	if res == nil {
		return err
	}
	return c.judge(res, res.Failed(), err)
}

// openDoor makes what nodes need to speak TLS and to ask for tokens, and subscribers to come
// in, for the time of the run.
func (c *benchCmd) openDoor() (remove func(), err error) {
	made, err := makeCertificate("")
	if err != nil {
		return nil, err
	}
	b := &c.Bench
	b.TLSCert, b.TLSKey, b.Verifies = made.cert, made.key, filepath.Join(made.dir, "public.pem")
	keys, err := token.MakeKey("EdDSA")
	if err == nil {
		err = os.WriteFile(b.Verifies, keys.Public, 0o600)
	}
	if err == nil {
		b.Signs = keys.Signing
		b.Token, err = bench.Sign(keys.Signing, "bench")
	}
	if err != nil {
		made.remove()
		return nil, err
	}
	return made.remove, nil
}

// report is a Result, a Comparison, a ChaosReport or what the tape costs.
type report interface{ Print(io.Writer) }

// peers compares. That a peer loses something is a result; that we do is a failure.
func (c *benchCmd) peers(ctx context.Context) error {
	res, err := bench.RunPeers(ctx, c.Bench, c.Peers, os.Stderr)
	if res == nil {
		return err
	}
	return c.judge(res, !res.Verified("tickwire"), err)
}

// chaos has things go wrong.
func (c *benchCmd) chaos(ctx context.Context) error {
	res, err := bench.RunChaos(ctx, c.Bench, os.Stderr)
	fmt.Fprintln(os.Stderr)
	if res == nil {
		return err
	}
	return c.judge(res, res.Failed(), err)
}

// tape measures the tape.
func (c *benchCmd) tape(ctx context.Context) error {
	res, err := bench.RunTape(ctx, c.Bench, os.Stderr)
	if res == nil {
		return err
	}
	c.print(res)
	if err == nil && res.Failed() {
		err = errTape
	}
	return err
}

// judge shows a report, and returns why it is none to be proud of.
func (c *benchCmd) judge(res report, failed bool, err error) error {
	if werr := c.show(res); werr != nil {
		return werr
	}
	if err == nil && failed {
		err = errUnverified
	}
	return err
}

// show prints a report as it was asked for, and writes its page.
func (c *benchCmd) show(res report) error {
	c.print(res)
	page, ok := res.(interface{ WriteHTML(io.Writer) error })
	if c.page == nil || !ok {
		return nil
	}
	return errors.Join(c.page.Truncate(0), page.WriteHTML(c.page))
}

func (c *benchCmd) print(res report) {
	if c.Bench.JSON {
		text, _ := json.MarshalIndent(res, "", "  ")
		fmt.Println(string(text))
		return
	}
	res.Print(os.Stdout)
}

// benchFloorCmd is the bare loop that a run is held against; the harness forks it.
type benchFloorCmd struct {
	bench.Floor `embed:""`
}

// benchWriterCmd gives Redis every update by itself; the harness forks it.
type benchWriterCmd struct {
	bench.TapeWriter `embed:""`
}

// benchWorkerCmd is some of the subscribers of a run; the harness forks it.
type benchWorkerCmd struct{}

func (benchWorkerCmd) Run(ctx context.Context) error {
	return bench.RunWorker(ctx, os.Stdin, os.Stdout)
}
