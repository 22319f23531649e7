package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

const (
	// TerminalNamespace has the terminal's pod and nothing else: it is none of the lab's
	// namespaces, so it is no part of what is measured.
	TerminalNamespace = "netpol-lab-terminal"
	// terminalName is what the pod, its container and its account are called.
	terminalName = "terminal"
	// terminalUser is the user and group of the shell.
	terminalUser = 65533

	terminalLimit = time.Minute
	relayLimit    = 10 * time.Second
	// relayPause is the pause before a relay that has ended is started again.
	relayPause = time.Second
	// endLimit is how long it may take to end what runs in the terminal's pod.
	endLimit = 5 * time.Second
	// APIServerPort is where the API server listens on the node.
	APIServerPort = 6443
)

// terminalRules are what the terminal's account may do in each of the lab's namespaces.
var terminalRules = []rbacv1.PolicyRule{
	{APIGroups: []string{""}, Resources: []string{"pods", "services", "endpoints"}, Verbs: []string{"get", "list", "watch"}},
	{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"get", "list", "watch"}},
	{APIGroups: []string{"networking.k8s.io"}, Resources: []string{"networkpolicies"}, Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"}},
}

// terminalClusterRules are what it may do besides. A list cannot be restricted to some
// namespaces, and policies are about namespaces' labels, so it may see them all: names
// and labels, which tell nothing that the lab's pages do not.
var terminalClusterRules = []rbacv1.PolicyRule{
	{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get", "list", "watch"}},
}

// terminalBinding binds the terminal's account to a role of its own, in the namespace
// or, where that is empty, in the cluster.
func terminalBinding(namespace string, rules []rbacv1.PolicyRule) (role, binding runtime.Object) {
	name := meta(namespace, "netpol-lab-"+terminalName)
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: TerminalNamespace, Name: terminalName}}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name.Name}
	if namespace != "" {
		return &rbacv1.Role{ObjectMeta: name, Rules: rules}, &rbacv1.RoleBinding{ObjectMeta: name, RoleRef: ref, Subjects: subjects}
	}
	ref.Kind = "ClusterRole"
	return &rbacv1.ClusterRole{ObjectMeta: name, Rules: rules}, &rbacv1.ClusterRoleBinding{ObjectMeta: name, RoleRef: ref, Subjects: subjects}
}

// terminalPolicy lets the terminal's pod reach the API server on the node, and nothing
// else; nobody reaches the pod.
func terminalPolicy(node string) *networkingv1.NetworkPolicy {
	tcp, port := corev1.ProtocolTCP, intstr.FromInt32(APIServerPort)
	return &networkingv1.NetworkPolicy{
		ObjectMeta: meta(TerminalNamespace, "api-server-alone"),
		Spec: networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Egress: []networkingv1.NetworkPolicyEgressRule{{
				To:    []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: node + "/32"}}},
				Ports: []networkingv1.NetworkPolicyPort{{Protocol: &tcp, Port: &port}},
			}},
		},
	}
}

// terminalPod is the pod that the shell runs in. It runs what the learner likes, so it
// has no privileges, nothing of the node's, and little of everything.
func terminalPod(image, node string, namespaces []string) *corev1.Pod {
	no, yes, user, now, life := false, true, int64(terminalUser), int64(0), int64(600)
	inMemory := func(name, size string) corev1.Volume {
		limit := quantity.MustParse(size)
		return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: &limit},
		}}
	}
	return &corev1.Pod{
		ObjectMeta: meta(TerminalNamespace, terminalName),
		Spec: corev1.PodSpec{
			NodeName:                      node,
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			ServiceAccountName:            terminalName,
			AutomountServiceAccountToken:  &no,
			EnableServiceLinks:            &no,
			TerminationGracePeriodSeconds: &now,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user, FSGroup: &user,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name:            terminalName,
				Image:           image,
				ImagePullPolicy: corev1.PullNever,
				Env: []corev1.EnvVar{
					{Name: "HOME", Value: "/home/learner"},
					{Name: "TERM", Value: "xterm-256color"},
					{Name: "LANG", Value: "C.UTF-8"},
					{Name: "NETPOL_LAB_NAMESPACES", Value: strings.Join(namespaces, " ")},
				},
				Resources: resources("10m", "16Mi", "1", "256Mi"),
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: &no,
					ReadOnlyRootFilesystem:   &yes,
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
				VolumeMounts: []corev1.VolumeMount{
					{Name: "home", MountPath: "/home/learner"},
					{Name: "tmp", MountPath: "/tmp"},
					{Name: "run", MountPath: "/run/lab"},
					{Name: "account", MountPath: "/var/run/secrets/lab", ReadOnly: true},
				},
			}},
			Volumes: []corev1.Volume{
				inMemory("home", "8Mi"), inMemory("tmp", "16Mi"), inMemory("run", "1Mi"),
				{Name: "account", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
					{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: &life}},
					{ConfigMap: &corev1.ConfigMapProjection{
						LocalObjectReference: corev1.LocalObjectReference{Name: rootCA},
						Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
					}},
				}}}},
			},
		},
	}
}

