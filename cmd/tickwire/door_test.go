package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/client"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
	"github.com/tickwire/tickwire/fanout"
	"github.com/tickwire/tickwire/fanout/token"
)

// door is a simulated market whose node asks for tokens, and what signs them.
type door struct {
	t           *testing.T
	port, redis string
	key         string // file to sign with
	signer      *token.Signer
}

func startDoor(t *testing.T, args ...string) *door {
	t.Helper()
	keys, err := token.MakeKey("EdDSA")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := token.NewSigner(keys.Signing)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := &door{t: t, port: tapetest.Port(t), redis: "redis://" + miniredis.RunT(t).Addr(), signer: signer, key: filepath.Join(dir, "signing.pem")}
	public := filepath.Join(dir, "public.pem")
	if err := errors.Join(os.WriteFile(public, keys.Public, 0o600), os.WriteFile(d.key, keys.Signing, 0o600)); err != nil {
		t.Fatal(err)
	}
	up := tickwire(t, append([]string{"up", "--redis", d.redis, "--listen", "127.0.0.1:" + d.port, "--metrics", "off",
		"--heartbeat", "1s", "--token-leeway", "0s", "--token-key", public}, args...)...)
	within(t, 20*time.Second, "up", func() bool { return strings.Contains(up.text(), "is up") })
	return d
}

// sign is a token of a subject that is good for so long.
func (d *door) sign(sub string, good time.Duration, g token.Grant) string {
	d.t.Helper()
	if len(g.Symbols) == 0 {
		g.Symbols = []string{"*"}
	}
	claims := (&tokenSignCmd{Sub: sub, For: life(good)}).claims(time.Now())
	claims.Grant = g
	text, err := d.signer.Sign(claims)
	if err != nil {
		d.t.Fatal(err)
	}
	return text
}

// of is the same for a test of its own.
func (d *door) of(t *testing.T) *door {
	mine := *d
	mine.t = t
	return &mine
}

func (d *door) url() string { return "ws://127.0.0.1:" + d.port }

// guest is a client, and what it was told.
type guest struct {
	*client.Client
	t       *testing.T
	ended   chan error
	updates atomic.Int64

	mu     sync.Mutex
	events []client.Event
}

func (d *door) visit(cfg client.Config, names ...string) *guest {
	cfg.URL = d.url()
	ctx, stop := context.WithCancel(context.Background())
	v := &guest{Client: client.New(cfg), t: d.t, ended: make(chan error, 1)}
	v.OnUpdate = func(*client.Update) { v.updates.Add(1) }
	v.OnEvent = func(e client.Event) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.events = append(v.events, e)
	}
	v.Subscribe(client.Terms{}, names...)
	go func() { v.ended <- v.Run(ctx) }()
	d.t.Cleanup(stop)
	return v
}

// told lists the events of a kind.
func (v *guest) told(kind client.EventKind) []client.Event {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(v.events), func(e client.Event) bool { return e.Kind != kind })
}

// refused waits for Run to end with a code.
func (v *guest) refused(code int) {
	v.t.Helper()
	select {
	case err := <-v.ended:
		if final := (*client.FinalError)(nil); !errors.As(err, &final) || final.Code != code || final.Text == "" {
			v.t.Errorf("%v, want code %d", err, code)
		}
	case <-time.After(20 * time.Second):
		v.t.Errorf("no end with %d: %v", code, v.told(client.Live))
	}
}

// holds waits until a node says that it has just these, and the client counts as it does.
func (v *guest) holds(want ...string) {
	v.t.Helper()
	got := func() (all []string) {
		results, _ := v.List(v.t.Context())
		for _, r := range results {
			all = append(all, fmt.Sprintf("%s@%v", r.Symbol, *r.Rate))
		}
		slices.Sort(all)
		return all
	}
	for end := time.Now().Add(20 * time.Second); !slices.Equal(got(), want); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			v.t.Fatalf("it holds %v, want %v", got(), want)
		}
	}
	v.Pause() // then heartbeats come, a second apart, which are compared
	time.Sleep(2500 * time.Millisecond)
	v.Resume()
	if lost := v.told(client.Connecting); len(lost) > 0 {
		v.t.Fatalf("holding %v: %v", want, lost[0].Err)
	}
}

