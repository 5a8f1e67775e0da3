package tapes

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Line is one connection to the server that has a key, so that what is said over it one
// after the other is said to the same: after a failover there may be two masters for a
// while, and replicas are never equally far. Once it has failed it is of no more use. In a
// Cluster it is the Cluster's client, which goes where the key is. One goroutine uses it.
type Line struct {
	redis.Cmdable
	key     string
	conn    *redis.Conn
	cluster *redis.ClusterClient
	old     time.Time // when it is; zero: never
}

// lineLife is how long a line to a replica is used: after a failover that may be the master.
const lineLife = 20 * time.Second

// Line makes the line for a key. It connects with the first command, anew where the last
// connection was made long ago: another may be the master by now.
func (r *Redis) Line(key string) *Line {
	switch c := r.Now().(type) {
	case *redis.ClusterClient:
		return &Line{Cmdable: c, key: key, cluster: c}
	case *redis.Client:
		conn := c.EphemeralConn()
		l := &Line{Cmdable: conn, key: key, conn: conn}
		if r.opt.ReadOnly {
			l.old = time.Now().Add(lineLife + rand.N(lineLife))
		}
		return l
	}
	panic("tapes: no such client")
}

// Old reports whether the line should be made anew, to a replica of now.
func (l *Line) Old() bool { return !l.old.IsZero() && time.Now().After(l.old) }

// Close ends the line.
func (l *Line) Close() {
	if l.conn != nil {
		l.conn.Close()
	}
}

// errIdentity: the server does not say which replication it is the master of.
var errIdentity = errors.New("INFO replication has no master_replid")

// Identity is a number that a server keeps as long as it is the same master with the same
// data: 52 bits of its replication id, which a restart and a failover change. It is 0 of
// one in memory, which has none.
func (l *Line) Identity(ctx context.Context) (int64, error) {
	if l.cluster == nil {
		return identity(ctx, l.conn)
	}
	master, err := l.cluster.MasterForKey(ctx, l.key)
	if err != nil {
		return 0, err
	}
	return identity(ctx, master)
}

// Lasts reports whether nothing can have been lost since the server of the key was the one
// of an identity: it still is, or, in a Cluster, that one is still a master, and has handed
// the slot on. now is the identity of the one that has it.
func (l *Line) Lasts(ctx context.Context, was int64) (now int64, lasts bool, err error) {
	now, err = l.Identity(ctx)
	if err != nil || now == was || l.cluster == nil {
		return now, now == was, err
	}
	var found atomic.Bool
	l.cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		if one, err := identity(ctx, c); err == nil && one == was {
			found.Store(true)
		}
		return nil
	})
	return now, found.Load(), nil
}

func identity(ctx context.Context, one redis.Cmdable) (int64, error) {
	info, err := one.Info(ctx, "replication").Result()
	if err != nil && strings.Contains(err.Error(), "is not supported") {
		return 0, nil // miniredis
	}
	if err != nil {
		return 0, err
	}
	_, id, _ := strings.Cut(info, "master_replid:")
	if len(id) < 13 {
		return 0, errIdentity
	}
	n, err := strconv.ParseInt(id[:13], 16, 64)
	if err != nil {
		return 0, errIdentity
	}
	return n, nil
}
