package views

import (
	"fmt"
	"strings"
	"time"
)

// Operator is what whoever runs the lab sees of it.
type Operator struct {
	// At is when that was.
	At time.Time
	// Filter is the text that the shown sandboxes have; empty for all.
	Filter string
	// Missing is what learners need and that is not there, a sentence each.
	Missing   []string
	Simulated bool
	// States are how many sandboxes there are in each state that any is in.
	States []StateCount
	// Clusters are how many there are of at most MaxClusters, those among them which are
	// being booted, wait in reserve, and are being removed.
	Clusters, MaxClusters, Booting, Reserved, Removing int
	// Reserve is how many should wait there; Hits had one, and Misses had to wait.
	Reserve      int
	Hits, Misses int64
	// Boot is how long a boot takes; 0 where none has been seen.
	Boot                time.Duration
	Waiting, MaxWaiting int
	Watchers            int
	// Metered says that it can be known what the clusters take of the machine, and Cost is
	// what all of them took at CostsAt, which is no time where that is not known yet.
	Metered bool
	Cost    Cost
	CostsAt time.Time
	// Rows are the sandboxes that are shown, of Found that have the text, of Of in all.
	Rows      []OperatorRow
	Found, Of int
}

// StateCount is how many sandboxes are in a state.
type StateCount struct {
	State string
	Count int
}

// Cost is what a cluster takes of the machine.
type Cost struct {
	// Memory is in bytes, Processor in thousandths of one.
	Memory, Processor int64
}

// memory is empty where it is not known.
func (c Cost) memory() string {
	switch {
	case c.Memory == 0:
		return ""
	case c.Memory >= 10<<30:
		return fmt.Sprintf("%.0f GiB", float64(c.Memory)/(1<<30))
	case c.Memory >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(c.Memory)/(1<<30))
	}
	return fmt.Sprintf("%.0f MiB", float64(c.Memory)/(1<<20))
}

func (c Cost) processor() string { return fmt.Sprintf("%.2f", float64(c.Processor)/1000) }

// OperatorRow is one sandbox.
type OperatorRow struct {
	ID string
	// Learner is the learner's name, empty where they gave none; Owner tells them from
	// another then.
	Learner, Owner string
	Lab            string
	State, Reason  string
	Cluster        string
	// Cost is what its cluster takes.
	Cost Cost
	// Age is the time since it was asked for, Unused since it was last used, Left until it
	// is stopped; Left is 0 where nothing is.
	Age, Unused, Left     time.Duration
	Watchers, Policies    int
	Place, Disagreeing    int
	Stoppable, Extendable bool
}

// Has says that the text is in what is told of the sandbox.
func (r OperatorRow) Has(text string) bool {
	if text == "" {
		return true
	}
	all := strings.ToLower(strings.Join([]string{r.ID, r.Learner, r.Owner, r.Lab, r.State, r.Cluster}, "\n"))
	return strings.Contains(all, strings.ToLower(text))
}

// Rank is where the sandbox stands: what needs somebody comes first.
func (r OperatorRow) Rank() int {
	switch {
	case r.State == "failed":
		return 0
	case r.Disagreeing > 0:
		return 1
	case r.Place > 0:
		return 2
	}
	return 3
}

func (r OperatorRow) who() string {
	if r.Learner != "" {
		return r.Learner
	}
	return "Learner " + r.Owner
}

// detail is what there is to say of the state.
func (r OperatorRow) detail() string {
	switch {
	case r.State == "failed":
		return r.Reason
	case r.Place > 0:
		return fmt.Sprintf("%s in the queue", ordinal(r.Place))
	case r.Disagreeing == 1:
		return "1 flow is not as predicted"
	case r.Disagreeing > 1:
		return fmt.Sprintf("%d flows are not as predicted", r.Disagreeing)
	}
	return ""
}

func ordinal(n int) string {
	ending := "th"
	switch {
	case n%100 >= 11 && n%100 <= 13:
	case n%10 == 1:
		ending = "st"
	case n%10 == 2:
		ending = "nd"
	case n%10 == 3:
		ending = "rd"
	}
	return fmt.Sprint(n, ending)
}

func (r OperatorRow) used() string {
	if r.Watchers > 0 {
		return fmt.Sprintf("now, in %s", plural(r.Watchers, "page"))
	}
	return roughly(r.Unused) + " ago"
}

func (r OperatorRow) left() string {
	if r.Left <= 0 {
		return ""
	}
	return roughly(r.Left) + " left"
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// roughly is the duration in its largest unit, and in hours with the minutes.
func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(max(0, d).Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

// reserveDetail says how often the reserve was of use.
func (o Operator) reserveDetail() string {
	all := o.Hits + o.Misses
	if all == 0 {
		return "nobody has asked yet"
	}
	return fmt.Sprintf("%d of %d got one at once", o.Hits, all)
}

func (o Operator) clustersDetail() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{o.Booting, "starting"}, {o.Removing, "being removed"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if o.Boot > 0 {
		parts = append(parts, fmt.Sprintf("a start takes %s", roughly(o.Boot)))
	}
	return strings.Join(parts, ", ")
}

func (o Operator) shown() string {
	switch {
	case o.Filter != "" && len(o.Rows) < o.Found:
		return fmt.Sprintf("%d of %d have “%s”; the first %d are shown.", o.Found, o.Of, o.Filter, len(o.Rows))
	case o.Filter != "":
		return fmt.Sprintf("%d of %d have “%s”.", o.Found, o.Of, o.Filter)
	case len(o.Rows) < o.Found:
		return fmt.Sprintf("The first %d of %d are shown.", len(o.Rows), o.Found)
	}
	return ""
}
