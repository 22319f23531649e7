package views

import "fmt"

// Delete is the question whether Apply may delete policies.
type Delete struct {
	// Names are theirs, "namespace/name".
	Names []string
	// Action is where the form goes, with Fields sent again.
	Action string
	Fields []Field
}

// Question is the page's heading.
func (d Delete) Question() string {
	if len(d.Names) == 1 {
		return "Delete a policy?"
	}
	return fmt.Sprintf("Delete %d policies?", len(d.Names))
}

func (d Delete) them() string {
	if len(d.Names) == 1 {
		return "it"
	}
	return "them"
}
