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

	epochAhead = 24 * time.Hour // no clock is
	nameMost   = 128            // bytes of a feed's

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
	shards int // streams of its venue

	holder  string    // as it was when Redis last said
	heir    string    // who stood by then; "" is nobody
	load    int       // how many streams that one writes
	seen    int64     // the newest epoch there is, as far as this feed or the heir knows
	watched time.Time // since when Redis answers, and is the same; zero: it is not
	asked   time.Time // when it last did
	calm    time.Time // a lease that has gone is not taken before
}

// The values of the lease and of the standby's key are a name, an epoch, and a number: how
// many streams the venue has, or how many of all this feed writes.
func (l *lease) value(epoch int64, number int) string {
	return fmt.Sprintf("%s %d %d", l.crew.name, epoch, number)
}

// note takes a value apart, and notes what epoch is in it.
func (l *lease) note(value string) (name string, number int) {
	words := strings.Fields(value)
	if len(words) == 0 {
		return "", 0
	}
	if len(words) > 1 {
		epoch, _ := strconv.ParseInt(words[1], 10, 64)
		if epoch < time.Now().Add(epochAhead).UnixMilli() { // else no feed's
			l.seen = max(l.seen, epoch)
		}
	}
	if len(words) > 2 {
		number, _ = strconv.Atoi(words[2])
	}
	return words[0][:min(len(words[0]), nameMost)], max(0, number)
}

// errShards: two feeds spread a venue's symbols in different ways.
var errShards = errors.New("give all feeds of a venue the same --shards, or end them all before it is another")

// agree finds out whether who has the lease spreads the symbols as we do.
func (l *lease) agree(holder string, shards int) error {
	if shards == 0 || shards == l.shards {
		return nil
	}
	return fmt.Errorf("%s has --shards %d, this feed %d: %w", holder, shards, l.shards, errShards)
}

// sure reports whether the stream was watched for so long that nothing is missing if it is
// handed over now: before, who stands by does not say so.
func (l *lease) sure() bool {
	return !l.watched.IsZero() && time.Since(l.watched) > 2*clocksApart
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
		if live && l.sure() {
			p.Set(ctx, codec.StandbyKey(l.stream), l.value(l.seen, int(l.crew.reigns.Load())), leaseFor)
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
	var shards int
	l.holder, shards = l.note(holder.Val())
	if err := l.agree(l.holder, shards); err != nil {
		return false, err
	}
	switch {
	case holder.Err() == nil && left.Val() == -1: // it would not end: no feed's
		return false, rdb.PExpire(ctx, key, leaseFor).Err()
	case l.holder == l.crew.name:
		err = rdb.PExpire(ctx, key, leaseTaken).Err()
		return err == nil, err
	case l.holder != "":
		l.calm = time.Now().Add(min(left.Val(), leaseTaken) + deaf)
		return false, nil
	case time.Now().Before(l.calm):
		return false, nil
	}
	err = rdb.SetArgs(ctx, key, l.value(0, l.shards), redis.SetArgs{Mode: "NX", TTL: leaseTaken}).Err()
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
	return rdb.Set(ctx, codec.WriterKey(l.stream), l.value(epoch, l.shards), leaseFor).Err()
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
		err = rdb.SetArgs(ctx, key, l.value(epoch, l.shards), redis.SetArgs{Mode: "NX", TTL: leaseFor}).Err()
		if errors.Is(err, redis.Nil) {
			return false, nil // another was faster
		}
		return true, err
	}
	if l.holder != l.crew.name {
		return false, nil
	}
	return true, rdb.PExpire(ctx, key, leaseFor).Err()
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
