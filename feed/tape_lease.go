package feed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// The lease of a stream, which decides who tries to write it. Its end, and what a feed
// that takes it over has to do before it writes, is what a killed feed costs.
const (
	leaseFor    = time.Second
	leaseTaken  = 5 * time.Second        // until the first renewal: a large state takes a second to restore
	leaseRenew  = 250 * time.Millisecond // while it is held
	leaseTry    = 100 * time.Millisecond // while it is not
	leaseAnswer = 500 * time.Millisecond

	checkpointPace = 100 * time.Nanosecond // a byte of a checkpoint, over a line of 80 Mbit/s
)

// crew is what the streams of one feed share: its name, and how many of them it writes.
type crew struct {
	name    string
	reigns  atomic.Int32
	yielded atomic.Int64 // when it last gave one up for another's sake, ns since the Unix epoch
}

// newCrew makes a name that no feed had before, nor this one before it was restarted.
func newCrew() *crew {
	host, _ := os.Hostname()
	return &crew{name: fmt.Sprintf("%s:%d-%06x", host, os.Getpid(), time.Now().UnixMicro()&0xffffff)}
}

// mayYield reports whether a stream may go to another feed for balance: one a second, so
// that what the others then have is known before the next.
func (c *crew) mayYield() bool {
	last, now := c.yielded.Load(), time.Now().UnixNano()
	return now-last > int64(time.Second) && c.yielded.CompareAndSwap(last, now)
}

// lease is one stream's. The ids decide who is right: all that a lease does wrong, or not
// at all, costs a reign that need not have begun. It belongs to the stream's writer.
//
//	free  -> take -> held -> renew -> held ... -> pass: the heir's, or free
//	other's: stand by
type lease struct {
	stream string
	crew   *crew

	holder  string    // as it was when Redis last said
	heir    string    // who stood by then; "" is nobody
	load    int       // how many streams that one writes
	seen    int64     // the newest epoch there is, as far as this feed or the heir knows
	watched time.Time // since when Redis answers, and is the same; zero: it is not
	asked   time.Time // when it last did
	calm    time.Time // a lease that has gone is not taken before
}

// The value of the lease is the writer's name and its epoch, that of the other key the
// name, how many streams it writes, and the newest epoch it knows of.
func (l *lease) value(epoch int64) string { return fmt.Sprintf("%s %d", l.crew.name, epoch) }

// note takes a value apart, and notes what epoch is in it.
func (l *lease) note(value string) (name string, load int) {
	var epoch int64
	words := strings.Fields(value)
	switch len(words) {
	case 0:
		return "", 0
	case 3:
		load, _ = strconv.Atoi(words[1])
		fallthrough
	case 2:
		epoch, _ = strconv.ParseInt(words[len(words)-1], 10, 64)
	}
	if epoch < codec.MaxInt/1000 { // else no feed's
		l.seen = max(l.seen, epoch)
	}
	return words[0], load
}

// take tries for the lease, and says that this feed stands by if it is live. A lease that
// is not renewed has its time to come back: its holder may be the first that a Redis
// which was away, or has lost all, hears of. One that is passed on is had at once.
func (l *lease) take(ctx context.Context, rdb *tapes.Line, live bool) (taken bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, leaseAnswer)
	defer cancel()
	key := codec.WriterKey(l.stream)
	var holder *redis.StringCmd
	var left *redis.DurationCmd
	said, _ := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		holder, left = p.Get(ctx, key), p.PTTL(ctx, key)
		if live {
			p.Set(ctx, codec.StandbyKey(l.stream), fmt.Sprintf("%s %d %d", l.crew.name, l.crew.reigns.Load(), l.seen), leaseFor)
		}
		return nil
	})
	err = answered(said)
	var deaf time.Duration
	if !live {
		deaf = leaseFor // another may not be
	}
	if err != nil {
		l.calm = time.Now().Add(leaseFor + deaf)
		return false, err
	}
	l.holder, _ = l.note(holder.Val())
	switch {
	case l.holder == l.crew.name:
		err = rdb.PExpire(ctx, key, leaseTaken).Err()
		return err == nil, err
	case l.holder != "":
		l.calm = time.Now().Add(min(left.Val(), leaseTaken) + deaf)
		return false, nil
	case time.Now().Before(l.calm):
		return false, nil
	}
	err = rdb.SetArgs(ctx, key, l.value(0), redis.SetArgs{Mode: "NX", TTL: leaseTaken}).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil // another was faster
	}
	if err == nil {
		l.holder = l.crew.name
	}
	return err == nil, err
}

// reigns tells who stands by of the epoch. Whoever has taken the lease since is fenced.
func (l *lease) reigns(ctx context.Context, rdb *tapes.Line, epoch int64) error {
	l.seen = max(l.seen, epoch)
	return rdb.Set(ctx, codec.WriterKey(l.stream), l.value(epoch), leaseFor).Err()
}

// renew keeps the lease of a reign, and looks who stands by. It is not held any more if
// another has it.
func (l *lease) renew(ctx context.Context, rdb *tapes.Line, epoch int64) (held bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, leaseAnswer)
	defer cancel()
	key := codec.WriterKey(l.stream)
	var holder, standby *redis.StringCmd
	said, _ := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		holder = p.Get(ctx, key)
		p.PExpire(ctx, key, leaseFor) // of another's, once: no harm is done
		standby = p.Get(ctx, codec.StandbyKey(l.stream))
		return nil
	})
	if err := answered(said); err != nil {
		return true, err
	}
	if l.heir, l.load = l.note(standby.Val()); l.heir == l.crew.name {
		l.heir = "" // it was ours
	}
	if l.holder, _ = l.note(holder.Val()); l.holder == "" {
		err = rdb.SetArgs(ctx, key, l.value(epoch), redis.SetArgs{Mode: "NX", TTL: leaseFor}).Err()
		if errors.Is(err, redis.Nil) {
			return false, nil // another was faster
		}
		return true, err
	}
	return l.holder == l.crew.name, nil
}

// wanted reports whether the one that stands by should rather write the stream: because
// it hears the venue and we do not, or because it writes two streams less.
func (l *lease) wanted(live bool) bool {
	if l.heir == "" {
		return false
	}
	return !live || int(l.crew.reigns.Load()) >= l.load+2 && l.crew.mayYield()
}

// pass gives the lease to the heir, or to whoever comes.
func (l *lease) pass(ctx context.Context, rdb *tapes.Line) error {
	ctx, cancel := context.WithTimeout(ctx, leaseAnswer)
	defer cancel()
	l.calm = time.Now().Add(2 * leaseFor)
	if l.heir != "" {
		return rdb.Set(ctx, codec.WriterKey(l.stream), l.heir+" 0", leaseFor).Err()
	}
	return l.drop(ctx, rdb)
}

// drop takes our name off the stream.
func (l *lease) drop(ctx context.Context, rdb *tapes.Line) error {
	ctx, cancel := context.WithTimeout(ctx, leaseAnswer)
	defer cancel()
	for _, key := range []string{codec.WriterKey(l.stream), codec.StandbyKey(l.stream)} {
		name, err := rdb.Get(ctx, key).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		if name, _, _ = strings.Cut(name, " "); name != l.crew.name {
			continue
		}
		if err := rdb.Del(ctx, key).Err(); err != nil {
			return err
		}
	}
	return nil
}

// answered is the first error of a pipeline; that there is no value is none.
func answered(said []redis.Cmder) error {
	for _, cmd := range said {
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return nil
}
