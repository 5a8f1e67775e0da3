package tapes

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// answered is told of every command that was answered, but of those in pipelines.
type answered func(redis.Cmder)

func (a answered) DialHook(next redis.DialHook) redis.DialHook { return next }

func (a answered) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (a answered) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		a(cmd)
		return err
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// open is the way that is under test.
func open(t *testing.T, url string) *Redis {
	t.Helper()
	r, err := Open(url, Role{Name: "test", Conns: 64, Reads: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}
