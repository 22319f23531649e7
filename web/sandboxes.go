package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/web/views"
)

// Sandboxes are the learners' sandboxes; [sandbox.Manager] is them. An owner is
// a learner. Whoever has an ID may do everything with the sandbox: that it is
// the learner's to use is for [server.sandboxOf] to find out. Snapshots come with
// the number of the last event in them.
type Sandboxes interface {
	// Surveyed reports whether it is known what an earlier run has left: until then nobody
	// is given a sandbox.
	Surveyed() bool
	// Provider is the name of what makes the sandboxes, "kind" or sandbox.Simulated.
	Provider() string
	// Available fails with sandbox.ErrUnavailable where no sandbox can be made
	// now. It answers at once.
	Available() error
	// Create returns the owner's live sandbox of the lab, or begins a new one. Those who
	// ask from one address share what there is with those who ask from others.
	Create(owner, address string, lab *sandbox.Topology) (sandbox.Snapshot, int64, error)
	// ByOwner returns the owner's newest sandbox, also one that has failed.
	ByOwner(owner string) (sandbox.Snapshot, int64, bool)
	Get(id sandbox.ID) (sandbox.Snapshot, int64, error)
	// Addresses are those of the sandbox's cluster.
	Addresses(id sandbox.ID) (sandbox.Addresses, error)
	// Baseline is what a draft for the sandbox, which must be ready, is compared with.
	Baseline(id sandbox.ID) (*sandbox.Baseline, error)
	// Apply applies all policies in the YAML or none. A *policy.Error says what
	// is wrong with it.
	Apply(ctx context.Context, id sandbox.ID, src []byte) (sandbox.PolicyChange, error)
	// Replace makes the policies of the YAML, which may be none, the only ones. With
	// sandbox.OnTopOf a *sandbox.OutdatedError says that it is not the one to do so.
	Replace(ctx context.Context, id sandbox.ID, origin sandbox.Origin, src []byte, options ...sandbox.ChangeOption) (sandbox.PolicyChange, error)
	// DeletePolicies deletes the named policies, or all where refs is nil.
	DeletePolicies(ctx context.Context, id sandbox.ID, refs []sandbox.PolicyRef) (sandbox.PolicyChange, error)
	// History tells what has become of the sandbox's policies, PoliciesAt what was in
	// force after a change, and Restore makes that the only policies again, as Replace
	// does.
	History(id sandbox.ID) (sandbox.History, error)
	PoliciesAt(id sandbox.ID, change int64) ([]sandbox.AppliedPolicy, error)
	Restore(ctx context.Context, id sandbox.ID, change int64, options ...sandbox.ChangeOption) (sandbox.PolicyChange, error)
	// Reset throws the cluster away and begins a fresh one, under a new ID.
	Reset(id sandbox.ID, address string) (sandbox.Snapshot, int64, error)
	// Extend puts off the sandbox's end.
	Extend(id sandbox.ID) (sandbox.Ending, error)
	// Wake wakes the sandbox where it is paused. It does not wait until it is awake.
	Wake(id sandbox.ID) error
	Stop(id sandbox.ID) error
	// StopOwner stops the sandbox of an owner who will not come back, if there is one.
	StopOwner(owner string) error
	// Subscribe reads the sandbox's events after the given number.
	Subscribe(id sandbox.ID, after int64, options ...sandbox.SubscribeOption) (*sandbox.Subscription, error)
	// Terminal opens the sandbox's terminal, and takes it from whoever has it open.
	Terminal(ctx context.Context, id sandbox.ID, size sandbox.TerminalSize) (*sandbox.TerminalView, error)
}

// A form's text may be three times as long as what it encodes.
const (
	maxFormBytes   = 64 << 10
	maxPolicyBytes = 3*policy.MaxBytes + maxFormBytes
)

// numberedSnapshot is how a sandbox is told in JSON.
type numberedSnapshot struct {
	sandbox.Snapshot
	Seq int64 `json:"seq"`
}

