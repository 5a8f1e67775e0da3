package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

// redisServer is one of a chaos stand. Everybody reaches it through its link, the
// other server and the Sentinels included, but for the hands of the run.
type redisServer struct {
	*member
	link *link
	rdb  *redis.Client // beside the link
	far  *redis.Client // through it
}

// sentinel is one of those that say which server is the master.
type sentinel struct {
	*member
	at  string
	ask *redis.SentinelClient
}

// redisPair is two servers, a master and its replica, and the Sentinels that say which is
// which.
type redisPair struct {
	dir       string
	servers   [2]*redisServer
	sentinels [3]*sentinel
}

const (
	masterName    = "tickwire"
	answerWithin  = time.Second             // of whom the run asks
	sentinelDown  = 1000 * time.Millisecond // without an answer: a server is down
	sentinelRetry = 3000 * time.Millisecond
)

// beginRedis begins them all.
func beginRedis(dir string) (*redisPair, error) {
	exe, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("bench chaos needs redis-server, which is not installed")
	}
	r, proxies := &redisPair{dir: dir}, newProxies()
	for i := range r.servers {
		if r.servers[i], err = r.newServer(proxies, exe, i); err != nil {
			r.close()
			return nil, err
		}
	}
	for i := range r.sentinels {
		addr, err := freePort()
		if err != nil {
			r.close()
			return nil, err
		}
		m := newMember(r.dir, fmt.Sprintf("sentinel %d", i+1), exe, r.conf("sentinel", i), "--sentinel")
		r.sentinels[i] = &sentinel{m, addr.String(), redis.NewSentinelClient(clientTo(addr.String()))}
	}
	if err := r.anew(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *redisPair) conf(what string, i int) string {
	return filepath.Join(r.dir, fmt.Sprintf("%s%d.conf", what, i+1))
}

func (r *redisPair) newServer(proxies *toxiproxy.ApiServer, exe string, i int) (*redisServer, error) {
	name := string(rune('A' + i))
	own, err := freePort()
	if err != nil {
		return nil, err
	}
	from, err := freePort()
	if err != nil {
		return nil, err
	}
	l, err := newLink(proxies, name, from.String(), own.String())
	if err != nil {
		return nil, err
	}
	m := newMember(r.dir, "redis "+name, exe, r.conf("server", i))
	return &redisServer{member: m, link: l, rdb: redis.NewClient(clientTo(own.String())), far: redis.NewClient(clientTo(from.String()))}, nil
}

func clientTo(addr string) *redis.Options {
	return &redis.Options{
		Addr: addr, MaxRetries: -1, DialerRetries: 1, DialTimeout: answerWithin, ReadTimeout: answerWithin, WriteTimeout: answerWithin,
		ContextTimeoutEnabled: true, ConnMaxIdleTime: time.Minute,
	}
}

// url is how clients find the master.
func (r *redisPair) url() string {
	text := "redis://" + r.sentinels[0].at + "?master_name=" + masterName
	for _, s := range r.sentinels[1:] {
		text += "&addr=" + s.at
	}
	return text
}

// anew begins all of them as if they had never been: A is the master, nothing is in it.
func (r *redisPair) anew() error {
	for _, m := range r.members() {
		m.kill()
	}
	for i, s := range r.servers {
		if err := s.link.mend(); err != nil {
			return err
		}
		master := ""
		if i > 0 {
			master = r.servers[0].link.at
		}
		if err := os.WriteFile(r.conf("server", i), serverConf(r.dir, s, master), 0o600); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
	}
	for i, s := range r.sentinels {
		host, port, _ := net.SplitHostPort(s.at)
		to, at, _ := net.SplitHostPort(r.servers[0].link.at)
		text := fmt.Sprintf("bind %s\nport %s\ndir %s\nprotected-mode no\nsentinel monitor %s %s %s 2\nsentinel down-after-milliseconds %s %d\n"+
			"sentinel failover-timeout %s %d\nsentinel parallel-syncs %s 1\n", host, port, r.dir, masterName, to, at,
			masterName, sentinelDown.Milliseconds(), masterName, sentinelRetry.Milliseconds(), masterName)
		if err := os.WriteFile(r.conf("sentinel", i), []byte(text), 0o600); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
	}
	for _, m := range r.members() {
		if err := m.begin(); err != nil {
			return err
		}
	}
	return nil
}

