package sandboxtest

import "testing"

func TestCluster_its_shell_does_what_shells_must(t *testing.T) {
	TestShell(t, &Cluster{})
}
