package nodeimage

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// kubeadmPatch finds the patch of a kind of object in KindConfig.
func kubeadmPatch(t *testing.T, kind string, into any) {
	t.Helper()
	var config struct{ KubeadmConfigPatches []string }
	if err := yaml.UnmarshalStrict([]byte(KindConfig), &struct {
		Kind, APIVersion     string
		Nodes                []map[string]string
		Networking           map[string]any
		KubeadmConfigPatches []string
	}{}); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(KindConfig), &config); err != nil {
		t.Fatal(err)
	}
	for _, patch := range config.KubeadmConfigPatches {
		if strings.Contains(patch, "kind: "+kind+"\n") {
			if err := yaml.Unmarshal([]byte(patch), into); err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			return
		}
	}
	t.Fatalf("KindConfig has no patch of %s", kind)
}

// source reads a file of the program that is every Kubernetes program.
func source(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("kubernetes/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestKindConfig_makes_one_process_of_the_control_plane(t *testing.T) {
	var init struct {
		SkipPhases []string
		Patches    struct{ Directory string }
	}
	kubeadmPatch(t, "InitConfiguration", &init)
	for _, phase := range []string{"control-plane/controller-manager", "control-plane/scheduler", "wait-control-plane"} {
		if !slices.Contains(init.SkipPhases, phase) {
			t.Errorf("kubeadm does the phase %s", phase)
		}
	}
	if init.Patches.Directory != kubeadmPatches {
		t.Errorf("kubeadm's patches come from %q, and are in %q", init.Patches.Directory, kubeadmPatches)
	}
	data, err := files.ReadFile("files/patches/kube-apiserver+strategic.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var pod struct {
		Spec struct {
			Containers []struct {
				Name         string
				Env          []struct{ Name, Value string }
				VolumeMounts []struct{ MountPath string }
			}
		}
	}
	if err := yaml.Unmarshal(data, &pod); err != nil {
		t.Fatal(err)
	}
	c := pod.Spec.Containers[0]
	plane := source(t, "controlplane.go")
	if !strings.Contains(plane, fmt.Sprintf("wholeControlPlane = %q", c.Env[0].Name)) || c.Env[0].Value == "" {
		t.Errorf("the program does not know the pod's variable %s", c.Env[0].Name)
	}
	for _, m := range c.VolumeMounts {
		if !strings.Contains(plane, fmt.Sprintf("= %q", m.MountPath)) {
			t.Errorf("the program does not read the pod's %s", m.MountPath)
		}
	}
	if want := fmt.Sprintf("podSubnet             = %q", PodSubnet); !strings.Contains(plane, want) {
		t.Errorf("the controllers give pods other addresses: no %s", want)
	}
}

// kubeadm ignores patches whose names it does not know.
func TestPatches_have_names_that_kubeadm_knows(t *testing.T) {
	patches, err := files.ReadDir("files/patches")
	if err != nil {
		t.Fatal(err)
	}
	if len(patches) == 0 {
		t.Error("there are none")
	}
	known := []string{"kube-apiserver", "etcd", "corednsdeployment"}
	for _, patch := range patches {
		target, ok := strings.CutSuffix(patch.Name(), "+strategic.yaml")
		if !ok || !slices.Contains(known, target) {
			t.Errorf("%s: kubeadm knows no such name", patch.Name())
		}
		data, err := files.ReadFile(path.Join("files/patches", patch.Name()))
		if err != nil {
			t.Fatal(err)
		}
		var object map[string]any
		if err := yaml.Unmarshal(data, &object); err != nil || object["spec"] == nil {
			t.Errorf("%s has no spec: %v", patch.Name(), err)
		}
	}
}

// A cluster that was paused for an hour must not find that its only node was silent.
func TestKindConfig_lets_a_cluster_sleep(t *testing.T) {
	list := regexp.MustCompile(`(?s)var controllers = \[\]string\{(.*?)\}`).FindStringSubmatch(source(t, "controlplane.go"))
	if list == nil {
		t.Fatal("the program has no list of controllers")
	}
	for _, by := range []string{"node-lifecycle", "taint-eviction", "pod-garbage-collector", "lease", "\"*\""} {
		if strings.Contains(list[1], by) {
			t.Errorf("a controller acts by the clock: %s", by)
		}
	}
	var cluster struct {
		APIServer struct{ ExtraArgs map[string]string }
	}
	kubeadmPatch(t, "ClusterConfiguration", &cluster)
	for arg, want := range map[string]string{
		"disable-admission-plugins": "TaintNodesByCondition",
		"endpoint-reconciler-type":  "master-count",
		"feature-gates":             "APIServerIdentity=false",
	} {
		if got := cluster.APIServer.ExtraArgs[arg]; got != want {
			t.Errorf("the API server has --%s=%s, want %s", arg, got, want)
		}
	}
	var kubelet struct {
		NodeLeaseDurationSeconds  int
		NodeStatusUpdateFrequency string
	}
	kubeadmPatch(t, "KubeletConfiguration", &kubelet)
	if kubelet.NodeLeaseDurationSeconds < 2*3600 || kubelet.NodeStatusUpdateFrequency != "1s" {
		t.Errorf("the node's lease is %d s and its state is reported every %s, want hours and 1s",
			kubelet.NodeLeaseDurationSeconds, kubelet.NodeStatusUpdateFrequency)
	}
	if !strings.Contains(journaldUnit, "WatchdogSec=0") {
		t.Error("systemd kills the journal that was asleep")
	}
}
