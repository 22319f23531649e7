package sandbox_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/sandboxtest"
)

func TestAvailable_a_check_that_hangs_holds_nobody_and_is_given_up(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, sandboxtest.HangsOnCheck())
		defer l.Close()
		begun := time.Now()
		for range 1000 {
			if err := l.Available(); err != nil {
				t.Fatalf("before there is an answer: %v", err)
			}
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("the answer took %s", took)
		}
		time.Sleep(11 * time.Second)
		if err := l.Available(); !errors.Is(err, sandbox.ErrUnavailable) || !strings.Contains(err.Error(), "10s") {
			t.Errorf("got %v, want ErrUnavailable with the limit", err)
		}
	})
}

func TestAvailable_however_often_it_is_asked_the_provider_is_asked_seldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		for range 600 { // ten a second
			_ = l.Available()
			time.Sleep(100 * time.Millisecond)
		}
		if n := l.provider.Checked(); n > 13 {
			t.Errorf("the provider was asked %d times in a minute, want at most once in 5 s", n)
		}
		before := l.provider.Checked()
		time.Sleep(time.Hour)
		if n := l.provider.Checked() - before; n > 1 {
			t.Errorf("the provider was asked %d times for nobody", n)
		}
	})
}

func TestAvailable_trouble_and_its_end_are_noticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, &sandboxtest.Provider{})
		defer l.Close()
		available := func() error {
			_ = l.Available() // asks
			time.Sleep(6 * time.Second)
			return l.Available()
		}
		if err := available(); err != nil {
			t.Error(err)
		}
		missing := errors.New("Docker is gone")
		l.provider.FailCheck(missing)
		if err := available(); !errors.Is(err, sandbox.ErrUnavailable) || !errors.Is(err, missing) {
			t.Errorf("got %v, want ErrUnavailable and why", err)
		}
		time.Sleep(time.Hour)
		l.provider.FailCheck(nil)
		time.Sleep(6 * time.Second) // nobody asks meanwhile
		if err := l.Available(); err != nil {
			t.Errorf("after the end of the trouble: %v", err)
		}
	})
}
