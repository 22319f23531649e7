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
)

// policyText is a [sandbox.AppliedPolicy] whose text is told.
type policyText struct {
	sandbox.PolicyRef
	YAML string `json:"yaml"`
}

func policyTexts(policies []sandbox.AppliedPolicy) []policyText {
	texts := make([]policyText, len(policies))
	for i, p := range policies {
		texts[i] = policyText(p)
	}
	return texts
}

// policiesInForce are the policies with their texts, which events leave out, and the
// number of the change that they come of.
type policiesInForce struct {
	Change   int64        `json:"change"`
	Policies []policyText `json:"policies"`
}

func (s *server) listPolicies(w http.ResponseWriter, r *http.Request) error {
	snapshot, err := s.sandboxOf(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, policiesInForce{snapshot.PoliciesChange, policyTexts(snapshot.Policies)})
}

// policiesChanged is what a change has come to, with the texts of all that is in force
// after it.
type policiesChanged struct {
	sandbox.PolicyChange
	Policies []policyText `json:"policies"`
	// SetAside is what was no NetworkPolicy in what was sent.
	SetAside []SetAside `json:"setAside"`
}

func changedTo(c sandbox.PolicyChange) policiesChanged {
	return policiesChanged{c, policyTexts(c.Policies), setAside(c.SetAside)}
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

// applyPoliciesForm takes YAML as the form's field yaml. What is wrong with it
// is shown on the lab's page, with the text kept.
func (s *server) applyPoliciesForm(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.sandboxOf(r); err != nil {
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
	_, err := s.apply(r, []byte(src))
	return s.afterForm(w, r, src, err)
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

// deletePoliciesForm deletes the policy "namespace/name" of the field policy,
// or all where there is no such field.
func (s *server) deletePoliciesForm(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(w, r, maxFormBytes); err != nil {
		return err
	}
	var refs []sandbox.PolicyRef
	if r.PostForm.Has("policy") {
		namespace, name, ok := strings.Cut(r.PostForm.Get("policy"), "/")
		if !ok || namespace == "" || name == "" {
			return refuse(http.StatusUnprocessableEntity, "%q is not a policy's name: want namespace/name.", r.PostForm.Get("policy"))
		}
		refs = []sandbox.PolicyRef{{Namespace: namespace, Name: name}}
	}
	_, err := s.deleteRefs(r, refs)
	return s.afterForm(w, r, "", err)
}

// deleteRefs deletes the policies, after a look at whether their namespaces are
// the lab's: the rest of the cluster is nothing that a learner can name.
func (s *server) deleteRefs(r *http.Request, refs []sandbox.PolicyRef) (sandbox.PolicyChange, error) {
	snapshot, err := s.sandboxOf(r)
	if err != nil {
		return sandbox.PolicyChange{}, err
	}
	if lesson, err := s.lab(r, snapshot.Lab); err == nil {
		names := lesson.Topology.NamespaceNames()
		for _, ref := range refs {
			if !slices.Contains(names, ref.Namespace) {
				return sandbox.PolicyChange{}, refuse(http.StatusNotFound, "The lab has no namespace %q; it has %s.", ref.Namespace, strings.Join(names, ", "))
			}
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
	input := labInput{yaml: yaml, proof: s.proof(r, at)}
	for _, p := range a.Problems {
		input.problems = append(input.problems, p.String())
	}
	if len(input.problems) == 0 {
		input.problems = []string{a.Error}
	}
	return s.renderLab(w, r, a.status, at, input)
}
