package tapes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

// dropAfter is how long a stream must have said nothing before it is taken off.
const dropAfter = 5 * time.Second

// Drop takes a stream that nobody writes off the tape, and says which keys are no more.
func (r *Redis) Drop(ctx context.Context, stream string) (removed []string, err error) {
	if _, err := r.Streams(ctx, stream); err != nil {
		return nil, err
	}
	l, err := r.look(ctx, stream)
	if err != nil && !spoken(err) { // what is no stream is no feed's
		return nil, err
	}
	if l.writer != "" {
		return nil, fmt.Errorf("%s is written by the feed %s: end that first", stream, codec.Printable(l.writer))
	}
	if name, _, _ := strings.Cut(l.standby, " "); name != "" {
		return nil, fmt.Errorf("%s is about to be written by a feed that stands by, %s: end that first", stream, codec.Printable(name))
	}
	if l.last != nil {
		last, _, err := codec.ParseEntry(EntryBytes(l.last))
		if sent := age(last.SentAt); err == nil && sent < dropAfter {
			return nil, fmt.Errorf("%s has an entry that was sent %v ago: end the feed that writes it, and wait until it is %v", stream, sent.Round(100*time.Millisecond), dropAfter)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	// The list comes last: what fails before can be done again.
	keys := []string{codec.TapeKey(stream), codec.CheckpointKey(stream), codec.WriterKey(stream), codec.StandbyKey(stream)}
	for _, key := range keys {
		n, err := r.Now().Unlink(ctx, key).Result()
		if err != nil {
			return removed, r.failed(err)
		}
		if n > 0 {
			removed = append(removed, key)
		}
	}
	n, err := r.Now().SRem(ctx, codec.TapesKey, stream).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return removed, r.failed(err)
	}
	if n > 0 {
		removed = append(removed, stream+" in "+codec.TapesKey)
	}
	return removed, nil
}
