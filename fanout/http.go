package fanout

import (
	"cmp"
	"encoding/json"
	"io/fs"
	"net/http"
	"strings"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/token"
)

// newMux is what the stream's port answers to plain HTTP. unready says why the node
// should not be sent anyone, "" when it should.
func newMux(s *shared, unready func() string) http.Handler {
	snaps := &snapshots{master: s.master, places: make(chan struct{}, snapshotsMax)}
	mux := http.NewServeMux()
	ok := map[string]bool{"ok": true}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { writeJSON(w, http.StatusOK, ok) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if why := unready(); why != "" {
			refusal{http.StatusServiceUnavailable, "", why}.serve(w)
			return
		}
		writeJSON(w, http.StatusOK, ok)
	})
	mux.HandleFunc("GET /v1/symbols", s.withToken(snaps.symbols))
	mux.HandleFunc("GET /v1/snapshot", s.withToken(snaps.snapshot))
	mux.HandleFunc("OPTIONS /v1/", func(w http.ResponseWriter, r *http.Request) { // a browser asks whether it may send a token
		h := w.Header()
		h.Set("Access-Control-Allow-Methods", "GET, HEAD")
		h.Set("Access-Control-Allow-Headers", "Authorization")
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET "+codec.StreamPath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Upgrade", "websocket")
		refusal{http.StatusUpgradeRequired, "", "this is a WebSocket endpoint; offer the subprotocol " + codec.ProtocolMsgpack + " or " + codec.ProtocolJSON}.serve(w)
	})
	mux.HandleFunc("GET /", servePage(s.cfg.Page))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", "GET, HEAD")
		refusal{http.StatusMethodNotAllowed, "", r.Method + " is not answered here; use GET"}.serve(w)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		// A loop reads the first request of a connection only. A proxy must not send
		// an upgrade on one that served plain HTTP before; so none is left to reuse.
		h.Set("Connection", "close")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		s.shareWith(h, r)
		if r.RequestURI == "*" {
			refusal{http.StatusBadRequest, "", "there is nothing to say of *; take a path"}.serve(w)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// shareWith lets a page of another origin read the answer, if it may.
func (s *shared) shareWith(h http.Header, r *http.Request) {
	origin := "*"
	if len(s.cfg.Origin) > 0 || s.cfg.TokenCookie != "" {
		h.Set("Vary", "Origin")
		if origin = r.Header.Get("Origin"); origin == "" || !s.allowsOrigin(r) {
			return
		}
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if s.cfg.TokenCookie != "" {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}

// withToken answers only who may ask, by origin and token; claims are nil where no token
// is needed.
func (s *shared) withToken(answer func(http.ResponseWriter, *http.Request, *token.Claims)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.allowsOrigin(r) {
			badOrigin.serve(w)
			return
		}
		if s.auth == nil {
			answer(w, r, nil)
			return
		}
		var claims *token.Claims
		raw, err := s.auth.tokenOf(r.Header)
		if err == nil {
			claims, err = s.auth.verify([]byte(raw))
		}
		if err != nil {
			badToken(err).serve(w)
			return
		}
		answer(w, r, claims)
	}
}

// servePage serves the page's files, but no lists of its directories.
func servePage(page fs.FS) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := cmp.Or(strings.TrimPrefix(r.URL.Path, "/"), "index.html")
		if !isFile(page, name) {
			refusal{http.StatusNotFound, "", r.URL.Path + " is not here"}.serve(w)
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

func writeJSON(w http.ResponseWriter, status int, x any) {
	beginJSON(w, status)
	json.NewEncoder(w).Encode(x) // fails with the connection only
}

func beginJSON(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
}
