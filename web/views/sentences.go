package views

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// Sentences are what both the server's pages and their script say. `make generate`
// writes them down for the script, so that each stands in one place.
type Sentences struct {
	// States say how a sandbox is, by its state; Simulated has those that are others
	// where nothing is measured.
	States    map[sandbox.State]string `json:"states"`
	Simulated map[sandbox.State]string `json:"simulated"`
	// Words are the same in a word or two, and NoPlace is where no sandbox can be made.
	Words   map[sandbox.State]string `json:"words"`
	NoPlace string                   `json:"noPlace"`
	// Unavailable is for StateNone where no sandbox can be made.
	Unavailable string `json:"unavailable"`
	// Step is said of a creation with a running step; in it stand {index}, {total} and
	// {name}.
	Step string `json:"step"`
	// Place is said of a sandbox that waits, with {place} and {of}; Soon, Minutes and Full
	// say when its turn will come, with {seconds} or {minutes}.
	Place   string `json:"place"`
	Soon    string `json:"soon"`
	Minutes string `json:"minutes"`
	Full    string `json:"full"`
	// Ends is said of a sandbox whose end is near; {when} is "at 18:40" or "in about 12
	// minutes".
	Ends string `json:"ends"`
	// Restart follows on an end whose reason does not say what to press.
	Restart string `json:"restart"`
	// Verdicts are the words for them.
	Verdicts map[probe.Verdict]string `json:"verdicts"`
	// Symbols are what is drawn for them.
	Symbols map[probe.Verdict]string `json:"symbols"`
	// Is says what a flow is, "is open", and Be the same behind "would" or "to".
	Is map[probe.Verdict]string `json:"is"`
	Be map[probe.Verdict]string `json:"be"`
	// ByIP and ByName say how a source finds its destination; Question is a question to
	// the cluster's DNS, which is found by nothing.
	ByIP     string `json:"byIP"`
	ByName   string `json:"byName"`
	Question string `json:"question"`
	// Insert is on the buttons that put a text into the workspace.
	Insert string `json:"insert"`
	// Instead asks before a sandbox of another lab is stopped, and InsteadButton agrees.
	Instead       string `json:"instead"`
	InsteadButton string `json:"insteadButton"`
}

// Said are the sentences.
var Said = Sentences{
	States: map[sandbox.State]string{
		StateNone:        "You have no sandbox yet. Press Start to get a cluster of your own.",
		sandbox.Queued:   "Your sandbox waits for its turn. It starts by itself; read on meanwhile.",
		sandbox.Creating: "Your sandbox is being made.",
		sandbox.Ready:    "Your sandbox is ready: every cell of the matrix is measured in it.",
		sandbox.Paused:   "Your sandbox was asleep, for nobody looked at it for a while, and wakes up now. Its policies are in force as before.",
		sandbox.Stopping: "Your sandbox is being stopped.",
		sandbox.Stopped:  "Your sandbox has stopped.",
		sandbox.Failed:   "Your sandbox has failed.",
	},
	Simulated: map[sandbox.State]string{
		StateNone:     "You have no sandbox yet. Press Start to get a simulated cluster of your own.",
		sandbox.Ready: "Your sandbox is ready: every cell of the matrix is worked out by simulation.",
	},
	Words: map[sandbox.State]string{
		StateNone:        "No cluster yet",
		sandbox.Queued:   "Waiting",
		sandbox.Creating: "Starting",
		sandbox.Ready:    "Ready",
		sandbox.Paused:   "Asleep",
		sandbox.Stopping: "Stopping",
		sandbox.Stopped:  "Stopped",
		sandbox.Failed:   "Failed",
	},
	NoPlace:     "Not available",
	Unavailable: "You have no sandbox.",
	Step:        "Your sandbox is being made, step {index} of {total}: {name}.",
	Place:       "Your sandbox waits for its turn: it is number {place} of {of}.",
	Soon:        "That will probably take {seconds} seconds; it starts by itself, so read on meanwhile.",
	Minutes:     "That will probably take {minutes} minutes; it starts by itself, so read on meanwhile.",
	Full:        "All sandboxes are in use, so somebody else has to stop first; it starts by itself, so read on meanwhile.",
	Ends:        "This sandbox ends {when}. Your policies stay in the workspace as drafts.",
	Restart:     "Press Start for a new one; your policies stay in the workspace as drafts.",
	Verdicts:    verdicts(func(m VerdictMark) string { return m.Word }),
	Is: map[probe.Verdict]string{
		probe.Open:      "is open",
		probe.Blocked:   "is blocked",
		probe.Refused:   "is refused",
		probe.DNSFailed: "fails at DNS",
		probe.Unknown:   "is unknown",
		NotKnown:        "is not known yet",
	},
	Be: map[probe.Verdict]string{
		probe.Open:      "be open",
		probe.Blocked:   "be blocked",
		probe.Refused:   "be refused",
		probe.DNSFailed: "fail at DNS",
		probe.Unknown:   "be unknown",
		NotKnown:        "be unknown",
	},
	Symbols:       verdicts(func(m VerdictMark) string { return m.Symbol }),
	ByIP:          "by IP",
	ByName:        "by name",
	Question:      "question",
	Insert:        "Put into the workspace",
	Instead:       "Stop your other sandbox?",
	InsteadButton: "Stop it and start here",
}

