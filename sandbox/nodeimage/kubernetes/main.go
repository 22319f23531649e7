// Command kubernetes is every Kubernetes program of a lab node in one file.
//
// The node has one copy of it under seven names; the name it is called by
// decides what it is. Seven separate programs hold the same libraries seven times
// (560 MB instead of 151 MB), on disk and in memory.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"
	_ "time/tzdata" // CronJob time zones, as in the upstream programs

	"github.com/spf13/cobra"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubeadmerrors "k8s.io/kubernetes/cmd/kubeadm/app/util/errors"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// daemons are built only when called for: constructing a command registers
// global flags, and those of two programs collide.
var daemons = map[string]func() *cobra.Command{
	"kube-apiserver":          newAPIServerCommand,
	"kube-controller-manager": func() *cobra.Command { return controllermanager.NewControllerManagerCommand() },
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kube-proxy":              func() *cobra.Command { return proxy.NewProxyCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
}

// settle keeps a program small. Its garbage is collected often, for memory is what the
// next cluster needs, and most often once the cluster is up; to collect rarely until then
// would save next to no time, and leave what stays scattered over twice the memory. And it
// gets few processors, those that are idle in particular: each wakes up many times a
// second, and with several processors Go looks on all of them for something to do.
func settle(name string) {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(50)
	runtime.GOMAXPROCS(min(2, runtime.NumCPU()))
	time.Sleep(30 * time.Second)
	debug.SetGCPercent(20)
	debug.FreeOSMemory()
	if name != "kube-apiserver" {
		runtime.GOMAXPROCS(1)
	}
}

func main() {
	name := filepath.Base(os.Args[0])
	if newCommand, ok := daemons[name]; ok {
		go settle(name)
		os.Exit(cli.Run(newCommand()))
	}
	switch name {
	case "kubeadm":
		kubeadmerrors.HandleError(runKubeadm())
	case "kubectl":
		// What is created in a node comes out of its image: to fetch every
		// schema first and compare costs more than to create it.
		if len(os.Args) > 1 && os.Args[1] == "create" {
			os.Args = append(os.Args, "--validate=false")
		}
		// The verbosity must be known before the command is constructed,
		// which already reads the user's preferences.
		logs.GlogSetter(kubectl.GetLogVerbosity(os.Args)) //nolint:errcheck // as upstream
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			kubectlutil.CheckErr(err)
		}
	default:
		fmt.Fprintf(os.Stderr, "%s: not a Kubernetes program this file knows\n", name)
		os.Exit(2)
	}
}
