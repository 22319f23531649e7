package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// set is a workspace that is applied, and what it comes to by the evaluator.
type set struct {
	yaml     string
	verdicts map[string]probe.Verdict
}

const (
	denyAll = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny
  namespace: production
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
`
	allowDNS = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: allow-dns
  namespace: production
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: kube-system
      podSelector:
        matchLabels:
          k8s-app: kube-dns
    ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
`
	webToAPI = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web-to-api
  namespace: production
spec:
  podSelector:
    matchLabels:
      app: web
  policyTypes: [Egress]
  egress:
  - to:
    - podSelector:
        matchLabels:
          app: api
    ports:
    - port: 8080
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: api-from-web
  namespace: production
spec:
  podSelector:
    matchLabels:
      app: api
  policyTypes: [Ingress]
  ingress:
  - from:
    - podSelector:
        matchLabels:
          app: web
    ports:
    - port: 8080
`
	onlyTheInternet = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web-to-the-internet
  namespace: production
spec:
  podSelector:
    matchLabels:
      app: web
  policyTypes: [Egress]
  egress:
  - to:
    - ipBlock:
        cidr: 0.0.0.0/0
        except: [10.0.0.0/8]
    ports:
    - port: 443
`
)

// workspaces are what is applied, one of them at a time; each differs from all others in
// what some flow comes to.
func workspaces() ([]*set, error) {
	src, err := fs.ReadFile(lessons.Content(), "01-network-policies/topology.yaml")
	if err != nil {
		return nil, err
	}
	t, err := sandbox.ParseTopology(src)
	if err != nil {
		return nil, err
	}
	var all []*set
	for _, parts := range [][]string{{}, {denyAll}, {denyAll, allowDNS}, {denyAll, allowDNS, webToAPI}, {onlyTheInternet}} {
		w := &set{yaml: strings.Join(parts, "---\n"), verdicts: map[string]probe.Verdict{}}
		var parsed []policy.Policy
		if w.yaml != "" {
			if parsed, err = policy.Parse([]byte(w.yaml), policy.ParseOptions{Namespaces: t.NamespaceNames()}); err != nil {
				return nil, err
			}
		}
		predictor, err := sandbox.NewPredictor(t, t.PlannedAddresses(), parsed)
		if err != nil {
			return nil, err
		}
		for _, f := range t.Flows() {
			if w.verdicts[f.ID], err = predictor.Verdict(f); err != nil {
				return nil, err
			}
		}
		for _, other := range all {
			if maps.Equal(w.verdicts, other.verdicts) {
				return nil, errors.New("two of the workspaces come to the same")
			}
		}
		all = append(all, w)
	}
	return all, nil
}

// applicant is a learner who applies, with what they have seen of it.
type applicant struct {
	*learner
	sets   []*set
	random *rand.Rand
	// now is what is in force, and change the number of the change that it comes of.
	now    *set
	change int64
	// answered is how long the requests took, flipped until the first flow was seen to be
	// otherwise, and settled until all have been.
	answered, flipped, settled times
	// compared is how many verdicts were compared with the evaluator's, after all had
	// settled and again before the next change. wrong is how many of them were not the same,
	// but for those that were told to be unknown.
	compared, wrong, unknown int
	// late is how often the next change was due before the last had settled.
	late int
}

// applies applies something else every so often, until ctx ends.
func (a *applicant) applies(ctx context.Context) {
	next := time.NewTimer(time.Duration(a.random.Int64N(int64(*apply))))
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		due := time.Now()
		if err := a.applyAnother(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			a.fails(err)
			if a.lost() != nil {
				return
			}
		}
		rest := *apply - time.Since(due)
		if rest < 0 {
			a.late++
		}
		next.Reset(max(0, rest))
	}
}

