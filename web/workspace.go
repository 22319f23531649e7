package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/web/views"
)

func policyFiles(policies []sandbox.AppliedPolicy) []sandbox.PolicyFile {
	files := make([]sandbox.PolicyFile, len(policies))
	for i, p := range policies {
		files[i] = sandbox.PolicyFile(p)
	}
	return files
}

// policiesInForce are the policies with their texts, which events leave out, and the
// number of the change that they come of.
type policiesInForce struct {
	Change   int64                `json:"change"`
	Policies []sandbox.PolicyFile `json:"policies"`
}

func (s *server) listPolicies(w http.ResponseWriter, r *http.Request) error {
	snapshot, err := s.sandboxOf(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, policiesInForce{snapshot.PoliciesChange, policyFiles(snapshot.Policies)})
}

// policiesChanged is what a change has come to, with the texts of all that is in force
// after it.
type policiesChanged struct {
	sandbox.PolicyChange
	Policies []sandbox.PolicyFile `json:"policies"`
	// SetAside is what was no NetworkPolicy in what was sent.
	SetAside []SetAside `json:"setAside"`
	// LeftOut says which fields of it only a cluster writes; empty where there is none.
	LeftOut string `json:"leftOut,omitempty"`
}

func changedTo(c sandbox.PolicyChange) policiesChanged {
	return policiesChanged{c, policyFiles(c.Policies), setAside(c.SetAside), leftOut(c.LeftOut)}
}

// applyPolicies takes YAML as the body.
func (s *server) applyPolicies(w http.ResponseWriter, r *http.Request) error {
	// Nobody's text is read who has no sandbox for it.
	if _, err := s.sandboxOf(r); err != nil {
		return err
	}
	src, err := io.ReadAll(http.MaxBytesReader(w, r.Body, policy.MaxBytes))
	if err != nil {
		return tooMuchYAML(err)
	}
	change, err := s.apply(r, src)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, changedTo(change))
}

// applyPoliciesForm makes the policies of the form's field yaml the only ones. Those that
// this deletes have to be named in fields delete; else it asks first. What is wrong with
// the YAML is shown on the lab's page, with the text kept.
func (s *server) applyPoliciesForm(w http.ResponseWriter, r *http.Request) error {
	snapshot, err := s.sandboxOf(r)
	if err != nil {
		return err
	}
	if err := parseForm(w, r, maxPolicyBytes); err != nil {
		return tooMuchYAML(err)
	}
	// Browsers send the lines of a text area with CR LF.
	src := strings.ReplaceAll(r.PostForm.Get("yaml"), "\r\n", "\n")
	if len(src) > policy.MaxBytes {
		return s.afterForm(w, r, src, tooMuchYAML(nil))
	}
	if r.PostForm.Has("back") {
		return s.showForm(w, r, http.StatusOK, labInput{yaml: src, sent: true})
	}
	deleted, err := s.deleted(r, snapshot, src)
	if err != nil {
		return s.afterForm(w, r, src, err)
	}
	agreed := r.PostForm["delete"]
	if slices.ContainsFunc(deleted, func(name string) bool { return !slices.Contains(agreed, name) }) {
		return s.askDelete(w, r, src, deleted)
	}
	base := snapshot.PoliciesChange
	if text := r.PostForm.Get("base"); text != "" {
		if base, err = baseOf(text); err != nil {
			return err
		}
	}
	change, err := s.Sandboxes.Replace(r.Context(), snapshot.ID, sandbox.OriginApply, []byte(src), sandbox.OnTopOf(base))
	if said := notInForce(change); err == nil && len(said) > 0 && wantsHTML(r) {
		// A page that was led to could not say it.
		return s.showForm(w, r, http.StatusOK, labInput{said: said})
	}
	return s.afterForm(w, r, src, err)
}

// notInForce says in sentences what of the change's input has not come into force.
func notInForce(c sandbox.PolicyChange) []string {
	var said []string
	for _, o := range c.SetAside {
		said = append(said, o.Sentence())
	}
	if sentence := leftOut(c.LeftOut); sentence != "" {
		said = append(said, sentence)
	}
	return said
}

// deleted names the policies in force that the YAML does not have.
func (s *server) deleted(r *http.Request, snapshot numberedSnapshot, src string) ([]string, error) {
	var named []policy.Policy
	if strings.TrimSpace(src) != "" {
		lesson, err := s.lab(r, snapshot.Lab)
		if err != nil {
			return nil, err
		}
		done, err := s.grading.take(r.Context(), ownerOf(r.Context()))
		if err != nil {
			return nil, err
		}
		defer done()
		named, _, err = policy.ParseSettingAside(r.Context(), []byte(src), policy.ParseOptions{Namespaces: lesson.Topology.NamespaceNames()})
		if err != nil {
			return nil, err
		}
	}
	var names []string
	for _, p := range snapshot.Policies {
		if !slices.ContainsFunc(named, func(n policy.Policy) bool { return n.Ref() == p.PolicyRef }) {
			names = append(names, p.String())
		}
	}
	return names, nil
}

