package kubernetes

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/transport"
)

// tokenLife is the life of an account's token; a new one is fetched when half
// of it is over.
const tokenLife = time.Hour

// AdminConfig reads a kubeconfig as kubeadm writes it, for the API server at
// the address. It never touches a file.
func AdminConfig(kubeconfig []byte, address string) (*rest.Config, error) {
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("the cluster's kubeconfig: %w", err)
	}
	config.Host = "https://" + address
	// The client's own rate limit would delay a learner's change; the API
	// server has its own.
	config.QPS = -1
	return config, nil
}

// account is one of the lab's service accounts, with a token that is renewed
// before it expires. The token is held in memory only.
type account struct {
	admin *api
	name  string
	now   func() time.Time

	mu      sync.Mutex
	token   string
	granted time.Time
}

func newAccount(admin *api, name string) *account {
	return &account{admin: admin, name: name, now: time.Now}
}

// bearer returns a token that is valid for a good while.
//
// The API server goes by the clock on the wall, which can be put forward or back, and goes
// on while the machine sleeps: what this process measures does not. So it is that clock
// which says how old the token is, and one from the future is none.
func (a *account) bearer(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now().Round(0) // without what this process measures
	if age := now.Sub(a.granted); a.token != "" && age >= 0 && age < tokenLife/2 {
		return a.token, nil
	}
	token, err := a.admin.token(ctx, SystemNamespace, a.name, int64(tokenLife/time.Second))
	if err != nil {
		return "", fmt.Errorf("a token for the account %s: %w", a.name, err)
	}
	// Reckoned from here: the API server's clock need not agree.
	a.token, a.granted = token, now
	return a.token, nil
}

// config is the admin's config with the account in the admin's place.
func (a *account) config(admin *rest.Config) *rest.Config {
	config := rest.AnonymousClientConfig(admin)
	config.QPS = -1
	config.WrapTransport = transport.Wrappers(admin.WrapTransport, func(base http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			token, err := a.bearer(r.Context())
			if err != nil {
				return nil, err
			}
			r = r.Clone(r.Context())
			r.Header.Set("Authorization", "Bearer "+token)
			return base.RoundTrip(r)
		})
	})
	return config
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
