package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// stand is what a run is made on: Redis, a feed and nodes, each a process of its own.
type stand struct {
	cfg   *Config
	redis string
	store string // what Redis is, for the report
	feed  *proc
	mu    sync.Mutex // protects nodes and past: a storm replaces one
	nodes []*proc
	past  time.Duration // CPU time of nodes that were killed
	addrs []netip.AddrPort
	procs []*proc // all of them, in the order they were begun

	serverCPUs, otherCPUs []int // none: all
	memory                *miniredis.Miniredis
}

// startWithin bounds the time that a process takes to be ready.
const startWithin = 20 * time.Second

// newStand begins Redis, the feed and the nodes, and waits until they are ready. The
// nodes have half of the cores for themselves; everything else shares the others.
func newStand(ctx context.Context, cfg *Config) (_ *stand, err error) {
	s := &stand{cfg: cfg}
	s.splitCPUs()
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, errors.New("it is not ready in time"))
	defer cancel()
	if err := s.startRedis(ctx); err != nil {
		return nil, err
	}
	s.feed, err = s.start("feed", s.otherCPUs, cfg.Exe, "feed", "--redis", s.redis, "--metrics", "off", "--venue", "sim", "--log", "warn",
		"--sim-symbols", strconv.Itoa(cfg.Symbols), "--sim-rate", strconv.FormatFloat(cfg.Updates, 'f', -1, 64), "--sim-seed", strconv.FormatUint(cfg.Seed, 10))
	if err != nil {
		return nil, err
	}
	for i := range cfg.Nodes {
		addr, err := freePort()
		if err != nil {
			return nil, err
		}
		s.addrs = append(s.addrs, addr)
		node, err := s.startNode(i)
		if err != nil {
			return nil, err
		}
		s.nodes = append(s.nodes, node)
	}
	for _, addr := range s.addrs {
		err := wait(ctx, "node "+addr.String(), s.procs, func() bool {
			r, err := http.Get("http://" + addr.String() + "/readyz")
			if err != nil {
				return false
			}
			r.Body.Close()
			return r.StatusCode == http.StatusOK
		})
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *stand) start(name string, cpus []int, exe string, args ...string) (*proc, error) {
	p, err := start(name, cpus, nil, nil, exe, args...)
	if err == nil {
		s.procs = append(s.procs, p)
	}
	return p, err
}

// startNode begins a node at its address.
func (s *stand) startNode(i int) (*proc, error) {
	return s.start(fmt.Sprintf("node %d", i+1), s.serverCPUs, s.cfg.Exe, "fanout", "--redis", s.redis, "--listen", s.addrs[i].String(), "--metrics", "off",
		"--log", "warn", "--drain", "0s")
}

// splitCPUs gives half of the cores to what is measured.
func (s *stand) splitCPUs() {
	n := runtime.NumCPU()
	for cpu := range n {
		if n > 1 && cpu < n/2 {
			s.serverCPUs = append(s.serverCPUs, cpu)
		} else if n > 1 {
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
	p, err := s.start("redis-server", s.otherCPUs, exe, "--port", strconv.Itoa(int(addr.Port())), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
	if err != nil {
		return err
	}
	s.redis, s.store = "redis://"+addr.String(), "redis-server"
	return wait(ctx, "redis-server", []*proc{p}, func() bool {
		c, err := net.Dial("tcp", addr.String())
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

// freePort is an address on loopback that nobody listens on just now.
func freePort() (netip.AddrPort, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("bench: %w", err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).AddrPort(), nil
}

// symbols asks a node what there is.
func (s *stand) symbols() ([]string, error) {
	r, err := http.Get("http://" + s.addrs[0].String() + "/v1/symbols")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer r.Body.Close()
	var list struct{ Symbols []string }
	if err := json.NewDecoder(r.Body).Decode(&list); err != nil {
		return nil, fmt.Errorf("bench: /v1/symbols: %w", err)
	}
	return list.Symbols, nil
}

// serverUsed sums what the nodes have used.
func (s *stand) serverUsed() (u usage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.cpu = s.past
	for _, p := range s.nodes {
		one := p.used()
		u.cpu += one.cpu
		u.rss += one.rss
	}
	return u
}

// replace kills a node and begins it anew.
func (s *stand) replace(i int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	node := s.nodes[i]
	node.expected.Store(true)
	s.past += node.used().cpu
	node.stop(syscall.SIGKILL, time.Second)
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
