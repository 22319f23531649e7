package kubernetes

import (
	"net/http"

	"k8s.io/client-go/transport"
)

// maxWrites is how many requests that change something one API server is given at once.
// The others wait: it has a core or less to itself, and more would make none of them faster.
const maxWrites = 8

// bounded has all clients that it is given to together send at most so many writes at once.
func bounded(writes int) transport.WrapperFunc {
	slots := make(chan struct{}, writes)
	return func(base http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				return base.RoundTrip(r)
			}
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			return base.RoundTrip(r)
		})
	}
}
