package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// tapeStream is that of the simulated market.
const tapeStream = "sim/0"

// begin begins a Redis that has its cores for itself: it is what is measured.
func (b *tapeBench) begin(s *stand, ctx context.Context) error {
	if s.cfg.Redis == "" {
		if _, err := exec.LookPath("redis-server"); err != nil {
			return errors.New("bench: what is measured is a redis-server: install one, or name one with --redis")
		}
	}
	s.redisCPUs, s.otherCPUs = b.redisCPUs, b.otherCPUs
	return s.startRedis(ctx)
}

// startTapeWriter begins what gives Redis the updates.
func (s *stand) startTapeWriter(t transport, rate float64) (err error) {
	number, symbols := strconv.FormatFloat(rate, 'f', -1, 64), strconv.Itoa(s.cfg.Symbols)
	if t.as != "" {
		s.feed, err = s.start("writer", s.otherCPUs, s.cfg.Exe, "bench-writer", "--redis", s.redis, "--as", t.as, "--symbols", symbols, "--rate", number)
		return err
	}
	s.feed, err = s.start("feed", s.otherCPUs, s.cfg.Exe, "feed", "--redis", s.redis, "--metrics", "off", "--venue", "sim", "--log", "warn", "--sim-calm",
		"--sim-symbols", symbols, "--sim-rate", number, "--sim-seed", strconv.FormatUint(s.cfg.Seed, 10), "--gather", t.gather.String())
	return err
}

// tapeUsage is what was used so far.
type tapeUsage struct {
	at                 time.Time
	redis, writer, own time.Duration // CPU time
	in, out            int64         // bytes over Redis's connections
	took               tapeCounts
}

// tapeUsed is what Redis, the writer and this process have used.
func (s *stand) tapeUsed(ctx context.Context, rdb *tapes.Redis, r *tapeReader) (u tapeUsage, err error) {
	info, err := rdb.Now().Info(ctx).Result()
	if err != nil {
		return u, fmt.Errorf("bench: INFO: %w", err)
	}
	for _, name := range []string{"used_cpu_sys", "used_cpu_user"} {
		seconds, err := strconv.ParseFloat(infoOf(info, name), 64)
		if err != nil {
			return u, fmt.Errorf("bench: INFO has no %s: %w", name, err)
		}
		u.redis += time.Duration(seconds * float64(time.Second))
	}
	for name, to := range map[string]*int64{"total_net_input_bytes": &u.in, "total_net_output_bytes": &u.out} {
		if *to, err = strconv.ParseInt(infoOf(info, name), 10, 64); err != nil {
			return u, fmt.Errorf("bench: INFO has no %s: %w", name, err)
		}
	}
	u.at, u.own = time.Now(), usedBy(os.Getpid()).cpu
	if s.feed != nil {
		u.writer = s.feed.used().cpu
	}
	u.took, err = r.counts()
	return u, err
}

// infoOf is a line of INFO.
func infoOf(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// open connects to the Redis of a run, in which there must be nobody's tape.
func (b *tapeBench) open(ctx context.Context, s *stand) (*tapes.Redis, error) {
	rdb, err := tapes.Open(s.redis, tapes.Role{Name: "tickwire-bench", Conns: 4})
	if err != nil {
		return nil, fmt.Errorf("bench: --redis: %w", err)
	}
	if err := b.look(ctx, s, rdb); err != nil {
		rdb.Close()
		return nil, err
	}
	return rdb, nil
}

func (b *tapeBench) look(ctx context.Context, s *stand, rdb *tapes.Redis) error {
	if _, one := rdb.Now().(*redis.Client); !one {
		return errors.New("bench: what is measured is one Redis, not a Cluster: name one, or leave out --redis")
	}
	info, err := rdb.Now().Info(ctx).Result()
	if err != nil {
		return fmt.Errorf("bench: redis at %s: %w", rdb.At, err)
	}
	b.report.Store = strings.TrimSpace(s.store + ", " + infoOf(info, "redis_version"))
	n, err := rdb.Now().Exists(ctx, ownKeys...).Result()
	if err != nil {
		return fmt.Errorf("bench: redis at %s: %w", rdb.At, err)
	}
	if n > 0 {
		return fmt.Errorf("bench: redis at %s has a tape %s, or %s: name one that has neither, or leave out --redis", rdb.At, tapeStream, eachKey)
	}
	return nil
}

// ownKeys are what runs write.
var ownKeys = []string{
	codec.TapeKey(tapeStream), codec.CheckpointKey(tapeStream), codec.WriterKey(tapeStream), codec.StandbyKey(tapeStream),
	codec.TapeKey(entryStream), eachKey,
}

// clean ends the writer, and takes what it wrote out of a Redis that stays.
func (b *tapeBench) clean(s *stand, rdb *tapes.Redis) {
	if s.feed != nil {
		s.feed.expected.Store(true)
		s.feed.stop(syscall.SIGINT, 2*time.Second)
	}
	if s.cfg.Redis == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	rdb.Now().SRem(ctx, codec.TapesKey, tapeStream)
	rdb.Now().Unlink(ctx, ownKeys...)
}

// pin has this process, which reads, run where the writers do, and Redis apart from them.
// Threads to come run where the one does that begins them.
func (b *tapeBench) pin() (unpin func(), err error) {
	var s stand
	s.splitCPUs()
	if b.redisCPUs, b.otherCPUs = s.serverCPUs, s.otherCPUs; len(b.otherCPUs) == 0 {
		return func() {}, nil
	}
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	for _, cpu := range b.otherCPUs {
		set.Set(cpu)
	}
	// One that began meanwhile is found by the second look.
	if err := errors.Join(moveThreads(&set), moveThreads(&set)); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return func() { moveThreads(&before) }, nil
}

func moveThreads(to *unix.CPUSet) error {
	threads, err := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		id, _ := strconv.Atoi(thread.Name())
		if moved := unix.SchedSetaffinity(id, to); moved != nil && moved != unix.ESRCH { // that one has ended
			err = errors.Join(err, moved)
		}
	}
	return err
}
