package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// PeersConfig is what a comparison adds to a Config.
type PeersConfig struct {
	Only []string `env:"TICKWIRE_BENCH_ONLY" placeholder:"NAME" help:"peers: only these, comma-separated; tickwire is one of them. [all]"`
	Runs int      `env:"TICKWIRE_BENCH_RUNS" placeholder:"N" help:"peers: runs of each. [3]"`
	Dir  string   `name:"peers-dir" env:"TICKWIRE_BENCH_PEERS_DIR" placeholder:"DIR" help:"peers: their source. [bench/peers]"`
}

// peerNames are what --only may name. They are those of bench/peers, which takes a while to
// build, and then says the same.
var peerNames = []string{self, "gorilla", "coder", "gws", "nbio", "centrifuge", "ws", "uws", "socketio"}

// Validate refuses what cannot work.
func (p *PeersConfig) Validate(cfg *Config) error {
	switch {
	case cfg.Scenario != "peers" && (len(p.Only) > 0 || p.Runs != 0 || p.Dir != ""):
		return fmt.Errorf("--only, --runs and --peers-dir are of bench peers, not of bench %s", cfg.Scenario)
	case cfg.Scenario != "peers":
		return nil
	case cfg.Encoding == "json" || cfg.Rate != 0 || cfg.Burst > 1:
		return errors.New("bench peers: --encoding json, --rate and --burst are ours alone: no comparison")
	case cfg.Churn > 0 || cfg.Slow > 0 || cfg.Redis != "":
		return errors.New("bench peers: --churn, --slow and --redis do not go with it: subscribers stay and read, and every run has a Redis of its own")
	case p.Runs < 0:
		return errors.New("--runs is at least 1")
	}
	for i, name := range p.Only {
		if p.Only[i] = strings.TrimSpace(name); !slices.Contains(peerNames, p.Only[i]) {
			return fmt.Errorf("--only %s: there are %s", p.Only[i], strings.Join(peerNames, ", "))
		}
	}
	p.Runs = cmp.Or(p.Runs, 3)
	p.Dir = cmp.Or(p.Dir, "bench/peers")
	return nil
}

// peerInfo is what the peers program lists of a peer.
type peerInfo struct {
	Name     string
	Protocol string // of newPeer
	Publish  string // how updates get to it
	Version  string
	Missing  string // what it lacks to run
}

// self is our own row.
const self = "tickwire"

// peersProgram is bench/peers, built.
type peersProgram struct {
	exe, dir string
	peers    []peerInfo
}

// buildPeers builds the peers from source and asks what there is.
func buildPeers(ctx context.Context, dir, into string) (*peersProgram, error) {
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return nil, fmt.Errorf("bench: no peers in %s: run this where Tickwire's source is, or name it with --peers-dir", dir)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("bench: peers: %w", err)
	}
	goExe, err := exec.LookPath("go")
	if err != nil {
		return nil, errors.New("bench: peers are built from source, and Go is not installed")
	}
	p := &peersProgram{exe: filepath.Join(into, "peers"), dir: dir}
	build := exec.CommandContext(ctx, goExe, "build", "-o", p.exe, ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("bench: go build in %s: %w: %s", dir, err, out)
	}
	out, err := exec.CommandContext(ctx, p.exe, "list", "--dir", dir).Output()
	if err == nil {
		err = json.Unmarshal(out, &p.peers)
	}
	if err != nil {
		return nil, fmt.Errorf("bench: peers list: %w", err)
	}
	return p, nil
}

