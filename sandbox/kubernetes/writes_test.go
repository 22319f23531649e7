package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// slowServer is an API server that answers writes of policies when it is told to.
type slowServer struct {
	arrived chan struct{} // one for each write of a policy
	answer  chan struct{} // and one that lets it go

	mu        sync.Mutex
	now, most int
	tokens    int
}

func (s *slowServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(r.URL.Path, "/token"):
		s.mu.Lock()
		s.tokens++
		s.mu.Unlock()
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(authenticationv1.TokenRequest{
			TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenRequest"},
			Status:   authenticationv1.TokenRequestStatus{Token: "token"},
		})
		return
	case r.Method == http.MethodGet:
		_, _ = fmt.Fprintln(w, "ok")
		return
	}
	s.mu.Lock()
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	s.arrived <- struct{}{}
	<-s.answer
	s.mu.Lock()
	s.now--
	s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(networkingv1.NetworkPolicy{TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}})
}

func TestLab_one_API_server_is_given_at_most_eight_writes_at_once(t *testing.T) {
	const policies = 30
	server := &slowServer{arrived: make(chan struct{}, 100), answer: make(chan struct{})}
	web := httptest.NewServer(server)
	defer web.Close()
	cluster, err := New(&rest.Config{Host: web.URL, QPS: -1}, Options{Node: "node", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	c := newLab(cluster.access, small(t))
	defer c.Close()
	many := make([]policy.Policy, policies)
	var refs []sandbox.PolicyRef
	for i := range many {
		many[i].Namespace, many[i].Name = "shop", fmt.Sprintf("policy-%d", i)
		refs = append(refs, sandbox.PolicyRef{Namespace: "shop", Name: many[i].Name})
	}
	ended := make(chan error, 2)
	go func() { ended <- c.Apply(t.Context(), many) }()
	go func() { ended <- c.Delete(t.Context(), refs) }()
	for range 8 {
		<-server.arrived
	}
	// Eight are at the server, and nobody else comes; what only reads passes them by.
	for range 3 {
		if err := c.policies.ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-server.arrived:
		t.Error("a ninth write has come")
	case <-time.After(50 * time.Millisecond):
	}
	// One that is given up while it waits has its turn no more.
	ctx, cancel := context.WithCancelCause(t.Context())
	waiting := make(chan error)
	go func() { waiting <- c.Delete(ctx, refs[:1]) }()
	cancel(errors.New("given up"))
	if err := <-waiting; err == nil {
		t.Error("a write that was given up was done")
	}
	go func() {
		for range server.arrived {
		}
	}()
	close(server.answer)
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	close(server.arrived)
	if server.most != 8 {
		t.Errorf("at most %d writes were at the server at once, want 8", server.most)
	}
	if server.tokens != 1 {
		t.Errorf("%d tokens were asked for", server.tokens)
	}
}
