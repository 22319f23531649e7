package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// unready is a lab that lacks something.
type unready struct {
	Sandboxes
	surveyed  bool
	available error
}

func (u unready) Surveyed() bool   { return u.surveyed }
func (u unready) Available() error { return u.available }

// mute is a store that does not answer.
type mute struct{ kept }

func (mute) Ping(context.Context) error { return errors.New("the disk at /srv/lab is gone") }

func TestReady_says_what_learners_lack(t *testing.T) {
	well := func(s Sandboxes) Sandboxes { return unready{s, true, nil} }
	if a := newLab(t, setup{sandboxes: well}).learner(t).send("GET", "/readyz", nil); a.status != http.StatusOK || a.body != `{"status":"ok"}`+"\n" {
		t.Errorf("where all is well: %d %s", a.status, a.body)
	}
	for lacking, c := range map[string]struct {
		setup
		secret string
	}{
		"data":   {setup{sandboxes: well, sick: errors.New("the disk is full")}, "the disk is full"},
		"store":  {setup{sandboxes: well, progress: func(p Progress) Progress { return mute{p} }}, "the disk at /srv/lab is gone"},
		"survey": {setup{sandboxes: func(s Sandboxes) Sandboxes { return unready{s, false, nil} }}, ""},
		"provider": {setup{sandboxes: func(s Sandboxes) Sandboxes {
			return unready{s, true, errors.Join(sandbox.ErrUnavailable, errors.New("no Docker"))}
		}}, "no Docker"},
	} {
		l := newLab(t, c.setup)
		v := l.learner(t)
		for _, operator := range []bool{false, true} {
			var header []string
			if operator {
				header = bearer(operatorsToken)
			}
			a := v.send("GET", "/readyz", nil, header...)
			var told struct {
				Status  string
				Missing []struct{ Lacking, Reason string }
			}
			if err := json.Unmarshal([]byte(a.body), &told); err != nil {
				t.Fatal(err)
			}
			if a.status != http.StatusServiceUnavailable || told.Status != "failing" || len(told.Missing) != 1 || told.Missing[0].Lacking != lacking || told.Missing[0].Reason == "" {
				t.Errorf("%s: %d %s", lacking, a.status, a.body)
			}
			if c.secret != "" && strings.Contains(a.body, c.secret) != operator {
				t.Errorf("%s, to the operator %t: %s", lacking, operator, a.body)
			}
		}
		contains(t, l.log.String(), `msg="learners cannot work here now"`, "lacking="+lacking, c.secret)
	}
}

func TestReady_is_not_asked_for_nothing(t *testing.T) {
	few := defaultLimits
	few.strays = rate{2, few.strays.window}
	v := newLab(t, setup{limits: few}).learner(t)
	for _, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
		if a := v.send("GET", "/readyz", nil); a.status != want {
			t.Errorf("status %d, want %d", a.status, want)
		}
	}
}
