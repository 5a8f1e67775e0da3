package fanout

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// checkOrigins refuses what is no origin, nor a pattern of them.
func checkOrigins(list []string) error {
	for _, text := range list {
		scheme, _, _ := strings.Cut(strings.ToLower(text), "://")
		if low := strings.TrimSuffix(strings.ToLower(text), map[string]string{"https": ":443", "http": ":80"}[scheme]); low != text {
			return fmt.Errorf("--origin %s: browsers say %s, in lower case and without the usual port", text, low)
		}
		u, err := url.Parse(strings.Replace(text, "://*.", "://", 1))
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != strings.Replace(text, "://*.", "://", 1) || strings.Contains(u.Host, "*") {
			return fmt.Errorf("--origin %s: take https://HOST, https://HOST:PORT or https://*.DOMAIN", text)
		}
	}
	return nil
}

// allowsOrigin reports whether the page that asks may: whose it is a browser says, and
// nobody else. Without a list every page may, for a token is sent by who has it; but a
// cookie goes with every request.
func (s *shared) allowsOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || len(s.cfg.Origin) == 0 && s.cfg.TokenCookie == "" {
		return true
	}
	if u, err := url.Parse(origin); err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) {
		return true // the node's own
	}
	for _, allowed := range s.cfg.Origin {
		if begin, end, isPattern := strings.Cut(allowed, "*"); allowed == origin ||
			isPattern && strings.HasPrefix(origin, begin) && strings.HasSuffix(origin, end) {
			return true
		}
	}
	return false
}
