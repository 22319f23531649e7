package web

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

func TestMeter_asks_when_somebody_looks_once_at_a_time_and_nobody_waits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told error
		closing, end := context.WithCancel(t.Context())
		asked, running := 0, 0
		var failure error
		takes := map[sandbox.ClusterID]sandbox.Cost{"c1": {Memory: 600 << 20, Processor: 120}}
		m := &Meter{Closing: closing, Failed: func(err error) { told = err }, Ask: func(ctx context.Context) (map[sandbox.ClusterID]sandbox.Cost, error) {
			if running++; running > 1 {
				t.Error("it is asked twice at a time")
			}
			defer func() { running-- }()
			asked++
			select {
			case <-time.After(2 * time.Second): // as Docker takes
				return maps.Clone(takes), failure
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}
		look := func(wantAsked int, known bool) {
			t.Helper()
			begun := time.Now()
			costs, at := m.Now()
			synctest.Wait()
			if took := time.Since(begun); took != 0 {
				t.Errorf("who looks has waited for %s", took)
			}
			if asked != wantAsked || at.IsZero() == known || maps.Equal(costs, takes) != known {
				t.Errorf("asked %d times, want %d; told %v at %s", asked, wantAsked, costs, at)
			}
		}
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		look(1, false)
		look(1, false)
		pass(3 * time.Second)
		look(1, true)
		pass(costsFor)
		look(2, true)
		pass(costsOld + costsFor)
		if asked != 2 {
			t.Errorf("asked %d times while nobody looked, want 2", asked)
		}
		failure = errors.New("no daemon")
		look(3, false)
		pass(3 * time.Second)
		look(3, false) // What failed is not tried at once again.
		if !errors.Is(told, failure) {
			t.Errorf("why it is not known was told as %v", told)
		}
		pass(costsFor)
		look(4, false)
		end()
		synctest.Wait() // and it ends with the server
		look(4, false)
	})
}

// fixedCosts are always these.
type fixedCosts struct {
	costs map[sandbox.ClusterID]sandbox.Cost
	at    time.Time
}

func (f *fixedCosts) Now() (map[sandbox.ClusterID]sandbox.Cost, time.Time) { return f.costs, f.at }

func TestOperator_sees_what_clusters_take_where_that_can_be_known(t *testing.T) {
	costs := &fixedCosts{}
	l := newLab(t, setup{costs: costs})
	id := l.learner(t).start()
	operator := l.operator(t)
	contains(t, operator.page("GET", "/operator", nil).body, "They take", "not known yet", "Look again in a few seconds.")

	own := l.manager.Overview().Sandboxes[0]
	costs.at = time.Date(2026, 1, 2, 15, 4, 5, 0, time.Local)
	costs.costs = map[sandbox.ClusterID]sandbox.Cost{own.Cluster: {Memory: 598 << 20, Processor: 183}, "in reserve": {Memory: 1 << 30}}
	page := operator.page("GET", "/operator", nil).body
	contains(t, page, "<b>1.6 GiB</b> and <b>0.18</b> processors", "at 15:04:05", "598 MiB", "0.18 processors")
	a := operator.send("GET", "/operator", nil, bearer(operatorsToken)...)
	var all struct {
		Costs   map[sandbox.ClusterID]sandbox.Cost
		CostsAt time.Time
	}
	if err := json.Unmarshal([]byte(a.body), &all); err != nil {
		t.Fatal(err)
	}
	if string(own.ID) != id || !maps.Equal(all.Costs, costs.costs) || !all.CostsAt.Equal(costs.at) {
		t.Errorf("of sandbox %s in cluster %s is told %+v, want %+v", id, own.Cluster, all, costs)
	}

	simulated := newLab(t, setup{})
	simulated.learner(t).start()
	page = simulated.operator(t).page("GET", "/operator", nil).body
	for _, text := range []string{"They take", ">Takes<", "not known yet"} {
		if strings.Contains(page, text) {
			t.Errorf("where nobody can tell what clusters take the page has %q", text)
		}
	}
}
