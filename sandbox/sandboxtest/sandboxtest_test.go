package sandboxtest_test

import (
	"os"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

// A fake that keeps no contract proves nothing of what stands above it.
func TestProvider_in_memory_keeps_the_contract_of_a_provider(t *testing.T) {
	src, err := os.ReadFile("../../lessons/content/01-network-policies/topology.yaml")
	if err != nil {
		t.Fatal(err)
	}
	topology, err := sandbox.ParseTopology(src)
	if err != nil {
		t.Fatal(err)
	}
	provider := &sandboxtest.Provider{AtOnce: true}
	sandboxtest.TestProvider(t, sandboxtest.Contract{
		// Its memory is the machine.
		Open:     func(*testing.T) sandbox.Provider { return provider },
		Topology: topology,
		Measured: true,
	})
}

func TestRecords_in_memory_keep_the_contract_of_records(t *testing.T) {
	sandboxtest.TestRecords(t, func(*testing.T) (sandbox.Records, func() sandbox.Records) {
		r := &sandboxtest.Records{}
		return r, func() sandbox.Records { return r }
	})
}
