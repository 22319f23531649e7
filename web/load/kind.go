package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/capacity"
)

// pauseAfter is how long those who are to be paused have been away then.
const pauseAfter = 10 * time.Second

// onKind measures a class whose sandboxes are clusters, and looks whether anything is left
// of them.
func onKind(ctx context.Context) (err error) {
	*goal, *memory = 0, 0 // which are the simulator's
	room, err := doctor(ctx)
	if err != nil {
		return err
	}
	if *learners == 0 {
		*learners = room.Awake - room.There
	}
	if *asleep < 0 {
		all := min(2**learners, room.Sandboxes-room.There)
		*asleep = all / 2
		*learners = all - *asleep
	}
	if *learners < 1 || *asleep < 0 {
		return fmt.Errorf("there is no room for so many: %s", tellRoom(room))
	}
	fmt.Printf("doctor says: %s\n", tellRoom(room))
	args := []string{"--sandbox", "kind", "--supervised", "--pool-reserve", "0", "--max-sandboxes", strconv.Itoa(*learners + *asleep), "--pause-after", pauseAfter.String()}
	before, err := onDocker(ctx)
	if err != nil {
		return err
	}
	free := available()
	s, err := start(ctx, args...)
	if err != nil {
		return err
	}
	instance, err := os.ReadFile(filepath.Join(s.data, "instance"))
	if err != nil {
		return errors.Join(err, s.end())
	}
	name, _, _ := strings.Cut(string(instance), "\n")
	defer func() { err = errors.Join(err, s.end(), nothingLeft(before, "netpol-lab-"+name+"-")) }()
	return classOnKind(ctx, s, free)
}

func classOnKind(ctx context.Context, s *server, free float64) error {
	stop := tellProgress(ctx, s)
	class, err := applicants(ctx, s, *learners+*asleep, *learners+*asleep)
	stop()
	if err != nil {
		return err
	}
	awake, away := class[:*learners], class[*learners:]
	if err := sendAway(ctx, s, away); err != nil {
		return err
	}
	here := available()
	fmt.Printf("memory: %.0f MB are taken of the machine's, %.0f MB for each of %d sandboxes, of which %d are paused\n", free-here, (free-here)/float64(len(class)), len(class), len(away))
	if len(awake) > 0 {
		if err := applying(ctx, s, awake); err != nil {
			return err
		}
		fmt.Printf("memory: %.0f MB are taken then\n", free-available())
	}
	return comeBack(ctx, away)
}

