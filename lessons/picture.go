package lessons

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/netpol-lab/netpol-lab/lessons/markdown"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/picture"
)

// pictureFile is pictures/ID.yaml as it is written.
type pictureFile struct {
	Caption  string     `yaml:"caption"`
	Pods     []string   `yaml:"pods"`
	Flows    []flowName `yaml:"flows"`
	Policies string     `yaml:"policies"`
}

// loadPicture reads and draws a picture of a lesson whose topology is known.
func (l *Lesson) loadPicture(fsys fs.FS, file string) (*picture.Picture, error) {
	src, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, err
	}
	var raw pictureFile
	root, err := decodeStrict(file, src, &raw)
	if err != nil {
		return nil, err
	}
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s:%d: %s: %s", file, lineOfField(root, field), field, fmt.Sprintf(format, args...)))
	}
	if strings.TrimSpace(raw.Caption) == "" {
		bad("caption", "is missing: one sentence that says what to see")
	}
	if err := markdown.Plain(raw.Caption); err != nil {
		bad("caption", "%v", err)
	}
	spec := picture.Spec{ID: strings.TrimSuffix(path.Base(file), ".yaml"), Caption: strings.TrimSpace(raw.Caption), Ends: raw.Pods}
	if strings.HasPrefix(spec.ID, walkthroughID) {
		bad("file", "names that begin with %s are those of walkthrough.yaml's steps: choose another", walkthroughID)
	}
	spec.Flows = l.pictureFlows(raw.Flows, bad)
	if strings.TrimSpace(raw.Policies) != "" {
		// The text of a block begins in the line below its field.
		spec.Policies, err = l.parsePolicies(file, lineOfField(root, "policies"), []byte(raw.Policies))
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	drawn, err := picture.Draw(l.Topology, spec)
	drawError(err, "policies", bad)
	return drawn, errors.Join(errs...)
}

// pictureFlows finds the flows of a picture, which has them one by one.
func (l *Lesson) pictureFlows(names []flowName, bad func(field, format string, args ...any)) (flows []sandbox.Flow) {
	if len(names) == 0 {
		bad("flows", "there are none to draw")
	}
	for i, name := range names {
		found, err := l.find(name)
		switch field := fmt.Sprintf("flows[%d]", i); {
		case err != nil:
			bad(field, "%v", err)
		case len(found) > 1:
			bad(field, "stands for %d flows: a picture wants them one by one", len(found))
		default:
			flows = append(flows, found[0])
		}
	}
	return flows
}

// drawError says of what was drawn which field is wrong; other is that of all else.
func drawError(err error, other string, bad func(field, format string, args ...any)) {
	var end *picture.EndError
	var flow *picture.FlowError
	switch {
	case errors.As(err, &end):
		bad(fmt.Sprintf("pods[%d]", end.Index), "%v", err)
	case errors.As(err, &flow):
		bad(fmt.Sprintf("flows[%d]", flow.Index), "%v", err)
	case err != nil:
		bad(other, "%v", err)
	}
}
