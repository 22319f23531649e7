package web

import (
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/web/views"
)

// listHistory tells every change of the sandbox's policies that is kept; with the query
// as=list as the page has it.
func (s *server) listHistory(w http.ResponseWriter, r *http.Request) error {
	snapshot, err := s.sandboxOf(r)
	if err != nil {
		return err
	}
	history, err := s.Sandboxes.History(snapshot.ID)
	if err != nil {
		return err
	}
	if r.URL.Query().Get("as") == "list" {
		return render(w, r, http.StatusOK, views.HistoryList(views.Lab{Name: snapshot.Lab, Sandbox: snapshot.Snapshot, History: history}))
	}
	return writeJSON(w, http.StatusOK, history)
}

// showPoint tells the policies that were in force after a change, with their texts.
func (s *server) showPoint(w http.ResponseWriter, r *http.Request) error {
	snapshot, err := s.sandboxOf(r)
	if err != nil {
		return err
	}
	change, err := pointOf(r)
	if err != nil {
		return err
	}
	policies, err := s.Sandboxes.PoliciesAt(snapshot.ID, change)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, policiesInForce{change, policyFiles(policies)})
}

// restorePoint makes the policies the only ones that were in force after a change. It
// takes base as [server.apply] does.
func (s *server) restorePoint(w http.ResponseWriter, r *http.Request) error {
	snapshot, err := s.sandboxOf(r)
	if err != nil {
		return err
	}
	point, err := pointOf(r)
	if err != nil {
		return err
	}
	if err := parseForm(w, r, maxFormBytes); err != nil {
		return err
	}
	options, err := onTopOf(r)
	if err != nil {
		return err
	}
	change, err := s.Sandboxes.Restore(r.Context(), snapshot.ID, point, options...)
	if wantsHTML(r) {
		return s.afterForm(w, r, "", err)
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, changedTo(change))
}

func pointOf(r *http.Request) (int64, error) {
	text := chi.URLParam(r, "change")
	change, err := strconv.ParseInt(text, 10, 64)
	if err != nil || change < 0 {
		return 0, refuse(http.StatusNotFound, "%q is not the number of a change.", text)
	}
	return change, nil
}

// onTopOf reads the query's field base, the number of the change that whoever asks has
// seen last.
func onTopOf(r *http.Request) ([]sandbox.ChangeOption, error) {
	query := r.URL.Query()
	if !query.Has("base") {
		return nil, nil
	}
	base, err := baseOf(query.Get("base"))
	return []sandbox.ChangeOption{sandbox.OnTopOf(base)}, err
}

func baseOf(text string) (int64, error) {
	base, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, refuse(http.StatusBadRequest, "base is %q; want the number of a change.", text)
	}
	return base, nil
}
