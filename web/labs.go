package web

import (
	"context"
	"fmt"
	"strings"

	"github.com/netpol-lab/netpol-lab/lessons"
	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/web/store"
)

// OwnLabs keeps the labs that learners make themselves; [store.Store] does.
type OwnLabs interface {
	// Labs are the owner's, the newest first; Lab is the one of that name.
	Labs(ctx context.Context, owner string) ([]store.Lab, error)
	Lab(ctx context.Context, owner, name string) (store.Lab, bool, error)
	// SaveLab keeps one. A *[store.InputError] says why not.
	SaveLab(ctx context.Context, owner string, lab store.Lab) error
	DeleteLab(ctx context.Context, owner, name string) error
}

// Labs are all labs that there are: the lessons', which are everybody's, and each
// learner's own. Its methods may be called concurrently.
type Labs struct {
	lessons []*lessons.Lesson
	own     OwnLabs
	// read are own labs that were read before. A name stands for what is in the lab, so
	// they are the same for everybody who has one of that name.
	read *recent[string, *lessons.Lesson]
}

// keptLabs is how many own labs are kept read: each takes some kilobytes.
const keptLabs = 400

// NewLabs are the lessons' labs and those that are kept.
func NewLabs(all []*lessons.Lesson, own OwnLabs) *Labs {
	return &Labs{lessons: all, own: own, read: newRecent[string, *lessons.Lesson](keptLabs)}
}

// Find is the lab of that name as the owner has it: the first lesson with it or, of a lab
// of their own, a lesson that has nothing but the lab and its title. It is nil where there
// is none.
func (l *Labs) Find(ctx context.Context, owner, name string) (*lessons.Lesson, error) {
	if !strings.HasPrefix(name, sandbox.OwnPrefix) {
		for _, lesson := range l.lessons {
			if lesson.Topology.Name == name {
				return lesson, nil
			}
		}
		return nil, nil
	}
	kept, there, err := l.own.Lab(ctx, owner, name)
	if err != nil || !there {
		return nil, err
	}
	return l.read.get(name, 1, func() (*lessons.Lesson, error) {
		title, topology, err := sandbox.ParseOwn([]byte(kept.YAML))
		if err != nil {
			return nil, fmt.Errorf("lab %s, as it is kept: %w", name, err)
		}
		if topology.Name != name {
			return nil, fmt.Errorf("lab %s, as it is kept, is %s", name, topology.Name)
		}
		return &lessons.Lesson{Title: title, Topology: topology, Flows: topology.Flows()}, nil
	})
}

// Topology is the topology of the owner's lab of that name; nil where there is none.
func (l *Labs) Topology(ctx context.Context, owner, name string) (*sandbox.Topology, error) {
	lesson, err := l.Find(ctx, owner, name)
	if lesson == nil || err != nil {
		return nil, err
	}
	return lesson.Topology, nil
}
