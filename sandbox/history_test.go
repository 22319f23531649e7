package sandbox_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

const allowWeb = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-web, namespace: production}
spec:
  podSelector: {matchLabels: {app: api}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
`

// history is the sandbox's, once all is quiet.
func (l *lab) history(id sandbox.ID) sandbox.History {
	l.t.Helper()
	time.Sleep(5 * time.Second)
	synctest.Wait()
	h, err := l.History(id)
	if err != nil {
		l.t.Fatal(err)
	}
	return h
}

// outline is what the entries have changed, a line each. Numbers that are given after a
// restart are beyond all from before, and left out.
func outline(h sandbox.History) []string {
	var lines []string
	for _, e := range h.Entries {
		number := fmt.Sprint(e.Change, " ")
		if e.Change > time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() {
			number = ""
		}
		names := func(mark string, refs []sandbox.PolicyRef) string {
			var out string
			for _, r := range refs {
				out += " " + mark + r.Name
			}
			return out
		}
		lines = append(lines, fmt.Sprint(number, e.Origin, names("+", e.Added), names("~", e.Changed), names("-", e.Removed)))
	}
	return lines
}

// textsAt are the texts in force after the change, joined.
func (l *lab) textsAt(id sandbox.ID, change int64) string {
	l.t.Helper()
	policies, err := l.PoliciesAt(id, change)
	if err != nil {
		l.t.Fatal(err)
	}
	var all string
	for _, p := range policies {
		all += p.YAML
	}
	return all
}

func (l *lab) replace(id sandbox.ID, yaml string) {
	l.t.Helper()
	if _, err := l.Replace(l.t.Context(), id, sandbox.OriginApply, []byte(yaml)); err != nil {
		l.t.Fatal(err)
	}
}

func TestHistory_tells_every_change_with_what_it_flipped_and_every_point_can_be_gone_back_to(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		l.replace(id, denyAll)
		first := l.history(id)
		if len(first.Entries) != 1 || !first.Entries[0].Settled {
			t.Fatalf("the history is %+v, want one entry that has settled", first)
		}
		if want := (sandbox.Flip{Flow: "production/web>production/api:8080/TCP", From: probe.Open, To: probe.Blocked}); !slices.Contains(first.Entries[0].Flips, want) {
			t.Errorf("the flips are %+v, want %+v among them", first.Entries[0].Flips, want)
		}
		l.replace(id, denyAll+"---\n"+allowWeb)
		l.history(id)
		l.replace(id, denyAll+"# as before\n")
		l.history(id)
		if _, err := l.DeletePolicies(t.Context(), id, nil); err != nil {
			t.Fatal(err)
		}
		l.history(id)
		l.kubectl(id, allowWeb)
		want := []string{"1 apply +default-deny-all", "2 apply +allow-web", "3 apply ~default-deny-all -allow-web", "4 delete -default-deny-all", "5 cluster +allow-web"}
		h := l.history(id)
		if got := outline(h); !slices.Equal(got, want) || h.From != 0 {
			t.Errorf("got %q from %d, want %q from 0", got, h.From, want)
		}
		last := h.Entries[3]
		if !last.Settled || !slices.ContainsFunc(last.Flips, func(f sandbox.Flip) bool { return f.From == probe.Blocked && f.To == probe.Open }) {
			t.Errorf("deleting the last policy is told as %+v, want flows that opened", last)
		}
		points := map[int64]string{}
		for n := range int64(6) {
			points[n] = l.textsAt(id, n)
		}
		for _, n := range []int64{2, 0, 3, 1, 5, 4} {
			change, err := l.Restore(t.Context(), id, n)
			if err != nil {
				t.Fatalf("back to %d: %v", n, err)
			}
			if change.Origin != sandbox.OriginRestore {
				t.Errorf("back to %d has the origin %s", n, change.Origin)
			}
			var now string
			for _, p := range l.get(id).Policies {
				now += p.YAML
			}
			if now != points[n] {
				t.Errorf("back to %d: in force are\n%s\nwant\n%s", n, now, points[n])
			}
		}
		for _, n := range []int64{-1, 100} {
			if _, err := l.Restore(t.Context(), id, n); !errors.Is(err, sandbox.ErrNoPoint) {
				t.Errorf("back to %d: %v, want ErrNoPoint", n, err)
			}
		}
	})
}

func TestHistory_a_change_that_changes_nothing_is_no_entry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		for range 3 {
			l.replace(id, denyAll)
		}
		if got := outline(l.history(id)); len(got) != 1 {
			t.Errorf("got %q, want one entry", got)
		}
	})
}

func TestHistory_a_change_that_another_overtook_has_not_settled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		l.replace(id, denyAll)
		l.replace(id, "")
		h := l.history(id)
		if len(h.Entries) != 2 || h.Entries[0].Settled || h.Entries[0].Flips != nil || !h.Entries[1].Settled {
			t.Errorf("the history is %+v, want that only the second has settled", h.Entries)
		}
	})
}

func TestHistory_a_storm_in_the_cluster_is_one_entry_with_what_it_came_to(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		l.replace(id, allowWeb)
		l.history(id)
		for i := range 200 {
			l.kubectl(id, denyAll+fmt.Sprint("# ", i))
			time.Sleep(50 * time.Millisecond)
		}
		h := l.history(id)
		if len(h.Entries) != 2 || len(h.Entries[1].Added) != 1 || !h.Entries[1].Settled || len(h.Entries[1].Flips) == 0 {
			t.Errorf("the history is %q: %+v", outline(h), h.Entries)
		}
		if !strings.Contains(l.textsAt(id, h.Entries[1].Change), "# 199") {
			t.Error("the last text is not there")
		}
	})
}

func TestHistory_is_bounded_in_number_and_bytes_and_keeps_the_newest(t *testing.T) {
	for name, text := range map[string]func(n int) string{
		"number": func(n int) string { return denyAll + fmt.Sprint("# ", n) },
		"bytes":  func(n int) string { return denyAll + fmt.Sprint("# ", n, " ") + strings.Repeat("x", 100<<10) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, &sandboxtest.Provider{AtOnce: true})
				defer l.Close()
				id := l.ready("ann")
				const changes = 120
				for n := range changes {
					l.replace(id, text(n+1))
				}
				h := l.history(id)
				last := h.Entries[len(h.Entries)-1]
				if len(h.Entries) > 50 || last.Change != changes || h.From != h.Entries[0].Change-1 {
					t.Errorf("%d entries from %d to %d", len(h.Entries), h.From, last.Change)
				}
				size := 0
				for n := h.From; n <= last.Change; n++ {
					got := l.textsAt(id, n)
					size += len(got)
					if !strings.Contains(got, fmt.Sprint("# ", n)) {
						t.Errorf("point %d is %.300s", n, got)
					}
				}
				if size > 250<<10 {
					t.Errorf("%d bytes of texts are kept", size)
				}
				if _, err := l.PoliciesAt(id, h.From-1); !errors.Is(err, sandbox.ErrNoPoint) {
					t.Errorf("before the first point: %v", err)
				}
			})
		})
	}
}

func TestHistory_goes_on_after_a_restart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		id := l.ready("ann")
		l.replace(id, denyAll)
		l.history(id)
		l.replace(id, denyAll+"---\n"+allowWeb)
		before := l.history(id)
		l.Close()

		l.start()
		after := l.history(id)
		if fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("after a restart the history is\n%+v\nwant\n%+v", after, before)
		}
		if s := l.get(id); s.Change != 2 || s.Settled == nil || s.Settled.Change != 2 {
			t.Errorf("the last change is %d, settled %+v; want 2", s.Change, s.Settled)
		}
		if _, err := l.Restore(t.Context(), id, 1); err != nil {
			t.Fatal(err)
		}
		l.Close()

		// What was done while nobody looked is the cluster's.
		if err := l.cluster(id).Delete(t.Context(), []sandbox.PolicyRef{{Namespace: "production", Name: "default-deny-all"}}); err != nil {
			t.Fatal(err)
		}
		l.start()
		defer l.Close()
		want := append(outline(before), "restore -allow-web", "cluster -default-deny-all")
		if got := outline(l.history(id)); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// Who knows the number of a change knows the policies after it, and Apply relies on that:
// whatever is lost, no number comes to stand for other policies.
func TestHistory_no_number_stands_for_other_policies_after_a_restart(t *testing.T) {
	for what, lose := range map[string]func(kept []byte) []byte{
		"nothing is lost":          func(kept []byte) []byte { return kept },
		"all of it is lost":        func([]byte) []byte { return []byte("nonsense") },
		"nothing was written down": func([]byte) []byte { return nil },
		"the last change is lost": func(kept []byte) []byte {
			at := strings.LastIndex(string(kept), `,{"Change"`)
			return append(kept[:at:at], "]}"...)
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, &sandboxtest.Provider{})
				id := l.ready("ann")
				known := map[int64]string{0: ""}
				know := func(yaml string) {
					t.Helper()
					change, err := l.Replace(t.Context(), id, sandbox.OriginApply, []byte(yaml))
					if err != nil {
						t.Fatal(err)
					}
					if before, there := known[change.Change]; there && before != yaml {
						t.Errorf("change %d is\n%s\nand was\n%s", change.Change, yaml, before)
					}
					known[change.Change] = yaml
				}
				know(denyAll)
				know(denyAll + "---\n" + allowWeb)
				know(denyAll)
				know(denyAll) // changes nothing, and has a number
				l.history(id)
				kept, err := l.records.History(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				l.Close()
				if err := l.records.SaveHistory(t.Context(), id, lose(kept)); err != nil {
					t.Fatal(err)
				}

				l.start()
				defer l.Close()
				l.history(id)
				now := l.get(id).PoliciesChange
				if before, there := known[now]; there && before != denyAll {
					t.Errorf("in force is change %d, which was\n%s", now, before)
				}
				for base, yaml := range known {
					if yaml == denyAll {
						continue
					}
					var outdated *sandbox.OutdatedError
					if _, err := l.Replace(t.Context(), id, sandbox.OriginApply, nil, sandbox.OnTopOf(base)); !errors.As(err, &outdated) {
						t.Errorf("on top of change %d: %v, want that it is outdated", base, err)
					}
				}
				for n := range 5 {
					know(allowWeb + fmt.Sprint("# ", n))
				}
			})
		})
	}
}

func TestSnapshot_tells_what_the_last_change_turned_until_the_next_also_after_a_restart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		id := l.ready("ann")
		l.history(id)
		if s := l.get(id); s.Flips != nil {
			t.Errorf("before any change flows have turned: %+v", s.Flips)
		}
		flips := func() []sandbox.Flip {
			h := l.history(id)
			return h.Entries[len(h.Entries)-1].Flips
		}
		l.replace(id, denyAll)
		closed := flips()
		if got := l.get(id).Flips; len(got) == 0 || !slices.Equal(got, closed) {
			t.Errorf("turned are %+v, want as in the history: %+v", got, closed)
		}
		l.Close()

		l.start()
		defer l.Close()
		l.history(id)
		if got := l.get(id).Flips; !slices.Equal(got, closed) {
			t.Errorf("after a restart turned are %+v, want %+v", got, closed)
		}
		l.replace(id, "")
		want := flips()
		if got := l.get(id).Flips; !slices.Equal(got, want) || slices.Equal(got, closed) {
			t.Errorf("after the next change turned are %+v, want %+v", got, want)
		}
	})
}

// The process ends without a word: what its records hold then is what the next has.
func TestHistory_of_a_process_that_is_killed_loses_no_more_than_the_last_change(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		for n := range 5 {
			l.replace(id, denyAll+fmt.Sprint("# ", n+1))
			text, err := l.records.History(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if n > 0 && !strings.Contains(string(text), fmt.Sprint("# ", n)) {
				t.Errorf("after change %d the one before is not written down: %s", n+1, text)
			}
		}
	})
}

func TestHistory_that_cannot_be_read_begins_anew(t *testing.T) {
	for _, text := range []string{"nonsense", `{"From": 3, "Entries": [{"Change": 2}]}`, `{"Entries": [{"Change": 1, "Flips": [4294967295]}]}`} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, &sandboxtest.Provider{})
			id := l.ready("ann")
			l.replace(id, denyAll)
			l.history(id)
			l.Close()
			if err := l.records.SaveHistory(t.Context(), id, []byte(text)); err != nil {
				t.Fatal(err)
			}
			l.start()
			defer l.Close()
			if h := l.history(id); len(h.Entries) != 0 || h.From == 0 || l.textsAt(id, h.From) != denyAll {
				t.Errorf("%s: the history is %+v", text, h)
			}
			l.replace(id, "")
			if got := outline(l.history(id)); !slices.Equal(got, []string{"apply -default-deny-all"}) {
				t.Errorf("%s: it goes on with %q", text, got)
			}
		})
	}
}

func TestHistory_goes_on_where_it_cannot_be_written_down(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		id := l.ready("ann")
		l.records.Fail(errors.New("disk full"))
		l.replace(id, denyAll)
		l.replace(id, "")
		if got := outline(l.history(id)); len(got) != 2 {
			t.Errorf("got %q, want two changes", got)
		}
		l.records.Fail(nil)
		l.replace(id, allowWeb)
		l.history(id)
		if text, err := l.records.History(t.Context(), id); err != nil || strings.Count(string(text), `"Origin"`) != 3 {
			t.Errorf("written down is %s, %v; want all three", text, err)
		}
	})
}
