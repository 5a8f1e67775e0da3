package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// faultKind is something that can go wrong. A fault is planned, by the seed alone, and then
// strikes: when that returns, it is over, or what is left of it is for Tickwire to get over.
type faultKind struct {
	name   string
	weight int
	whole  bool // of Redis, only where a replica can take over
	plan   func(*chaos) (what string, strike func(context.Context) error)
}

// faultKinds are those of which one is chosen at a time. Two at once are of the table too.
var faultKinds = []faultKind{
	{"kill a feed", 4, false, killFeed},
	{"freeze a feed", 3, false, freezeFeed},
	{"stop a feed", 2, false, stopFeed},
	{"kill a node", 3, false, killNode},
	{"freeze a node", 2, false, freezeNode},
	{"cut off a node's subscribers", 1, false, cutSubscribers},
	{"cut a link to Redis", 3, false, cutLink},
	{"slow a link to Redis", 2, false, slowLink},
	{"kill a Sentinel", 1, false, killSentinel},
	{"trim a stream", 2, false, trimStream},
	{"delete a checkpoint", 1, false, deleteCheckpoint},
	{"flush Redis", 2, false, flush},
	{"restart Redis empty", 2, false, restartRedis},
	{"kill all of the service", 1, false, killService},
	{"lose all as a node stands still", 3, false, loseAllFrozen},
	{"fail over", 3, true, failOver},
	{"kill the master", 4, true, killMaster},
	{"freeze the master", 3, true, freezeMaster},
	{"lose acknowledged writes", 3, true, loseWrites},
	{"go back to a lost master", 3, true, goBack},
	{"kill a feed as the master fails over", 2, true, killFeedFailOver},
}

const (
	bothKind   = "two at once"
	bothWeight = 5
)

// choose draws a kind of fault, or two.
func (c *chaos) choose() faultKind {
	sum := bothWeight
	for _, f := range faultKinds {
		sum += f.weight
	}
	n := c.rng.IntN(sum)
	for _, f := range faultKinds {
		if n -= f.weight; n < 0 {
			return f
		}
	}
	a, b := faultKinds[c.rng.IntN(len(faultKinds))], faultKinds[c.rng.IntN(len(faultKinds))]
	return faultKind{bothKind, 0, a.whole || b.whole, func(c *chaos) (string, func(context.Context) error) {
		what, strike := a.plan(c)
		whatElse, strikeElse := b.plan(c)
		return fmt.Sprintf("%s (%s) and %s (%s)", a.name, what, b.name, whatElse), func(ctx context.Context) error {
			g, ctx := errgroup.WithContext(ctx)
			g.Go(func() error { return strike(ctx) })
			g.Go(func() error { return strikeElse(ctx) })
			return g.Wait()
		}
	}}
}

// between draws a time.
func (c *chaos) between(least, most time.Duration) time.Duration {
	return (least + time.Duration(c.rng.Int64N(int64(most-least)+1))).Round(time.Millisecond)
}

func anyOf[T any](rng *rand.Rand, all []T) T { return all[rng.IntN(len(all))] }

// ended is of a process that ends by a signal and is begun again after a while.
func (c *chaos) ended(m *member, sig syscall.Signal, most time.Duration) (string, func(context.Context) error) {
	back := c.between(0, most)
	return fmt.Sprintf("%s gets %v, back after %v", m.name, sig, back), func(ctx context.Context) error {
		m.end(sig)
		sleep(ctx, back)
		return m.begin()
	}
}

// frozen is of a process that stands still for a while.
func (c *chaos) frozen(m *member, least, most time.Duration) (string, func(context.Context) error) {
	during := c.between(least, most)
	return fmt.Sprintf("%s stands still for %v", m.name, during), func(ctx context.Context) error {
		m.freeze()
		defer m.thaw()
		sleep(ctx, during)
		return nil
	}
}

func killFeed(c *chaos) (string, func(context.Context) error) {
	return c.ended(anyOf(c.rng, c.stand.feeds), syscall.SIGKILL, 3*time.Second)
}

func stopFeed(c *chaos) (string, func(context.Context) error) {
	return c.ended(anyOf(c.rng, c.stand.feeds), syscall.SIGTERM, 3*time.Second)
}

func freezeFeed(c *chaos) (string, func(context.Context) error) {
	return c.frozen(anyOf(c.rng, c.stand.feeds), 500*time.Millisecond, 6*time.Second)
}

