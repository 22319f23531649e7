package views

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/netpol-lab/netpol-lab/lessons/markdown"
	"github.com/netpol-lab/netpol-lab/sandbox"
)

// StateNone is a lab's state where the learner has no sandbox.
const StateNone sandbox.State = "none"

// Lab is the part of a page that shows a sandbox.
type Lab struct {
	// Name is the topology's name.
	Name string
	// Lesson is the slug of the lesson whose page the forms come back to; empty in the
	// workbench.
	Lesson string
	// Simulated is that of the page.
	Simulated bool
	// Sandbox is the learner's sandbox of this lab; with State StateNone where
	// there is none.
	Sandbox sandbox.Snapshot
	// Seq is the number of the last event that Sandbox includes.
	Seq int64
	// History is what has become of the sandbox's policies.
	History sandbox.History
	// Other is the title of the lesson that the learner has a sandbox of, where that is
	// another lab's; empty where there is none.
	Other string
	// Unavailable says why no sandbox can be made, empty where one can.
	Unavailable string
	// YAML is what stands in the text area: all policies of the workspace.
	YAML string
	// Given says that the page was asked for with this YAML, so that it comes
	// before a draft that the browser keeps.
	Given bool
	// Problems says what was wrong with it.
	Problems []string
	// Refresh is the address that a page without its script loads anew, for it will look
	// different soon and cannot tell; empty where it will not.
	Refresh string
	// Said is what there is to say of an Apply that has gone well.
	Said []string
	// Proof is the quiz's question whose policies the page was opened with; nil where
	// there is none.
	Proof  *Proof
	Matrix Matrix
}

// Proof is a quiz's question whose policies are tried out in the workbench.
type Proof struct {
	// Quiz is the quiz's slug, Title its title.
	Quiz, Title string
	// Question is the question's ID, Prompt its text.
	Question string
	Prompt   markdown.Text
}

// URL is the address of the workbench with the question's policies.
func (p Proof) URL() string {
	return "/workbench?" + url.Values{"quiz": {p.Quiz}, "question": {p.Question}}.Encode()
}

// Status says in one or two sentences how the sandbox is.
func (l Lab) Status() string {
	if n := l.Sandbox.Notice; n != nil {
		return l.stateSentence() + " " + n.Message
	}
	return l.stateSentence()
}

func (l Lab) stateSentence() string {
	return Said.state(l.Sandbox, l.Simulated, l.Unavailable != "")
}

// Word says in a word or two how the sandbox is.
func (l Lab) Word() string {
	if l.Unavailable != "" && l.Sandbox.State == StateNone {
		return Said.NoPlace
	}
	return Said.Words[l.Sandbox.State]
}

// CanStart says whether the Start button is shown.
func (l Lab) CanStart() bool {
	switch l.Sandbox.State {
	case StateNone, sandbox.Stopped, sandbox.Failed:
		return l.Unavailable == ""
	}
	return false
}

// CanReset says whether the Reset button is shown.
func (l Lab) CanReset() bool {
	return l.Sandbox.State == sandbox.Ready || l.Sandbox.State == sandbox.Paused || l.Sandbox.State == sandbox.Failed
}

// CanStop says whether the Stop button is shown.
func (l Lab) CanStop() bool {
	switch l.Sandbox.State {
	case sandbox.Queued, sandbox.Creating, sandbox.Ready, sandbox.Paused:
		return true
	}
	return false
}

// action is the address of one of the sandbox's forms. Without a sandbox, the
// forms are hidden or answered with what to do first.
func (l Lab) action(what string) string {
	id := string(l.Sandbox.ID)
	if id == "" {
		id = "none"
	}
	return "/sandboxes/" + id + "/" + what
}

// elapsed is how long a step took, empty while it is not over.
func elapsed(s sandbox.Step) string {
	if s.ElapsedMillis == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f s", float64(s.ElapsedMillis)/1000)
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func (l Lab) applied() string {
	if len(l.Said) == 0 {
		return ""
	}
	return "Applied. " + strings.Join(l.Said, " ")
}
