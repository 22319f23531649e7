package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// TestRefuse_does_not_echo_a_long_value_whole: whichever it is of what came.
func TestRefuse_does_not_echo_a_long_value_whole(t *testing.T) {
	long := strings.Repeat("ö", 250_000)
	for _, err := range []error{
		refuse(http.StatusBadRequest, "after=%s is not an event's number.", long),
		refuse(http.StatusUnprocessableEntity, "%q is no prediction.", probe.Verdict(long)),
		refuse(http.StatusUnprocessableEntity, "%s and %q", long, long),
	} {
		if told := answerTo(err).Error; len(told) > 2000 || !utf8.ValidString(told) || !strings.Contains(told, "öö...") {
			t.Errorf("%d bytes are told: %.60s", len(told), told)
		}
	}
	if told := answerTo(refuse(http.StatusNotFound, "There is no lab %q.", "short")).Error; told != `There is no lab "short".` {
		t.Errorf("got %s", told)
	}
}

func TestAnswer_of_a_cluster_that_was_late_is_what_is_known_of_it(t *testing.T) {
	known := &sandbox.Failure{Message: "The disk is full.", Err: errors.Join(errors.New("apply"), context.DeadlineExceeded)}
	for _, c := range []struct {
		err  error
		want string
	}{{known, "The disk is full."}, {context.DeadlineExceeded, "The sandbox's cluster did not answer in time. Try again."}} {
		if a := answerTo(c.err); a.status != http.StatusGatewayTimeout || a.Error != c.want {
			t.Errorf("%v is answered %d %q, want %q", c.err, a.status, a.Error, c.want)
		}
	}
}
