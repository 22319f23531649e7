// Command calico is every Calico program of a lab node in one file, told apart
// by the name it is called by:
//
//   - calico, the CNI plugin, called by containerd;
//   - calico-node, the agent. It does in one process, one after the other, what
//     upstream's container does with a process supervisor and an init container
//     per step: prepare the node, allocate the tunnel address, keep the CNI
//     plugin's credentials fresh, run Felix.
//
// The agent differs from upstream's order in one point, and that point is what
// makes a cluster start fast: the CNI configuration appears only when Felix says
// that it is ready. Before that the kubelet does not try to start pods at all;
// with the configuration there too early it tries, fails, and waits 10 s.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/projectcalico/calico/cni-plugin/pkg/plugin"
	felix "github.com/projectcalico/calico/felix/daemon"
	"github.com/projectcalico/calico/libcalico-go/lib/logutils"
	"github.com/projectcalico/calico/node/pkg/allocateip"
	"github.com/projectcalico/calico/node/pkg/cni"
	"github.com/projectcalico/calico/node/pkg/lifecycle/shutdown"
	"github.com/projectcalico/calico/node/pkg/lifecycle/startup"
	"github.com/sirupsen/logrus"
	"k8s.io/client-go/rest"
)

// version is set by the linker.
var version = "unknown"

const (
	cniDir        = "/host/etc/cni/net.d"
	cniConfig     = "10-calico.conflist"
	cniKubeconfig = "calico-kubeconfig"
	felixReady    = "http://127.0.0.1:9099/readiness"
	// defaultsLimit is how long the agent waits until it can apply Calico's defaults.
	defaultsLimit = time.Minute
)

// cniNetwork is the CNI configuration: node's name, MTU, kubeconfig. Upstream's
// also calls portmap and bandwidth, which no lab pod asks for, and has Calico's
// own IPAM, which asks the API server several things for each address; on one
// node the node's own range, kept by host-local in memory, is the same thing for
// a fraction of the processor time. The memory is empty again after a restart of
// the node, as are the pods.
const cniNetwork = `{
  "name": "k8s-pod-network",
  "cniVersion": "0.3.1",
  "plugins": [{
    "type": "calico",
    "log_level": "warning",
    "log_file_path": "/var/log/calico/cni/cni.log",
    "datastore_type": "kubernetes",
    "nodename": %q,
    "mtu": %s,
    "ipam": {"type": "host-local", "subnet": "usePodCidr", "dataDir": "/run/cni/networks"},
    "policy": {"type": "k8s"},
    "kubernetes": {"kubeconfig": %q}
  }]
}
`

func main() {
	switch name := filepath.Base(os.Args[0]); name {
	case "calico":
		plugin.Main(version)
	case "calico-node":
		logrus.SetOutput(os.Stdout)
		startup.VERSION = version
		if len(os.Args) > 1 && os.Args[1] == "-shutdown" {
			shutdown.Run()
			return
		}
		runNode()
	default:
		fmt.Fprintf(os.Stderr, "%s: not a Calico program this file knows\n", name)
		os.Exit(2)
	}
}

func runNode() {
	began := time.Now()
	nodename := os.Getenv("NODENAME")
	os.Setenv("FELIX_FELIXHOSTNAME", nodename)
	os.Setenv("FELIX_DATASTORETYPE", os.Getenv("DATASTORE_TYPE"))

	useLocalAPIServer()
	logrus.SetFormatter(&logutils.Formatter{Component: "startup"})
	ctx, cancel := context.WithTimeout(context.Background(), defaultsLimit)
	if err := applyDefaults(ctx); err != nil {
		logrus.WithError(err).Warning("Calico has to create its defaults itself, which takes longer")
	}
	cancel()
	startup.Run()
	logrus.WithField("after", time.Since(began)).Info("Node prepared")
	allocateip.Run(nil)
	logrus.WithField("after", time.Since(began)).Info("Tunnel address allocated")

	go cni.Run()
	go publishCNI(nodename, began)

	logrus.SetFormatter(&logutils.Formatter{Component: "felix"})
	felix.Run("/etc/calico/felix.cfg", version, "", "")
}

