package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// History is what has become of a sandbox's policies, as far back as it is kept.
type History struct {
	// From is the oldest point that can be gone back to: what was in force after the
	// change of that number. 0 is what was there before the first change.
	From int64 `json:"from"`
	// Entries are the changes after that, the oldest first. One that changed nothing is
	// left out.
	Entries []Entry `json:"entries"`
}

// Entry is one change of a sandbox's policies.
type Entry struct {
	PolicyChange
	Time time.Time `json:"time"`
	// Settled says that every flow was measured after the change and before the next;
	// Flips are then those that ended at another verdict than they had before.
	Settled bool   `json:"settled"`
	Flips   []Flip `json:"flips,omitempty"`
}

// Flip is a flow that a change has given another verdict, or would.
type Flip struct {
	Flow string        `json:"flow"`
	From probe.Verdict `json:"from"`
	To   probe.Verdict `json:"to"`
}

// ErrNoPoint: the sandbox's history does not go back to that change, or there was none.
var ErrNoPoint = errors.New("the history has no such point")

const (
	// historySize is how many changes are kept, and historyBytes about how much they may
	// take, with what was in force before the oldest. The newest is kept in any case.
	historySize  = 50
	historyBytes = 160 << 10
	// historyMerges is how long after one change of the cluster's the next is taken for
	// the same: a script makes many.
	historyMerges = 2 * time.Second
)

// history is the log of a sandbox's changes. Each entry has only what it changed, so
// that a text which stays is kept once; what was in force at some point is worked out
// from the oldest on. Whoever holds feed.mu may use it.
type history struct {
	from    int64
	base    []AppliedPolicy // in force after the change from
	entries []historic
	// before are the verdicts from before the newest entry, by the flow's place in the
	// topology's order; nil where they are not known, for the server was started since.
	before []verdictCode
	// begun is the change that was predicted last.
	begun begun
	// version counts what has changed, for whoever writes it down.
	version int64
}

// historic is an entry. As JSON it outlives the process.
type historic struct {
	Change  int64
	Time    time.Time
	Origin  Origin
	Added   []PolicyFile   `json:",omitempty"`
	Changed []PolicyFile   `json:",omitempty"`
	Removed []PolicyRef    `json:",omitempty"`
	Settled bool           `json:",omitempty"`
	Flips   []historicFlip `json:",omitempty"`
}

// historicFlip has the flow's place in the topology's order in its upper half, and the
// two verdicts in the lower.
type historicFlip uint32

// verdictCode is a verdict's place in verdictCodes.
type verdictCode uint8

var verdictCodes = []probe.Verdict{"", probe.Unknown, probe.Open, probe.Refused, probe.Blocked, probe.DNSFailed}

func codeOf(v probe.Verdict) verdictCode { return verdictCode(max(0, slices.Index(verdictCodes, v))) }

// begun is a change that has begun and need not be in the log yet: its flows may settle
// before it is told what it has made of the policies.
type begun struct {
	change  int64
	before  []verdictCode
	settled []verdictCode // nil until then
}

// asBegun is the newest change as one that has begun, where it has settled: so it is known
// after a restart what its flows were before.
func (h *history) asBegun(flows int) begun {
	n := len(h.entries)
	if n == 0 || !h.entries[n-1].Settled {
		return begun{}
	}
	b := begun{change: h.entries[n-1].Change, before: make([]verdictCode, flows)}
	for _, f := range h.entries[n-1].Flips {
		b.before[f>>16] = verdictCode(f >> 8)
	}
	return b
}

func (h *history) begin(change int64, now []verdictCode) {
	h.begun = begun{change: change, before: now}
}

// settle notes what the change's flows have come to.
func (h *history) settle(change int64, now []verdictCode) {
	if n := len(h.entries); n > 0 && h.entries[n-1].Change == change {
		if h.before != nil {
			h.entries[n-1].flipped(h.before, now)
			h.version++
			h.trim()
		}
	} else if h.begun.change == change {
		h.begun.settled = now
	}
}

// flipped notes that the entry has settled.
func (e *historic) flipped(before, now []verdictCode) {
	e.Settled, e.Flips = true, nil
	for i, to := range now {
		if from := before[i]; from != to && from != 0 {
			e.Flips = append(e.Flips, historicFlip(i)<<16|historicFlip(from)<<8|historicFlip(to))
		}
	}
}

