package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// probeCmd asks a process of this machine whether it is ready, where there is no curl.
type probeCmd struct {
	Metrics string `default:"127.0.0.1:9090" env:"TICKWIRE_METRICS" placeholder:"ADDR" help:"Its --metrics. [${default}]"`
}

// probeTime is below what container engines wait.
const probeTime = 2 * time.Second

func (c *probeCmd) Run(ctx context.Context) error {
	host, port, err := net.SplitHostPort(c.Metrics)
	if err != nil {
		return fmt.Errorf("probe: --metrics %s: it is HOST:PORT", c.Metrics)
	}
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		host = "localhost" // of all addresses one will do
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	client := http.Client{ // of this process, not of a proxy, nor of whom it names
		Transport: new(http.Transport), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("probe: nothing answers, is --metrics right? %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
		return fmt.Errorf("probe: not ready: %s %s", answer.Status, codec.Printable(strings.TrimSpace(string(why))))
	}
	return nil
}
