package fanout

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

const (
	// revokedAgain is how much of the end of the stream is read again each time: what a
	// Redis with a slower clock appends after a failover is not passed over.
	revokedAgain = time.Minute
	revokedCount = 1000 // entries a read
)

// readRevoked reads revocations: all of them first, and after every time that Redis did
// not answer, the last of them otherwise. What goes wrong is told once.
func (t *tape) readRevoked(ctx context.Context) {
	if t.revoke == nil {
		return
	}
	err := t.readRevokedFrom(ctx, t.revokedFrom)
	if err != nil {
		t.revokedFrom = 0
		if !t.revokedAway && ctx.Err() == nil {
			t.log.Error("tape: revocations cannot be read; what is revoked now is not known", "err", t.rdb.Advise(err, ""))
		}
	}
	t.revokedAway = err != nil
}

// readRevokedFrom reads what was revoked from a time on, in Redis's ms.
func (t *tape) readRevokedFrom(ctx context.Context, ms int64) error {
	for from := strconv.FormatInt(ms, 10); ; {
		list, last, err := t.revokedPage(ctx, from)
		if err != nil {
			return err
		}
		t.revoke(list)
		if len(list) > 0 {
			t.revokedFrom = max(t.revokedFrom, list[len(list)-1].at.Add(-revokedAgain).UnixMilli())
		}
		if last == "" {
			t.revokedRead()
			return nil
		}
		from = "(" + last
	}
}

// revokedPage reads a page of revocations, and the id of its last entry; "" at the end.
func (t *tape) revokedPage(ctx context.Context, from string) (list []revocation, last string, err error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	entries, err := t.rdb.Now().XRangeN(ctx, codec.RevokedKey, from, "+", revokedCount).Result()
	if err != nil {
		return nil, "", err
	}
	for _, e := range entries {
		ms, _, _ := strings.Cut(e.ID, "-")
		at, err := strconv.ParseInt(ms, 10, 64)
		jti, _ := e.Values["jti"].(string)
		subject, _ := e.Values["sub"].(string)
		if err == nil {
			list = append(list, revocation{time.UnixMilli(at), jti, subject})
		}
	}
	if len(entries) == revokedCount {
		last = entries[len(entries)-1].ID
	}
	return list, last, nil
}

// Revoke has all nodes of a Redis take a token no more: the one with a jti, or all of a sub
// that were issued up to now.
func Revoke(ctx context.Context, url, jti, subject string) error {
	if (jti == "") == (subject == "") {
		return errors.New("name either a jti or a sub")
	}
	rdb, err := openRedis(url, false)
	if err != nil {
		return err
	}
	defer rdb.Close()
	values := []string{"jti", jti}
	if jti == "" {
		values = []string{"sub", subject}
	}
	oldest := strconv.FormatInt(time.Now().Add(-RevokedFor).UnixMilli(), 10)
	if err := rdb.Now().XAdd(ctx, &redis.XAddArgs{Stream: codec.RevokedKey, MinID: oldest, Values: values}).Err(); err != nil {
		return fmt.Errorf("--redis: %w", rdb.Advise(err, "name the Redis of the nodes: that of tickwire up, in memory, cannot be reached, begin up with --redis"))
	}
	return nil
}
