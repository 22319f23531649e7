package web

import "net/http"

// explainFlow tells why the flow of the query is as it is expected to be under the
// policies in force.
func (s *server) explainFlow(w http.ResponseWriter, r *http.Request) error {
	snapshot, err := s.sandboxOf(r)
	if err != nil {
		return err
	}
	baseline, err := s.Sandboxes.Baseline(snapshot.ID)
	if err != nil {
		return err
	}
	why, err := baseline.Why(r.URL.Query().Get("flow"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, why)
}
