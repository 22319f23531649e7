//go:build integration

package kind

import (
	"math/rand/v2"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// TestWishes measures whether policies that are made of wishes do what was wished for, on
// a real cluster with the first lesson's topology: 20 times, every flow.
func TestWishes_are_what_is_measured_once_their_policies_are_applied(t *testing.T) {
	const sets, seed = 20, 1
	lesson := parseTopology(t, "../../lessons/content/01-network-policies/topology.yaml")
	for _, ns := range parseTopology(t, "testdata/verify.yaml").Namespaces {
		if ns.Name == "marker" {
			lesson.Namespaces = append(lesson.Namespaces, ns)
		}
	}
	v := newVerifier(t, "wishes", lesson)
	met, closed, open := 0, 0, 0
	for n := uint64(0); met < sets; n++ {
		if n > 10*sets {
			t.Fatalf("of %d sets of wishes, policies could be made for %d", n, met)
		}
		wishes := v.wish(seed + n)
		plan, err := v.topology.Build(v.addrs, wishes)
		if err != nil {
			t.Fatal(err)
		}
		if len(plan.Refusals) > 0 {
			continue // That no policy can do it is proven elsewhere.
		}
		var set []policy.Policy
		for _, p := range plan.Policies {
			set = append(set, policy.Policy{NetworkPolicy: p.NetworkPolicy})
		}
		v.lay(set)
		predicted := v.predict(set)
		for id, wish := range wishes {
			if (predicted[id] == probe.Open) != (wish == sandbox.WishOpen) {
				t.Errorf("wishes of seed %d: %s is to be %s and is predicted %s", seed+n, id, wish, predicted[id])
			}
			if wish == sandbox.WishOpen {
				open++
			} else {
				closed++
			}
		}
		// Also what has no wish is as it is said to be.
		if wrong := v.measure(predicted); len(wrong) > 0 {
			t.Errorf("wishes of seed %d: measured is not what was predicted: %v; the policies:\n%s", seed+n, wrong, text(set))
		}
		met++
		v.Logf("seed %d: %d wishes, %d policies", seed+n, len(wishes), len(set))
	}
	t.Logf("%d sets of wishes: %d flows open and %d closed, as wished", met, open, closed)
	if open == 0 || closed == 0 {
		t.Error("the wishes are too one-sided to prove anything")
	}
}

// wish draws wishes: of each flow whether it has one, and which; what cannot be closed is
// to be open, and by name what is open by address is mostly open, too.
func (v *verifier) wish(seed uint64) map[string]sandbox.Wish {
	r := rand.New(rand.NewPCG(seed, 11))
	share, openShare := []int{100, 60, 20}[r.IntN(3)], []int{15, 40, 80}[r.IntN(3)]
	dns := map[string]bool{}
	for _, from := range v.topology.Sources() {
		dns[from] = r.IntN(3) > 0
	}
	byAddress := map[string]bool{}
	wishes := map[string]sandbox.Wish{}
	for _, f := range v.flows {
		if f.To == v.marker.To || f.From == v.marker.From {
			continue // It must go on showing when a change is carried out.
		}
		open := r.IntN(100) < openShare
		pair := sandbox.FlowID(f.From, f.To, f.Port, f.Protocol, sandbox.ViaIP)
		switch {
		case f.From == "monitoring/node-agent":
			open = true // On its own node nothing can close it.
		case f.Via == sandbox.ViaDNS:
			open = dns[f.From]
		case f.Via == sandbox.ViaName:
			open = byAddress[pair] && dns[f.From]
		}
		byAddress[pair] = open
		wish := sandbox.WishClosed
		if open {
			wish = sandbox.WishOpen
		}
		if f.Via == sandbox.ViaName {
			if _, ok := wishes[pair]; ok {
				wishes[f.ID] = wish
			}
			continue
		}
		if r.IntN(100) < share {
			wishes[f.ID] = wish
		}
	}
	return wishes
}
