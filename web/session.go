package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"time"
)

// A learner is whoever has the cookie. Its value is random and kept nowhere:
// the rest of the program knows only its hash, the owner.
const (
	sessionCookie = "netpol-lab-session"
	sessionBytes  = 16
	sessionAge    = 30 * 24 * time.Hour
)

type ownerKey struct{}

// ownerOf is the learner that the request comes from.
func ownerOf(ctx context.Context) string {
	owner, _ := ctx.Value(ownerKey{}).(string)
	return owner
}

// session finds out who the learner is, and gives a cookie to one that is new.
func session(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := sessionToken(r)
		if token == "" {
			token = giveSession(w, r)
		}
		sum := sha256.Sum256([]byte(token))
		ctx := context.WithValue(r.Context(), ownerKey{}, hex.EncodeToString(sum[:]))
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// giveSession makes the browser somebody new, and returns the cookie's value.
func giveSession(w http.ResponseWriter, r *http.Request) string {
	b := make([]byte, sessionBytes)
	_, _ = rand.Read(b) // never fails
	token := base64.RawURLEncoding.EncodeToString(b)
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: token, Path: "/", MaxAge: int(sessionAge.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil,
	})
	return token
}

// sessionToken is the cookie's value; empty where there is none that this
// server could have given.
func sessionToken(r *http.Request) string {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return ""
	}
	if b, err := base64.RawURLEncoding.DecodeString(cookie.Value); err != nil || len(b) != sessionBytes {
		return ""
	}
	return cookie.Value
}
