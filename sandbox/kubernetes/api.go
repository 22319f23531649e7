package kubernetes

import (
	"context"
	"fmt"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// api is a client of a cluster's API server for the few kinds of objects that a lab
// needs. client-go has ready clients for every kind there is; to compile those would
// take a third of the time that the whole server takes.
type api struct {
	groups map[schema.GroupVersion]rest.Interface
}

// resource is what the API calls a kind of objects in its paths.
type resource struct {
	group schema.GroupVersion
	name  string
}

var (
	namespaces      = resource{corev1.SchemeGroupVersion, "namespaces"}
	nodes           = resource{corev1.SchemeGroupVersion, "nodes"}
	pods            = resource{corev1.SchemeGroupVersion, "pods"}
	services        = resource{corev1.SchemeGroupVersion, "services"}
	configMaps      = resource{corev1.SchemeGroupVersion, "configmaps"}
	serviceAccounts = resource{corev1.SchemeGroupVersion, "serviceaccounts"}
	roles           = resource{rbacv1.SchemeGroupVersion, "roles"}
	roleBindings    = resource{rbacv1.SchemeGroupVersion, "rolebindings"}
	clusterRoles    = resource{rbacv1.SchemeGroupVersion, "clusterroles"}
	clusterBindings = resource{rbacv1.SchemeGroupVersion, "clusterrolebindings"}
	networkPolicies = resource{networkingv1.SchemeGroupVersion, "networkpolicies"}
	deployments     = resource{schema.GroupVersion{Group: "apps", Version: "v1"}, "deployments"}
	endpoints       = resource{corev1.SchemeGroupVersion, "endpoints"}
	endpointSlices  = resource{schema.GroupVersion{Group: "discovery.k8s.io", Version: "v1"}, "endpointslices"}
	events          = resource{corev1.SchemeGroupVersion, "events"}
)

// kinds are the kinds of objects, and parameters what a request's address can say.
var (
	kinds      = newKinds()
	codecs     = serializer.NewCodecFactory(kinds)
	parameters = runtime.NewParameterCodec(kinds)
)

func newKinds() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, rbacv1.AddToScheme, networkingv1.AddToScheme, authenticationv1.AddToScheme, autoscalingv1.AddToScheme,
	} {
		if err := add(s); err != nil {
			panic(err) // The kinds are constants of the program.
		}
	}
	// For a scale and for deletions; their own kinds are not needed.
	metav1.AddToGroupVersion(s, deployments.group)
	metav1.AddToGroupVersion(s, endpointSlices.group)
	return s
}

// newAPI makes a client without using it.
func newAPI(config *rest.Config) (*api, error) {
	transport, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	a := &api{groups: map[schema.GroupVersion]rest.Interface{}}
	for _, r := range []resource{pods, roles, networkPolicies, deployments, endpointSlices} {
		if a.groups[r.group], err = groupClient(config, transport, r.group); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func groupClient(config *rest.Config, transport *http.Client, group schema.GroupVersion) (rest.Interface, error) {
	config = rest.CopyConfig(config)
	config.GroupVersion, config.APIPath = &group, "/apis"
	if group.Group == "" {
		config.APIPath = "/api"
	}
	config.NegotiatedSerializer = codecs.WithoutConversion()
	client, err := rest.RESTClientForConfigAndClient(config, transport)
	if err != nil {
		return nil, fmt.Errorf("a client for %s: %w", group, err)
	}
	return client, nil
}

// at aims the request at a resource; the namespace is empty for what is in none.
func at(request *rest.Request, r resource, namespace string) *rest.Request {
	return request.NamespaceIfScoped(namespace, namespace != "").Resource(r.name)
}

// ready asks the API server whether it is ready.
func (a *api) ready(ctx context.Context) error {
	return a.groups[pods.group].Get().AbsPath("/readyz").Do(ctx).Error()
}

func (a *api) get(ctx context.Context, r resource, namespace, name string, into runtime.Object) error {
	return at(a.groups[r.group].Get(), r, namespace).Name(name).Do(ctx).Into(into)
}

// list reads the objects of the namespace, or of all where it is empty, into a list.
func (a *api) list(ctx context.Context, r resource, namespace string, opts metav1.ListOptions, into runtime.Object) error {
	return at(a.groups[r.group].Get(), r, namespace).VersionedParams(&opts, parameters).Do(ctx).Into(into)
}

func (a *api) watch(ctx context.Context, r resource, namespace string, opts metav1.ListOptions) (watch.Interface, error) {
	opts.Watch = true
	return at(a.groups[r.group].Get(), r, namespace).VersionedParams(&opts, parameters).Watch(ctx)
}

func (a *api) create(ctx context.Context, r resource, namespace string, object runtime.Object) error {
	return at(a.groups[r.group].Post(), r, namespace).Body(object).Do(ctx).Error()
}

func (a *api) update(ctx context.Context, r resource, namespace, name string, object runtime.Object) error {
	return at(a.groups[r.group].Put(), r, namespace).Name(name).Body(object).Do(ctx).Error()
}

func (a *api) patch(ctx context.Context, r resource, namespace, name string, kind types.PatchType, patch []byte, opts metav1.PatchOptions) error {
	return at(a.groups[r.group].Patch(kind), r, namespace).Name(name).VersionedParams(&opts, parameters).Body(patch).Do(ctx).Error()
}

func (a *api) delete(ctx context.Context, r resource, namespace, name string) error {
	return at(a.groups[r.group].Delete(), r, namespace).Name(name).Do(ctx).Error()
}

// deleteAll deletes all objects of the kind in the namespace.
func (a *api) deleteAll(ctx context.Context, r resource, namespace string, opts metav1.DeleteOptions) error {
	return at(a.groups[r.group].Delete(), r, namespace).Body(&opts).Do(ctx).Error()
}

// finalize says of a namespace that is being deleted that nothing is left in it.
func (a *api) finalize(ctx context.Context, name string) error {
	return at(a.groups[namespaces.group].Put(), namespaces, "").Name(name).SubResource("finalize").
		Body(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}).Do(ctx).Error()
}

// scale sets a Deployment's number of replicas.
func (a *api) scale(ctx context.Context, namespace, name string, replicas int32) error {
	return at(a.groups[deployments.group].Put(), deployments, namespace).Name(name).SubResource("scale").
		Body(&autoscalingv1.Scale{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec:       autoscalingv1.ScaleSpec{Replicas: replicas},
		}).Do(ctx).Error()
}

// token asks for a token of a service account.
func (a *api) token(ctx context.Context, namespace, account string, seconds int64) (string, error) {
	var granted authenticationv1.TokenRequest
	err := at(a.groups[serviceAccounts.group].Post(), serviceAccounts, namespace).Name(account).SubResource("token").
		Body(&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}).Do(ctx).Into(&granted)
	return granted.Status.Token, err
}

// execURL is the address of an exec in a pod.
func (a *api) execURL(namespace, pod string, opts *corev1.PodExecOptions) string {
	return at(a.groups[pods.group].Post(), pods, namespace).Name(pod).SubResource("exec").VersionedParams(opts, parameters).URL().String()
}
