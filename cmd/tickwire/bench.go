package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tickwire/tickwire/bench"
)

// benchCmd measures.
type benchCmd struct {
	Scenario string            `arg:"" default:"steady" help:"What is measured: steady, slow, burst, churn, storm, idle, soak, saturate or limit; or peers, the same load on what could be taken instead. [steady]"`
	Bench    bench.Config      `embed:""`
	Peers    bench.PeersConfig `embed:""`
}

// errUnverified has said what was wrong.
var errUnverified = errors.New("bench: not verified")

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
	c.Bench.Exe = exe
	if c.Scenario == "peers" {
		return c.peers(ctx)
	}
	res, err := bench.Run(ctx, c.Bench, os.Stderr)
	fmt.Fprintln(os.Stderr)
	if res == nil {
		return err
	}
	if werr := c.show(res); werr != nil {
		return werr
	}
	if err == nil && res.Failed() {
		err = errUnverified
	}
	return err
}

// report is a Result or a Comparison.
type report interface {
	Print(io.Writer)
	WriteHTML(io.Writer) error
}

func writeReport(file string, res report) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := res.WriteHTML(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// peers compares. That a peer loses something is a result; that we do is a failure.
func (c *benchCmd) peers(ctx context.Context) error {
	res, err := bench.RunPeers(ctx, c.Bench, c.Peers, os.Stderr)
	if res == nil {
		return err
	}
	if werr := c.show(res); werr != nil {
		return werr
	}
	if err == nil && !res.Verified("tickwire") {
		err = errUnverified
	}
	return err
}

// show prints a report as it was asked for, and writes its page.
func (c *benchCmd) show(res report) error {
	if c.Bench.JSON {
		text, _ := json.MarshalIndent(res, "", "  ")
		fmt.Println(string(text))
	} else {
		res.Print(os.Stdout)
	}
	if c.Bench.Report == "" {
		return nil
	}
	return writeReport(c.Bench.Report, res)
}

// benchFloorCmd is the bare loop that a run is held against; the harness forks it.
type benchFloorCmd struct {
	bench.Floor `embed:""`
}

// benchWorkerCmd is some of the subscribers of a run; the harness forks it.
type benchWorkerCmd struct{}

func (benchWorkerCmd) Run(ctx context.Context) error {
	return bench.RunWorker(ctx, os.Stdin, os.Stdout)
}