// sendAway has learners apply something and leave, and waits until their sandboxes are paused.
func sendAway(ctx context.Context, s *server, away []*applicant) error {
	if len(away) == 0 {
		return nil
	}
	if err := each(away, func(a *applicant) error { return a.applyAnother(ctx) }); err != nil {
		return err
	}
	for _, a := range away {
		a.leave()
	}
	for limit := time.Now().Add(pauseAfter + 2*time.Minute); ; {
		o, err := s.overview(ctx)
		if err != nil {
			return err
		}
		paused := 0
		for _, b := range o.Sandboxes {
			if b.State == sandbox.Paused {
				paused++
			}
		}
		if paused == len(away) {
			return nil
		}
		if time.Now().After(limit) {
			return fmt.Errorf("%d of %d sandboxes are paused", paused, len(away))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// comeBack has those who were away look again, one after another: their sandboxes wake,
// with what was in force, and do what is applied.
func comeBack(ctx context.Context, away []*applicant) error {
	if len(away) == 0 {
		return nil
	}
	sum := &applicant{learner: &learner{}}
	var woke times
	for _, a := range away {
		begun := time.Now()
		err := a.watch(ctx)
		if err == nil {
			err = a.until(ctx, func(s *seen) bool { return s.state == sandbox.Ready })
		}
		if err != nil {
			return fmt.Errorf("sandbox %s has not woken: %w", a.sandbox, err)
		}
		woke = append(woke, time.Since(begun))
		a.compared, a.wrong, a.unknown, a.answered, a.flipped, a.settled = 0, 0, 0, nil, nil, nil
		if err := a.applyAnother(ctx); err != nil { // It looks at first at what is told.
			return fmt.Errorf("sandbox %s after it has woken: %w", a.sandbox, err)
		}
		sum.add(a)
	}
	fmt.Printf("those who were away look again:\n  the sandbox is awake:        %s\n  all has settled after that:  %s\n  verdicts compared with what the evaluator says: %d, wrong: %d, unknown at that moment: %d\n", woke, sum.settled, sum.compared, sum.wrong, sum.unknown)
	if sum.wrong > 0 || sum.failed > 0 {
		return fmt.Errorf("after they have woken %d failed, and %d verdicts were wrong", sum.failed, sum.wrong)
	}
	return nil
}

// each does it for all at once.
func each(all []*applicant, do func(*applicant) error) error {
	errs := make([]error, len(all))
	var wait sync.WaitGroup
	for i, a := range all {
		wait.Go(func() { errs[i] = do(a) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

// tellProgress says every so often how many sandboxes are ready, for that takes minutes.
func tellProgress(ctx context.Context, s *server) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for begun := time.Now(); ; {
			select {
			case <-ctx.Done():
				return
			case <-time.After(20 * time.Second):
			}
			if o, err := s.overview(ctx); err == nil {
				ready := 0
				for _, b := range o.Sandboxes {
					if b.State == sandbox.Ready {
						ready++
					}
				}
				log.Printf("%d of %d sandboxes are ready after %s", ready, len(o.Sandboxes), time.Since(begun).Round(time.Second))
			}
		}
	}()
	return func() { cancel(); <-done }
}

// doctor asks how many sandboxes the machine has room for.
func doctor(ctx context.Context) (capacity.Capacity, error) {
	out, err := exec.CommandContext(ctx, *binary, "doctor", "--json").Output()
	var said struct {
		Ready    bool
		Missing  string
		Capacity *capacity.Capacity
	}
	if jsonErr := json.Unmarshal(out, &said); jsonErr != nil {
		return capacity.Capacity{}, errors.Join(fmt.Errorf("%s doctor --json: %w", *binary, jsonErr), err)
	}
	if !said.Ready || said.Capacity == nil {
		return capacity.Capacity{}, fmt.Errorf("there can be no sandboxes of kind here: %s", said.Missing)
	}
	return *said.Capacity, nil
}

func tellRoom(c capacity.Capacity) string {
	return fmt.Sprintf("%d sandboxes in all (%s), %d awake at once (%s), %d there now", c.Sandboxes, c.First, c.Awake, c.FirstAwake, c.There)
}

// available is how many MB of memory the machine has to give; 0 where it is not Linux.
func available() float64 {
	text, _ := os.ReadFile("/proc/meminfo") // nothing where there is no such file
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "MemAvailable:" {
			kib, _ := strconv.ParseFloat(fields[1], 64)
			return kib * 1024 / 1e6
		}
	}
	return 0
}

// onDocker are the volumes and networks that Docker has, by what they are and their names.
func onDocker(ctx context.Context) (map[string]bool, error) {
	found := map[string]bool{}
	for _, args := range [][]string{{"volume", "ls", "--quiet"}, {"network", "ls", "--format", "{{.Name}}"}} {
		out, err := exec.CommandContext(ctx, "docker", args...).Output()
		if err != nil {
			return nil, fmt.Errorf("docker %s: %w", strings.Join(args, " "), err)
		}
		for _, name := range strings.Fields(string(out)) {
			found[args[0]+" "+name] = true
		}
	}
	return found, nil
}

// kindNetwork is the one that all nodes share; it stays, as kind leaves it.
const kindNetwork = "network kind"

// nothingLeft fails where anything is left of the sandboxes whose names begin so: a container,
// a volume that nobody uses, a network or a process.
func nothingLeft(before map[string]bool, prefix string) error {
	// Also where the measurement was broken off.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var left []string
	out, err := exec.CommandContext(ctx, "docker", "ps", "--all", "--filter", "name=^"+prefix, "--format", "{{.Names}}").Output()
	if err != nil {
		return fmt.Errorf("what is left: docker ps: %w", err)
	}
	for _, name := range strings.Fields(string(out)) {
		left = append(left, "container "+name)
	}
	after, err := onDocker(ctx)
	if err != nil {
		return err
	}
	for thing := range after {
		if before[thing] || thing == kindNetwork {
			continue
		}
		what, name, _ := strings.Cut(thing, " ")
		if what == "volume" { // Others may have made one of their own meanwhile.
			users, err := exec.CommandContext(ctx, "docker", "ps", "--all", "--quiet", "--filter", "volume="+name).Output()
			if err != nil || len(users) > 0 {
				continue
			}
		}
		left = append(left, thing)
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	for _, p := range processes {
		if line, err := os.ReadFile(p); err == nil && strings.Contains(string(line), prefix) { // One that has ended is none.
			left = append(left, "process "+strings.ReplaceAll(strings.TrimRight(string(line), "\x00"), "\x00", " "))
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("of the sandboxes is left: %s", strings.Join(left, ", "))
	}
	fmt.Println("nothing is left: no container, volume, network or process")
	return nil
}
