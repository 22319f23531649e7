//go:build integration

package kind

import (
	"os"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox/capacity"
)

// What a container shows of Docker's machine is what this machine's files say, where
// Docker runs on this machine.
func TestMachine_a_container_shows_what_the_machine_itself_says(t *testing.T) {
	d, err := askDaemon(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !d.isHere() {
		// In CI it does; where it does not there is nothing to compare with.
		if os.Getenv("NETPOL_LAB_REQUIRE") == "all" {
			t.Fatal("Docker does not run on this machine")
		}
		t.Skip("Docker does not run on this machine")
	}
	shown, read := shared.elsewhere(t.Context(), d), capacity.Here("/", d.nodeUser()).Machine()
	for name, c := range map[string]struct{ shown, read capacity.Amount }{
		"memory":            {shown.Memory, read.Memory},
		"processors":        {shown.Processors, read.Processors},
		"inotify instances": {shown.InotifyInstances, read.InotifyInstances},
		"inotify watches":   {shown.InotifyWatches, read.InotifyWatches},
		"processes":         {shown.Processes, read.Processes},
		"neighbours":        {shown.Neighbours, read.Neighbours},
	} {
		// A control group of Docker's own is not seen from within a container.
		if c.read.From != capacity.ControlGroup && (c.shown.Total != c.read.Total || c.shown.Total == 0) {
			t.Errorf("%s: the container shows %d, the machine says %d", name, c.shown.Total, c.read.Total)
		}
	}
	if shown.Disk.Total == 0 || shown.Disk.Total < shown.Disk.Used {
		t.Errorf("disk: %+v", shown.Disk)
	}
}