// add enters a change, which is told, with the policies that are in force after it.
func (h *history) add(told PolicyChange, at time.Time) {
	e := historic{Change: told.Change, Time: at, Origin: told.Origin, Removed: told.Removed}
	before := h.begun.before
	if n := len(h.entries); n > 0 && e.Origin == OriginCluster && h.entries[n-1].Origin == OriginCluster && at.Sub(h.entries[n-1].Time) < historyMerges {
		// The two are one, which began when the first did.
		before = h.before
		h.entries = h.entries[:n-1]
		since := difference(h.at(told.Change), told.Policies)
		told.Added, told.Changed, e.Removed = since.Added, since.Changed, since.Removed
	}
	if len(told.Added)+len(told.Changed)+len(e.Removed) == 0 {
		return
	}
	e.Added, e.Changed = historicOf(told.Policies, told.Added), historicOf(told.Policies, told.Changed)
	h.before = before
	if h.begun.change == e.Change && h.begun.settled != nil && before != nil {
		e.flipped(before, h.begun.settled)
	}
	h.entries = append(h.entries, e)
	h.version++
	h.trim()
}

// historicOf are those of the policies that are named.
func historicOf(all []AppliedPolicy, refs []PolicyRef) []PolicyFile {
	var out []PolicyFile
	for _, p := range all {
		if slices.Contains(refs, p.PolicyRef) {
			out = append(out, PolicyFile(p))
		}
	}
	return out
}

// trim drops the oldest entries where there are too many or they are too long.
func (h *history) trim() {
	size := 0
	for _, p := range h.base {
		size += sizeOf(PolicyFile(p))
	}
	for _, e := range h.entries {
		size += e.size()
	}
	for len(h.entries) > 1 && (len(h.entries) > historySize || size > historyBytes) {
		oldest := h.entries[0]
		size -= oldest.size()
		for _, p := range h.base {
			size -= sizeOf(PolicyFile(p))
		}
		h.base, h.from = oldest.after(h.base), oldest.Change
		for _, p := range h.base {
			size += sizeOf(PolicyFile(p))
		}
		h.entries = slices.Delete(h.entries, 0, 1)
	}
}

// sizeOf and size are about how many bytes something takes in memory.
func sizeOf(p PolicyFile) int { return 64 + len(p.Namespace) + len(p.Name) + len(p.YAML) }

func (e *historic) size() int {
	n := 200 + 4*len(e.Flips) + 100*len(e.Removed)
	for _, p := range e.Added {
		n += sizeOf(p)
	}
	for _, p := range e.Changed {
		n += sizeOf(p)
	}
	return n
}

// after are the policies in force after the change, where those were before.
func (e *historic) after(before []AppliedPolicy) []AppliedPolicy {
	out := make([]AppliedPolicy, 0, len(before)+len(e.Added))
	for _, p := range before {
		if !slices.Contains(e.Removed, p.PolicyRef) {
			out = append(out, p)
		}
	}
	for _, p := range e.Added {
		out = append(out, AppliedPolicy(p))
	}
	for _, p := range e.Changed {
		for i := range out {
			if out[i].PolicyRef == p.PolicyRef {
				out[i] = AppliedPolicy(p)
			}
		}
	}
	slices.SortFunc(out, func(a, b AppliedPolicy) int { return a.PolicyRef.Compare(b.PolicyRef) })
	return out
}

// at are the policies that were in force after the change of that number.
func (h *history) at(change int64) []AppliedPolicy {
	now := h.base
	for _, e := range h.entries {
		if e.Change > change {
			break
		}
		now = e.after(now)
	}
	return now
}

// last is the number of the newest change.
func (h *history) last() int64 {
	if n := len(h.entries); n > 0 {
		return h.entries[n-1].Change
	}
	return h.from
}

// tell is the history for whoever looks at it. order are the flows' IDs.
func (h *history) tell(order []string) History {
	out := History{From: h.from, Entries: []Entry{}}
	refs := func(policies []PolicyFile) []PolicyRef {
		var out []PolicyRef
		for _, p := range policies {
			out = append(out, p.PolicyRef)
		}
		return out
	}
	for _, e := range h.entries {
		told := Entry{
			PolicyChange: PolicyChange{Change: e.Change, Origin: e.Origin, Added: refs(e.Added), Changed: refs(e.Changed), Removed: e.Removed},
			Time:         e.Time, Settled: e.Settled,
		}
		for _, f := range e.Flips {
			told.Flips = append(told.Flips, Flip{Flow: order[f>>16], From: verdictCodes[f>>8&0xff], To: verdictCodes[f&0xff]})
		}
		out.Entries = append(out.Entries, told)
	}
	return out
}

// historyFile is what outlives the process.
type historyFile struct {
	From    int64
	Base    []PolicyFile
	Entries []historic
}

func (h *history) marshal() []byte {
	f := historyFile{From: h.from, Entries: h.entries}
	for _, p := range h.base {
		f.Base = append(f.Base, PolicyFile(p))
	}
	text, err := json.Marshal(f)
	if err != nil {
		panic(err) // Strings, numbers and times: it cannot fail.
	}
	return text
}

