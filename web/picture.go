package web

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/netpol-lab/netpol-lab/sandbox/picture"
)

// showPicture draws the lab's topology, for the page's script to make live. The page
// loads it only where a learner wants to see it.
func (s *server) showPicture(w http.ResponseWriter, r *http.Request) error {
	lesson, err := s.lab(r, chi.URLParam(r, "lab"))
	if err != nil {
		return err
	}
	writeTagged(w, r, "image/svg+xml", []byte(picture.Lab(lesson.Topology)))
	return nil
}
