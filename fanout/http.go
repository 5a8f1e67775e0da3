package fanout

import (
	"cmp"
	"encoding/json"
	"io/fs"
	"net/http"
	"strings"

	"github.com/tickwire/tickwire/codec"
)

// newMux is what the stream's port answers to plain HTTP. unready says why the node
// should not be sent anyone, "" when it should.
func newMux(m *master, page fs.FS, unready func() string) http.Handler {
	s := &snapshots{master: m, places: make(chan struct{}, snapshotsMax)}
	mux := http.NewServeMux()
	ok := map[string]bool{"ok": true}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { writeJSON(w, http.StatusOK, ok) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if why := unready(); why != "" {
			writeError(w, http.StatusServiceUnavailable, why)
			return
		}
		writeJSON(w, http.StatusOK, ok)
	})
	mux.HandleFunc("GET /v1/symbols", s.symbols)
	mux.HandleFunc("GET /v1/snapshot", s.snapshot)
	mux.HandleFunc("GET "+streamPath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Upgrade", "websocket")
		writeError(w, http.StatusUpgradeRequired, "this is a WebSocket endpoint; offer the subprotocol "+codec.ProtocolMsgpack+" or "+codec.ProtocolJSON)
	})
	mux.HandleFunc("GET /", servePage(page))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", "GET, HEAD")
		writeError(w, http.StatusMethodNotAllowed, r.Method+" is not answered here; use GET")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		// A loop reads the first request of a connection only. A proxy must not send
		// an upgrade on one that served plain HTTP before; so none is left to reuse.
		h.Set("Connection", "close")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		mux.ServeHTTP(w, r)
	})
}

// servePage serves the page's files, but no lists of its directories.
func servePage(page fs.FS) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := cmp.Or(strings.TrimPrefix(r.URL.Path, "/"), "index.html")
		if !isFile(page, name) {
			writeError(w, http.StatusNotFound, r.URL.Path+" is not here")
			return
		}
		h := w.Header() // the page loads nothing but what it came with, and is nobody's part
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache") // the next release is the next reload
		http.ServeFileFS(w, r, page, name)
	}
}

func isFile(page fs.FS, name string) bool {
	if page == nil {
		return false
	}
	info, err := fs.Stat(page, name)
	return err == nil && info.Mode().IsRegular()
}

func writeError(w http.ResponseWriter, status int, text string) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, status, map[string]string{"error": text})
}

func writeJSON(w http.ResponseWriter, status int, x any) {
	beginJSON(w, status)
	json.NewEncoder(w).Encode(x) // fails with the connection only
}

func beginJSON(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Access-Control-Allow-Origin", "*") // market data is for everyone
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
}
