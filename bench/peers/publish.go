package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// update is what subscribers get: 36 bytes, big-endian. Bid and ask follow from symbol
// and seq, so that whoever receives an update can tell whether it is right.
type update struct {
	symbol   uint32
	seq      uint64 // of the symbol, from 1, without a hole
	due      uint64 // us since the Unix epoch
	bid, ask int64
}

const updateBytes = 36

func (u *update) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, u.symbol)
	dst = binary.BigEndian.AppendUint64(dst, u.seq)
	dst = binary.BigEndian.AppendUint64(dst, u.due)
	dst = binary.BigEndian.AppendUint64(dst, uint64(u.bid))
	return binary.BigEndian.AppendUint64(dst, uint64(u.ask))
}

// channel is its Redis channel, its topic, its room.
func (u *update) channel() string { return "s" + strconv.Itoa(int(u.symbol)) }

// newUpdate makes the quote of a symbol at a seq, by splitmix64.
func newUpdate(symbol uint32, seq, due uint64) update {
	x := uint64(symbol)<<40 ^ seq + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	bid := int64(x >> 24)
	return update{symbol, seq, due, bid, bid + 1 + int64(x&0xff)}
}

// publishers are ways to put a burst of updates into Redis.
var publishers = map[string]func(ctx context.Context, url string) (send func([]update) error, err error){
	"pubsub":     pubsub(func(u *update) (string, []byte) { return u.channel(), u.append(nil) }),
	"socketio":   pubsub(socketio),
	"centrifuge": centrifugePublisher,
}

// pubsub publishes a burst as one pipeline.
func pubsub(message func(u *update) (channel string, payload []byte)) func(context.Context, string) (func([]update) error, error) {
	return func(ctx context.Context, url string) (func([]update) error, error) {
		opt, err := redis.ParseURL(url)
		if err != nil {
			return nil, fmt.Errorf("redis %s: %w", url, err)
		}
		rdb := redis.NewClient(opt)
		return func(burst []update) error {
			pipe := rdb.Pipeline()
			for i := range burst {
				channel, payload := message(&burst[i])
				pipe.Publish(ctx, channel, payload)
			}
			_, err := pipe.Exec(ctx)
			return err
		}, nil
	}
}

// socketio is what @socket.io/redis-emitter publishes for to(room).emit("u", payload):
// msgpack of [uid, packet, options] on the room's channel.
func socketio(u *update) (string, []byte) {
	room := u.channel()
	p := append([]byte{0x93, 0xa7}, "emitter"...)
	p = append(append(p, 0x83, 0xa4), "type"...)
	p = append(append(p, 2, 0xa4), "data"...)
	p = append(p, 0x92, 0xa1, 'u', 0xc4, updateBytes)
	p = append(append(u.append(p), 0xa3), "nsp"...)
	p = append(append(p, 0xa1, '/', 0x83, 0xa5), "rooms"...)
	p = append(append(p, 0x91, 0xa0+byte(len(room))), room...)
	p = append(append(p, 0xa6), "except"...)
	p = append(append(p, 0x90, 0xa5), "flags"...)
	return "socket.io#/#" + room + "#", append(p, 0x80)
}

// market says which symbol moves when, as Tickwire's own simulated market does: 500
// bursts a second, and, unless it is calm, now and then a storm about one symbol.
type market struct {
	symbols int
	rate    float64
	calm    bool // there are no storms
	seed    uint64
}

const (
	tick     = 2 * time.Millisecond
	burstMax = 5000
	// lastKey is the hash where the last seq of every symbol stands when all is over.
	lastKey = "bench:last"
)

// run publishes until ctx ends; then it says what it ended with.
func (m *market) run(ctx context.Context, url string, publisher func(context.Context, string) (func([]update) error, error)) error {
	after := context.WithoutCancel(ctx)
	opt, err := redis.ParseURL(url)
	if err != nil {
		return fmt.Errorf("redis %s: %w", url, err)
	}
	rdb := redis.NewClient(opt)
	defer rdb.Close()
	if err := rdb.Del(after, lastKey).Err(); err != nil {
		return err
	}
	send, err := publisher(after, url)
	if err != nil {
		return err
	}
	// Whoever came too late for a symbol that seldom moves may ask for all once more.
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGUSR1)
	turn, turns := 0, (m.symbols+int(time.Second/tick)-1)/int(time.Second/tick) // in a second
	seqs := make([]uint64, m.symbols)
	var burst []update
	add := func(symbol int, due time.Time) {
		seqs[symbol]++
		burst = append(burst, newUpdate(uint32(symbol), seqs[symbol], uint64(due.UnixMicro())))
	}
	start := time.Now()
	clock := time.NewTicker(tick)
	defer clock.Stop()
	rng := rand.New(rand.NewPCG(m.seed, 0))
	for made, storm, at := 0, 0, 0; ; {
		if err := send(burst); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		burst = burst[:0]
		select {
		case <-ctx.Done():
			return m.last(after, rdb, seqs)
		case <-again:
			turn = 0
			continue
		case <-clock.C:
		}
		passed := time.Since(start)
		due := int(passed.Seconds()*m.rate) - made
		for n := range min(due, burstMax) {
			if !m.calm && storm == 0 && rng.IntN(4000) == 0 {
				storm, at = 200+rng.IntN(800), rng.IntN(m.symbols)
			}
			i := rng.IntN(m.symbols)
			if storm > 0 {
				storm--
				if rng.IntN(3) > 0 {
					i = at
				}
			}
			// When it was due, not when there was time for it: a publisher that falls behind
			// is charged for that.
			add(i, start.Add(time.Duration(float64(made+n+1)/m.rate*float64(time.Second))))
		}
		made += due
		for end := min(m.symbols, turn+turns); turn < end; turn++ {
			add(turn, time.Now())
		}
	}
}

func (m *market) last(ctx context.Context, rdb *redis.Client, seqs []uint64) error {
	all := make([]any, 0, 2*len(seqs))
	for i, seq := range seqs {
		all = append(all, i, seq)
	}
	return rdb.HSet(ctx, lastKey, all...).Err()
}