// ensureTerminal makes the terminal's pod, and all that it needs, where it is not there.
func (c *Lab) ensureTerminal(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, terminalLimit, fmt.Errorf("the terminal's pod was not ready within %s", terminalLimit))
	defer cancel()
	if err := created(c.admin.create(ctx, namespaces, "", &corev1.Namespace{ObjectMeta: meta("", TerminalNamespace)})); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	put := func(r resource, namespace string, object runtime.Object) {
		group.Go(func() error { return created(c.admin.create(groupCtx, r, namespace, object)) })
	}
	group.Go(func() error { return c.createAccount(groupCtx, TerminalNamespace, terminalName) })
	group.Go(func() error { return c.PublishCA(groupCtx, TerminalNamespace) })
	for _, ns := range c.topology.NamespaceNames() {
		role, binding := terminalBinding(ns, terminalRules)
		put(roles, ns, role)
		put(roleBindings, ns, binding)
	}
	role, binding := terminalBinding("", terminalClusterRules)
	put(clusterRoles, "", role)
	put(clusterBindings, "", binding)
	prober, probers := roleObjects(TerminalNamespace, ProberAccount)
	put(roles, TerminalNamespace, prober)
	put(roleBindings, TerminalNamespace, probers)
	// Before the pod, and anew where the node has another address than before.
	group.Go(func() error {
		policy := terminalPolicy(c.Addresses().Node.String())
		err := c.admin.create(groupCtx, networkPolicies, TerminalNamespace, policy)
		if created(err) != err {
			err = c.admin.update(groupCtx, networkPolicies, TerminalNamespace, policy.Name, policy)
		}
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if err := created(c.admin.create(ctx, pods, TerminalNamespace, terminalPod(c.TerminalImage, c.Node, c.topology.NamespaceNames()))); err != nil {
		return err
	}
	return c.awaitTerminal(ctx)
}

// awaitTerminal waits until the terminal's pod is ready.
func (c *Lab) awaitTerminal(ctx context.Context) error {
	noImage := false
	err := watchUntil(ctx, metav1.ListOptions{},
		func(ctx context.Context, opts metav1.ListOptions) ([]corev1.Pod, string, error) {
			var list corev1.PodList
			err := c.admin.list(ctx, pods, TerminalNamespace, opts, &list)
			return list.Items, list.ResourceVersion, err
		},
		func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			return c.admin.watch(ctx, pods, TerminalNamespace, opts)
		},
		func(pod *corev1.Pod) bool {
			for _, status := range pod.Status.ContainerStatuses {
				noImage = noImage || status.State.Waiting != nil && status.State.Waiting.Reason == "ErrImageNeverPull"
			}
			return pod.Name == terminalName && (noImage || podReady(pod))
		})
	if err == nil && noImage {
		return &sandbox.Failure{Message: "This sandbox's cluster was made from a node image that has no terminal in it. Whoever runs the lab can make a new image; press Reset afterwards."}
	}
	return err
}

