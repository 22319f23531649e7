package views

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/netpol-lab/netpol-lab/sandbox"
)

// Matrix is every flow of a topology as a table: a row for each source, a
// column for each destination's port.
type Matrix struct {
	Columns []ColumnGroup
	Rows    []RowGroup
}

// ColumnGroup is the columns of one namespace, or those outside of all.
type ColumnGroup struct {
	Name    string
	Columns []Column
}

// Column is a port that flows lead to.
type Column struct {
	// To is the port as the IDs of flows have it, "production/api:8080/TCP".
	To string
	// Name is the pod's or host's, or for the cluster's DNS the port's; Port is the
	// port with its protocol where that is not TCP.
	Name, Port string
}

// RowGroup is the rows of one namespace.
type RowGroup struct {
	Namespace string
	Rows      []Row
}

// Row is the flows of one source.
type Row struct {
	Namespace, Pod string
	// Note says what the pod is.
	Note  string
	Cells []Cell
}

// From is the source as flows have it, "namespace/name".
func (r Row) From() string { return r.Namespace + "/" + r.Pod }

// Cell is the flows from one source to one column. Self is set where the two
// are the same pod, and there are no flows then.
type Cell struct {
	Self bool
	// First is set in the first column of a group.
	First bool
	// Marks has the flow by address, and behind it the one by name where there is one.
	Marks []Mark
}

// Same is the verdict of all the cell's flows where they have the same, and else empty.
// The cell is then drawn as one.
func (c Cell) Same() string {
	if len(c.Marks) == 0 {
		return ""
	}
	for _, m := range c.Marks {
		if m.Verdict != c.Marks[0].Verdict {
			return ""
		}
	}
	return string(c.Marks[0].Verdict)
}

// Mark is what is known of one flow.
type Mark struct {
	Flow sandbox.Flow
	VerdictMark
	Detail string
}

// ViaWords says how the source finds its destination.
func (m Mark) ViaWords() string {
	switch m.Flow.Via {
	case sandbox.ViaName:
		return Said.ByName
	case sandbox.ViaDNS:
		return Said.Question
	}
	return Said.ByIP
}

// Title describes the flow in one line.
func (m Mark) Title() string {
	to := fmt.Sprintf("%s %d/%s", m.Flow.To, m.Flow.Port, m.Flow.Protocol)
	how := " " + Said.ByIP
	switch m.Flow.Via {
	case sandbox.ViaName:
		how = " " + Said.ByName + " " + strings.TrimSuffix(m.Flow.ServiceHost(), ".") + ":" + strconv.Itoa(m.Flow.ServicePort)
	case sandbox.ViaDNS:
		how = ""
	}
	title := m.Flow.From + " to " + to + how + ": " + m.Word
	if m.Detail != "" {
		title += " (" + m.Detail + ")"
	}
	return title
}

// NewMatrix lays the topology's flows out and fills in what was observed.
func NewMatrix(topology *sandbox.Topology, observed []sandbox.Observation) Matrix {
	known := make(map[string]sandbox.Observation, len(observed))
	for _, o := range observed {
		known[o.Flow] = o
	}
	type end struct {
		from, to string
		port     int
		protocol sandbox.Protocol
	}
	marks := map[end][]Mark{}
	for _, f := range topology.Flows() {
		m := Mark{Flow: f, VerdictMark: MarkOf(NotKnown)}
		if o, ok := known[f.ID]; ok {
			m.VerdictMark, m.Detail = MarkOf(o.Verdict), o.Detail
		}
		at := end{f.From, f.To, f.Port, f.Protocol}
		marks[at] = append(marks[at], m)
	}

	var m Matrix
	destinations := topology.Destinations()
	first := make([]bool, len(destinations))
	for i, d := range destinations {
		group, c := columnOf(d)
		if n := len(m.Columns); n == 0 || m.Columns[n-1].Name != group {
			m.Columns = append(m.Columns, ColumnGroup{Name: group})
			first[i] = true
		}
		g := &m.Columns[len(m.Columns)-1]
		g.Columns = append(g.Columns, c)
	}
	for _, ns := range topology.Namespaces {
		group := RowGroup{Namespace: ns.Name}
		for _, pod := range ns.Pods {
			row := Row{Namespace: ns.Name, Pod: pod.Name, Note: pod.Note}
			for i, d := range destinations {
				row.Cells = append(row.Cells, Cell{
					Self:  d.To == row.From(),
					First: first[i],
					Marks: marks[end{row.From(), d.To, d.Port, d.Protocol}],
				})
			}
			group.Rows = append(group.Rows, row)
		}
		if len(group.Rows) > 0 {
			m.Rows = append(m.Rows, group)
		}
	}
	return m
}

// columnOf is the destination as a column, and the name of its group.
func columnOf(d sandbox.Destination) (group string, c Column) {
	c = Column{To: fmt.Sprintf("%s:%d/%s", d.To, d.Port, d.Protocol), Port: strconv.Itoa(d.Port)}
	switch {
	case d.External:
		group, c.Name = "outside", d.To
	case d.DNS:
		group, c.Name = "DNS", d.PortName
	default:
		group, c.Name, _ = strings.Cut(d.To, "/")
	}
	if d.Protocol != sandbox.TCP {
		c.Port += " " + string(d.Protocol)
	}
	return group, c
}

// Slim says that the group's columns together are narrower than its name: each of them
// has it then.
func (m Matrix) Slim(g ColumnGroup) bool {
	return m.Wide() && len(g.Columns)*4 < len(g.Name)
}

// Wide says that the table has so many columns that narrow panes need narrow ones.
func (m Matrix) Wide() bool {
	n := 0
	for _, g := range m.Columns {
		n += len(g.Columns)
	}
	return n > 10
}
