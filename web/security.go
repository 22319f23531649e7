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
			"font-src 'self'",
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
		if clientOf(r).encrypted {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
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
	refused := s.stray(func(w http.ResponseWriter, r *http.Request) error {
		name := hostName(r)
		return refuse(http.StatusMisdirectedRequest, "This lab does not go by the name %q. If that is its name, start the server with --host %s.", name, name)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := hostName(r)
		for _, known := range s.Hosts {
			if strings.EqualFold(name, known) {
				next.ServeHTTP(w, r)
				return
			}
		}
		refused(w, r)
	})
}

// hostName is the name that the request is for, without a port.
func hostName(r *http.Request) string {
	name := r.Host
	if host, _, err := net.SplitHostPort(r.Host); err == nil {
		name = host
	}
	return strings.Trim(name, "[]")
}

// rate is how many requests are let through in a window of time.
type rate struct {
	requests int
	window   time.Duration
}

// limits are the rates of the groups of routes.
type limits struct {
	requests limitPair // of anything
	starts   limitPair // of new sandboxes
	changes  limitPair // of whatever else changes something
	previews limitPair // of analyses of a draft

	// What is counted by address alone.
	newcomers rate // of learners whom this process has not met
	files     rate // of files under /static/
	strays    rate // of what nothing answers to
	operators rate // of what is the operator's
	guesses   rate // of wrong tokens of the operator's

	sockets int // how many websockets may be open in all
}

// limitPair is how often a learner may do something, and how often all who are not
// known yet may that have one address.
type limitPair struct{ learner, address rate }

// A learner who reads, applies and checks without a pause makes about two requests a
// second. A hundred learners behind one router come, at the start of a class or after
// the server's, with a handful of requests each until every one of them is known.
var defaultLimits = limits{
	requests: limitPair{learner: rate{600, time.Minute}, address: rate{1200, time.Minute}},
	starts:   limitPair{learner: rate{12, time.Minute}, address: rate{120, time.Minute}},
	changes:  limitPair{learner: rate{300, time.Minute}, address: rate{600, time.Minute}},
	// Nobody types twenty keys a second for a minute.
	previews: limitPair{learner: rate{1200, time.Minute}, address: rate{2400, time.Minute}},
	// Each learner has a count of their own of everything, so how many somebody can be is
	// counted. A page loads up to ten files, once.
	newcomers: rate{300, time.Minute},
	files:     rate{6000, time.Minute},
	strays:    rate{600, time.Minute},
	// A page a second, and a scrape.
	operators: rate{120, time.Minute},
	guesses:   rate{10, time.Minute},
	sockets:   socketsFor(openFiles()),
}

// limit counts a learner's requests by learner, whatever the others behind their router
// do, and by address only those of whom this server does not know yet: whoever sends no
// cookie, or one that the server has not given, takes nothing from those who do.
func (s *server) limit(pair limitPair) func(http.Handler) http.Handler {
	learners, strangers := s.counter(pair.learner), s.counter(pair.address)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if v := visitorOf(r.Context()); v.known {
				if learners.RespondOnLimit(w, r, v.owner) {
					return
				}
			} else if strangers.RespondOnLimit(w, r, addressKey(r)) {
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// limitByAddress counts every request by address.
func (s *server) limitByAddress(counter *httprate.RateLimiter) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !counter.RespondOnLimit(w, r, addressKey(r)) {
				next.ServeHTTP(w, r)
			}
		})
	}
}

// stray answers what there is nothing for, as often as one address may ask for that.
func (s *server) stray(h handler) http.HandlerFunc {
	answer := s.handle(h)
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.strays.RespondOnLimit(w, r, addressKey(r)) {
			answer(w, r)
		}
	}
}

func (s *server) counter(rate rate) *httprate.RateLimiter {
	return httprate.NewRateLimiter(rate.requests, rate.window,
		httprate.WithResponseHeaders(httprate.ResponseHeaders{RetryAfter: "Retry-After"}),
		httprate.WithLimitHandler(s.handle(func(w http.ResponseWriter, r *http.Request) error {
			return refuse(http.StatusTooManyRequests, "That was too often in a short time. Wait %.0f seconds, then try again.", rate.window.Seconds())
		})))
}

// addressKey is what the client's address is counted under: of IPv6 the network, for
// one machine there has as many addresses as it likes.
func addressKey(r *http.Request) string {
	return httprate.CanonicalizeIP(clientOf(r).addr.String())
}
