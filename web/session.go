package web

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A learner is whoever has the cookie. Its value begins with a token that is random and
// kept nowhere: the rest of the program knows only its hash, the owner. Behind the token
// stand the day on which the cookie was given and this process's seal on both: only who
// has been here is counted by learner, see [server.limit]. A token without a seal, such
// as every one after a restart, is a learner all the same, and gets a new cookie.
const (
	sessionCookie = "netpol-lab-session"
	// secureCookie is the cookie's name where the connection is encrypted: browsers
	// take that name from nobody but the very host.
	secureCookie = "__Host-" + sessionCookie
	tokenBytes   = 16
	// sessionAge is how long a cookie lives from its learner's last visit, which is
	// told from another by its day.
	sessionAge = 30 * 24 * time.Hour
)

// visitor is whom a request comes from.
type visitor struct {
	// owner is the learner.
	owner string
	// known says that this process has given the learner the cookie.
	known bool
	// unnamed says that there was no cookie: the learner was made for this request.
	unnamed bool
	// token is the cookie's; day is when it was given, if known.
	token string
	day   int64
}

type visitorKey struct{}

func visitorOf(ctx context.Context) visitor {
	v, _ := ctx.Value(visitorKey{}).(visitor)
	return v
}

// ownerOf is the learner that the request comes from.
func ownerOf(ctx context.Context) string { return visitorOf(ctx).owner }

// session finds out who the learner is. One without a cookie is somebody new.
func (s *server) session(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := s.readSession(r)
		if v.token == "" {
			v.token, v.unnamed = newToken(), true
		}
		sum := sha256.Sum256([]byte(v.token))
		v.owner = hex.EncodeToString(sum[:])
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitorKey{}, v)))
	})
}

// keptNewcomers is how many of the learners whom this process has met, and who came with a
// cookie of another, are remembered, so that nobody is counted twice who sends several
// requests before the new cookie.
const keptNewcomers = 10_000

// isMet counts by address a learner whom this process has not met. Where that were too
// many, it has answered, and says false.
func (s *server) isMet(w http.ResponseWriter, r *http.Request, v visitor) bool {
	if v.unnamed {
		return !s.newcomers.RespondOnLimit(w, r, addressKey(r))
	}
	_, err := s.met.get(v.owner, 1, func() (struct{}, error) {
		if s.newcomers.RespondOnLimit(w, r, addressKey(r)) {
			return struct{}{}, errTooManyNewcomers
		}
		return struct{}{}, nil
	})
	return err == nil
}

var errTooManyNewcomers = errors.New("too many new learners at this address")

// renew gives a cookie to a learner who has none of this process and today.
func (s *server) renew(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		v := visitorOf(r.Context())
		if !v.known && !s.isMet(w, r, v) {
			return
		}
		if !v.known || v.day != dayOf(now) {
			s.giveSession(w, r, v.token, now)
			if err := s.Progress.Seen(r.Context(), v.owner, now); err != nil {
				s.log(r.Context()).Log(r.Context(), levelOf(err), "a visit is not kept", "error", err)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// giveSession gives the browser the cookie of the learner with the token.
func (s *server) giveSession(w http.ResponseWriter, r *http.Request, token string, now time.Time) {
	name, secure := cookieName(r)
	day := strconv.FormatInt(dayOf(now), 10)
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: token + "." + day + "." + s.seal(token, day), Path: "/", MaxAge: int(sessionAge.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure,
	})
}

func cookieName(r *http.Request) (name string, secure bool) {
	if clientOf(r).encrypted {
		return secureCookie, true
	}
	return sessionCookie, false
}

// readSession reads the cookie. The token is empty where there is none that could be a
// learner's.
func (s *server) readSession(r *http.Request) (v visitor) {
	name, _ := cookieName(r)
	cookie, err := r.Cookie(name)
	if err != nil {
		return v
	}
	token, rest, _ := strings.Cut(cookie.Value, ".")
	if b, err := base64.RawURLEncoding.DecodeString(token); err != nil || len(b) != tokenBytes {
		return v
	}
	v.token = token
	day, seal, _ := strings.Cut(rest, ".")
	if hmac.Equal([]byte(seal), []byte(s.seal(token, day))) {
		v.day, err = strconv.ParseInt(day, 10, 64)
		v.known = err == nil
	}
	return v
}

// seal is what only this process can write behind a token and a day.
func (s *server) seal(token, day string) string {
	mac := hmac.New(sha256.New, s.sealKey)
	_, _ = mac.Write([]byte(token + "." + day)) // never fails
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

func newToken() string {
	b := make([]byte, tokenBytes)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// dayOf is the day's number since 1970, in UTC.
func dayOf(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }
