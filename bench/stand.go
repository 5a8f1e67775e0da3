package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/alicebob/miniredis/v2"
	"golang.org/x/sys/unix"
)

// stand is what a run is made on: Redis, a feed and nodes, each a process of its own;
// or nodes that run already.
type stand struct {
	cfg       *Config
	redis     string
	store     string // what Redis is, for the report
	feed      *proc
	mu        sync.Mutex // protects nodes and past: a storm replaces one
	nodes     []*proc
	past      time.Duration    // CPU time of nodes that were killed
	addrs     []netip.AddrPort // where the nodes listen
	metrics   []netip.AddrPort // of roll: their /metrics
	endpoints []Endpoint       // where subscribers go: to the nodes, or to a balancer
	procs     []*proc          // all of them, in the order they were begun

	serverCPUs, otherCPUs []int // none: all
	redisCPUs             []int // none: otherCPUs
	memory                *miniredis.Miniredis
	scraped               map[string]usage // by URL: what NodeMetrics said last
	unscraped             int              // times that they said nothing
}

// startWithin bounds the time that a stand takes to be ready.
const startWithin = 20 * time.Second

var errNotReady = errors.New("it is not ready in time")

// newStand begins what a run is made on, and waits until it is ready. What is measured
// has half of the cores for itself; everything else shares the others.
func newStand(ctx context.Context, cfg *Config, begin func(*stand, context.Context) error) (*stand, error) {
	s := &stand{cfg: cfg, scraped: make(map[string]usage)}
	s.splitCPUs()
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, errNotReady)
	defer cancel()
	if err := begin(s, ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// begin begins a stand of our own, or goes to the nodes that were named.
func (s *stand) begin(ctx context.Context) error {
	if len(s.cfg.URL) > 0 {
		return s.attach(ctx)
	}
	if err := s.startRedis(ctx); err != nil {
		return err
	}
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	feed, err := s.start("feed", s.otherCPUs, s.cfg.Exe, "feed", "--redis", s.redis, "--metrics", "off", "--venue", "sim", "--log", "warn",
		"--sim-symbols", strconv.Itoa(s.cfg.Symbols), "--sim-rate", number(s.cfg.Updates), "--sim-burst", number(s.cfg.Burst),
		"--sim-seed", strconv.FormatUint(s.cfg.Seed, 10), fmt.Sprintf("--sim-calm=%t", !s.cfg.Stormy))
	if err != nil {
		return err
	}
	s.feed = feed
	for i := range s.cfg.Nodes {
		addr, err := freePort()
		if err != nil {
			return err
		}
		s.addrs, s.endpoints = append(s.addrs, addr), append(s.endpoints, at(addr))
		if s.cfg.Scenario == "roll" {
			if addr, err = freePort(); err != nil {
				return err
			}
			s.metrics = append(s.metrics, addr)
		}
		node, err := s.startNode(i)
		if err != nil {
			return err
		}
		s.nodes = append(s.nodes, node)
	}
	if s.cfg.Scenario == "roll" {
		if err := s.balance(ctx); err != nil {
			return err
		}
	}
	for i := range s.endpoints {
		e := &s.endpoints[i]
		if s.cfg.TLS {
			if e.CA, err = os.ReadFile(s.cfg.TLSCert); err != nil {
				return fmt.Errorf("bench: the certificate of this run: %w", err)
			}
			e.TLS, e.Resume = true, s.cfg.ResumeTLS
		}
		if err := wait(ctx, s.nodes[i].name, s.procs, func() bool { return e.ready(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

// attach goes to nodes that run already.
func (s *stand) attach(ctx context.Context) error {
	s.redis, s.store, s.otherCPUs = s.cfg.Redis, "its own tape", append(s.serverCPUs, s.otherCPUs...)
	for _, url := range s.cfg.URL {
		e, err := parseEndpoint(ctx, url)
		if err != nil {
			return err
		}
		e.Resume = s.cfg.ResumeTLS
		if err := e.readFiles(s.cfg); err != nil {
			return err
		}
		s.endpoints = append(s.endpoints, e)
	}
	for _, url := range s.cfg.NodeMetrics {
		if _, err := scrape(ctx, url); err != nil {
			return err
		}
	}
	return nil
}

// symbols asks a node which there are, and fits what subscribers take to it.
func (s *stand) symbols(ctx context.Context) ([]string, error) {
	list, err := s.endpoints[0].symbols(ctx, s.cfg.Token)
	if err != nil {
		return nil, err
	}
	n := len(list)
	if len(s.cfg.URL) == 0 && n < s.cfg.Symbols {
		return nil, fmt.Errorf("bench: the node has %d symbols of %d", n, s.cfg.Symbols)
	}
	if s.cfg.fitSymbols {
		s.cfg.Symbols = min(s.cfg.Symbols, n)
	}
	if s.cfg.fitSubs {
		s.cfg.Subs = min(s.cfg.Subs, n)
	}
	if n < s.cfg.Symbols || n < s.cfg.Subs {
		return nil, fmt.Errorf("bench: --symbols %d, --subs %d: the node has %d symbols", s.cfg.Symbols, s.cfg.Subs, n)
	}
	return list[:s.cfg.Symbols], nil
}

func (s *stand) start(name string, cpus []int, exe string, args ...string) (*proc, error) {
	p, err := start(name, cpus, nil, nil, exe, args...)
	if err == nil {
		s.procs = append(s.procs, p)
	}
	return p, err
}

// over is what subscribers come over: wss as soon as one node speaks it.
func (s *stand) over() string {
	if slices.ContainsFunc(s.endpoints, func(e Endpoint) bool { return e.TLS }) {
		return "wss"
	}
	return "ws"
}

// startNode begins a node at its address.
func (s *stand) startNode(i int) (*proc, error) {
	args := []string{"fanout", "--redis", s.redis, "--listen", s.addrs[i].String(),
		"--log", "warn", "--host-conns", "0", "--idle", "0s", "--max-conns", strconv.Itoa(s.cfg.Conns + s.cfg.Conns/10 + 100)} // who leaves is there for a moment yet
	if s.cfg.TLS {
		args = append(args, "--tls-cert", s.cfg.TLSCert, "--tls-key", s.cfg.TLSKey)
	}
	if s.cfg.Tokens {
		args = append(args, "--token-key", s.cfg.Verifies)
	}
	if s.metrics == nil {
		args = append(args, "--metrics", "off", "--drain", "0s")
	} else {
		args = append(args, s.nodeRolls(i)...)
	}
	if s.cfg.Pace != nil {
		args = append(args, "--pace", s.cfg.Pace.String())
	}
	return s.start(fmt.Sprintf("node %d", i+1), s.serverCPUs, s.cfg.Exe, args...)
}

// splitCPUs gives half of the cores to what is measured.
func (s *stand) splitCPUs() {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil || set.Count() < 2 {
		return
	}
	for cpu := range 8 * int(unsafe.Sizeof(set)) {
		switch {
		case !set.IsSet(cpu):
		case len(s.serverCPUs) < set.Count()/2:
			s.serverCPUs = append(s.serverCPUs, cpu)
		default:
			s.otherCPUs = append(s.otherCPUs, cpu)
		}
	}
}

// startRedis finds a Redis: the one named, a redis-server of our own, or one in memory.
func (s *stand) startRedis(ctx context.Context) error {
	if s.cfg.Redis != "" {
		s.redis, s.store = s.cfg.Redis, "redis at "+s.cfg.Redis
		return nil
	}
	exe, err := exec.LookPath("redis-server")
	if err != nil {
		s.memory = miniredis.NewMiniRedis()
		if err := s.memory.Start(); err != nil {
			return fmt.Errorf("bench: redis in memory: %w", err)
		}
		s.redis, s.store = "redis://"+s.memory.Addr(), "redis in memory"
		return nil
	}
	addr, err := freePort()
	if err != nil {
		return err
	}
	cpus := s.otherCPUs
	if s.redisCPUs != nil {
		cpus = s.redisCPUs
	}
	p, err := s.start("redis-server", cpus, exe, "--port", strconv.Itoa(int(addr.Port())), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
	if err != nil {
		return err
	}
	s.redis, s.store = "redis://"+addr.String(), "redis-server"
	return wait(ctx, "redis-server", []*proc{p}, func() bool { return listens(addr) })
}

// ports is how many were looked at, from anywhere.
var ports atomic.Uint32

func init() { ports.Store(rand.Uint32()) }

// freePort is an address on loopback that nobody listens on, and that is not given again
// soon. It is below those that the system gives to sockets that connect: one of these may
// have it meanwhile, and whoever connects to it then may be connected to himself. A Redis of
// a Cluster has another, 10,000 above.
func freePort() (netip.AddrPort, error) {
	for range 1000 {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(10_000+ports.Add(1)%10_000))
		if ln, err := net.Listen("tcp", addr.String()); err == nil {
			ln.Close()
			return addr, nil
		}
	}
	return netip.AddrPort{}, errors.New("bench: no port of 127.0.0.1 is free from 10000 to 20000")
}

// serverUsed sums what the nodes have used, and what the machine's sockets hold.
func (s *stand) serverUsed(ctx context.Context) (u usage) {
	u.sockets = socketMemory()
	s.mu.Lock()
	defer s.mu.Unlock()
	u.cpu = s.past
	for _, p := range s.nodes {
		one := p.used()
		u.cpu += one.cpu
		u.rss += one.rss
	}
	for _, url := range s.cfg.NodeMetrics {
		one, err := scrapeSoon(ctx, url)
		if err != nil {
			one = s.scraped[url] // as it was
			s.unscraped++
		}
		s.scraped[url] = one
		u.cpu += one.cpu
		u.rss += one.rss
	}
	return u
}

// besideUsed is the CPU time of Redis, the feed and this process, of each.
func (s *stand) besideUsed() (each []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.procs {
		if !slices.Contains(s.nodes, p) && !p.expected.Load() { // nor a node that was killed
			each = append(each, p.used().cpu)
		}
	}
	return append(each, usedBy(os.Getpid()).cpu)
}

// replace kills a node and begins it anew.
func (s *stand) replace(i int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	node := s.nodes[i]
	node.expected.Store(true)
	node.stop(syscall.SIGKILL, time.Second)
	s.past += node.used().cpu
	again, err := s.startNode(i)
	if err == nil {
		s.nodes[i] = again
	}
	return err
}

// stopNodes ends the nodes.
func (s *stand) stopNodes() {
	for _, p := range s.nodes {
		p.stop(syscall.SIGINT, 2*time.Second)
	}
}

// close ends everything.
func (s *stand) close() {
	for i := len(s.procs) - 1; i >= 0; i-- {
		s.procs[i].stop(syscall.SIGINT, 2*time.Second)
	}
	if s.memory != nil {
		s.memory.Close()
	}
}
