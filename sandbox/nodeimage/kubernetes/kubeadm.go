package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app"
	kubeadmcmd "k8s.io/kubernetes/cmd/kubeadm/app/cmd"
	"sigs.k8s.io/yaml"
)

// apiLimit is how long a cluster's API server may take to come up, as in kubeadm.
const apiLimit = 4 * time.Minute

// The phases of "kubeadm init" before and after the one that waits for the control plane,
// which counts on a process for each of its parts.
var (
	before = []string{"certs", "kubeconfig", "etcd", "control-plane", "kubelet-start"}
	after  = []string{"upload-config", "upload-certs", "mark-control-plane", "bootstrap-token", "kubelet-finalize", "addon", "show-join-command"}
)

// runKubeadm is kubeadm. Of a configuration that leaves out the wait for the control plane
// it does the phases before and after with our own wait between them: for the one process
// that the control plane is.
func runKubeadm() error {
	if len(os.Args) < 2 || os.Args[1] != "init" {
		return kubeadm.Run()
	}
	skipped, err := skippedPhases(os.Args)
	if err != nil || !slices.Contains(skipped, "wait-control-plane") {
		return kubeadm.Run() // which says what is wrong with its arguments
	}
	args := os.Args
	os.Args = append(args[:len(args):len(args)], "--skip-phases="+strings.Join(append(skipped, after...), ","))
	if err := kubeadm.Run(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), apiLimit)
	defer cancel()
	if err := awaitAPI(ctx, superAdminKubeconfig); err != nil {
		return err
	}
	again := kubeadmcmd.NewKubeadmCommand(os.Stdin, os.Stdout, os.Stderr)
	again.SetArgs(append(args[1:len(args):len(args)], "--skip-phases="+strings.Join(append(skipped, before...), ",")))
	return again.Execute()
}

// skippedPhases are the phases that the configuration in the arguments leaves out.
func skippedPhases(args []string) ([]string, error) {
	for _, arg := range args {
		name, ok := strings.CutPrefix(arg, "--config=")
		if !ok {
			continue
		}
		config, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for document := range strings.SplitSeq(string(config), "\n---\n") {
			var init struct {
				Kind       string
				SkipPhases []string
			}
			if err := yaml.Unmarshal([]byte(document), &init); err != nil {
				return nil, err
			}
			if init.Kind == "InitConfiguration" {
				return init.SkipPhases, nil
			}
		}
	}
	return nil, nil
}