// RunPeers runs the nodes of Tickwire, and every peer, against the same load in turn, as
// many times as asked. Turns alternate, so that a machine that changes its mind does so
// for all.
func RunPeers(ctx context.Context, cfg Config, peers PeersConfig, progress io.Writer) (*Comparison, error) {
	into, err := os.MkdirTemp("", "tickwire-peers")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer os.RemoveAll(into)
	program, err := buildPeers(ctx, peers.Dir, into)
	if err != nil {
		return nil, err
	}
	all := append([]peerInfo{{Name: self}}, program.peers...)
	for _, name := range peers.Only {
		if !slices.ContainsFunc(all, func(p peerInfo) bool { return p.Name == name }) {
			return nil, fmt.Errorf("bench: --only %s: there are %s", name, strings.Join(names(all), ", "))
		}
	}
	all = slices.DeleteFunc(all, func(p peerInfo) bool { return len(peers.Only) > 0 && !slices.Contains(peers.Only, p.Name) })
	c := &Comparison{Load: cfg.Load, Conns: cfg.Conns, Subs: cfg.Subs, Symbols: cfg.Symbols, Offered: cfg.Updates, Seconds: cfg.Duration.Seconds(), Runs: peers.Runs, Machine: machine}
	for _, p := range all {
		c.Systems = append(c.Systems, System{Name: p.Name, Version: p.Version, Missing: p.Missing})
	}
	for run := range peers.Runs {
		for i, p := range all {
			if p.Missing != "" {
				continue
			}
			fmt.Fprintf(progress, "run %d of %d: %s\n", run+1, peers.Runs, p.Name)
			res, err := runOne(ctx, cfg, program, p, progress)
			fmt.Fprintln(progress)
			if err != nil {
				res = cmp.Or(res, &Result{})
				res.breakOff(err)
			}
			c.Systems[i].Runs = append(c.Systems[i].Runs, res)
			if ctx.Err() != nil {
				c.Partial = true
				return c, errInterrupted
			}
		}
	}
	return c, nil
}

func names(peers []peerInfo) (names []string) {
	for _, p := range peers {
		names = append(names, p.Name)
	}
	return names
}

func runOne(ctx context.Context, cfg Config, program *peersProgram, p peerInfo, progress io.Writer) (*Result, error) {
	if p.Name == self {
		cfg.Scenario = "steady"
		return Run(ctx, cfg, progress)
	}
	return program.run(ctx, &cfg, p, progress)
}

// run measures one peer.
func (p *peersProgram) run(ctx context.Context, cfg *Config, peer peerInfo, progress io.Writer) (*Result, error) {
	s, err := newStand(ctx, cfg, func(s *stand, ctx context.Context) error { return p.begin(ctx, s, peer) })
	if err != nil {
		return nil, err
	}
	defer s.close()
	symbols := make([]string, cfg.Symbols)
	for i := range symbols {
		symbols[i] = peerSymbol(uint32(i))
	}
	r, err := newRun(ctx, s, &Load{Peer: peer.Protocol, Nodes: s.endpoints, Redis: s.redis, Symbols: symbols}, newTicker(progress))
	if err != nil {
		return nil, err
	}
	defer r.crew.close()
	r.res.Encoding = peer.Protocol
	r.again = func() { s.feed.cmd.Process.Signal(syscall.SIGUSR1) }
	err = r.phases(ctx, nil)
	r.res.finish(r.crew)
	if errors.Is(err, errRamp) {
		err = fmt.Errorf("it cannot take this load: %d of %d subscribers come up", r.crew.sum().Ready, cfg.Conns)
	}
	if err != nil {
		r.res.breakOff(err)
	}
	return r.res, err
}

// begin begins Redis, the peer's nodes, and the publisher, on the cores that Redis, our
// nodes and the feed have.
func (p *peersProgram) begin(ctx context.Context, s *stand, peer peerInfo) (err error) {
	if err := s.startRedis(ctx); err != nil {
		return err
	}
	for i := range s.cfg.Nodes {
		addr, err := freePort()
		if err != nil {
			return err
		}
		node, err := s.start(fmt.Sprintf("%s %d", peer.Name, i+1), s.serverCPUs, p.exe, "serve", peer.Name, "--listen", addr.String(), "--redis", s.redis, "--dir", p.dir)
		if err != nil {
			return err
		}
		s.nodes, s.endpoints = append(s.nodes, node), append(s.endpoints, at(addr))
	}
	for _, e := range s.endpoints {
		if err := wait(ctx, peer.Name, s.procs, func() bool { return listens(e.Addr) }); err != nil {
			return err
		}
	}
	s.feed, err = s.start("publisher", s.otherCPUs, p.exe, "publish", "--redis", s.redis, "--as", peer.Publish, "--symbols", strconv.Itoa(s.cfg.Symbols),
		"--rate", strconv.FormatFloat(s.cfg.Updates, 'f', -1, 64), "--seed", strconv.FormatUint(s.cfg.Seed, 10),
		fmt.Sprintf("--calm=%t", !s.cfg.Stormy))
	return err
}

// listens reports whether somebody takes connections at an address.
func listens(addr netip.AddrPort) bool {
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		return false
	}
	c.Close()
	return true
}