// readHistory reads what marshal has written about a sandbox with so many flows.
func readHistory(text []byte, flows int) (history, error) {
	var f historyFile
	if err := json.Unmarshal(text, &f); err != nil {
		return history{}, err
	}
	h := history{from: f.From, entries: f.Entries}
	for _, p := range f.Base {
		h.base = append(h.base, AppliedPolicy(p))
	}
	last := f.From
	for _, e := range f.Entries {
		if e.Change <= last {
			return history{}, fmt.Errorf("change %d comes after change %d", e.Change, last)
		}
		last = e.Change
		for _, flip := range e.Flips {
			if int(flip>>16) >= flows || int(flip>>8&0xff) >= len(verdictCodes) || int(flip&0xff) >= len(verdictCodes) {
				return history{}, fmt.Errorf("change %d has a flip %x that there cannot be", e.Change, flip)
			}
		}
	}
	return h, nil
}

// History tells what has become of the sandbox's policies.
func (m *Manager) History(id ID) (History, error) {
	in, err := m.find(id)
	if err != nil {
		return History{}, err
	}
	return in.feed.told(), nil
}

func (f *feed) told() History {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.history.tell(f.order)
}

// PoliciesAt are the policies that were in force after the change of that number; 0
// stands for those before the first. It fails with [ErrNoPoint] where the history does
// not go back so far.
func (m *Manager) PoliciesAt(id ID, change int64) ([]AppliedPolicy, error) {
	in, err := m.find(id)
	if err != nil {
		return nil, err
	}
	return in.feed.policiesAt(change)
}

func (f *feed) policiesAt(change int64) ([]AppliedPolicy, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if change < f.history.from || change > f.history.last() {
		return nil, fmt.Errorf("sandbox %s, change %d: %w", f.picture.ID, change, ErrNoPoint)
	}
	return f.history.at(change), nil
}

// Restore makes the policies the only ones that were in force after the change of that
// number. That is a change like any other, by the same rules as Replace.
func (m *Manager) Restore(ctx context.Context, id ID, change int64, options ...ChangeOption) (PolicyChange, error) {
	policies, err := m.PoliciesAt(id, change)
	if err != nil {
		return PolicyChange{}, err
	}
	texts := make([]string, len(policies))
	for i, p := range policies {
		texts[i] = strings.TrimSuffix(p.YAML, "\n")
	}
	return m.Replace(ctx, id, OriginRestore, []byte(strings.Join(texts, "\n---\n")), options...)
}

// remember writes the history down, where that has not been done since it changed. It
// reports false where that cannot be done now; the janitor tries again.
func (in *instance) remember() bool {
	in.writing.Lock()
	defer in.writing.Unlock()
	in.feed.mu.Lock()
	h := in.feed.history
	h.entries = slices.Clone(h.entries)
	in.feed.mu.Unlock()
	if h.version == in.remembered {
		return true
	}
	ctx, cancel := in.m.recording()
	defer cancel()
	if err := in.m.opts.Records.SaveHistory(ctx, in.id, h.marshal()); err != nil {
		in.m.opts.Log.Error("sandbox history not written down", "sandbox", in.id, "error", err)
		in.unwritten.Store(true)
		return false
	}
	in.remembered = h.version
	return true
}

// keepRemembering writes the history down whenever it has changed, until ctx ends. It
// is in nobody's way: but a change waits until the one before it is written down.
func (in *instance) keepRemembering(ctx context.Context) {
	for {
		select {
		case <-in.feed.changed:
			in.remember()
		case <-ctx.Done():
			in.remember()
			return
		}
	}
}

// recall takes up the history that an earlier process has written down, if it has, and
// makes it go on with the policies that are in force now; known is false where nobody
// could say which these are.
func (in *instance) recall(now []AppliedPolicy, known bool) {
	h := in.written(now)
	if !known {
		now = h.at(h.last())
	}
	in.feed.recall(h, now)
}

// written is the history that an earlier process has written down. Where it has not, it
// begins with those policies.
func (in *instance) written(now []AppliedPolicy) history {
	ctx, cancel := in.m.recording()
	defer cancel()
	text, err := in.m.opts.Records.History(ctx, in.id)
	// What a sandbox begins with, which is no policy, is its change 0; and what it has where
	// its history is lost is no change that anybody knows.
	anew := history{base: now}
	if len(now) > 0 {
		anew.from = in.feed.floor
	}
	h := anew
	if err == nil && text != nil {
		h, err = readHistory(text, len(in.flows))
	}
	if err != nil {
		in.m.opts.Log.Error("sandbox history not read; it begins anew", "sandbox", in.id, "error", err)
		h = anew
		h.from = in.feed.floor
	}
	return h
}