// sandboxOf is the sandbox that the request's address names. It alone decides who
// may do what with a sandbox: its owner may do everything, and to all others it is
// as if it were not there.
func (s *server) sandboxOf(r *http.Request) (numberedSnapshot, error) {
	id := sandbox.ID(chi.URLParam(r, "id"))
	snapshot, seq, err := s.Sandboxes.Get(id)
	if err == nil {
		isAbout(r.Context(), id)
	}
	if err == nil && snapshot.Owner != ownerOf(r.Context()) {
		err = fmt.Errorf("sandbox %s of somebody else: %w", id, sandbox.ErrNotFound)
	}
	if err != nil {
		return numberedSnapshot{}, err
	}
	return numberedSnapshot{snapshot, seq}, nil
}

func (s *server) getSandbox(w http.ResponseWriter, r *http.Request) error {
	snapshot, err := s.sandboxOf(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, snapshot)
}

// createSandbox takes {"lab": "…"} as JSON or a form with the field lab. Where that ends
// the learner's sandbox of another lab, the field instead has to name that one: else it
// asks first.
func (s *server) createSandbox(w http.ResponseWriter, r *http.Request) error {
	var lab, instead string
	switch contentType(r) {
	case "application/json":
		var body struct {
			Lab     string `json:"lab"`
			Instead string `json:"instead"`
		}
		if err := readJSON(w, r, maxFormBytes, &body); err != nil {
			return err
		}
		lab, instead = body.Lab, body.Instead
	case "application/x-www-form-urlencoded", "multipart/form-data":
		if err := parseForm(w, r, maxFormBytes); err != nil {
			return err
		}
		lab, instead = r.PostForm.Get("lab"), r.PostForm.Get("instead")
	default:
		return refuse(http.StatusUnsupportedMediaType, `Send a form, or JSON such as {"lab": %q} as application/json.`, s.Lessons[0].Topology.Name)
	}
	lesson, err := s.lab(r, lab)
	if errors.Is(err, errNoLab) {
		return refuse(http.StatusUnprocessableEntity, "There is no lab %q. The front page lists the lessons; each has one.", lab)
	} else if err != nil {
		return err
	}
	if other, ok := s.otherLab(r, lab); ok && string(other.ID) != instead {
		return s.askInstead(w, r, other)
	}
	return s.begin(w, r, func() (sandbox.Snapshot, int64, error) {
		return s.Sandboxes.Create(ownerOf(r.Context()), addressKey(r), lesson.Topology)
	})
}

// otherLab is the learner's sandbox of another lab, as long as there is something to
// lose in it.
func (s *server) otherLab(r *http.Request, lab string) (sandbox.Snapshot, bool) {
	snapshot, _, ok := s.Sandboxes.ByOwner(ownerOf(r.Context()))
	switch snapshot.State {
	case sandbox.Queued, sandbox.Creating, sandbox.Ready, sandbox.Paused:
		return snapshot, ok && snapshot.Lab != lab
	}
	return snapshot, false
}

// readyOf is the learner's sandbox of the lab, where they have one that is ready, or is
// only asleep.
func (s *server) readyOf(r *http.Request, lab *sandbox.Topology) (sandbox.Snapshot, bool) {
	snapshot, _, ok := s.Sandboxes.ByOwner(ownerOf(r.Context()))
	return snapshot, ok && snapshot.Lab == lab.Name && (snapshot.State == sandbox.Ready || snapshot.State == sandbox.Paused)
}

// labTitle is how a lab is called: by the lesson that has it.
func (s *server) labTitle(r *http.Request, lab string) string {
	lesson, err := s.lab(r, lab)
	if err != nil {
		return "another lesson"
	}
	return lesson.Title
}

// askInstead asks whether the other lab's sandbox may be stopped.
func (s *server) askInstead(w http.ResponseWriter, r *http.Request, other sandbox.Snapshot) error {
	ask := views.Instead{ID: string(other.ID), Title: s.labTitle(r, other.Lab), Policies: len(other.Policies), BackURL: s.placeOf(r).url()}
	if !wantsHTML(r) {
		return writeJSON(w, http.StatusConflict, struct {
			answer
			// Instead is the sandbox to name in the request that is sent again.
			Instead string `json:"instead"`
		}{answer{Error: ask.Explanation()}, ask.ID})
	}
	for _, name := range []string{"lab", "lesson", "quiz", "question"} {
		if r.PostForm.Has(name) {
			ask.Fields = append(ask.Fields, views.Field{Name: name, Value: r.PostForm.Get(name)})
		}
	}
	return render(w, r, http.StatusConflict, views.AskInstead(s.page(r, views.Said.Instead), ask))
}

