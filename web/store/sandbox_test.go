package store

import (
	"path/filepath"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

func TestSandboxes_keep_the_contract_of_records(t *testing.T) {
	sandboxtest.TestRecords(t, func(t *testing.T) (sandbox.Records, func() sandbox.Records) {
		path := filepath.Join(t.TempDir(), "lab.db")
		s := openFile(t, path)
		return s.Sandboxes("kind"), func() sandbox.Records {
			must(t, s.Close())
			return openFile(t, path).Sandboxes("kind")
		}
	})
}

func TestSandboxes_of_one_provider_are_not_anothers(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "lab.db"))
	real, simulated := s.Sandboxes("kind"), s.Sandboxes(sandbox.Simulated)
	rec := sandbox.Record{ID: "a1", Owner: ann, Lab: "small", State: sandbox.Ready, Created: noon}
	must(t, real.Save(t.Context(), rec))
	other := rec
	other.Owner = bob
	must(t, simulated.Save(t.Context(), other))
	must(t, simulated.Delete(t.Context(), rec.ID))
	if all, err := simulated.All(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("the simulator has %+v, %v", all, err)
	}
	if all, err := real.All(t.Context()); err != nil || len(all) != 1 || all[0] != rec {
		t.Errorf("kind has %+v, %v; want %+v", all, err, rec)
	}
}

// The sandbox is stopped, and its record goes when nothing is left of it: to forget it
// sooner would leave a cluster that nobody knows.
func TestSandboxes_forgetting_a_learner_leaves_the_record_to_whoever_removes_the_sandbox(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "lab.db"))
	records := s.Sandboxes("kind")
	must(t, records.Save(t.Context(), sandbox.Record{ID: "a1", Owner: ann, Lab: "small", State: sandbox.Stopping, Created: noon}))
	must(t, s.Forget(t.Context(), ann))
	if all, err := records.All(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("the records are %+v, %v", all, err)
	}
}
