// Command load measures how the lab's server does with a whole class. `make load` and
// `make class` run it, against the server that make has built:
//
//   - typing: many learners have a sandbox each, are connected and type with the preview
//     on, while somebody reads lessons;
//   - applying: each learner applies policies every so often and waits at the websocket
//     until that has settled. What they see is compared with what the evaluator says, here
//     and not in the server.
//
// With -sandbox kind the sandboxes are clusters, as many as doctor says that there is room
// for, and nothing may be left of them. It fails where anything asked for does, and where a
// verdict is wrong; a goal that is missed is said.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/capacity"
)

var (
	binary   = flag.String("server", "bin/netpol-lab", "the server's binary; it is started for the measurement")
	doing    = flag.String("do", "typing", "what the learners do: typing or applying")
	made     = flag.String("sandbox", sandbox.Simulated, "what the sandboxes are: simulated, or kind, of those who apply")
	learners = flag.Int("learners", 0, "how many learners there are; 0 for 200 who type, 1000 who apply, or on kind for as many as doctor says can be awake")
	duration = flag.Duration("for", 30*time.Second, "how long is measured")
	goal     = flag.Duration("goal", 100*time.Millisecond, "how long a lesson, or a change until it has settled, is to take at p99; it is said where it does not. On kind it is not compared")

	keys      = flag.Float64("keys", 4, "how many keys each of them types in a second")
	policies  = flag.Int("policies", 3, "how many policies each typist has")
	every     = flag.Duration("page", 50*time.Millisecond, "how often a lesson is asked for while they type")
	pageToAsk = flag.String("lesson", "/lessons/network-policies", "the lesson that is asked for")

	apply  = flag.Duration("every", 10*time.Second, "how often each learner applies")
	warm   = flag.Int("warm", 0, "how many changes each of those who apply makes before it is measured: what the server keeps of changes is bounded, and full after 50, so that only then no growth is to be seen at all")
	asleep = flag.Int("paused", 0, "on kind: how many learners more leave after the start, so that their sandboxes are paused; they come back at the end. -1 for twice as many in all, as far as doctor says that there is room, of which half are paused")
	memory = flag.Float64("memory", 1, "how many MB of the server's memory a learner is to take at most; it is said where they take more. On kind it is not compared")
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("load: ")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		stop()
		log.Fatal(err)
	}
}

func run(ctx context.Context) (err error) {
	simulated := *made == sandbox.Simulated
	switch {
	case *doing != "typing" && *doing != "applying":
		return fmt.Errorf("-do %s: want typing or applying", *doing)
	case !simulated && *made != "kind":
		return fmt.Errorf("-sandbox %s: want simulated or kind", *made)
	case !simulated && *doing == "typing", simulated && *asleep != 0:
		return errors.New("on kind they apply, and there alone sandboxes are paused")
	case !simulated:
		return onKind(ctx)
	case *learners == 0 && *doing == "typing":
		*learners = 200
	case *learners == 0:
		*learners = 1000
	}
	if err := haveFiles(*learners); err != nil {
		return err
	}
	s, err := start(ctx, "--sandbox", sandbox.Simulated)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.end()) }()
	if *doing == "typing" {
		return typing(ctx, s)
	}
	class, err := applicants(ctx, s, *learners, startAtOnce)
	if err != nil {
		return err
	}
	return applying(ctx, s, class)
}

// startAtOnce is how many learners press Start at the same moment, where sandboxes are
// simulated.
const startAtOnce = 8

// haveFiles fails where so many learners, with two connections each, are too many for this
// process or for the server, whose limit is the same: it keeps half of its files for what
// is no websocket, and a quarter for what is no connection.
func haveFiles(learners int) error {
	need := int64(max(2*learners, 2*learners*4/3) + 100)
	if have := capacity.OpenFiles().Total; have > 0 && have < need {
		return fmt.Errorf("%d learners need %d open files, and %d are allowed: ulimit -n %d", learners, need, have, need)
	}
	return nil
}