func killNode(c *chaos) (string, func(context.Context) error) {
	return c.ended(anyOf(c.rng, c.stand.nodes), syscall.SIGKILL, 2*time.Second)
}

func freezeNode(c *chaos) (string, func(context.Context) error) {
	return c.frozen(anyOf(c.rng, c.stand.nodes), 500*time.Millisecond, 4*time.Second)
}

func killSentinel(c *chaos) (string, func(context.Context) error) {
	return c.ended(anyOf(c.rng, c.stand.redis.sentinels[:]).member, syscall.SIGKILL, 3*time.Second)
}

func cutSubscribers(c *chaos) (string, func(context.Context) error) {
	node := c.rng.IntN(len(c.stand.nodes))
	return fmt.Sprintf("all of node %d", node+1), func(context.Context) error {
		for _, s := range c.subs {
			s.cutOff(node)
		}
		return nil
	}
}

func cutLink(c *chaos) (string, func(context.Context) error) {
	r, during, refused := anyOf(c.rng, c.stand.redis.servers[:]), c.between(500*time.Millisecond, 5*time.Second), c.rng.IntN(2) == 0
	how := "is a black hole"
	if refused {
		how = "is cut"
	}
	return fmt.Sprintf("the way to %s %s for %v", r.name, how, during), func(ctx context.Context) error {
		if refused {
			r.link.cut()
		} else if err := r.link.lose(); err != nil {
			return err
		}
		sleep(ctx, during)
		return r.link.mend()
	}
}

func slowLink(c *chaos) (string, func(context.Context) error) {
	r, during := anyOf(c.rng, c.stand.redis.servers[:]), c.between(time.Second, 5*time.Second)
	late, rate, narrow := 20+c.rng.Int64N(281), 5+c.rng.Int64N(46), c.rng.IntN(3) == 0
	how := fmt.Sprintf("takes %d ms, and up to %d more or less,", late, late/2)
	if narrow {
		how = fmt.Sprintf("has %d KB/s", rate)
	}
	return fmt.Sprintf("the way to %s %s for %v", r.name, how, during), func(ctx context.Context) error {
		err := error(nil)
		if narrow {
			err = r.link.narrow(rate)
		} else {
			err = r.link.slow(late, late/2)
		}
		if err == nil {
			sleep(ctx, during)
			err = r.link.mend()
		}
		return err
	}
}

// onMaster does something to whichever server is the master, as soon as there is one and
// it can be done: another fault may be about the same.
func (c *chaos) onMaster(ctx context.Context, do func(*redisServer) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, masterWithin, errMaster)
	defer cancel()
	return wait(ctx, "a master", nil, func() bool {
		m, err := c.stand.redis.master(ctx)
		return err == nil && do(m) == nil
	})
}

func trimStream(c *chaos) (string, func(context.Context) error) {
	stream, left := anyOf(c.rng, c.stand.streams), c.rng.Int64N(6)
	return fmt.Sprintf("%s to %d entries", stream, left), func(ctx context.Context) error {
		return c.onMaster(ctx, func(m *redisServer) error { return m.trim(ctx, stream, left) })
	}
}

func deleteCheckpoint(c *chaos) (string, func(context.Context) error) {
	stream := anyOf(c.rng, c.stand.streams)
	return "of " + stream, func(ctx context.Context) error {
		return c.onMaster(ctx, func(m *redisServer) error { return m.forget(ctx, stream) })
	}
}

func flush(c *chaos) (string, func(context.Context) error) {
	return "all keys are gone", func(ctx context.Context) error {
		return c.onMaster(ctx, func(m *redisServer) error { return m.rdb.FlushAll(ctx).Err() })
	}
}

// restarted is of several processes that are killed, and begun together.
func (c *chaos) restarted(all []*member, most time.Duration) (string, func(context.Context) error) {
	back := c.between(0, most)
	var names []string
	for _, m := range all {
		names = append(names, m.name)
	}
	return fmt.Sprintf("%s get killed, back after %v", strings.Join(names, ", "), back), func(ctx context.Context) error {
		for _, m := range all {
			m.kill()
		}
		sleep(ctx, back)
		for _, m := range all {
			if err := m.begin(); err != nil {
				return err
			}
		}
		return nil
	}
}

func restartRedis(c *chaos) (string, func(context.Context) error) {
	return c.restarted([]*member{c.stand.redis.servers[0].member, c.stand.redis.servers[1].member}, 2*time.Second)
}

