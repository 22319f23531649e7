// Package quizzes reads the quizzes and grades answers to them. Whatever the
// engine of sandbox/policy can decide is computed when a quiz is loaded, so that
// its key cannot be wrong; and every choice has an explanation.
package quizzes

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/netpol-lab/netpol-lab/lessons/markdown"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/picture"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

//go:embed content
var embedded embed.FS

// Content is the quizzes that are part of the binary, for [Load].
func Content() fs.FS {
	sub, err := fs.Sub(embedded, "content")
	if err != nil {
		panic(err) // the folder's name is a constant that was embedded
	}
	return sub
}

// Quiz is a list of questions.
type Quiz struct {
	// Slug names the quiz in addresses.
	Slug  string
	Title string
	// Lesson is the slug of the lesson that the quiz is about.
	Lesson    string
	Questions []Question
	// Version changes with all that a learner sees of the quiz or is graded by,
	// also with the answers that are computed.
	Version string
}

// Kind is how a question is asked and graded.
type Kind string

// The kinds of question.
const (
	// Single has one right choice.
	Single Kind = "single"
	// Multiple has one or more right choices; all of them are wanted, and no other.
	Multiple Kind = "multiple"
	// Flows asks which of the listed flows are open under the policies. Its
	// choices are the flows and [NoFlow]; which are right is computed.
	Flows Kind = "flows"
	// Verdict asks what becomes of one flow under the policies. Its choices are
	// verdicts; which is right is computed.
	Verdict Kind = "verdict"
	// Fix asks for one line of the policies to be written anew. What counts is what
	// the policies then do.
	Fix Kind = "fix"
)

// Question is one question.
type Question struct {
	// ID is unique in the quiz.
	ID   string
	Kind Kind
	// Prompt is the question. It stands in a line, as all other texts of authors do.
	Prompt markdown.Text
	// Topology is what the policies act on; nil where the question has none.
	Topology *sandbox.Topology
	// OwnTopology says that the topology is not the lesson's but the question's
	// own, so that no sandbox has it.
	OwnTopology bool
	// Addresses are those of everything in the topology where the question is
	// about addresses; else none.
	Addresses []Address
	// Policies is YAML, empty where the question has none.
	Policies string
	// Flow is the flow of a [Verdict] question.
	Flow sandbox.Flow
	// Choices are what can be chosen; empty where the kind is [Fix].
	Choices []Choice
	// Fix is set where the kind is Fix.
	Fix *FixTask
	// Asked and Answered are pictures of the flows that the question is about, without
	// and with what becomes of them; nil where it is about none. What they say is said
	// by the other fields too.
	Asked    *picture.Picture `json:"-"`
	Answered *picture.Picture `json:"-"`

	addresses sandbox.Addresses
}

// Address is the address of a pod, a Service or an outside host.
type Address struct {
	Name string
	Addr netip.Addr
}

// NoFlow is the ID of the choice of a [Flows] question that none is open.
const NoFlow = "none"

// Choice is one of a question's possible answers.
type Choice struct {
	// ID is unique in the question. It is the flow's ID where there is a Flow, and
	// the verdict where the question is about one.
	ID string
	// Text is what the choice says; empty where it is a Flow.
	Text    markdown.Text
	Flow    *sandbox.Flow
	Correct bool
	// Verdict is what becomes of the Flow, and Reason why, as the engine says it; of
	// a [Verdict] question only the right choice has them.
	Verdict probe.Verdict
	Reason  string
	// Explanation says why the choice is right or wrong, in the author's words.
	Explanation markdown.Text
}

// FixTask is a line of the question's policies that is to be written anew.
type FixTask struct {
	// Before and After are the lines around it, with their line ends.
	Before, After string
	// Line is its number, from 1, and Fault what stands there.
	Line  int
	Fault string
	// Want are the verdicts that are to come out, in the order they are shown.
	Want []Wanted
	// Solution is a line that does it, and Explanation says why.
	Solution    string
	Explanation markdown.Text
	// Mistakes are lines that do not do it and that a learner may well write.
	Mistakes []Mistake
}

// Wanted is what is to become of a flow.
type Wanted struct {
	Flow sandbox.Flow
	// Open is whether it is to be open; else it must be anything but.
	Open bool
}

// Mistake is a line that does not do what is wanted, with the reason.
type Mistake struct {
	Line        string
	Explanation markdown.Text
}

// Question is the question of that ID.
func (q *Quiz) Question(id string) (Question, bool) {
	i := slices.IndexFunc(q.Questions, func(question Question) bool { return question.ID == id })
	if i < 0 {
		return Question{}, false
	}
	return q.Questions[i], true
}

// Provable says whether the question's policies can be tried out in a sandbox of
// the lesson: they are there, and what they act on is the lesson's topology with
// addresses of its own.
func (q Question) Provable() bool {
	return q.Policies != "" && !q.OwnTopology && len(q.Addresses) == 0
}

// Shuffled is the quiz with its questions and their choices in an order that the
// seed decides. Verdicts stay in their order, and [NoFlow] stays last.
func (q *Quiz) Shuffled(seed uint64) *Quiz {
	random := rand.New(rand.NewPCG(seed, 0))
	out := *q
	out.Questions = slices.Clone(q.Questions)
	for i := range out.Questions {
		question := &out.Questions[i]
		question.Choices = slices.Clone(question.Choices)
		movable := question.Choices
		switch question.Kind {
		case Verdict:
			continue
		case Flows:
			movable = movable[:len(movable)-1]
		}
		random.Shuffle(len(movable), func(a, b int) { movable[a], movable[b] = movable[b], movable[a] })
	}
	random.Shuffle(len(out.Questions), func(a, b int) {
		out.Questions[a], out.Questions[b] = out.Questions[b], out.Questions[a]
	})
	return &out
}

// version is the hash of all that the quiz is.
func (q *Quiz) version() (string, error) {
	b, err := json.Marshal(q)
	if err != nil {
		return "", fmt.Errorf("hash of quiz %s: %w", q.Slug, err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8]), nil
}