// A client at a real node: its tokens are renewed, narrowed, widened, revoked, replaced.
func TestClientTokens(t *testing.T) {
	d := startDoor(t, "--sim-symbols", "4")
	all := token.Grant{}
	t.Run("", func(t *testing.T) {
		t.Run("renewed", func(t *testing.T) {
			t.Parallel()
			d := d.of(t)
			const good = 5 * time.Second
			began, given := time.Now(), atomic.Int64{}
			v := d.visit(client.Config{Renew: func(context.Context) (string, error) {
				given.Add(1)
				return d.sign("renewed", good, all), nil
			}}, "sim:*")
			within(t, 30*time.Second, "the first has ended, others were taken", func() bool {
				return time.Since(began) > good && len(v.told(client.Token)) >= 3
			})
			seen := v.updates.Load()
			within(t, 20*time.Second, "prices still come", func() bool { return v.updates.Load() > seen })
			// One is left alone for a third of its time, some of which may be gone by then.
			if n := given.Load(); n > 2+int64(time.Since(began)/time.Second) || len(v.told(client.Live)) != 1 || len(v.told(client.Connecting)) > 0 {
				t.Errorf("%d tokens were given in %v; %v", n, time.Since(began), v.told(client.Connecting))
			}
		})
		t.Run("narrowed", func(t *testing.T) {
			t.Parallel()
			d := d.of(t)
			v := d.visit(client.Config{Token: d.sign("narrowed", time.Hour, all)}, "sim:ACORN-USD", "sim:B*", "sim:*")
			v.holds("sim:*@0", "sim:ACORN-USD@0", "sim:B*@0", "sim:BIRCH-USD@0", "sim:CEDAR-USD@0", "sim:DAISY-USD@0")
			v.Auth(d.sign("narrowed", time.Hour, token.Grant{Symbols: []string{"sim:A*", "sim:BIRCH-USD"}, Rate: 5}))
			v.holds("sim:ACORN-USD@5")
			ended := map[string]int{}
			for _, e := range v.told(client.Refused) {
				ended[e.Symbol] = int(e.Err.(*codec.Error).Code)
			}
			if want := "map[sim:*:130 sim:B*:130 sim:BIRCH-USD:130 sim:CEDAR-USD:130 sim:DAISY-USD:130]"; fmt.Sprint(ended) != want {
				t.Errorf("%v, want %v", ended, want)
			}
			v.Auth(d.sign("narrowed", time.Hour, all))
			v.holds("sim:*@0", "sim:ACORN-USD@0", "sim:B*@0", "sim:BIRCH-USD@0", "sim:CEDAR-USD@0", "sim:DAISY-USD@0")
		})
		t.Run("refused", func(t *testing.T) {
			t.Parallel()
			d := d.of(t)
			d.visit(client.Config{}).refused(401)
			d.visit(client.Config{Token: d.sign("x", -time.Hour, all)}).refused(401)
			d.visit(client.Config{Token: d.sign("x", 4*time.Second, all)}).refused(4002)
			lost := d.visit(client.Config{Token: d.sign("revoked", time.Hour, all)}, "sim:*")
			within(t, 20*time.Second, "live", func() bool { return len(lost.told(client.Live)) > 0 })
			if err := fanout.Revoke(t.Context(), d.redis, "", "revoked"); err != nil {
				t.Fatal(err)
			}
			lost.refused(4001)
		})
		t.Run("replaced", func(t *testing.T) {
			t.Parallel()
			d := d.of(t)
			first := d.visit(client.Config{Token: d.sign("one", time.Hour, token.Grant{Conns: 1, Newest: true})})
			within(t, 20*time.Second, "live", func() bool { return len(first.told(client.Live)) > 0 })
			other := d.visit(client.Config{Token: d.sign("one", time.Hour, token.Grant{Conns: 1})})
			within(t, 20*time.Second, "one more is refused, and told when to ask again", func() bool {
				lost := other.told(client.Connecting)
				return len(lost) > 0 && lost[0].After >= time.Second && strings.Contains(lost[0].Err.Error(), "429")
			})
			d.visit(client.Config{Token: d.sign("one", time.Hour, token.Grant{Conns: 1, Newest: true})})
			first.refused(4003)
		})
	})
}
