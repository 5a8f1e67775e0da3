package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// newRegistry holds a process's metrics, the runtime's included.
func newRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}

// serveOps answers the operator at an address, "off" for none, until it is stopped.
// unready says why the process should not be sent anyone, "" when it should.
func serveOps(addr string, reg *prometheus.Registry, unready func() string, log *slog.Logger) (stop func() error, err error) {
	if addr == "off" || addr == "" {
		return func() error { return nil }, nil
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--metrics %s: %w; choose another, or --metrics off", addr, err)
	}
	if at := ln.Addr().(*net.TCPAddr); !at.IP.IsLoopback() {
		log.Warn("--metrics is beyond loopback: whoever reaches it can profile this process and read its command line; keep it from the public", "metrics", at)
	}
	srv := &http.Server{Handler: opsMux(reg, unready), ReadHeaderTimeout: 10 * time.Second}
	go srv.Serve(ln)
	return srv.Close, nil
}

// checkAddr refuses what is no address to listen at.
func checkAddr(flag, addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w; an address is HOST:PORT", flag, addr, err)
	}
	return nil
}

// checkMetrics is as that, of where serveOps is to answer.
func checkMetrics(addr string) error {
	if addr == "off" || addr == "" {
		return nil
	}
	return checkAddr("--metrics", addr)
}

// opsMux is what the operator's listener alone serves, and the probes, which it
// answers when strangers have taken every place for plain HTTP on a node's.
func opsMux(reg *prometheus.Registry, unready func() string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, `{"ok":true}`) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if why := unready(); why != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintf(w, "{\"error\":%q}\n", why)
			return
		}
		fmt.Fprintln(w, `{"ok":true}`)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// whileRunning is the readiness of what is ready as soon as it runs.
func whileRunning(ctx context.Context) func() string {
	return func() string {
		if ctx.Err() != nil {
			return "ending"
		}
		return ""
	}
}