// applyAnother applies one of the other workspaces as the page does, and waits until that
// has settled.
func (a *applicant) applyAnother(ctx context.Context) error {
	a.look()
	next := a.sets[a.random.IntN(len(a.sets))]
	for next == a.now {
		next = a.sets[a.random.IntN(len(a.sets))]
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, fmt.Sprintf("%s/sandboxes/%s/policies?prune=true&base=%d", a.base, a.sandbox, a.change), strings.NewReader(next.yaml))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/yaml")
	a.seen.mu.Lock()
	a.seen.flipped = time.Time{}
	a.seen.mu.Unlock()
	var done sandbox.PolicyChange
	begun := time.Now()
	if err := a.do(r, http.StatusOK, &done); err != nil {
		return err
	}
	answered := time.Since(begun)
	a.now, a.change = next, done.Change
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := a.until(limited, func(s *seen) bool { return s.change == done.Change && !s.settled.IsZero() }); err != nil {
		if ctx.Err() == nil && limited.Err() != nil {
			err = fmt.Errorf("change %d has not settled within %s", done.Change, patience)
		}
		return err
	}
	s := &a.seen
	s.mu.Lock()
	flipped, settled, verdicts := s.flipped, s.settled, s.atSettled
	s.mu.Unlock()
	if flipped.IsZero() {
		return fmt.Errorf("change %d has settled, and no flow was seen to be otherwise", done.Change)
	}
	a.answered = append(a.answered, answered)
	a.flipped = append(a.flipped, flipped.Sub(begun))
	a.settled = append(a.settled, settled.Sub(begun))
	a.compare("when it had settled", verdicts)
	return nil
}

// look compares what is told now with what is in force.
func (a *applicant) look() {
	if a.now == nil {
		a.now = a.sets[0]
	}
	a.seen.mu.Lock()
	verdicts := maps.Clone(a.seen.verdicts)
	a.seen.mu.Unlock()
	a.compare("later", verdicts)
}

func (a *applicant) compare(when string, told map[string]probe.Verdict) {
	for flow, want := range a.now.verdicts {
		a.compared++
		switch got := told[flow]; got {
		case want:
		case probe.Unknown:
			a.unknown++
		default:
			if a.wrong++; a.wrong <= 3 {
				log.Printf("sandbox %s, change %d, %s: %s was told to be %q, and the evaluator says %q", a.sandbox, a.change, when, flow, got, want)
			}
		}
	}
}

// applying measures the class of learners, who apply.
func applying(ctx context.Context, s *server, class []*applicant) error {
	if err := warmUp(ctx, class); err != nil {
		return err
	}
	classCtx, dismiss := context.WithCancel(ctx)
	defer dismiss()
	var all sync.WaitGroup
	for _, a := range class {
		all.Go(func() { a.applies(classCtx) })
	}
	before := look(s.cmd.Process.Pid)
	sizes, costs, err := watchServer(ctx, s)
	after := look(s.cmd.Process.Pid)
	dismiss()
	all.Wait()
	if err != nil {
		return err
	}
	fmt.Println(after.since(before))
	costs.tell()
	sum := &applicant{learner: &learner{}}
	for _, a := range class {
		sum.add(a)
	}
	sum.tell(len(class))
	grown := tellSizes(s.empty, sizes, len(class))
	last := sizes[len(sizes)-1]
	fmt.Printf("warnings and errors in the log: %s\n", s.said)
	if n := last.refused - s.empty.refused; n > 0 {
		sum.failed += n
		fmt.Printf("requests answered with an error: %d\n", n)
	}
	if *made == sandbox.Simulated {
		sum.wrong += sum.unknown // Nothing keeps the simulator from knowing.
	}
	if sum.failed > 0 || sum.wrong > 0 || len(sum.settled) == 0 {
		return fmt.Errorf("%d failed, %d verdicts were wrong, %d changes have settled", sum.failed, sum.wrong, len(sum.settled))
	}
	return grown
}

