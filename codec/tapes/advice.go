package tapes

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// What a Redis is that is something else than the URL says.
const (
	isSentinel = "it is a Sentinel: add master_name=NAME to the URL"
	isCluster  = "it is a Cluster: add cluster=true to the URL"
	isReplica  = "it is a replica: name its master, or Sentinels with master_name=NAME"
	isClosed   = "it is in protected mode, where it answers its own machine alone: give it a password, or protected-mode no"
)

// Advise adds to an error of Redis what to do about it, as far as that is known from the URL:
// of one that cannot be reached, what the caller says.
func (r *Redis) Advise(err error, unreached string) error {
	if err == nil {
		return nil
	}
	advice := r.said(err)
	if advice == "" {
		advice = r.spoke(err)
	}
	if advice == "" && (unconnected(err) || late(err)) {
		advice = unreached
	}
	if advice == "" {
		return err
	}
	return &advisedError{err, advice}
}

// advisedError is an error with what to do. The driver's may have several lines.
type advisedError struct {
	error
	advice string
}

func (e *advisedError) Error() string {
	return strings.ReplaceAll(e.error.Error(), "\n", ", ") + "; " + e.advice
}

func (e *advisedError) Unwrap() error { return e.error }

// said is the advice on what a Redis has answered.
func (r *Redis) said(err error) string {
	text := err.Error()
	has := func(prefix string) bool { return redis.HasErrorPrefix(err, prefix) }
	switch {
	case has("NOAUTH"), has("WRONGPASS"):
		return "the Redis asks for a password: give it redis://USER:PASSWORD@HOST:PORT in TICKWIRE_REDIS, which ps does not show"
	case has("NOPERM"):
		return "the user may not: deploy/redis/users.acl has what each needs"
	case has("READONLY") && r.opt.MasterName == "" && !r.opt.IsClusterMode:
		return isReplica
	case (has("MOVED") || has("CROSSSLOT")) && !r.opt.IsClusterMode:
		return isCluster
	case has("DENIED"):
		return isClosed
	case has("OOM"):
		return "give it more maxmemory, or feeds a shorter --retention"
	case strings.Contains(text, "cluster support disabled"):
		return "it is no Cluster: leave out cluster=true"
	case strings.Contains(text, "unknown command") && strings.Contains(strings.ToLower(text), "'sentinel'"):
		return "it is no Sentinel: leave out master_name"
	case strings.Contains(text, "unknown command") && r.opt.MasterName == "" && !r.opt.IsClusterMode:
		return "perhaps " + isSentinel
	case strings.Contains(text, "sentinels") && strings.Contains(text, "redis: nil"):
		return fmt.Sprintf("the Sentinels know no master %.80q", r.opt.MasterName)
	}
	return ""
}

// spoke is the advice on how TLS is spoken, and, if nothing was understood yet, whether it is.
func (r *Redis) spoke(err error) string {
	r.mu.Lock()
	heard := r.heard
	r.mu.Unlock()
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	switch text := err.Error(); {
	case strings.Contains(text, "unknown authority"):
		return "name who has signed its certificate with ca=FILE in the URL"
	case strings.Contains(text, "certificate required"):
		return "it asks for a certificate: cert=FILE and key=FILE in the URL"
	case heard, unconnected(err):
		return ""
	case r.opt.TLSConfig != nil && (plain || late(err) || errors.Is(err, io.EOF)):
		return "rediss:// is TLS, take redis:// where it is not spoken"
	case r.opt.TLSConfig == nil && hungUp(err):
		return "if it speaks TLS, take rediss://; or " + isClosed
	}
	return ""
}

// unconnected reports whether there was no connection, over which either might be spoken.
func unconnected(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// hungUp reports whether the other side ended the connection: what it said before that may be
// lost.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// late reports whether there was no answer in time.
func late(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}
