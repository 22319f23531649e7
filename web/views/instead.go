package views

import "fmt"

// Instead is the question whether a sandbox may be started in place of another lab's.
type Instead struct {
	// ID is the other sandbox's, Title its lesson's; Policies counts what is in force
	// in it.
	ID, Title string
	Policies  int
	// BackURL leads back to the page that was asked on.
	BackURL string
	// Fields are the form's, to be sent again.
	Fields []Field
}

// Field is a field of a form.
type Field struct{ Name, Value string }

// Explanation says what there is to lose.
func (i Instead) Explanation() string {
	lost := "No policy is in force in it"
	switch i.Policies {
	case 0:
	case 1:
		lost = "The policy that is in force in it goes with it"
	default:
		lost = fmt.Sprintf("The %d policies that are in force in it go with it", i.Policies)
	}
	return fmt.Sprintf("Your sandbox of “%s” is still there. You can have one at a time, so to start one here stops that one. %s.", i.Title, lost)
}
