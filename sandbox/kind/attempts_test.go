//go:build integration

package kind

import (
	"context"
	"fmt"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"

	"github.com/netpol-lab/netpol-lab/sandbox/kubernetes"
)

// attempts are what an account might try.
type attempts struct {
	ctx    context.Context
	client clientset.Interface
}

func (a attempts) attempt(what string) error {
	var err error
	switch what {
	case "list secrets":
		_, err = a.client.CoreV1().Secrets("production").List(a.ctx, metav1.ListOptions{})
	case "list pods":
		_, err = a.client.CoreV1().Pods("production").List(a.ctx, metav1.ListOptions{})
	case "list policies":
		_, err = a.client.NetworkingV1().NetworkPolicies("production").List(a.ctx, metav1.ListOptions{})
	case "list all policies":
		_, err = a.client.NetworkingV1().NetworkPolicies("").List(a.ctx, metav1.ListOptions{})
	case "create policy in kube-system":
		_, err = a.client.NetworkingV1().NetworkPolicies("kube-system").Create(a.ctx, &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "deny"}}, metav1.CreateOptions{})
	case "list nodes":
		_, err = a.client.CoreV1().Nodes().List(a.ctx, metav1.ListOptions{})
	case "create pod":
		_, err = a.client.CoreV1().Pods("production").Create(a.ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "intruder"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "intruder", Image: "intruder"}}},
		}, metav1.CreateOptions{})
	case "delete pod":
		err = a.client.CoreV1().Pods("production").Delete(a.ctx, "web", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
	case "update namespace":
		_, err = a.client.CoreV1().Namespaces().Update(a.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "production"}}, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
	case "create token":
		_, err = a.client.CoreV1().ServiceAccounts(kubernetes.SystemNamespace).CreateToken(a.ctx, kubernetes.ProberAccount, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	case "create role binding":
		_, err = a.client.RbacV1().RoleBindings("production").Create(a.ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "intruder"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		}, metav1.CreateOptions{})
	default:
		err = fmt.Errorf("unknown attempt %q", what)
	}
	return err
}

// rules are what the account may do in the namespace, beyond what every account
// may: the verbs by resource.
func (a attempts) rules(namespace string) (map[string][]string, error) {
	review, err := a.client.AuthorizationV1().SelfSubjectRulesReviews().Create(a.ctx,
		&authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace}}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	found := map[string][]string{}
	for _, rule := range review.Status.ResourceRules {
		for _, group := range rule.APIGroups {
			if group == "authorization.k8s.io" || group == "authentication.k8s.io" {
				continue // selfsubjectreviews and the like: about the account itself
			}
			for _, resource := range rule.Resources {
				verbs := append(found[resource], rule.Verbs...)
				slices.Sort(verbs)
				found[resource] = slices.Compact(verbs)
			}
		}
	}
	return found, nil
}