// warmUp has each make some changes at once. How long they take is not counted; whether they
// come to what the evaluator says is.
func warmUp(ctx context.Context, class []*applicant) error {
	places := make(chan struct{}, startAtOnce)
	return each(class, func(a *applicant) error {
		places <- struct{}{}
		defer func() { <-places }()
		for range *warm {
			if err := a.applyAnother(ctx); err != nil {
				return err
			}
		}
		a.answered, a.flipped, a.settled = nil, nil, nil
		return nil
	})
}

// applicants makes a class of so many who apply, of whom so many start at once.
func applicants(ctx context.Context, s *server, many, atOnce int) ([]*applicant, error) {
	sets, err := workspaces()
	if err != nil {
		return nil, err
	}
	made, waits, err := gather(ctx, s, many, atOnce)
	if err != nil {
		return nil, err
	}
	fmt.Printf("Start until all is measured:   %s\n", waits)
	class := make([]*applicant, len(made))
	for i, l := range made {
		class[i] = &applicant{learner: l, sets: sets, random: rand.New(rand.NewPCG(2, uint64(i)))}
	}
	return class, nil
}

// add adds what somebody else has seen.
func (a *applicant) add(b *applicant) {
	a.answered, a.flipped, a.settled = append(a.answered, b.answered...), append(a.flipped, b.flipped...), append(a.settled, b.settled...)
	a.compared, a.wrong, a.unknown = a.compared+b.compared, a.wrong+b.wrong, a.unknown+b.unknown
	a.late, a.failed = a.late+b.late, a.failed+b.failed
	b.seen.mu.Lock()
	defer b.seen.mu.Unlock()
	a.seen.disagreements += b.seen.disagreements
	a.seen.warnings = append(a.seen.warnings, b.seen.warnings...)
	if b.seen.err != nil {
		a.failed++
		log.Printf("learner %s, sandbox %s: the events have ended: %v", b.address, b.sandbox, b.seen.err)
	}
}

// tell prints what so many learners have seen.
func (a *applicant) tell(learners int) {
	fmt.Printf("%d learners, each applying every %s for %s:\n", learners, *apply, *duration)
	fmt.Printf("  the request is answered:     %s\n", a.answered)
	fmt.Printf("  the first flip is seen:      %s\n", a.flipped)
	fmt.Printf("  all has settled:             %s\n", a.settled)
	fmt.Printf("  verdicts compared with what the evaluator says: %d, wrong: %d, unknown at that moment: %d; told not to be as predicted: %d\n", a.compared, a.wrong, a.unknown, a.seen.disagreements)
	fmt.Printf("  failed: %d; not settled before the next change was due: %d; warnings told to learners: %d\n", a.failed, a.late, len(a.seen.warnings))
	for i, text := range a.seen.warnings {
		if i == 3 {
			break
		}
		fmt.Printf("    %s\n", text)
	}
	if p99 := a.settled.at(0.99); *goal > 0 && p99 > *goal {
		fmt.Printf("MISSED: a change took %v at p99 until it had settled, %v is the goal\n", p99.Round(time.Millisecond/10), *goal)
	}
}

// looks is how often the server is looked at while it is measured, but not more often than
// looksPause allows: the operator may ask it twice a second.
const (
	looks      = 120
	looksPause = 2 * time.Second
)

// watchServer looks at the server's size while the class is at work, and where sandboxes are
// clusters at what they take of the machine.
func watchServer(ctx context.Context, s *server) (sizes []size, taken costs, err error) {
	tick := time.NewTicker(max(*duration/looks, looksPause))
	defer tick.Stop()
	for end := time.Now().Add(*duration); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return nil, taken, ctx.Err()
		case <-tick.C:
		}
		now, err := s.size(ctx)
		if err != nil {
			return nil, taken, err
		}
		sizes = append(sizes, now)
		if *made == sandbox.Simulated {
			continue
		}
		o, err := s.overview(ctx)
		if err != nil {
			return nil, taken, err
		}
		taken.add(o)
	}
	return sizes, taken, nil
}

// costs are what sandboxes took of the machine, those awake and those paused apart: how often
// that was seen, and the sums.
type costs struct{ awake, paused costSum }

type costSum struct{ seen, memory, processor int64 }

