package web

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/httprate"
)

type nonceKey struct{}

func nonceOf(ctx context.Context) string {
	nonce, _ := ctx.Value(nonceKey{}).(string)
	return nonce
}

// secure sets the headers that tell browsers what a page of the lab may do.
// Nothing is loaded from anywhere else, and nothing inline runs; only the
// editor's style elements are let in, by a nonce that is new for each answer.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nonce := rand.Text()
		h := w.Header()
		h.Set("Content-Security-Policy", strings.Join([]string{
			"default-src 'none'",
			"script-src 'self'",
			"style-src 'self' 'nonce-" + nonce + "'",
			"img-src 'self'",
			"connect-src 'self'",
			"media-src 'self'",
			"base-uri 'none'",
			"form-action 'self'",
			"frame-ancestors 'none'",
		}, "; "))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), nonceKey{}, nonce)))
	})
}

// sameOrigin refuses requests that change something and that another site's
// page has sent.
func (s *server) sameOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(s.handle(func(w http.ResponseWriter, r *http.Request) error {
		return refuse(http.StatusForbidden, "This request came from another site's page, so it was refused. Use the lab's own pages.")
	}))
	return protection.Handler(next)
}

// knownHost refuses requests for a name that is not the lab's. A page of another
// site can point a name of its own at this machine and would then be, to the
// browser, of one origin with the lab (DNS rebinding).
func (s *server) knownHost(next http.Handler) http.Handler {
	if len(s.Hosts) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Host
		if host, _, err := net.SplitHostPort(r.Host); err == nil {
			name = host
		}
		name = strings.Trim(name, "[]")
		for _, known := range s.Hosts {
			if strings.EqualFold(name, known) {
				next.ServeHTTP(w, r)
				return
			}
		}
		s.handle(func(w http.ResponseWriter, r *http.Request) error {
			return refuse(http.StatusMisdirectedRequest, "This lab does not go by the name %q. If that is its name, start the server with --host %s.", name, name)
		})(w, r)
	})
}

// rate is how many requests are let through in a window of time.
type rate struct {
	requests int
	window   time.Duration
}

// limits are the rates of the groups of routes. Learners in one room may share
// an address, so what is counted by address is counted generously.
type limits struct {
	requests         rate // of anything, by address
	starts           rate // of new sandboxes, by learner
	startsPerAddress rate
	changes          rate // of policies, by learner
}

var defaultLimits = limits{
	requests:         rate{6000, time.Minute},
	starts:           rate{12, time.Minute},
	startsPerAddress: rate{120, time.Minute},
	changes:          rate{300, time.Minute},
}

func (s *server) limit(rate rate, key httprate.KeyFunc) func(http.Handler) http.Handler {
	return httprate.LimitBy(rate.requests, rate.window, key,
		httprate.WithResponseHeaders(httprate.ResponseHeaders{RetryAfter: "Retry-After"}),
		httprate.WithLimitHandler(s.handle(func(w http.ResponseWriter, r *http.Request) error {
			return refuse(http.StatusTooManyRequests, "That was too often in a short time. Wait %.0f seconds, then try again.", rate.window.Seconds())
		})))
}

func byAddress(r *http.Request) (string, error) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return httprate.CanonicalizeIP(host), nil
}

func byOwner(r *http.Request) (string, error) { return ownerOf(r.Context()), nil }
