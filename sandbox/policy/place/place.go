// Package place finds where in a YAML document something stands, for those who say
// what is wrong with it.
package place

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Found is how far a path leads into a document.
type Found struct {
	// Node is what stands at the end, and Key the name of the field that it is the
	// value of; of an entry of a list, both are the entry. They are of the last step
	// that is there.
	Key, Node *yaml.Node
	// Whole says that every step is there.
	Whole bool
}

// Last is a step to the last entry of that name, where [Find] would take the first.
type Last string

// Find follows the steps from a node, or from a document's top. A step is a field's
// name or, in a list, the entry's index, or its number or the value of its field
// "name" as text.
func Find(from *yaml.Node, steps ...any) Found {
	if from.Kind == yaml.DocumentNode && len(from.Content) > 0 {
		from = from.Content[0]
	}
	out := Found{Key: from, Node: from}
	for _, step := range steps {
		key, value := next(out.Node, step)
		if value == nil {
			return out
		}
		out.Key, out.Node = key, value
	}
	out.Whole = true
	return out
}

func next(from *yaml.Node, step any) (key, value *yaml.Node) {
	name, last := "", false
	switch step := step.(type) {
	case int:
		name = strconv.Itoa(step)
	case string:
		name = step
	case Last:
		name, last = string(step), true
	}
	if from.Kind != yaml.SequenceNode {
		return Entry(from, name)
	}
	for i, item := range from.Content {
		if _, called := Entry(item, "name"); strconv.Itoa(i) == name || called != nil && called.Value == name {
			if key, value = item, item; !last {
				break
			}
		}
	}
	return key, value
}

// Entry is the mapping's field of that name; nil where there is none, or no mapping.
func Entry(mapping *yaml.Node, name string) (key, value *yaml.Node) {
	if mapping.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i], mapping.Content[i+1]
		}
	}
	return nil, nil
}

// Key is the first field of that name, however deep it stands; nil where there is
// none.
func Key(n *yaml.Node, name string) *yaml.Node {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && c.Value == name {
			return c
		}
		if key := Key(c, name); key != nil {
			return key
		}
	}
	return nil
}

// Steps cuts a path such as "checks[2].want" or "namespaces[shop].pods" at its dots and
// brackets; what is in brackets may have dots.
func Steps(path string) []any {
	var out []any
	for path != "" {
		end := strings.IndexAny(path, ".[")
		if path[0] == '[' {
			if end = strings.IndexByte(path, ']'); end < 0 {
				end = len(path)
			}
			out = append(out, path[1:end])
			path = strings.TrimPrefix(path[end:], "]")
			continue
		}
		if end < 0 {
			end = len(path)
		}
		if end > 0 {
			out = append(out, path[:end])
		}
		path = strings.TrimPrefix(path[end:], ".")
	}
	return out
}