func (s *server) askDelete(w http.ResponseWriter, r *http.Request, src string, names []string) error {
	if !wantsHTML(r) {
		return refuse(http.StatusConflict, "This deletes %s. Whoever agrees names each in a field delete.", strings.Join(names, ", "))
	}
	ask := views.Delete{Names: names, Action: r.URL.Path, Fields: []views.Field{{Name: "yaml", Value: src}}}
	for _, name := range []string{"lab", "lesson", "quiz", "question", "base"} {
		if r.PostForm.Has(name) {
			ask.Fields = append(ask.Fields, views.Field{Name: name, Value: r.PostForm.Get(name)})
		}
	}
	return render(w, r, http.StatusConflict, views.AskDelete(s.page(r, ask.Question()), ask))
}

// apply applies the YAML, or with the query's field prune makes its policies the only
// ones: kubectl's --prune. With base it does so only where that is the number of the last
// change; else whoever asks would do away with what they have not seen.
func (s *server) apply(r *http.Request, src []byte) (sandbox.PolicyChange, error) {
	snapshot, err := s.sandboxOf(r)
	if err != nil {
		return sandbox.PolicyChange{}, err
	}
	if r.URL.Query().Has("prune") {
		options, err := onTopOf(r)
		if err != nil {
			return sandbox.PolicyChange{}, err
		}
		return s.Sandboxes.Replace(r.Context(), snapshot.ID, sandbox.OriginApply, src, options...)
	}
	return s.Sandboxes.Apply(r.Context(), snapshot.ID, src)
}

// tooMuchYAML is the error of YAML that is longer than the lab takes; another
// error of reading it stays what it is.
func tooMuchYAML(err error) error {
	var tooBig *http.MaxBytesError
	if err != nil && !errors.As(err, &tooBig) {
		return err
	}
	return &statusError{
		status: http.StatusRequestEntityTooLarge, err: err,
		message: fmt.Sprintf("That is too much YAML: the lab takes %d KiB at most. Nothing was applied.", policy.MaxBytes>>10),
	}
}

func (s *server) deletePolicies(w http.ResponseWriter, r *http.Request) error {
	return s.deleteAndTell(w, r, nil)
}

func (s *server) deletePolicy(w http.ResponseWriter, r *http.Request) error {
	return s.deleteAndTell(w, r, []sandbox.PolicyRef{{Namespace: chi.URLParam(r, "namespace"), Name: chi.URLParam(r, "name")}})
}

func (s *server) deleteAndTell(w http.ResponseWriter, r *http.Request, refs []sandbox.PolicyRef) error {
	change, err := s.deleteRefs(r, refs)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, change)
}

// deleteRefs deletes the policies, after a look at whether their namespaces are
// the lab's: the rest of the cluster is nothing that a learner can name.
func (s *server) deleteRefs(r *http.Request, refs []sandbox.PolicyRef) (sandbox.PolicyChange, error) {
	snapshot, err := s.sandboxOf(r)
	if err != nil {
		return sandbox.PolicyChange{}, err
	}
	lesson, err := s.lab(r, snapshot.Lab)
	if err != nil {
		return sandbox.PolicyChange{}, err
	}
	names := lesson.Topology.NamespaceNames()
	for _, ref := range refs {
		if !slices.Contains(names, ref.Namespace) {
			return sandbox.PolicyChange{}, refuse(http.StatusNotFound, "The lab has no namespace %q; it has %s.", ref.Namespace, strings.Join(names, ", "))
		}
	}
	return s.Sandboxes.DeletePolicies(r.Context(), snapshot.ID, refs)
}

// afterForm goes back to the page that the form was on, or shows there what was
// wrong with the YAML.
func (s *server) afterForm(w http.ResponseWriter, r *http.Request, yaml string, err error) error {
	if err == nil {
		return s.back(w, r)
	}
	at := s.placeOf(r)
	if at.lesson == nil || !wantsHTML(r) {
		return err
	}
	a := s.answerTo(r, err)
	s.logFailure(r, a, err)
	input := labInput{yaml: yaml, sent: true}
	for _, p := range a.Problems {
		input.problems = append(input.problems, p.String())
	}
	if len(input.problems) == 0 {
		input.problems = []string{a.Error}
	}
	return s.showForm(w, r, a.status, input)
}

// showForm writes the page that the form was on.
func (s *server) showForm(w http.ResponseWriter, r *http.Request, status int, input labInput) error {
	at := s.placeOf(r)
	if at.lesson == nil {
		return errNoLab
	}
	input.proof = s.proof(r, at)
	return s.renderLab(w, r, status, at, input)
}