func (c *costs) add(o overview) {
	for _, b := range o.Sandboxes {
		cost, known := o.Costs[b.Cluster]
		sum := &c.awake
		if b.State == sandbox.Paused {
			sum = &c.paused
		}
		if known {
			sum.seen, sum.memory, sum.processor = sum.seen+1, sum.memory+cost.Memory, sum.processor+cost.Processor
		}
	}
}

// tell prints it where there is anything.
func (c *costs) tell() {
	for _, of := range []struct {
		what string
		costSum
	}{{"awake", c.awake}, {"paused", c.paused}} {
		if of.seen > 0 {
			fmt.Printf("a sandbox that is %-6s takes:  %.0f MiB and %.3f processors\n", of.what, float64(of.memory)/float64(of.seen)/(1<<20), float64(of.processor)/float64(of.seen)/1000)
		}
	}
}

// A server that has run for a fifth of the time has done everything once, and is not to grow
// from then on; by so much two looks differ anyway. In less than judged it has hardly come
// to rest.
const (
	moreGoroutines, moreMemory = 0.02, 0.10
	judged                     = time.Minute
	// historySize is how many changes of a sandbox the server keeps.
	historySize = 50
)

// tellSizes prints how large the server was. It fails where that has grown.
func tellSizes(empty size, sizes []size, learners int) error {
	tenth := max(len(sizes)/10, 1)
	if len(sizes) < 3*tenth {
		return fmt.Errorf("the server was looked at %d times, too seldom: measure for longer", len(sizes))
	}
	begin, end := typical(sizes[2*tenth:3*tenth]), typical(sizes[len(sizes)-tenth:])
	const mb = 1e6
	fmt.Printf("the server, empty, after a fifth of the time, and at the end:\n")
	fmt.Printf("  memory:     %.0f, %.0f, %.0f MB, of which live %.1f, %.1f, %.1f MB\n", float64(empty.resident)/mb, float64(begin.resident)/mb, float64(end.resident)/mb,
		float64(empty.live)/mb, float64(begin.live)/mb, float64(end.live)/mb)
	fmt.Printf("  goroutines: %d, %d, %d; open files: %d, %d, %d\n", empty.goroutines, begin.goroutines, end.goroutines, empty.files, begin.files, end.files)
	each := float64(end.resident-empty.resident) / mb / float64(learners)
	fmt.Printf("  a learner takes %.3f MB\n", each)
	if *memory > 0 && each > *memory {
		fmt.Printf("MISSED: a learner takes %.2f MB, %.2f MB is the goal\n", each, *memory)
	}
	if *duration < judged {
		fmt.Printf("whether it grows is not judged in less than %s\n", judged)
		return nil
	}
	if more := float64(end.goroutines)/float64(begin.goroutines) - 1; more > moreGoroutines {
		return fmt.Errorf("the server's goroutines have grown by %.1f %%", 100*more)
	}
	if more := float64(end.live)/float64(begin.live) - 1; more > moreMemory {
		if *warm < historySize {
			fmt.Printf("the live memory has grown by %.1f %%, of which the changes that it keeps are a part: -warm %d tells\n", 100*more, historySize)
			return nil
		}
		return fmt.Errorf("the server's live memory has grown by %.1f %%", 100*more)
	}
	return nil
}

// typical has of each the median, and of what is live the least: the more work a collection
// of garbage meets, the more it leaves for the next.
func typical(sizes []size) size {
	of := func(what func(size) int64, share float64) int64 {
		var all times
		for _, s := range sizes {
			all = append(all, time.Duration(what(s)))
		}
		return int64(all.at(share))
	}
	return size{
		goroutines: int(of(func(s size) int64 { return int64(s.goroutines) }, 0.5)),
		resident:   of(func(s size) int64 { return s.resident }, 0.5),
		live:       of(func(s size) int64 { return s.live }, 0),
		files:      int(of(func(s size) int64 { return int64(s.files) }, 0.5)),
	}
}
