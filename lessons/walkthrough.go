package lessons

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/netpol-lab/netpol-lab/lessons/markdown"
	"github.com/netpol-lab/netpol-lab/sandbox/picture"
	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

// walkthroughFile is walkthrough.yaml as it is written: the same pods and connections
// in every step, so that one sees what turns.
type walkthroughFile struct {
	Pods  []string   `yaml:"pods"`
	Flows []flowName `yaml:"flows"`
	Steps []struct {
		Caption string `yaml:"caption"`
		// Apply are policies that come to those of the steps before.
		Apply string `yaml:"apply"`
	} `yaml:"steps"`
}

// walkthroughID begins the ID of each of its pictures.
const walkthroughID = "walkthrough-"

// loadWalkthrough draws the steps of the lesson's walk-through; none where there is no
// such file.
func (l *Lesson) loadWalkthrough(fsys fs.FS, file string) ([]*picture.Picture, error) {
	src, err := fs.ReadFile(fsys, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var raw walkthroughFile
	root, err := decodeStrict(file, src, &raw)
	if err != nil {
		return nil, err
	}
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s:%d: %s: %s", file, lineOfField(root, field), field, fmt.Sprintf(format, args...)))
	}
	flows := l.pictureFlows(raw.Flows, bad)
	if len(raw.Steps) < 2 {
		bad("steps", "there are %d: want at least two", len(raw.Steps))
	}
	var steps []*picture.Picture
	var policies []policy.Policy
	seen := map[policy.Ref]int{} // the step that a policy came with, by its name
	for i, step := range raw.Steps {
		field := fmt.Sprintf("steps[%d]", i)
		if strings.TrimSpace(step.Caption) == "" {
			bad(field+".caption", "is missing: one or two sentences that say what to see")
		}
		if err := markdown.Plain(step.Caption); err != nil {
			bad(field+".caption", "%v", err)
		}
		if strings.TrimSpace(step.Apply) != "" {
			// The text of a block begins in the line below its field.
			more, err := l.parsePolicies(file, lineOfField(root, field+".apply"), []byte(step.Apply))
			if err != nil {
				errs = append(errs, err)
			}
			for _, p := range more {
				if before, ok := seen[p.Ref()]; ok {
					bad(field+".apply", "%s comes with steps[%d] already: give this policy a name of its own", p.Ref(), before)
				}
				seen[p.Ref()] = i
			}
			policies = append(policies, more...)
		}
		if len(errs) > 0 {
			continue // What is missing cannot be drawn.
		}
		drawn, err := picture.Draw(l.Topology, picture.Spec{
			ID: fmt.Sprint(walkthroughID, i+1), Caption: strings.TrimSpace(step.Caption), Ends: raw.Pods, Flows: flows, Policies: policies,
		})
		if err != nil {
			drawError(err, field, bad)
		}
		steps = append(steps, drawn)
	}
	return steps, errors.Join(errs...)
}
