package kind

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// serve serves the text as calico.yaml and nothing else, and returns the
// server's address.
func serve(t *testing.T, text string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /calico.yaml", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}
