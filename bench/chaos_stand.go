package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

// The stand of a chaos run.
const (
	chaosFeeds   = 3 // two write a stream each, one stands by
	chaosNodes   = 3
	chaosShards  = 2
	chaosSymbols = 40
	chaosRate    = 100 // updates a second, of all symbols
	chaosSubs    = 5   // symbols a subscriber
)

// chaosStand is all processes of a chaos run: each may be killed at any time.
type chaosStand struct {
	cfg     *Config
	began   time.Time
	dir     string     // of their logs, and of what Redis writes
	kept    bool       // dir is, in the end
	redis   *redisPair // nil: another, that is not looked after
	url     string     // of Redis
	feeds   []*member
	nodes   []*member
	at      []Endpoint // of the nodes
	streams []string

	mu     sync.Mutex // protects what follows
	master *redisServer
	steady time.Time // since when that one is the master and can be reached; zero: there is none
	away   time.Time // since when there is none
	ends   int       // feeds that ended by themselves, as they do when Redis is away as they begin
}

// newChaosStand begins everything, and waits until it is ready.
func newChaosStand(ctx context.Context, cfg *Config) (*chaosStand, error) {
	s, err := emptyStand(cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*startWithin, errNotReady)
	defer cancel()
	if err = s.beginRedis(ctx); err == nil {
		err = s.beginService(ctx, chaosShards, chaosFeeds)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// emptyStand is one of which nothing has begun.
func emptyStand(cfg *Config) (*chaosStand, error) {
	dir, err := os.MkdirTemp("", "tickwire-chaos-logs")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return &chaosStand{cfg: cfg, dir: dir, began: time.Now().UTC()}, nil
}

func (s *chaosStand) beginRedis(ctx context.Context) (err error) {
	if s.redis, err = beginRedis(s.dir); err != nil {
		return err
	}
	s.url, s.away = s.redis.url(), time.Now()
	return wait(ctx, "Redis and its Sentinels", procs(s.redis.members()), func() bool { return s.redis.whole(ctx) })
}

func (s *chaosStand) beginService(ctx context.Context, shards, feeds int) error {
	for k := range shards {
		s.streams = append(s.streams, fmt.Sprintf("sim/%d", k))
	}
	for i := range feeds {
		s.feeds = append(s.feeds, s.feed(i, s.url))
		if err := s.feeds[i].begin(); err != nil {
			return err
		}
	}
	return s.beginNodes(ctx)
}

func (s *chaosStand) beginNodes(ctx context.Context) error {
	for i := range chaosNodes {
		addr, err := freePort()
		if err != nil {
			return err
		}
		s.at = append(s.at, at(addr))
		s.nodes = append(s.nodes, s.node(i, addr.String()))
	}
	for i := range s.at {
		if err := s.nodes[i].begin(); err != nil {
			return err
		}
	}
	for i := range s.at {
		if err := wait(ctx, s.nodes[i].name, procs(s.nodes), func() bool { return s.at[i].ready(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *chaosStand) feed(i int, redis string) *member {
	return newMember(s.dir, fmt.Sprintf("feed %d", i+1), s.cfg.Exe, "feed", "--redis", redis, "--metrics", "off", "--venue", "sim", "--shards", strconv.Itoa(len(s.streams)),
		"--sim-symbols", strconv.Itoa(chaosSymbols), "--sim-rate", strconv.Itoa(chaosRate), "--sim-seed", strconv.FormatUint(s.cfg.Seed, 10),
		"--sim-start", s.began.Format(time.RFC3339)) // all feeds hear the same venue
}

func (s *chaosStand) node(i int, addr string) *member {
	return newMember(s.dir, fmt.Sprintf("node %d", i+1), s.cfg.Exe, "fanout", "--redis", s.url, "--listen", addr, "--metrics", "off",
		"--drain", "0s", "--host-conns", "0", "--idle", "0s", "--max-conns", strconv.Itoa(2*s.cfg.Conns+100))
}

// symbols waits until a node has them all.
func (s *chaosStand) symbols(ctx context.Context) (list []string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, errNotReady)
	defer cancel()
	err = wait(ctx, "all symbols", nil, func() bool {
		list, err = s.at[0].symbols(ctx, "")
		return err == nil && len(list) == chaosSymbols
	})
	return list, err
}

// services are the processes of Tickwire itself.
func (s *chaosStand) services() []*member { return slices.Concat(s.feeds, s.nodes) }

func (s *chaosStand) members() []*member {
	if s.redis == nil {
		return s.services()
	}
	return append(s.redis.members(), s.services()...)
}

// heal has everything run, and every way open.
func (s *chaosStand) heal() error {
	for _, m := range s.members() {
		m.thaw()
		if err := m.begin(); err != nil {
			return err
		}
	}
	for _, r := range s.redis.servers {
		if err := r.link.mend(); err != nil {
			return err
		}
	}
	return nil
}

// watch looks after the stand until ctx ends: which server is the master, and which
// process has ended by itself. Those are begun again, as whoever runs them would do.
func (s *chaosStand) watch(ctx context.Context, v *violations) {
	var beginning sync.WaitGroup
	defer beginning.Wait()
	for sleep(ctx, 100*time.Millisecond) {
		if s.redis != nil {
			m, err := s.redis.master(ctx)
			if ctx.Err() != nil {
				return
			}
			s.note(m, err)
		}
		for _, m := range s.members() {
			err := m.died()
			if err == nil {
				continue
			}
			if slices.Contains(s.feeds, m) && !crashed(err) {
				s.mu.Lock()
				s.ends++
				s.mu.Unlock()
			} else {
				v.add(exitViolation, "%v", err)
			}
			beginning.Go(func() {
				if sleep(ctx, rand.N(time.Second)) {
					m.begin()
				}
			})
		}
	}
}

// note takes which server is the master now.
func (s *chaosStand) note(m *redisServer, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil && s.away.IsZero():
		s.master, s.steady, s.away = nil, time.Time{}, time.Now()
	case err == nil && s.master != m:
		s.master, s.steady, s.away = m, time.Now(), time.Time{}
	}
}

// redisSince says since when clients can have the master, or how long they cannot.
func (s *chaosStand) redisSince() (steady, away time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.steady, s.away
}

// keepLogs has the logs outlive the stand, and returns where they are.
func (s *chaosStand) keepLogs() string {
	s.kept = true
	return s.dir
}

// close ends everything at once.
func (s *chaosStand) close() {
	for _, m := range s.services() {
		m.kill()
	}
	if s.redis != nil {
		s.redis.close()
	}
	if !s.kept {
		os.RemoveAll(s.dir)
	}
}
