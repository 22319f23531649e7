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

// defaultAPILimit is how long a cluster's API server may take to come up where the
// configuration does not say, as in kubeadm.
const defaultAPILimit = 4 * time.Minute

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
	skipped, apiLimit, err := configured(os.Args)
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

// configured says which phases the configuration in the arguments leaves out, and how long
// the API server may take to come up.
func configured(args []string) (skipped []string, apiLimit time.Duration, err error) {
	apiLimit = defaultAPILimit
	for _, arg := range args {
		name, ok := strings.CutPrefix(arg, "--config=")
		if !ok {
			continue
		}
		config, err := os.ReadFile(name)
		if err != nil {
			return nil, 0, err
		}
		for document := range strings.SplitSeq(string(config), "\n---\n") {
			var c struct {
				Kind       string
				SkipPhases []string // of InitConfiguration
				APIServer  struct { // of ClusterConfiguration, v1beta3
					TimeoutForControlPlane string
				}
			}
			if err := yaml.Unmarshal([]byte(document), &c); err != nil {
				return nil, 0, err
			}
			switch c.Kind {
			case "InitConfiguration":
				skipped = c.SkipPhases
			case "ClusterConfiguration":
				if limit := c.APIServer.TimeoutForControlPlane; limit != "" {
					if apiLimit, err = time.ParseDuration(limit); err != nil {
						return nil, 0, err
					}
				}
			}
		}
	}
	return skipped, apiLimit, nil
}
