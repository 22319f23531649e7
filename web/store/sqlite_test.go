package store

import (
	"path/filepath"
	"testing"
)

func openFile(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSQLite(t *testing.T) {
	suite(t, func(t *testing.T) (*Store, func() *Store) {
		path := filepath.Join(t.TempDir(), "lab.db")
		s := openFile(t, path)
		return s, func() *Store {
			must(t, s.Close())
			return openFile(t, path)
		}
	})
}
