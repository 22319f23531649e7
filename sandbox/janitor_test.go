package sandbox_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

func TestJanitor_stops_the_unused_but_not_the_watched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{}, func(o *sandbox.Options) { o.Idle = 10 * time.Minute })
		defer l.Close()
		unused, watched := l.ready("ann"), l.ready("bob")
		sub := l.subscribe(watched, 0)
		defer sub.Close()
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		if _, _, err := l.Get(unused); !errors.Is(err, sandbox.ErrNotFound) {
			t.Errorf("the unused sandbox: %v, want it stopped", err)
		}
		if s := l.get(watched); s.State != sandbox.Ready {
			t.Errorf("the watched sandbox is %s", s.State)
		}
	})
}

func TestJanitor_writes_down_what_could_not_be_written_down(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		l := newLab(t, sandboxtest.Slow(gate))
		id := l.create("ann")
		synctest.Wait()
		l.records.Fail(errors.New("no space left"))
		close(gate)
		synctest.Wait()
		l.records.Fail(nil)
		if s, kept := l.get(id), l.recorded()[0]; s.State != sandbox.Ready || kept.State != sandbox.Queued {
			t.Fatalf("it is %s, and %s in the records", s.State, kept.State)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if kept := l.recorded()[0]; kept.State != sandbox.Ready {
			t.Errorf("it is still %s in the records", kept.State)
		}
		l.Close()
		l.start() // So a restart does not take it for half made.
		defer l.Close()
		synctest.Wait()
		if s := l.get(id); s.State != sandbox.Ready {
			t.Errorf("after a restart it is %s", s.State)
		}
	})
}