func (s *server) resetSandbox(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(w, r, maxFormBytes); err != nil {
		return err
	}
	old, err := s.sandboxOf(r)
	if err != nil {
		return err
	}
	return s.begin(w, r, func() (sandbox.Snapshot, int64, error) { return s.Sandboxes.Reset(old.ID, addressKey(r)) })
}

// begin makes a new sandbox, unless none can be made here, and tells of it.
func (s *server) begin(w http.ResponseWriter, r *http.Request, create func() (sandbox.Snapshot, int64, error)) error {
	if err := s.Sandboxes.Available(); err != nil {
		return err
	}
	snapshot, seq, err := create()
	if err != nil {
		return err
	}
	isAbout(r.Context(), snapshot.ID)
	if wantsHTML(r) {
		return s.back(w, r)
	}
	w.Header().Set("Location", "/sandboxes/"+string(snapshot.ID))
	return writeJSON(w, http.StatusAccepted, numberedSnapshot{snapshot, seq})
}

// extendSandbox keeps the sandbox longer than one may be kept.
func (s *server) extendSandbox(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(w, r, maxFormBytes); err != nil {
		return err
	}
	snapshot, err := s.sandboxOf(r)
	if err != nil {
		return err
	}
	ending, err := s.Sandboxes.Extend(snapshot.ID)
	switch {
	case err != nil:
		return err
	case wantsHTML(r):
		return s.back(w, r)
	}
	return writeJSON(w, http.StatusOK, ending)
}

// stopSandbox begins to end a sandbox; its events tell when that is done.
func (s *server) stopSandbox(w http.ResponseWriter, r *http.Request) error {
	if err := s.stopOf(r); err != nil {
		return err
	}
	return write(w, http.StatusAccepted, nil)
}

func (s *server) stopSandboxForm(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(w, r, maxFormBytes); err != nil {
		return err
	}
	if err := s.stopOf(r); err != nil {
		return err
	}
	return s.back(w, r)
}

func (s *server) stopOf(r *http.Request) error {
	snapshot, err := s.sandboxOf(r)
	if err != nil {
		return err
	}
	return s.Sandboxes.Stop(snapshot.ID)
}

// back sends the browser to the page that the form was on; to the workbench with the
// policies of a quiz's question, where these were tried out. The address is made of
// what the form's fields name, never of what they say.
func (s *server) back(w http.ResponseWriter, r *http.Request) error {
	at := s.placeOf(r)
	url := at.url()
	if proof := s.proof(r, at); proof != nil {
		url = proof.URL() + "#lab"
	}
	http.Redirect(w, r, url, http.StatusSeeOther)
	return nil
}

func contentType(r *http.Request) string {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return mediaType
}

// parseForm reads a form of at most limit bytes into r.PostForm.
func parseForm(w http.ResponseWriter, r *http.Request, limit int64) error {
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	err := r.ParseForm()
	if contentType(r) == "multipart/form-data" {
		err = r.ParseMultipartForm(limit)
	}
	var tooBig *http.MaxBytesError
	if err != nil && !errors.As(err, &tooBig) {
		return &statusError{status: http.StatusBadRequest, message: "The form could not be read.", err: err}
	}
	return err
}

// readJSON reads one JSON value of the body, which has so many bytes at most, without
// unknown fields.
func readJSON(w http.ResponseWriter, r *http.Request, most int64, v any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, most))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(v)
	if err == nil && decoder.More() {
		err = errors.New("there is more than one value")
	}
	var tooBig *http.MaxBytesError
	if err != nil && !errors.As(err, &tooBig) {
		return &statusError{status: http.StatusBadRequest, message: "The JSON could not be read: " + err.Error() + ".", err: err}
	}
	return err
}