// serverConf is a file, for Sentinels write into it who is whose replica: so a server
// comes back as what it was. It keeps nothing else.
func serverConf(dir string, s *redisServer, master string) []byte {
	host, port, _ := net.SplitHostPort(s.rdb.Options().Addr)
	announced, at, _ := net.SplitHostPort(s.link.at)
	text := fmt.Sprintf("bind %s\nport %s\ndir %s\ndbfilename %s.rdb\nsave \"\"\nappendonly no\nreplica-announce-ip %s\nreplica-announce-port %s\n"+
		"repl-diskless-sync-delay 0\nrepl-ping-replica-period 1\nrepl-timeout 5\n", host, port, dir, port, announced, at)
	if master != "" {
		to, at, _ := net.SplitHostPort(master)
		text += fmt.Sprintf("replicaof %s %s\n", to, at)
	}
	return []byte(text)
}

func (r *redisPair) members() (all []*member) {
	for _, s := range r.servers {
		if s != nil {
			all = append(all, s.member)
		}
	}
	for _, s := range r.sentinels {
		if s != nil {
			all = append(all, s.member)
		}
	}
	return all
}

// close ends them. The proxies are not waited for: they may hold what was frozen.
func (r *redisPair) close() {
	for _, m := range r.members() {
		m.kill()
	}
	for _, s := range r.servers {
		if s != nil {
			s.rdb.Close()
			s.far.Close()
			go s.link.cut()
		}
	}
	for _, s := range r.sentinels {
		if s != nil {
			s.ask.Close()
		}
	}
}

// errMaster: clients have no Redis to go to.
var errMaster = errors.New("redis has no master")

// master is the one that all Sentinels name, if it answers as one.
func (r *redisPair) master(ctx context.Context) (*redisServer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	named := ""
	for i, s := range r.sentinels {
		at, err := s.ask.GetMasterAddrByName(ctx, masterName).Result()
		if err != nil {
			return nil, fmt.Errorf("%w: sentinel %d: %w", errMaster, i+1, err)
		}
		addr := strings.Join(at, ":")
		if i > 0 && addr != named {
			return nil, fmt.Errorf("%w: Sentinels do not agree", errMaster)
		}
		named = addr
	}
	for _, s := range r.servers {
		if s.link.at != named {
			continue
		}
		role, err := s.far.Do(ctx, "ROLE").Slice()
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errMaster, s.name, err)
		}
		if len(role) == 0 || role[0] != "master" {
			return nil, fmt.Errorf("%w: %s is named, and is none", errMaster, s.name)
		}
		return s, nil
	}
	return nil, fmt.Errorf("%w: Sentinels name %s, which is none of ours", errMaster, named)
}

// whole reports whether there is a master and a replica of it that is in step, which
// every Sentinel knows, so that one may be lost.
func (r *redisPair) whole(ctx context.Context) bool {
	m, err := r.master(ctx)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	info, err := r.other(m).rdb.Info(ctx, "replication").Result()
	if err != nil || !strings.Contains(info, "role:slave") || !strings.Contains(info, "master_link_status:up") {
		return false
	}
	for _, s := range r.sentinels {
		replicas, err := s.ask.Replicas(ctx, masterName).Result()
		if err != nil || len(replicas) != 1 || replicas[0]["flags"] != "slave" {
			return false
		}
		if err := s.ask.CkQuorum(ctx, masterName).Err(); err != nil {
			return false
		}
	}
	return true
}

// other is the server that the given one is not.
func (r *redisPair) other(s *redisServer) *redisServer {
	if s == r.servers[0] {
		return r.servers[1]
	}
	return r.servers[0]
}

// trim leaves so many entries of a stream, at the most.
func (s *redisServer) trim(ctx context.Context, stream string, left int64) error {
	return s.rdb.XTrimMaxLen(ctx, codec.TapeKey(stream), left).Err()
}

// forget deletes a stream's checkpoint.
func (s *redisServer) forget(ctx context.Context, stream string) error {
	return s.rdb.Del(ctx, codec.CheckpointKey(stream)).Err()
}

// refuseReplica has a master, until it is begun again, take writes that its replica does
// not hear of.
func (s *redisServer) refuseReplica(ctx context.Context) error {
	if err := s.rdb.Do(ctx, "ACL", "SETUSER", "default", "-psync", "-sync").Err(); err != nil {
		return err
	}
	return s.rdb.Do(ctx, "CLIENT", "KILL", "TYPE", "replica").Err()
}