// loseAllFrozen begins new histories of which a node does not know. Those who come to it
// do.
func loseAllFrozen(c *chaos) (string, func(context.Context) error) {
	node, during := anyOf(c.rng, c.stand.nodes), c.between(2*time.Second, 4*time.Second)
	return fmt.Sprintf("%s for %v, all feeds and Redis begin anew", node.name, during), func(ctx context.Context) error {
		node.freeze()
		defer node.thaw()
		end := time.Now().Add(during)
		for _, m := range c.stand.feeds {
			m.kill()
		}
		err := c.onMaster(ctx, func(m *redisServer) error { return m.rdb.FlushAll(ctx).Err() })
		for _, m := range c.stand.feeds {
			err = errors.Join(err, m.begin())
		}
		sleep(ctx, time.Until(end))
		return err
	}
}

func killService(c *chaos) (string, func(context.Context) error) {
	return c.restarted(c.stand.services(), 2*time.Second)
}

func failOver(c *chaos) (string, func(context.Context) error) {
	i := c.rng.IntN(len(c.stand.redis.sentinels))
	return fmt.Sprintf("sentinel %d is told to", i+1), func(ctx context.Context) error { return c.failOver(ctx, i) }
}

// failOver has a Sentinel make the replica the master, and waits until it is.
func (c *chaos) failOver(ctx context.Context, i int) error {
	return c.onMaster(ctx, func(m *redisServer) error {
		if err := c.stand.redis.sentinels[i].ask.Failover(ctx, masterName).Err(); err != nil {
			return nil // it is at it, or has lost the replica by another fault
		}
		c.replaced(ctx, m)
		return nil
	})
}

// replaced waits until a server is the master no more. That there is one at all is waited
// for later.
func (c *chaos) replaced(ctx context.Context, m *redisServer) {
	ctx, cancel := context.WithTimeout(ctx, masterWithin)
	defer cancel()
	wait(ctx, "the other to be the master", nil, func() bool {
		now, err := c.stand.redis.master(ctx)
		return err == nil && now != m
	})
}

func killMaster(c *chaos) (string, func(context.Context) error) {
	back := c.between(0, 5*time.Second)
	return fmt.Sprintf("back after %v", back), func(ctx context.Context) error {
		return c.onMaster(ctx, func(m *redisServer) error {
			m.kill()
			c.ends(ctx, back, m.begin)
			return nil
		})
	}
}

func freezeMaster(c *chaos) (string, func(context.Context) error) {
	during := c.between(2*time.Second, 6*time.Second)
	return fmt.Sprintf("for %v", during), func(ctx context.Context) error {
		return c.onMaster(ctx, func(m *redisServer) error {
			m.freeze()
			c.ends(ctx, during, func() error {
				m.thaw()
				return nil
			})
			return nil
		})
	}
}

// loseWrites has the master refuse its replica, take writes that nobody else has, and
// die with them.
func loseWrites(c *chaos) (string, func(context.Context) error) {
	alone, back := c.between(500*time.Millisecond, 2*time.Second), c.between(2*time.Second, 5*time.Second)
	return fmt.Sprintf("of the last %v, the master back after %v", alone, back), func(ctx context.Context) error {
		return c.onMaster(ctx, func(m *redisServer) error {
			if err := m.refuseReplica(ctx); err != nil {
				return err
			}
			sleep(ctx, alone)
			m.kill()
			c.ends(ctx, back, m.begin)
			return nil
		})
	}
}

// goBack has a master lost, the other written to, and that lost before anybody has told
// the first that it was replaced: it is the master again, and knows nothing of the time
// between.
func goBack(c *chaos) (string, func(context.Context) error) {
	during := c.between(500*time.Millisecond, 3*time.Second)
	return fmt.Sprintf("%v after another was", during), func(ctx context.Context) error {
		return c.onMaster(ctx, func(m *redisServer) error {
			m.link.cut()
			c.replaced(ctx, m)
			sleep(ctx, during)
			other := c.stand.redis.other(m)
			other.link.cut()
			if err := m.link.mend(); err != nil {
				return err
			}
			c.replaced(ctx, other)
			return other.link.mend()
		})
	}
}

func killFeedFailOver(c *chaos) (string, func(context.Context) error) {
	what, kill := killFeed(c)
	i := c.rng.IntN(len(c.stand.redis.sentinels))
	return what, func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return kill(ctx) })
		g.Go(func() error { return c.failOver(ctx, i) })
		return g.Wait()
	}
}
