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
		// After is the exercise whose prediction's answer the step gives away.
		After string `yaml:"after"`
	} `yaml:"steps"`
}

// walkthroughID begins the ID of each of its pictures.
const walkthroughID = "walkthrough-"

// loadWalkthrough draws the steps of the lesson's walk-through; none where there is no
// such file.
func (l *Lesson) loadWalkthrough(fsys fs.FS, file string, exercises map[string]*Exercise) ([]Step, error) {
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
	var steps []Step
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
		var after *Exercise
		if step.After != "" {
			if after, err = predicted(exercises, step.After); err != nil {
				bad(field+".after", "%v", err)
			}
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
		steps = append(steps, Step{drawn, after})
	}
	return steps, errors.Join(errs...)
}

// predicted is the exercise of that ID, which asks for a prediction; nil without an
// error where it could not be read.
func predicted(exercises map[string]*Exercise, id string) (*Exercise, error) {
	e, ok := exercises[id]
	switch {
	case !ok:
		return nil, fmt.Errorf("there is no exercise %q: it would be the folder exercises/%s", id, id)
	case e != nil && len(e.Predict) == 0:
		return nil, fmt.Errorf("the exercise %s asks for no prediction, so nothing would open this", id)
	}
	return e, nil
}
