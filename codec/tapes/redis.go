package tapes

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// What the driver waits for; callers' contexts are shorter.
const (
	dialTimeout   = 2 * time.Second
	answerTimeout = 5 * time.Second // 100,000 images are 15 MB
	// connLife is how long a connection is taken again from the pool, but in a Cluster, which
	// says where else to go: a master that was replaced may not know it.
	connLife = 5 * time.Second
	// reopenEvery is how soon connections may be given up again.
	reopenEvery = 1500 * time.Millisecond
)

// silent keeps the driver from saying at every attempt what its caller says once.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(silent{}) }

// Redis is the tapes' Redis. It retries nothing: who writes and who reads must know of an
// outage. But in a Cluster the driver says a command up to four times, within the time of
// its context: it goes where it is redirected to, and tries again when a connection ends or
// is not made, and when a node is loading, or no master. So an entry may be written again
// whose answer was lost; its id makes that harmless.
type Redis struct {
	At string // where it is, to be shown: without a password

	opt    *redis.UniversalOptions
	mu     sync.Mutex // protects what follows
	client redis.UniversalClient
	opened time.Time
	silent time.Time // since when nothing was answered; zero: it was
	closed bool
	heard  bool // it has answered once
}

// Role is what a Redis is opened for.
type Role struct {
	Name string // in CLIENT LIST
	// Conns is how many connections it may have to one server: a blocked read holds one.
	Conns int
	Reads bool // replicas will do, where the URL has replicas=true
}

// Open reads a URL; see parse for its forms. It does not connect: that is done as it is
// used, and again when it fails. No error has the URL in it.
func Open(url string, role Role) (*Redis, error) {
	o, err := parse(url)
	if err != nil {
		return nil, err
	}
	o.ClientName, o.PoolSize, o.ReadOnly = role.Name, role.Conns, o.ReadOnly && role.Reads
	o.MaxRetries, o.DialerRetries = -1, 1 // of which 0 is five
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialTimeout, answerTimeout, answerTimeout
	o.ContextTimeoutEnabled = true // the shorter limits are contexts
	// Else each connection says CLIENT SETINFO, which Redis 7.2 and Valkey 8 have: our users
	// may not, and ACL LOG would be full of it.
	o.DisableIdentity = true
	// A plain server has none to give, and two connections that find it out at once race.
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if !o.IsClusterMode {
		o.ConnMaxLifetime = connLife
	}
	r := &Redis{At: strings.Join(o.Addrs, ","), opt: o}
	r.client, r.opened = redis.NewUniversalClient(o), time.Now()
	return r, nil
}

// Check finds out whether the Redis is what the URL says, and may be written to. The user
// must be allowed INFO.
func (r *Redis) Check(ctx context.Context) error {
	if _, one := r.Now().(*redis.Client); !one || r.opt.MasterName != "" {
		return r.Now().Ping(ctx).Err() // which a Sentinel, or a node of the Cluster, was asked for
	}
	text, err := r.Now().Info(ctx, "server").Result()
	if err == nil {
		var more string
		more, err = r.Now().Info(ctx, "replication").Result()
		text += more
	}
	switch {
	case err != nil && strings.Contains(err.Error(), "is not supported"): // miniredis
		return nil
	case err != nil:
		return err
	case strings.Contains(text, "_mode:sentinel"):
		return errors.New(isSentinel)
	case strings.Contains(text, "_mode:cluster"):
		return errors.New(isCluster)
	case strings.Contains(text, "role:slave"):
		return errors.New(isReplica)
	}
	return nil
}

// Now is the client to be used now. It is asked for anew before every command: see Reopen.
func (r *Redis) Now() redis.UniversalClient {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.client
}

// Note is told how a command ended, has a Cluster asked anew who has which slots if it was
// in vain, and reopens what has long not answered anybody. An error that Redis said is an
// answer.
func (r *Redis) Note(err error) {
	_, said := errors.AsType[redis.Error](err)
	r.mu.Lock()
	if c, ok := r.client.(*redis.ClusterClient); ok && err != nil && !said {
		c.ReloadState(context.Background())
	}
	switch {
	case err == nil || said && !redis.IsReadOnlyError(err):
		r.silent, r.heard = time.Time{}, true
	case r.silent.IsZero():
		r.silent = time.Now()
	}
	long := !r.silent.IsZero() && time.Since(r.silent) > reopenEvery
	r.mu.Unlock()
	if long {
		r.Reopen()
	}
}

// Reopen gives up all connections, unless that was done just now: Sentinels, names and the
// Cluster are then asked anew. It is for who has waited in vain: a master that was replaced
// while nobody could say so, or a Sentinel that hangs, is not left otherwise.
func (r *Redis) Reopen() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || time.Since(r.opened) < reopenEvery {
		return
	}
	r.client.Close()
	r.client, r.opened = redis.NewUniversalClient(r.opt), time.Now()
}

// Close ends all connections, and what waits in them.
func (r *Redis) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return r.client.Close()
}
