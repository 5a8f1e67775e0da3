package fanout

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/pires/go-proxyproto"

	"github.com/tickwire/tickwire/fanout/epoll"
)

// proxyHead is the fixed part of a PROXY header, version 2; its last two bytes are the
// length of the rest, of which the library takes so much.
const (
	proxyHead  = 16
	proxyBytes = proxyHead + 4096
)

var (
	errNoProxy = errors.New("no PROXY header, version 2")
	errProxyV1 = errors.New("a PROXY header, version 1; have the balancer send version 2 (haproxy: send-proxy-v2)")
)

// parseProxies reads the networks of balancers.
func parseProxies(list []string) (networks []netip.Prefix, err error) {
	for _, text := range list {
		network, err := netip.ParsePrefix(text)
		if addr, aerr := netip.ParseAddr(text); aerr == nil {
			network, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("--proxy-from %s: an address, or a network as 10.0.0.0/8", text)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

// isProxy reports whether connections from an address begin with a PROXY header.
func (s *shared) isProxy(from netip.Addr) bool {
	for _, network := range s.proxies {
		if network.Contains(from.Unmap()) {
			return true
		}
	}
	return false
}

// parseProxy reads the PROXY header at the beginning of p: whom the balancer speaks for,
// the zero address when for itself, and the header's length. errPartial asks for more.
func parseProxy(p []byte) (client netip.Addr, size int, err error) {
	if bytes.HasPrefix(p, proxyproto.SIGV1) {
		return client, 0, errProxyV1
	}
	if n := min(len(p), len(proxyproto.SIGV2)); !bytes.Equal(p[:n], proxyproto.SIGV2[:n]) {
		return client, 0, errNoProxy
	}
	if len(p) < proxyHead {
		return client, 0, errPartial
	}
	size = proxyHead + int(binary.BigEndian.Uint16(p[proxyHead-2:]))
	if size > proxyBytes {
		return client, 0, errNoProxy
	}
	if len(p) < size {
		return client, 0, errPartial
	}
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(p[:size]), proxyHead))
	if err != nil {
		return client, 0, fmt.Errorf("%w: %w", errNoProxy, err)
	}
	if source, _, ok := h.TCPAddrs(); ok && h.Command.IsProxy() {
		client = source.AddrPort().Addr()
	}
	return client, size, nil
}

// proxied reads the PROXY header of a conn from a balancer, which goes before everything
// else, TLS included: so the socket is not read beyond it.
func (l *loop) proxied(ci uint32) {
	c := &l.conns[ci]
	n, err := epoll.Peek(int(c.fd), l.in[:proxyBytes])
	if err == epoll.ErrAgain {
		return
	}
	if err != nil || n == 0 {
		l.lose(ci, "peer")
		return
	}
	client, size, err := parseProxy(l.in[:n])
	switch {
	case err == errPartial: // more raises an edge
	case err != nil:
		l.events.handshakes.WithLabelValues("bad_proxy").Inc()
		l.warnProxy.Do(func() {
			l.log.Warn("a connection from --proxy-from is refused, and counted from here on", "from", epoll.Peer(int(c.fd)).Unmap(), "err", err)
		})
		l.drop(ci)
	default:
		epoll.Read(int(c.fd), l.in[:size])
		if l.admit(ci, client) {
			l.readable(ci, true)
		}
	}
}
