package kind

import (
	"errors"
	"fmt"
	"strings"

	"sigs.k8s.io/kind/pkg/exec"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// kindError adds to an error of kind's what the command that failed has said:
// kind keeps it apart. The end of it is enough.
func kindError(err error) error {
	if err == nil {
		return nil
	}
	failed := exec.RunErrorForError(err)
	if failed == nil {
		return fmt.Errorf("kind: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(failed.Output)), "\n")
	if len(lines) > 20 {
		lines = lines[len(lines)-20:]
	}
	return fmt.Errorf("kind: %w\n%s", err, strings.Join(lines, "\n"))
}

// causes are the causes that a learner, or whoever runs the server, can do
// something about, by what the commands say.
var causes = []struct{ says, message string }{
	{"no space left on device", "The disk of the machine that runs the lab is full. Free some space on it (docker system prune removes what Docker no longer needs), then start again."},
	{"Cannot connect to the Docker daemon", "Docker has stopped on the machine that runs the lab. Start it, then start again."},
	{"permission denied while trying to connect to the Docker daemon", "The lab's server may not use Docker. Run it as a user in the group docker, or as root, then start again."},
}

// failure is the *sandbox.Failure for an error in the step of that name, which
// is empty before the first.
func failure(step string, err error) error {
	var known *sandbox.Failure
	if errors.As(err, &known) {
		return known
	}
	text := err.Error()
	for _, c := range causes {
		if strings.Contains(text, c.says) {
			return &sandbox.Failure{Message: c.message, Err: err}
		}
	}
	if step == "" {
		return &sandbox.Failure{Message: "Docker did not do what it was asked to. Start again; the server's log says what went wrong.", Err: err}
	}
	return &sandbox.Failure{Message: fmt.Sprintf("The step %q did not succeed. Start again; the server's log says what went wrong.", step), Err: err}
}