func verdicts(of func(VerdictMark) string) map[probe.Verdict]string {
	all := map[probe.Verdict]string{}
	for _, m := range VerdictMarks {
		all[m.Verdict] = of(m)
	}
	return all
}

// state says how the sandbox is, with the reason for it.
func (s Sentences) state(of sandbox.Snapshot, simulated, unavailable bool) string {
	sentence, ok := s.Simulated[of.State]
	if !ok || !simulated {
		sentence = s.States[of.State]
	}
	switch of.State {
	case StateNone:
		if unavailable {
			return s.Unavailable
		}
	case sandbox.Queued:
		if w := of.Waiting; w != nil {
			return s.waiting(*w)
		}
	case sandbox.Creating:
		for _, step := range of.Steps {
			if step.Status == sandbox.StepRunning {
				return strings.NewReplacer("{index}", strconv.Itoa(step.Index), "{total}", strconv.Itoa(step.Total), "{name}", step.Name).Replace(s.Step)
			}
		}
	case sandbox.Stopping, sandbox.Stopped, sandbox.Failed:
		sentence = strings.TrimSpace(sentence + " " + of.Reason)
		if of.State != sandbox.Stopping && !strings.Contains(of.Reason, "Press ") {
			sentence += " " + s.Restart
		}
	}
	return sentence
}

// waiting says where a sandbox stands in the queue. What will take long is told in
// minutes, for it is not known to the second.
func (s Sentences) waiting(w sandbox.Waiting) string {
	when := ""
	switch {
	case w.Full:
		when = s.Full
	case w.Seconds > 90:
		when = s.Minutes
	case w.Seconds > 0:
		when = s.Soon
	}
	return strings.TrimSpace(strings.NewReplacer("{place}", strconv.Itoa(w.Place), "{of}", strconv.Itoa(w.Of),
		"{seconds}", strconv.Itoa(w.Seconds), "{minutes}", strconv.Itoa((w.Seconds+59)/60)).Replace(s.Place + " " + when))
}

// ending says when the sandbox ends, as seen from now; empty where that is not near.
func (s Sentences) ending(e *sandbox.Ending, now time.Time) string {
	if e == nil {
		return ""
	}
	when := "in about a minute"
	if n := int(e.At.Sub(now).Round(time.Minute) / time.Minute); n > 1 {
		when = fmt.Sprintf("in about %d minutes", n)
	}
	return strings.ReplaceAll(s.Ends, "{when}", when)
}