// OpenShell starts a shell in the terminal's pod.
func (c *Lab) OpenShell(ctx context.Context, size sandbox.TerminalSize, command sandbox.ProbeCommand) (sandbox.Shell, error) {
	c.opening.Lock()
	defer c.opening.Unlock()
	c.shell = nil
	if err := c.ensureTerminal(ctx); err != nil {
		return nil, err
	}
	if err := c.endShells(ctx); err != nil {
		return nil, err
	}
	relayCtx, cancel := context.WithCancel(ctx)
	s := &shell{lab: c, parent: ctx, cancel: cancel, sizes: make(chan sandbox.TerminalSize, 1)}
	s.Resize(size)
	listening := make(chan struct{})
	go c.relay(relayCtx, sync.OnceFunc(func() { close(listening) }), command)
	limited, stop := context.WithTimeoutCause(relayCtx, relayLimit, errors.New("the terminal's relay does not listen"))
	defer stop()
	var err error
	select {
	case <-listening:
	case <-limited.Done():
		err = context.Cause(limited)
	}
	if err == nil {
		s.execStream, err = c.exec(relayCtx, TerminalNamespace, terminalName, &corev1.PodExecOptions{
			Container: terminalName, Command: []string{"/usr/bin/bash", "--login"}, Stdin: true, Stdout: true, TTY: true,
		}, s.sizes)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	c.shell = s
	return s, nil
}

// relay has a relay for the command "probe" in the terminal's pod until ctx ends.
func (c *Lab) relay(ctx context.Context, listening func(), command sandbox.ProbeCommand) {
	for {
		stream, err := c.exec(ctx, TerminalNamespace, terminalName, &corev1.PodExecOptions{
			Container: terminalName, Command: []string{"/netpol-probe", "relay", probe.RelaySocket}, Stdin: true, Stdout: true, Stderr: true,
		}, nil)
		if err == nil {
			err = errors.Join(probe.Answers(ctx, stream, listening, command), stream.Close())
		}
		if ctx.Err() == nil {
			c.Log.Debug("the terminal's relay has ended", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(relayPause):
		}
	}
}

// endShells ends whatever runs in the terminal's pod but its first process: a shell
// whose stream has ended goes on, as does what it has started.
func (c *Lab) endShells(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, endLimit)
	defer cancel()
	stream, err := c.exec(ctx, TerminalNamespace, terminalName, &corev1.PodExecOptions{
		// The first signal finds none, where there is nobody.
		Container: terminalName, Command: []string{"/usr/bin/busybox", "sh", "-c", "kill -9 -1 2>/dev/null; true"}, Stdout: true,
	}, nil)
	if err != nil {
		return err
	}
	defer stream.Close()
	_, err = io.Copy(io.Discard, stream)
	return err
}

// shell is a shell in the terminal's pod.
type shell struct {
	*execStream
	lab    *Lab
	parent context.Context    // the caller's, with which all of it ends
	cancel context.CancelFunc // ends the shell's stream and the relay
	sizes  chan sandbox.TerminalSize
}

// Read ends when the shell has, whatever ended it.
func (s *shell) Read(p []byte) (int, error) {
	n, err := s.execStream.Read(p)
	if err != nil {
		s.lab.Log.Debug("a terminal's shell has ended", "err", err)
		err = io.EOF
	}
	return n, err
}

// Resize tells the size, and forgets one that was not told yet.
func (s *shell) Resize(size sandbox.TerminalSize) {
	for told := false; !told; {
		select {
		case s.sizes <- size:
			told = true
		default:
			select {
			case <-s.sizes:
			default:
			}
		}
	}
}

// Close ends the shell and all that it has started. What a caller that is done with the
// cluster leaves there ends with the cluster, or when the next shell begins.
func (s *shell) Close() error {
	s.cancel()
	err := s.execStream.Close()
	c := s.lab
	c.opening.Lock()
	defer c.opening.Unlock()
	if c.shell != s || s.parent.Err() != nil {
		return err
	}
	c.shell = nil
	return errors.Join(err, c.endShells(s.parent))
}