// useLocalAPIServer makes a control-plane node talk to its own API server
// instead of to the service's address, which answers only once kube-proxy, which
// starts at the same time, has set it up.
func useLocalAPIServer() {
	host := os.Getenv("HOST_IP")
	if host == "" {
		return
	}
	c, err := net.DialTimeout("tcp", net.JoinHostPort(host, "6443"), time.Second)
	if err != nil {
		return // a worker
	}
	c.Close()
	os.Setenv("KUBERNETES_SERVICE_HOST", host)
	os.Setenv("KUBERNETES_SERVICE_PORT", "6443")
}

// applyDefaults makes what upstream's preparation would create in a new cluster, and
// completes where it is there. Who creates an object of a kind that the API server was
// told of less than two seconds ago, as these are then, is kept waiting for two more; who
// applies one is not. It waits until these kinds are served: in a new cluster they come
// while the agent starts.
func applyDefaults(ctx context.Context) error {
	cidr := os.Getenv("CALICO_IPV4POOL_CIDR")
	if cidr == "" {
		return nil // Only upstream's preparation knows the pods' range.
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	config.Timeout = 5 * time.Second
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	for _, object := range []struct{ resource, kind, name, spec string }{
		{"ippools", "IPPool", "default-ipv4-ippool", fmt.Sprintf(`{"cidr": %q, "blockSize": 26, "ipipMode": "Never", "vxlanMode": "Never",
			"natOutgoing": true, "nodeSelector": "all()", "allowedUses": ["Workload", "Tunnel"]}`, cidr)},
		{"clusterinformations", "ClusterInformation", "default", `{"datastoreReady": true}`},
		{"felixconfigurations", "FelixConfiguration", "default", `{"reportingInterval": "0s", "logSeverityScreen": "Info"}`},
	} {
		url := fmt.Sprintf("%s/apis/crd.projectcalico.org/v1/%s/%s?fieldManager=netpol-lab&force=true", config.Host, object.resource, object.name)
		body := fmt.Sprintf(`{"apiVersion": "crd.projectcalico.org/v1", "kind": %q, "metadata": {"name": %q}, "spec": %s}`, object.kind, object.name, object.spec)
		for again := true; again; {
			if again, err = patch(ctx, client, url, body); err != nil {
				return fmt.Errorf("apply %s %s: %w", object.kind, object.name, err)
			}
		}
	}
	return nil
}

// patch applies an object. Where its kind is not known yet, or the agent has not got its
// role yet, it waits a little, and is to be called again.
func patch(ctx context.Context, client *http.Client, url, body string) (again bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPatch, url, strings.NewReader(body))
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/apply-patch+yaml")
	response, err := client.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return false, err
	case response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusForbidden:
		select {
		case <-time.After(20 * time.Millisecond):
			return true, nil
		case <-ctx.Done():
			return false, fmt.Errorf("%s: %s", response.Status, text)
		}
	case response.StatusCode >= http.StatusMultipleChoices:
		return false, fmt.Errorf("%s: %s", response.Status, text)
	}
	return false, nil
}

// publishCNI writes the CNI configuration once Felix is ready and the plugin's
// credentials are there, and again whenever it is gone: containerd's unit
// removes it when the node boots, so that a restarted node waits for Felix too.
func publishCNI(nodename string, began time.Time) {
	config := fmt.Sprintf(cniNetwork, nodename, os.Getenv("CNI_MTU"), "/etc/cni/net.d/"+cniKubeconfig)
	path := filepath.Join(cniDir, cniConfig)

	for pause := 50 * time.Millisecond; ; time.Sleep(pause) {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			pause = 2 * time.Second
			continue
		}
		if fi, err := os.Stat(filepath.Join(cniDir, cniKubeconfig)); err != nil || fi.ModTime().Before(began) {
			continue
		}
		if !ready() {
			continue
		}
		// The runtime reads whatever ends in .conflist, so the file gets that
		// name only when it is whole.
		if err := os.WriteFile(path+".part", []byte(config), 0o600); err != nil {
			logrus.WithError(err).Error("Cannot write the CNI configuration")
			continue
		}
		if err := os.Rename(path+".part", path); err != nil {
			logrus.WithError(err).Error("Cannot publish the CNI configuration")
			continue
		}
		logrus.WithField("after", time.Since(began)).Info("CNI configuration published")
	}
}

func ready() bool {
	client := http.Client{Timeout: time.Second}
	resp, err := client.Get(felixReady)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
