package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

const denyAll = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny-all
  namespace: production
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
`

const topologyYAML = `
name: small
namespaces:
  - name: production
    pods:
      - name: web
        labels: {app: web}
        ports: [{port: 8080}]
      - name: api
        labels: {app: api}
        ports: [{port: 8080}]
  - name: development
    pods:
      - name: shell
        labels: {app: shell}
`

func small(t *testing.T) *sandbox.Topology {
	t.Helper()
	lab, err := sandbox.ParseTopology([]byte(topologyYAML))
	if err != nil {
		t.Fatal(err)
	}
	return lab
}

// lab is a Manager on a fake provider, with records of its own.
type lab struct {
	t        *testing.T
	provider *sandboxtest.Provider
	records  *sandboxtest.Records
	topology *sandbox.Topology
	others   []*sandbox.Topology // that learners can have besides
	log      *logBuffer
	*sandbox.Manager
}

// logBuffer is a log that a test can read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newLab(t *testing.T, p *sandboxtest.Provider, tweak ...func(*sandbox.Options)) *lab {
	t.Helper()
	l := &lab{t: t, provider: p, records: &sandboxtest.Records{}, topology: small(t), log: &logBuffer{}}
	l.start(tweak...)
	return l
}

func (l *lab) start(tweak ...func(*sandbox.Options)) {
	l.t.Helper()
	opts := sandbox.Options{PauseAfter: -1, Log: slog.New(slog.NewTextHandler(l.log, nil)), Provider: l.provider, Records: l.records, Lab: l.find}
	for _, f := range tweak {
		f(&opts)
	}
	var err error
	if l.Manager, err = sandbox.NewManager(opts); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) find(_ context.Context, _, name string) (*sandbox.Topology, error) {
	for _, t := range append(l.others, l.topology) {
		if t.Name == name {
			return t, nil
		}
	}
	return nil, nil
}

// Create is the Manager's for somebody with an address of their own.
func (l *lab) Create(owner string, t *sandbox.Topology) (sandbox.Snapshot, int64, error) {
	return l.Manager.Create(owner, "address of "+owner, t)
}

// Reset is the Manager's for somebody with an address of their own.
func (l *lab) Reset(id sandbox.ID) (sandbox.Snapshot, int64, error) {
	return l.Manager.Reset(id, "address of whoever has "+string(id))
}

// cluster is the sandbox's cluster, or nil where there is none.
func (l *lab) cluster(id sandbox.ID) *sandboxtest.Cluster { return l.provider.Cluster(l.ClusterOf(id)) }

// recorded are the records that are kept.
func (l *lab) recorded() []sandbox.Record {
	l.t.Helper()
	all, err := l.records.All(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	return all
}

func (l *lab) create(owner string) sandbox.ID {
	l.t.Helper()
	s, _, err := l.Create(owner, l.topology)
	if err != nil {
		l.t.Fatal(err)
	}
	return s.ID
}

func (l *lab) get(id sandbox.ID) sandbox.Snapshot {
	l.t.Helper()
	s, _, err := l.Get(id)
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// ready creates a sandbox and waits until it is Ready and has been measured.
func (l *lab) ready(owner string) sandbox.ID {
	l.t.Helper()
	id := l.create(owner)
	time.Sleep(2 * time.Second)
	synctest.Wait()
	s := l.get(id)
	if s.State != sandbox.Ready {
		l.t.Fatalf("state %s (%s), want ready", s.State, s.Reason)
	}
	if want := len(l.topology.Flows()); len(s.Observations) != want {
		l.t.Fatalf("%d flows measured, want %d", len(s.Observations), want)
	}
	return id
}

// until reads events until one passes, and returns all that were read.
func until(t *testing.T, sub *sandbox.Subscription, passes func(sandbox.Event) bool) []sandbox.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all []sandbox.Event
	for {
		events, err := sub.Next(ctx)
		if err != nil {
			t.Fatalf("after %d events: %v", len(all), err)
		}
		for _, e := range events {
			all = append(all, e)
			if passes(e) {
				return all
			}
		}
	}
}

func (l *lab) subscribe(id sandbox.ID, after int64) *sandbox.Subscription {
	l.t.Helper()
	sub, err := l.Subscribe(id, after)
	if err != nil {
		l.t.Fatal(err)
	}
	return sub
}

func ofType(typ sandbox.EventType) func(sandbox.Event) bool {
	return func(e sandbox.Event) bool { return e.Type == typ }
}

func TestEvents_are_numbered_without_a_gap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.create("ann")
		sub := l.subscribe(id, 1)
		defer sub.Close()
		time.Sleep(2 * time.Second)
		if _, err := l.Apply(t.Context(), id, []byte(denyAll)); err != nil {
			t.Fatal(err)
		}
		last := int64(0)
		for _, e := range until(t, sub, func(e sandbox.Event) bool { return e.Settled != nil && e.Settled.Change == 1 }) {
			if last != 0 && e.Seq != last+1 {
				t.Errorf("event %d follows event %d", e.Seq, last)
			}
			last = e.Seq
		}
	})
}

func TestApply_flips_are_told_and_settle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{Reaction: 30 * time.Millisecond})
		defer l.Close()
		id := l.ready("ann")
		sub := l.subscribe(id, 0)
		defer sub.Close()
		change, err := l.Apply(t.Context(), id, []byte(denyAll))
		if err != nil {
			t.Fatal(err)
		}
		if change.Change != 1 || len(change.Added) != 1 {
			t.Fatalf("change %+v", change)
		}
		events := until(t, sub, ofType(sandbox.EventSettled))
		settled := events[len(events)-1].Settled
		// Every flow but those of shell to the DNS service starts or ends in production.
		if settled.Change != 1 || settled.Flips != len(l.topology.Flows())-3 {
			t.Errorf("settled %+v", settled)
		}
		// Two probes of 20 ms each, begun 7 ms apart and at the latest 10 ms after the reaction.
		if settled.FirstFlipMillis < 50 || settled.FirstFlipMillis > 30+10+7+20+1 {
			t.Errorf("first flip after %d ms", settled.FirstFlipMillis)
		}
		for _, o := range l.get(id).Observations {
			want := probe.Blocked
			if strings.HasPrefix(o.Flow, "development/shell>kube-system") {
				want = probe.Open
			}
			if o.Verdict != want {
				t.Errorf("%s is %s, want %s", o.Flow, o.Verdict, want)
			}
		}

		if _, err := l.DeletePolicies(t.Context(), id, nil); err != nil {
			t.Fatal(err)
		}
		until(t, sub, func(e sandbox.Event) bool { return e.Type == sandbox.EventSettled && e.Settled.Change == 2 })
		for _, o := range l.get(id).Observations {
			if o.Verdict != probe.Open {
				t.Errorf("after delete %s is %s", o.Flow, o.Verdict)
			}
		}
	})
}

// A check is graded only where the flows have settled, so a learner must not wait for
// it in vain.
func TestApply_what_a_burst_cannot_settle_settles_later(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		sub := l.subscribe(id, 0)
		defer sub.Close()
		lying, stop := context.WithCancel(t.Context())
		defer stop()
		go func() {
			for flow := l.topology.Flows()[0].ID; lying.Err() == nil; time.Sleep(30 * time.Millisecond) {
				l.cluster(id).Lie(flow, 1)
			}
		}()
		if _, err := l.Apply(t.Context(), id, []byte(strings.Replace(denyAll, "production", "development", 1))); err != nil {
			t.Fatal(err)
		}
		for _, e := range until(t, sub, ofType(sandbox.EventNotice)) {
			if e.Type == sandbox.EventSettled {
				t.Fatalf("settled while answers differed: %+v", e.Settled)
			}
		}
		sub.Close() // Also where nobody looks any more.
		stop()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		s := l.get(id)
		if s.Settled == nil || s.Settled.Change != 1 || s.Settled.Flips == 0 || s.Settled.TookMillis < 10_000 {
			t.Errorf("settled: %+v", s.Settled)
		}
		before := l.cluster(id).Probed()
		time.Sleep(time.Minute)
		if after := l.cluster(id).Probed(); after != before {
			t.Errorf("%d flows were probed for nobody", after-before)
		}
	})
}

// A check is graded by what has settled, also before the learner's first change and
// after a restart.
func TestObserve_a_sandbox_settles_when_every_flow_has_been_measured_first(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		all := len(l.topology.Flows())
		settles := func(sub *sandbox.Subscription) {
			t.Helper()
			defer sub.Close()
			known := map[string]bool{}
			for _, e := range until(t, sub, ofType(sandbox.EventSettled)) {
				switch {
				case e.Snapshot != nil && e.Snapshot.Settled != nil:
					t.Fatalf("settled before it was looked at: %+v", e.Snapshot.Settled)
				case e.Observations != nil:
					for _, o := range e.Observations.Flows {
						known[o.Flow] = true
					}
				case e.Settled != nil:
					if e.Settled.Change != 0 || e.Settled.Flows != all || e.Settled.Flips != 0 || len(known) != all {
						t.Errorf("settled %+v with %d of %d flows known", e.Settled, len(known), all)
					}
				}
			}
		}
		id := l.create("ann")
		settles(l.subscribe(id, 0))
		l.Close()
		l.cluster(id).Lie(l.topology.Flows()[0].ID, 1) // asked twice, it gives two answers
		l.start()
		defer l.Close()
		settles(l.subscribe(id, 0))
	})
}

func TestObserve_a_single_wrong_answer_is_never_told(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		sub := l.subscribe(id, 0)
		defer sub.Close()
		flow := l.topology.Flows()[0].ID
		l.cluster(id).Lie(flow, 1)
		before := l.cluster(id).Probed()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if l.cluster(id).Probed() == before {
			t.Fatal("nothing was probed while somebody watched")
		}
		until(t, sub, ofType(sandbox.EventSnapshot))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if events, err := sub.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("told %+v, %v", events, err)
		}
	})
}

func TestObserve_does_nothing_while_nobody_watches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		before := l.cluster(id).Probed()
		time.Sleep(time.Minute)
		if after := l.cluster(id).Probed(); after != before {
			t.Errorf("%d flows were probed for nobody", after-before)
		}
	})
}

func TestApply_refusals_change_nothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		_, before, _ := l.Get(id)
		var refused *policy.Error
		if _, err := l.Apply(t.Context(), id, []byte("kind: [")); !errors.As(err, &refused) {
			t.Errorf("broken YAML: %v", err)
		}
		l.cluster(id).Refuse(&policy.Error{Problems: []policy.Problem{{Message: "no"}}})
		if _, err := l.Apply(t.Context(), id, []byte(denyAll)); !errors.As(err, &refused) {
			t.Errorf("refused by the cluster: %v", err)
		}
		if _, after, _ := l.Get(id); after != before {
			t.Errorf("%d events were told of nothing", after-before)
		}
	})
}

func TestApply_a_cluster_that_does_not_answer_is_told_in_words(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		reset := errors.New("read: connection reset by peer")
		l.cluster(id).Refuse(reset)
		var failure *sandbox.Failure
		if _, err := l.Apply(t.Context(), id, []byte(denyAll)); !errors.As(err, &failure) || !errors.Is(err, reset) {
			t.Fatalf("got %v, want a Failure that wraps what went wrong", err)
		}
		if want := "it is not known whether that is in force"; !strings.Contains(failure.Message, want) {
			t.Errorf("the learner is told %q, without %q", failure.Message, want)
		}
	})
}

func TestApply_before_ready_is_refused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, sandboxtest.Never())
		defer l.Close()
		id := l.create("ann")
		synctest.Wait()
		if _, err := l.Apply(t.Context(), id, []byte(denyAll)); !errors.Is(err, sandbox.ErrNotReady) {
			t.Errorf("got %v, want ErrNotReady", err)
		}
	})
}

func TestID_one_that_is_not_there_is_not_found(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		l.ready("ann")
		const id = "nobody"
		_, _, getErr := l.Get(id)
		_, applyErr := l.Apply(t.Context(), id, []byte(denyAll))
		_, replaceErr := l.Replace(t.Context(), id, sandbox.OriginApply, nil)
		_, deleteErr := l.DeletePolicies(t.Context(), id, nil)
		_, subErr := l.Subscribe(id, 0)
		_, _, resetErr := l.Reset(id)
		for what, err := range map[string]error{"get": getErr, "apply": applyErr, "replace": replaceErr, "delete": deleteErr, "subscribe": subErr, "reset": resetErr, "stop": l.Stop(id)} {
			if !errors.Is(err, sandbox.ErrNotFound) {
				t.Errorf("%s: %v, want ErrNotFound", what, err)
			}
		}
	})
}

func TestOwner_is_told_with_a_sandbox_but_not_to_its_watchers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		s := l.get(l.ready("ann"))
		if s.Owner != "ann" {
			t.Errorf("the owner is %q, want ann", s.Owner)
		}
		if b, err := json.Marshal(s); err != nil || strings.Contains(string(b), "ann") {
			t.Errorf("watchers are told %s, %v", b, err)
		}
		if _, _, ok := l.ByOwner("bob"); ok {
			t.Error("bob has a sandbox")
		}
	})
}

func TestCreate_twice_gives_the_same_sandbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		if a, b := l.create("ann"), l.create("ann"); a != b {
			t.Errorf("two sandboxes, %s and %s", a, b)
		}
	})
}

func TestCreate_a_queue_that_is_full_says_so(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		l := newLab(t, sandboxtest.Slow(gate), func(o *sandbox.Options) { o.MaxWaiting = 1 })
		defer l.Close()
		first := l.create("ann")
		synctest.Wait()
		second := l.create("bob")
		synctest.Wait()
		if a, b := l.get(first).State, l.get(second).State; a != sandbox.Creating || b != sandbox.Queued {
			t.Errorf("states %s and %s, want creating and queued", a, b)
		}
		if _, _, err := l.Create("cid", l.topology); !errors.Is(err, sandbox.ErrBusy) {
			t.Errorf("third: %v, want ErrBusy", err)
		}
		close(gate)
		synctest.Wait()
		if b := l.get(second).State; b != sandbox.Ready {
			t.Errorf("the queued one is %s, want ready", b)
		}
	})
}

func TestSubscription_a_sandbox_that_waits_is_told_of_once(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		l := newLab(t, sandboxtest.Slow(gate))
		defer l.Close()
		l.create("ann")
		synctest.Wait()
		id := l.create("bob")
		synctest.Wait()
		s, seq, _ := l.Get(id)
		if s.State != sandbox.Queued || seq != 2 || s.Waiting == nil {
			t.Fatalf("%s is event %d, waiting %+v, want queued as event 1 and its place as event 2", s.State, seq, s.Waiting)
		}
		for what, after := range map[string]int64{"without a number": 0, "with the number": seq} {
			sub := l.subscribe(id, after)
			defer sub.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			told := 0
			for ; told < 10; told++ {
				if _, err := sub.Next(ctx); err != nil {
					break
				}
			}
			if want := map[bool]int{true: 1, false: 0}[after == 0]; told != want {
				t.Errorf("%s: told %d times in a minute, want %d", what, told, want)
			}
		}
		sub := l.subscribe(id, seq)
		defer sub.Close()
		close(gate)
		last := seq
		for _, e := range until(t, sub, func(e sandbox.Event) bool { return e.State != nil && e.State.State == sandbox.Ready }) {
			if e.Seq != last+1 || e.Type == sandbox.EventSnapshot {
				t.Errorf("%s is event %d, after event %d", e.Type, e.Seq, last)
			}
			last = e.Seq
		}
	})
}

func TestSubscription_an_onlooker_keeps_nothing_awake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{}, func(o *sandbox.Options) { o.Idle = 10 * time.Minute })
		defer l.Close()
		id := l.ready("ann")
		before := l.cluster(id).Probed()
		time.Sleep(9 * time.Minute)
		sub, err := l.Subscribe(id, 0, sandbox.AsOnlooker)
		if err != nil {
			t.Fatal(err)
		}
		until(t, sub, ofType(sandbox.EventSnapshot))
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if after := l.cluster(id).Probed(); after != before {
			t.Errorf("%d flows were probed for an onlooker", after-before)
		}
		time.Sleep(2 * time.Minute)
		until(t, sub, func(e sandbox.Event) bool { return e.State != nil && e.State.State == sandbox.Stopped })
		sub.Close()
	})
}

func TestSubscription_replays_what_was_missed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		_, seq, _ := l.Get(id)
		if _, err := l.Apply(t.Context(), id, []byte(denyAll)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		sub := l.subscribe(id, seq)
		defer sub.Close()
		events := until(t, sub, ofType(sandbox.EventSettled))
		if events[0].Seq != seq+1 {
			t.Errorf("the first event is %d, want %d", events[0].Seq, seq+1)
		}
		for what, after := range map[string]int64{"from the start": 0, "of the future": seq + 1_000_000} {
			sub, err := l.Subscribe(id, after)
			if err != nil {
				t.Fatal(err)
			}
			if first := until(t, sub, func(sandbox.Event) bool { return true }); first[0].Type != sandbox.EventSnapshot {
				t.Errorf("a number %s gave %s, want a snapshot", what, first[0].Type)
			}
			sub.Close()
		}
	})
}

func TestSubscription_a_reader_that_fell_out_of_the_log_gets_a_snapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		_, seq, _ := l.Get(id)
		slow, err := l.Subscribe(id, seq)
		if err != nil {
			t.Fatal(err)
		}
		defer slow.Close()
		for range 400 { // three events each at least
			if _, err := l.Apply(t.Context(), id, []byte(denyAll)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if _, err := l.DeletePolicies(t.Context(), id, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if first := until(t, slow, func(sandbox.Event) bool { return true }); first[0].Type != sandbox.EventSnapshot {
			t.Errorf("got %s, want a snapshot", first[0].Type)
		}
	})
}
