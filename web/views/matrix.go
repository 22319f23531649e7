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
	Groups []ColumnGroup
	Rows   []Row
}

// ColumnGroup is the columns of one namespace, or those outside of all.
type ColumnGroup struct {
	Name    string
	Columns []Column
}

// Column is a port that flows lead to.
type Column struct {
	// Name is the pod's or host's, Port the port with its protocol where that
	// is not TCP.
	Name, Port string
}

// Row is the flows of one source.
type Row struct {
	Namespace, Pod string
	// Note says what the pod is.
	Note  string
	Cells []Cell
}

// Cell is the flows from one source to one column. Self is set where the two
// are the same pod, and there are no flows then.
type Cell struct {
	Self bool
	// First is set in the first column of a group.
	First bool
	Marks []Mark
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
		return "question"
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
		group, name := groupOf(d)
		if n := len(m.Groups); n == 0 || m.Groups[n-1].Name != group {
			m.Groups = append(m.Groups, ColumnGroup{Name: group})
			first[i] = true
		}
		port := strconv.Itoa(d.Port)
		if d.Protocol != sandbox.TCP || d.DNS {
			port += " " + string(d.Protocol)
		}
		g := &m.Groups[len(m.Groups)-1]
		g.Columns = append(g.Columns, Column{Name: name, Port: port})
	}
	for _, ns := range topology.Namespaces {
		for _, pod := range ns.Pods {
			row := Row{Namespace: ns.Name, Pod: pod.Name, Note: pod.Note}
			from := ns.Name + "/" + pod.Name
			for i, d := range destinations {
				row.Cells = append(row.Cells, Cell{
					Self:  d.To == from,
					First: first[i],
					Marks: marks[end{from, d.To, d.Port, d.Protocol}],
				})
			}
			m.Rows = append(m.Rows, row)
		}
	}
	return m
}

func groupOf(d sandbox.Destination) (group, name string) {
	switch {
	case d.External:
		return "outside", d.To
	case d.DNS:
		return "cluster DNS", strings.TrimPrefix(d.To, sandbox.DNSNamespace+"/")
	}
	group, name, _ = strings.Cut(d.To, "/")
	return group, name
}
