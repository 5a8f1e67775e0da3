package bench

import (
	"context"
	"fmt"
	"strings"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// link is the way to a Redis server, for everybody: a proxy that can be cut and slowed.
type link struct {
	at    string // where it begins; the proxy writes its own as it is begun again
	proxy *toxiproxy.Proxy
}

// newProxies is what proxies share. They say nothing: some of them would to a logger of
// the whole process.
func newProxies() *toxiproxy.ApiServer {
	zerolog.SetGlobalLevel(zerolog.Disabled)
	return toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
}

// newLink opens the way from one address to another.
func newLink(proxies *toxiproxy.ApiServer, name, from, to string) (*link, error) {
	l := &link{from, toxiproxy.NewProxy(proxies, name, from, to)}
	if err := l.proxy.Start(); err != nil {
		return nil, fmt.Errorf("bench: the proxy of %s: %w", name, err)
	}
	return l, nil
}

// cut ends all connections, and refuses others.
func (l *link) cut() { l.proxy.Stop() }

// lose loses whatever is sent from now on, and tells nobody.
func (l *link) lose() error { return l.add("timeout", `"timeout":0`) }

// slow has everything take longer, each way.
func (l *link) slow(ms, jitter int64) error {
	return l.add("latency", fmt.Sprintf(`"latency":%d,"jitter":%d`, ms, jitter))
}

// narrow lets so much through, each way.
func (l *link) narrow(kbPerS int64) error {
	return l.add("bandwidth", fmt.Sprintf(`"rate":%d`, kbPerS))
}

func (l *link) add(kind, attributes string) error {
	for _, way := range []string{"upstream", "downstream"} {
		text := fmt.Sprintf(`{"type":%q,"stream":%q,"attributes":{%s}}`, kind, way, attributes)
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(text)); err != nil && err != toxiproxy.ErrToxicAlreadyExists {
			return fmt.Errorf("bench: a proxy: %w", err)
		}
	}
	return nil
}

// mend makes the way as it was. What was lost ends its connections.
func (l *link) mend() error {
	l.proxy.Toxics.ResetToxics(context.Background())
	if err := l.proxy.Start(); err != nil && err != toxiproxy.ErrProxyAlreadyStarted {
		return fmt.Errorf("bench: a proxy: %w", err)
	}
	return nil
}
