package web

import (
	"net/http"
	"net/url"
	"time"

	"github.com/netpol-lab/netpol-lab/web/views"
)

// schemeCookie keeps whether a browser's pages are light or dark; without it, that is the
// system's choice. It is a cookie, and not the script's to keep, so that a page comes in
// its colours at once, and without scripts as well.
const schemeCookie = "netpol-lab-scheme"

// schemeOf is the browser's choice, "light" or "dark"; empty where there is none.
func schemeOf(r *http.Request) string {
	c, err := r.Cookie(schemeCookie)
	if err != nil || !views.IsScheme(c.Value) {
		return ""
	}
	return c.Value
}

// chooseScheme keeps the choice and goes back to the page that it was made on.
func (s *server) chooseScheme(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(w, r, maxFormBytes); err != nil {
		return err
	}
	cookie := &http.Cookie{Name: schemeCookie, Value: r.PostForm.Get("scheme"), Path: "/", MaxAge: int((365 * 24 * time.Hour).Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: clientOf(r).encrypted}
	switch {
	case cookie.Value == "":
		cookie.MaxAge = -1
	case !views.IsScheme(cookie.Value):
		return refuse(http.StatusUnprocessableEntity, "There is no such choice of colours. There are light, dark, and the system's.")
	}
	http.SetCookie(w, cookie)
	if !wantsHTML(r) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	back := "/"
	// Only a page of the lab's own is gone back to.
	if from, err := url.Parse(r.Referer()); err == nil && from.Host == r.Host && from.Path != "" {
		back = (&url.URL{Path: from.Path, RawQuery: from.RawQuery}).String()
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
	return nil
}
