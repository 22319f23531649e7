package kubernetes

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

const (
	// SystemNamespace holds the lab's own accounts.
	SystemNamespace = "netpol-lab-system"
	// PoliciesAccount reads and writes NetworkPolicies in the lab's
	// namespaces; ProberAccount runs the probe in the lab's pods.
	PoliciesAccount = "policies"
	ProberAccount   = "prober"

	// labelManagedBy marks what the lab has made, except pods and namespaces
	// of the topology: learners' selectors must find these with exactly the
	// labels that the lesson shows. Those carry it as an annotation.
	labelManagedBy = "app.kubernetes.io/managed-by"
	managedBy      = "netpol-lab"

	// The environment of netpol-probe serve.
	EnvName   = "NETPOL_PROBE_NAME"
	EnvListen = "NETPOL_PROBE_LISTEN"

	// probeContainer is the name of the one container of a pod.
	probeContainer = "probe"
	// PodUser is the user and group that netpol-probe runs as.
	PodUser = 65532
	// UnprivilegedPorts is the sysctl with the first port that PodUser may serve.
	UnprivilegedPorts = "net.ipv4.ip_unprivileged_port_start"
)

// Listen is the value of EnvListen for the ports: "8080/TCP,8125/UDP".
func Listen(ports []sandbox.Port) string {
	specs := make([]string, len(ports))
	for i, p := range ports {
		specs[i] = fmt.Sprintf("%d/%s", p.Port, p.Protocol)
	}
	return strings.Join(specs, ",")
}

// meta is the metadata of an object of the lab's own.
func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{labelManagedBy: managedBy}}
}

// labMeta is the metadata of an object that learners' selectors can match.
func labMeta(namespace, name string, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels, Annotations: map[string]string{labelManagedBy: managedBy}}
}

func namespaceObject(ns sandbox.Namespace) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: labMeta("", ns.Name, ns.Labels)}
}

// podObject is the pod as it runs netpol-probe on the node.
func podObject(namespace string, pod sandbox.Pod, image, node string) *corev1.Pod {
	no, yes, user, now := false, true, int64(PodUser), int64(0)
	ports := make([]corev1.ContainerPort, len(pod.Ports))
	for i, p := range pod.Ports {
		ports[i] = corev1.ContainerPort{Name: p.Name, ContainerPort: int32(p.Port), Protocol: corev1.Protocol(p.Protocol)}
	}
	obj := &corev1.Pod{
		ObjectMeta: labMeta(namespace, pod.Name, pod.Labels),
		Spec: corev1.PodSpec{
			// There is one node and nothing to schedule: that saves the
			// scheduler's turn.
			NodeName:                      node,
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			AutomountServiceAccountToken:  &no,
			EnableServiceLinks:            &no,
			TerminationGracePeriodSeconds: &now,
			HostNetwork:                   pod.HostNetwork,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name:            probeContainer,
				Image:           image,
				ImagePullPolicy: corev1.PullNever,
				Env: []corev1.EnvVar{
					{Name: EnvName, Value: namespace + "/" + pod.Name},
					{Name: EnvListen, Value: Listen(pod.Ports)},
				},
				Ports:     ports,
				Resources: resources("5m", "8Mi", "500m", "64Mi"),
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: &no,
					ReadOnlyRootFilesystem:   &yes,
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
	if pod.HostNetwork {
		obj.Spec.DNSPolicy = corev1.DNSClusterFirstWithHostNet
	} else {
		obj.Spec.SecurityContext.Sysctls = []corev1.Sysctl{{Name: UnprivilegedPorts, Value: "0"}}
	}
	return obj
}

// resources are what a container may count on, and what it can have at most.
func resources(cpu, memory, maxCPU, maxMemory string) corev1.ResourceRequirements {
	list := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: quantity.MustParse(cpu), corev1.ResourceMemory: quantity.MustParse(memory)}
	}
	return corev1.ResourceRequirements{Requests: list(cpu, memory), Limits: list(maxCPU, maxMemory)}
}

// serviceObject is the Service in front of the pod, found by the pod's labels.
func serviceObject(namespace string, svc sandbox.Service, pod sandbox.Pod) *corev1.Service {
	ports := make([]corev1.ServicePort, len(svc.Ports))
	for i, p := range svc.Ports {
		ports[i] = corev1.ServicePort{Name: p.Name, Port: int32(p.Port), TargetPort: intstr.FromInt32(int32(p.TargetPort)), Protocol: corev1.Protocol(p.Protocol)}
	}
	return &corev1.Service{
		ObjectMeta: meta(namespace, svc.Name),
		Spec:       corev1.ServiceSpec{Selector: pod.Labels, Ports: ports},
	}
}

// accountRules are what the lab's two accounts may do, in the lab's namespaces
// and nowhere else.
var accountRules = map[string][]rbacv1.PolicyRule{
	PoliciesAccount: {
		{APIGroups: []string{"networking.k8s.io"}, Resources: []string{"networkpolicies"}, Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"}},
	},
	ProberAccount: {
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list"}},
		// An exec is a GET that becomes a websocket; which of the two verbs is
		// asked for depends on the release of Kubernetes.
		{APIGroups: []string{""}, Resources: []string{"pods/exec"}, Verbs: []string{"get", "create"}},
	},
}

// roleObjects are the role of an account in a namespace and its binding.
func roleObjects(namespace, account string) (*rbacv1.Role, *rbacv1.RoleBinding) {
	name := "netpol-lab-" + account
	role := &rbacv1.Role{ObjectMeta: meta(namespace, name), Rules: accountRules[account]}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: meta(namespace, name),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: SystemNamespace, Name: account}},
	}
	return role, binding
}
