package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	controlleroptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	scheduleroptions "k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

// wholeControlPlane is the variable by which the API server's pod says that controllers and
// scheduler have no pods of their own. The three are then one process: upstream's code as
// it is, with one heap, and one copy of what each of them would load.
const wholeControlPlane = "CONTROL_PLANE"

// kubeadm writes these files; what it would tell controllers and scheduler by flags is
// here.
const (
	superAdminKubeconfig  = "/etc/kubernetes/super-admin.conf"
	controllersKubeconfig = "/etc/kubernetes/controller-manager.conf"
	schedulerKubeconfig   = "/etc/kubernetes/scheduler.conf"
	serviceAccountKey     = "/etc/kubernetes/pki/sa.key"
	clusterCA             = "/etc/kubernetes/pki/ca.crt"
	podSubnet             = "10.244.0.0/16"
	serviceSubnet         = "10.96.0.0/16"
)

// controllers are those that a lab needs. Garbage collection and quotas watch every kind
// of object there is, for nothing here. Node lifecycle, taint eviction and the collection
// of pods decide by the clock what becomes of the pods of a silent node: there is no other
// node to move them to, and a cluster that was asleep for an hour would lose them.
var controllers = []string{
	"clusterrole-aggregation-controller", "daemonset-controller", "deployment-controller",
	"endpoints-controller", "endpointslice-controller", "namespace-controller", "node-ipam-controller",
	"replicaset-controller", "root-ca-certificate-publisher-controller", "serviceaccount-controller",
}

// newAPIServerCommand is the API server's command. As the whole control plane it runs the
// controllers and the scheduler as well, once its API is ready for them.
func newAPIServerCommand() *cobra.Command {
	cmd := apiserver.NewAPIServerCommand()
	if os.Getenv(wholeControlPlane) == "" {
		return cmd
	}
	serve := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		go beside(cmd.Context(), "controllers", runControllers)
		go beside(cmd.Context(), "scheduler", runScheduler)
		return serve(cmd, args)
	}
	return cmd
}

// beside runs a part of the control plane beside the API server. As with processes of
// their own, one that cannot go on is started anew, here with all the others.
func beside(ctx context.Context, name string, run func(context.Context) error) {
	err := awaitAPI(ctx, controllersKubeconfig)
	if err == nil {
		err = run(ctx)
	}
	if ctx.Err() != nil {
		return // The API server ends the process, after the last requests.
	}
	klog.ErrorS(err, "A part of the control plane has ended", "part", name)
	klog.FlushAndExit(klog.ExitFlushTimeout, 1)
}

// awaitAPI waits until the API server that a kubeconfig leads to is ready.
func awaitAPI(ctx context.Context, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	for {
		err := client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the API server is not ready: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func runControllers(ctx context.Context) error {
	o, err := controlleroptions.NewKubeControllerManagerOptions()
	if err != nil {
		return err
	}
	o.Generic.ClientConnection.Kubeconfig = controllersKubeconfig
	o.Generic.LeaderElection.LeaderElect = false
	o.Generic.Controllers = controllers
	o.SecureServing.BindPort = 0 // Whether it is well, the API server's port says.
	o.KubeCloudShared.AllocateNodeCIDRs = true
	o.KubeCloudShared.CIDRAllocatorType = "RangeAllocator"
	o.KubeCloudShared.ClusterCIDR = podSubnet
	o.KubeCloudShared.UseServiceAccountCredentials = true
	o.NodeIPAMController.ServiceCIDR = serviceSubnet
	o.SAController.ServiceAccountKeyFile = serviceAccountKey
	o.SAController.RootCAFile = clusterCA
	config, err := o.Config(ctx, controllermanager.KnownControllers(), controllermanager.ControllersDisabledByDefault(), controllermanager.ControllerAliases())
	if err != nil {
		return err
	}
	return controllermanager.Run(ctx, config.Complete())
}

func runScheduler(ctx context.Context) error {
	o := scheduleroptions.NewOptions()
	o.SecureServing.BindPort = 0
	// Upstream reads these two only where a flag has set them.
	for section, flag := range map[string][2]string{
		"deprecated": {"kubeconfig", schedulerKubeconfig}, "leader election": {"leader-elect", "false"},
	} {
		if err := o.Flags.FlagSet(section).Set(flag[0], flag[1]); err != nil {
			return err
		}
	}
	config, run, err := scheduler.Setup(ctx, o)
	if err != nil {
		return err
	}
	return scheduler.Run(ctx, config, run)
}
