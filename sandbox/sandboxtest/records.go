package sandboxtest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// Records keep records in memory, as [TestRecords] demands. The zero value is empty.
type Records struct {
	mu  sync.Mutex
	all map[sandbox.ID]sandbox.Record
	// histories are those of the sandboxes in all.
	histories map[sandbox.ID][]byte
	fail      error
}

var _ sandbox.Records = (*Records)(nil)

// Fail makes every method fail with the error, or work again where it is nil.
func (r *Records) Fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = err
}

func (r *Records) do(ctx context.Context, f func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := errors.Join(r.fail, ctx.Err()); err != nil {
		return err
	}
	f()
	return nil
}

// All is every record, the oldest sandbox's first.
func (r *Records) All(ctx context.Context) ([]sandbox.Record, error) {
	all := []sandbox.Record{}
	err := r.do(ctx, func() {
		for _, rec := range r.all {
			all = append(all, rec)
		}
	})
	slices.SortFunc(all, func(a, b sandbox.Record) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
	return all, err
}

// Save keeps the record.
func (r *Records) Save(ctx context.Context, rec sandbox.Record) error {
	rec.Created, rec.Ends = kept(rec.Created), kept(rec.Ends)
	return r.do(ctx, func() {
		if r.all == nil {
			r.all = map[sandbox.ID]sandbox.Record{}
		}
		r.all[rec.ID] = rec
	})
}

// kept is the time as it is kept; zero stays zero.
func kept(at time.Time) time.Time { return at.UTC().Truncate(time.Millisecond) }

// Delete deletes the record.
func (r *Records) Delete(ctx context.Context, id sandbox.ID) error {
	return r.do(ctx, func() {
		delete(r.all, id)
		delete(r.histories, id)
	})
}

// SaveHistory keeps the history.
func (r *Records) SaveHistory(ctx context.Context, id sandbox.ID, history []byte) error {
	return r.do(ctx, func() {
		if _, there := r.all[id]; !there {
			return
		}
		if r.histories == nil {
			r.histories = map[sandbox.ID][]byte{}
		}
		r.histories[id] = slices.Clone(history)
	})
}

// History is the history that was kept last.
func (r *Records) History(ctx context.Context, id sandbox.ID) (history []byte, err error) {
	err = r.do(ctx, func() { history = slices.Clone(r.histories[id]) })
	return history, err
}

// TestRecords tests what all that keeps records must do. Open gives records with
// nothing in them, and a way to let go of them and take them up again as another
// process does.
func TestRecords(t *testing.T, open func(t *testing.T) (records sandbox.Records, again func() sandbox.Records)) {
	created := time.Date(2026, 3, 4, 12, 0, 0, 123_456_789, time.FixedZone("", 3600))
	ann := sandbox.Record{ID: "a1", Owner: "ann", Lab: "small", State: sandbox.Queued, Created: created}
	bob := sandbox.Record{ID: "b1", Cluster: "c1", Owner: "bob", Lab: "other lab", State: sandbox.Failed, Reason: "Docker ran out of room: 'disk full'.\nTry later – or not.", Created: created.Add(-time.Second)}
	save := func(t *testing.T, r sandbox.Records, all ...sandbox.Record) {
		t.Helper()
		for _, rec := range all {
			if err := r.Save(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
		}
	}
	expect := func(t *testing.T, r sandbox.Records, want ...sandbox.Record) {
		t.Helper()
		for i := range want {
			want[i].Created, want[i].Ends = kept(want[i].Created), kept(want[i].Ends)
		}
		got, err := r.All(t.Context())
		if err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
	for name, test := range map[string]func(t *testing.T, r sandbox.Records, again func() sandbox.Records){
		"at_first_there_is_nothing": func(t *testing.T, r sandbox.Records, _ func() sandbox.Records) {
			expect(t, r)
		},
		"what_was_saved_comes_back_the_oldest_sandbox_first": func(t *testing.T, r sandbox.Records, again func() sandbox.Records) {
			save(t, r, ann, bob)
			expect(t, r, bob, ann)
			expect(t, again(), bob, ann)
		},
		"a_later_save_takes_the_place_of_the_one_before": func(t *testing.T, r sandbox.Records, again func() sandbox.Records) {
			ready := ann
			ready.State, ready.Cluster, ready.Ends = sandbox.Ready, "c2", created.Add(14*time.Hour)
			save(t, r, ann, bob, ready)
			expect(t, r, bob, ready)
			expect(t, again(), bob, ready)
		},
		"delete_deletes_one_and_may_be_repeated": func(t *testing.T, r sandbox.Records, again func() sandbox.Records) {
			save(t, r, ann, bob)
			for range 2 {
				if err := r.Delete(t.Context(), ann.ID); err != nil {
					t.Fatal(err)
				}
			}
			expect(t, r, bob)
			expect(t, again(), bob)
		},
		"a_history_is_kept_with_its_record_and_goes_with_it": func(t *testing.T, r sandbox.Records, again func() sandbox.Records) {
			history := func(r sandbox.Records, id sandbox.ID, want string) {
				t.Helper()
				if got, err := r.History(t.Context(), id); err != nil || string(got) != want || want == "" && got != nil {
					t.Errorf("the history of %s is %q, %v; want %q", id, got, err, want)
				}
			}
			keep := func(id sandbox.ID, text string) {
				t.Helper()
				if err := r.SaveHistory(t.Context(), id, []byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			history(r, ann.ID, "")
			keep(ann.ID, `{"of": "nobody"}`) // who has no record
			history(r, ann.ID, "")
			save(t, r, ann, bob)
			history(r, ann.ID, "")
			keep(ann.ID, `{"n": 1}`)
			keep(bob.ID, `{"n": "Grüße"}`)
			keep(ann.ID, `{"n": 2}`)
			history(r, ann.ID, `{"n": 2}`)
			later := ann
			later.State = sandbox.Ready
			save(t, r, later) // leaves the history as it is
			r = again()
			history(r, ann.ID, `{"n": 2}`)
			history(r, bob.ID, `{"n": "Grüße"}`)
			if err := r.Delete(t.Context(), ann.ID); err != nil {
				t.Fatal(err)
			}
			save(t, r, ann)
			history(r, ann.ID, "")
			history(r, bob.ID, `{"n": "Grüße"}`)
		},
		"every_state_can_be_kept_and_one_of_a_later_version_too": func(t *testing.T, r sandbox.Records, _ func() sandbox.Records) {
			for _, state := range []sandbox.State{sandbox.Queued, sandbox.Creating, sandbox.Ready, sandbox.Paused, sandbox.Stopping, sandbox.Stopped, sandbox.Failed, "resting"} {
				rec := ann
				rec.State = state
				save(t, r, rec)
				expect(t, r, rec)
			}
		},
		"many_at_once_lose_nothing": func(t *testing.T, r sandbox.Records, _ func() sandbox.Records) {
			var work sync.WaitGroup
			for i := range 20 {
				work.Go(func() {
					rec := ann
					rec.ID = sandbox.ID('a' + rune(i))
					for _, state := range []sandbox.State{sandbox.Queued, sandbox.Creating, sandbox.Ready} {
						rec.State = state
						if err := r.Save(t.Context(), rec); err != nil {
							t.Error(err)
						}
					}
					if i%2 == 0 {
						if err := r.Delete(t.Context(), rec.ID); err != nil {
							t.Error(err)
						}
					}
				})
			}
			work.Wait()
			all, err := r.All(t.Context())
			if err != nil || len(all) != 10 {
				t.Errorf("%d records are left, %v; want 10", len(all), err)
			}
			for _, rec := range all {
				if rec.State != sandbox.Ready {
					t.Errorf("%s is %s, want what was saved last", rec.ID, rec.State)
				}
			}
		},
		"a_cancelled_call_changes_nothing": func(t *testing.T, r sandbox.Records, _ func() sandbox.Records) {
			save(t, r, ann)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := r.All(ctx)
			for what, err := range map[string]error{"all": err, "save": r.Save(ctx, bob), "delete": r.Delete(ctx, ann.ID), "save history": r.SaveHistory(ctx, ann.ID, nil)} {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("%s: %v, want it cancelled", what, err)
				}
			}
			expect(t, r, ann)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, again := open(t)
			test(t, r, again)
		})
	}
}
