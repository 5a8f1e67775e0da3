package fanout

import (
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// listenOps opens the operator's listener, unless it is off.
func listenOps(addr string) (net.Listener, error) {
	if addr == "off" || addr == "" {
		return nil, nil
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("fanout: --metrics %s: %w; choose another, or --metrics off", addr, err)
	}
	return ln, nil
}

// opsMux is what the operator's listener alone serves, and the probes, which it
// answers when strangers have taken every place for plain HTTP on the other.
func opsMux(reg *prometheus.Registry, unready func() string) http.Handler {
	mux := http.NewServeMux()
	handleProbes(mux, unready)
	mux.Handle("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
