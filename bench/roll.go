package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gonum.org/v1/plot/plotter"
)

const (
	rollNotice = 3 * time.Second // --notice of the nodes: the balancer asks twice within it
	rollEvery  = 250 * time.Millisecond
)

// rollPause is before a node is restarted, and after the last one.
func (cfg *Config) rollPause() time.Duration { return cfg.Drain / 2 }

// Rolling is a moment of nodes that are restarted one after another.
type Rolling struct {
	At         float64 `json:"at_s"`        // since it was measured
	Open       int     `json:"open"`        // subscribers that are connected
	Conns      []int   `json:"connections"` // of each node
	Reconnects int64   `json:"reconnects"`  // so far
}

func rollDefaults(cfg *Config) {
	cfg.Nodes, cfg.Floor, cfg.Drain = max(2, cfg.Nodes), false, cmp.Or(cfg.Drain, 10*time.Second)
	cfg.Duration = cmp.Or(cfg.Duration, 2*cfg.rollPause()+time.Duration(cfg.Nodes)*(rollNotice+2*cfg.Drain+time.Second))
}

// roll restarts the nodes one after another by SIGTERM, as an upgrade does, behind a
// balancer that subscribers come through: whom a node sends away comes back at another.
func roll(ctx context.Context, cfg *Config, tick *ticker) (*Result, error) {
	return single(ctx, cfg, tick, func(ctx context.Context, r *run) error {
		ended := make(chan struct{})
		defer func() { <-ended }()
		go func() {
			defer close(ended)
			r.watchRolling(ctx)
		}()
		for i := range cfg.Nodes {
			if !sleep(ctx, cfg.rollPause()) {
				return errors.New("bench: the run was over before all nodes were restarted: give it a longer --duration")
			}
			if err := r.stand.restart(ctx, i); err != nil {
				return err
			}
		}
		<-ctx.Done() // all has been measured
		return nil
	})
}

// watchRolling notes who is where until ctx ends.
func (r *run) watchRolling(ctx context.Context) {
	began := time.Now()
	for sleep(ctx, rollEvery) {
		now := r.crew.sum()
		m := Rolling{At: time.Since(began).Seconds(), Open: now.Open, Reconnects: now.Counts.Connects}
		for _, addr := range r.stand.metrics {
			u, _ := scrapeSoon(ctx, "http://"+addr.String()+"/metrics") // none while it is away
			m.Conns = append(m.Conns, u.conns)
		}
		r.res.Rolling = append(r.res.Rolling, m)
	}
}

// restart ends a node as an upgrade does, and begins it anew.
func (s *stand) restart(ctx context.Context, i int) error {
	s.mu.Lock()
	node := s.nodes[i]
	s.mu.Unlock()
	node.expected.Store(true)
	node.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-node.gone:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(rollNotice + s.cfg.Drain + startWithin):
		return fmt.Errorf("bench: %s has not drained", node.name)
	}
	if node.err != nil {
		return fmt.Errorf("bench: %s drained, and ended with %w: %s", node.name, node.err, node.lastWords())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past += node.used().cpu
	again, err := s.startNode(i)
	if err != nil {
		return err
	}
	s.nodes[i] = again
	return s.waitReady(ctx, i)
}

// waitReady waits until a node says that it is.
func (s *stand) waitReady(ctx context.Context, i int) error {
	return wait(ctx, s.nodes[i].name, s.nodes[i:i+1], func() bool {
		_, err := get(ctx, http.DefaultClient, "http://"+s.metrics[i].String()+"/readyz", nil)
		return err == nil
	})
}

// balance begins a balancer before the nodes, whose place it takes.
func (s *stand) balance(ctx context.Context) error {
	exe, err := exec.LookPath("haproxy")
	if err != nil {
		return errors.New("bench roll needs haproxy, which is not installed; on Debian: apt-get install haproxy")
	}
	for i := range s.nodes {
		if err := s.waitReady(ctx, i); err != nil {
			return err
		}
	}
	addr, err := freePort()
	if err != nil {
		return err
	}
	p, err := start("haproxy", s.otherCPUs, strings.NewReader(s.balancing(addr)), nil, exe, "-db", "-f", "/dev/stdin")
	if err != nil {
		return err
	}
	s.procs = append(s.procs, p)
	s.endpoints = []Endpoint{at(addr)}
	return nil
}

// rollChecks is how deploy/compose/haproxy.cfg has a balancer ask nodes.
const rollChecks = "inter 1s fall 2 rise 1 send-proxy-v2 slowstart 20s"

// balancing is a haproxy.cfg, in what matters that of deploy.
func (s *stand) balancing(addr netip.AddrPort) string {
	var b strings.Builder
	fmt.Fprintf(&b, "global\n maxconn %d\ndefaults\n mode tcp\n timeout connect 2s\n timeout client 1m\n timeout server 1m\n retries 2\n option redispatch\n", s.cfg.Conns+1000)
	fmt.Fprintf(&b, "frontend wss\n bind %s\n default_backend nodes\nbackend nodes\n balance leastconn\n option httpchk GET /readyz\n", addr)
	fmt.Fprintf(&b, " default-server check %s\n", rollChecks)
	for i, node := range s.addrs {
		fmt.Fprintf(&b, " server node%d %s port %d\n", i+1, node, s.metrics[i].Port())
	}
	return b.String()
}

// nodeRolls are the flags of a node that is restarted.
func (s *stand) nodeRolls(i int) []string {
	return []string{"--metrics", s.metrics[i].String(), "--notice", rollNotice.String(), "--drain", s.cfg.Drain.String(), "--proxy-from", "127.0.0.1"}
}

// printRolling writes how nodes were restarted.
func (r *Result) printRolling(row printer) {
	if len(r.Rolling) == 0 {
		return
	}
	last, open, most := r.Rolling[len(r.Rolling)-1], r.Conns, int64(0)
	for i, m := range r.Rolling {
		open = min(open, m.Open)
		if before := i - int(time.Second/rollEvery); before >= 0 {
			most = max(most, m.Reconnects-r.Rolling[before].Reconnects)
		}
	}
	row("restarted", "%d nodes, one after another, in %v each: %d subscribers came back, %d of them within a second at the most; %d of %d were connected at the least",
		r.Nodes, r.Settings.Drain, last.Reconnects, most, open, r.Conns)
}

// drawRolling shows who was where while nodes were restarted.
func (r *Result) drawRolling() ([]picture, error) {
	if len(r.Rolling) == 0 {
		return nil, nil
	}
	lines := []series{{Name: "all", Heavy: true}}
	for i := range r.Rolling[0].Conns {
		lines = append(lines, series{Name: "node " + strconv.Itoa(i+1), Ink: i + 1})
	}
	for _, m := range r.Rolling {
		lines[0].points = append(lines[0].points, plotter.XY{X: m.At, Y: float64(m.Open)})
		for i, n := range m.Conns {
			lines[i+1].points = append(lines[i+1].points, plotter.XY{X: m.At, Y: float64(n)})
		}
	}
	_, most := extent(lines)
	svg, err := draw(half, seconds(r.Rolling[len(r.Rolling)-1].At), linear(most, 5, short), lines)
	return []picture{{"Connections", "Subscribers that were connected, and where, while one node after another was sent SIGTERM and begun anew.", lines, svg}}, err
}
