package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/tickwire/tickwire/bench"
)

// benchCmd measures.
type benchCmd struct {
	Scenario string       `arg:"" default:"steady" help:"What is measured: steady, slow, churn, storm, idle, soak, saturate or limit. [steady]"`
	Bench    bench.Config `embed:""`
}

// errUnverified has said what was wrong.
var errUnverified = errors.New("bench: not verified")

func (c *benchCmd) Validate() error {
	c.Bench.Scenario = c.Scenario
	return c.Bench.Validate()
}

func (c *benchCmd) Run(ctx context.Context) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	c.Bench.Exe = exe
	res, err := bench.Run(ctx, c.Bench, os.Stderr)
	fmt.Fprintln(os.Stderr)
	if res == nil {
		return err
	}
	if file := c.Bench.Report; file != "" {
		if werr := writeReport(file, res); werr != nil {
			return werr
		}
	}
	if c.Bench.JSON {
		text, _ := json.MarshalIndent(res, "", "  ")
		fmt.Println(string(text))
	} else {
		res.Print(os.Stdout)
	}
	if err == nil && !res.Verified {
		err = errUnverified
	}
	return err
}

func writeReport(file string, res *bench.Result) error {
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

// benchFloorCmd is the bare loop that a run is held against; the harness forks it.
type benchFloorCmd struct {
	bench.Floor `embed:""`
}

// benchWorkerCmd is some of the subscribers of a run; the harness forks it.
type benchWorkerCmd struct{}

func (benchWorkerCmd) Run(ctx context.Context) error {
	return bench.RunWorker(ctx, os.Stdin, os.Stdout)
}
