package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
)

func TestTurns_who_asks_for_more_at_once_waits_for_their_own(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(2)
		one, _ := turns.take(t.Context(), "ann")
		two, _ := turns.take(t.Context(), "ann")
		got := make(chan func(), 1)
		go func() {
			done, _ := turns.take(t.Context(), "ann")
			got <- done
		}()
		synctest.Wait()
		if len(got) != 0 {
			t.Fatal("a third of two turns was given")
		}
		bob, err := turns.take(t.Context(), "bob")
		if err != nil {
			t.Fatal(err)
		}
		bob()
		one()
		(<-got)()
		two()
		if len(turns.by) != 0 {
			t.Errorf("%d queues are left of those who have gone", len(turns.by))
		}
	})
}

func TestTurns_who_goes_while_waiting_takes_none(t *testing.T) {
	turns := newTurns(1)
	done, err := turns.take(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := turns.take(ctx, "ann"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	done()
	if len(turns.by) != 0 {
		t.Errorf("%d queues are left", len(turns.by))
	}
}

func TestInTurn_a_learner_has_so_many_requests_at_once_and_others_do_not_wait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inside, release := make(chan string, 100), make(chan struct{})
		s := &server{}
		h := s.inTurn(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inside <- ownerOf(r.Context())
			<-release
		}))
		ask := func(owner string) {
			r := httptest.NewRequestWithContext(context.WithValue(t.Context(), visitorKey{}, visitor{owner: owner, known: true}), "GET", "/", nil)
			go h.ServeHTTP(httptest.NewRecorder(), r)
		}
		for range 3 * atOnce {
			ask("ann")
		}
		synctest.Wait()
		if len(inside) != atOnce {
			t.Errorf("%d requests of one learner are dealt with at once, want %d", len(inside), atOnce)
		}
		ask("bob")
		synctest.Wait()
		if len(inside) != atOnce+1 {
			t.Error("another learner waits for the first")
		}
		close(release)
		synctest.Wait()
		if len(inside) != 3*atOnce+1 {
			t.Errorf("%d requests were dealt with in the end, want all %d", len(inside), 3*atOnce+1)
		}
	})
}

// unreadable fails the test that reads it.
type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestApply_nobodys_text_is_read_who_has_no_sandbox_for_it(t *testing.T) {
	lab := newLab(t, setup{})
	for _, method := range []string{"PUT", "POST"} {
		r := httptest.NewRequestWithContext(t.Context(), method, "http://localhost/sandboxes/nosuch/policies", unreadable{t})
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		lab.Config.Handler.ServeHTTP(w, r)
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: %d %s, want 404", method, w.Code, w.Body)
		}
	}
}
