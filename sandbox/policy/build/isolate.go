package build

import (
	"cmp"
	"maps"
	"slices"
)

// isolate decides which classes are isolated, and for which direction, so that all that
// is to be closed can be. A connection is closed at either of its ends: where policies
// reach only one, there; else so that there is as little to write as possible.
func (b *builder) isolate() {
	type edge struct{ from, to int }
	choice := map[edge]bool{}
	links := slices.SortedFunc(maps.Keys(b.links), link.compare)
	for _, l := range links {
		if b.links[l].state != closed {
			continue
		}
		switch from, to := b.classes[l.from].writable, b.classes[l.to].writable; {
		case from && to:
			choice[edge{l.from, l.to}] = true
		case from:
			b.egress[l.from] = true
		case to:
			b.ingress[l.to] = true
		}
	}
	// What is closed already needs nothing more.
	maps.DeleteFunc(choice, func(e edge, _ bool) bool { return b.egress[e.from] || b.ingress[e.to] })
	// For the rest: the least costly choice of ends that has one end of each.
	in, out := b.free()
	g := cover{}
	for e := range choice {
		g.add(e.from, e.to)
	}
	for from := range g.edges {
		g.from = append(g.from, end{from, out[from] + b.cost(links, from, true)})
	}
	to := map[int]bool{}
	for e := range choice {
		to[e.to] = true
	}
	for n := range to {
		g.to = append(g.to, end{n, in[n] + b.cost(links, n, false)})
	}
	egress, ingress := g.solve()
	for _, n := range egress {
		b.egress[n] = true
	}
	for _, n := range ingress {
		b.ingress[n] = true
	}
	b.keepClosed()
	b.index()
	// An isolated end must be able to name what it is to let through.
	for _, l := range links {
		if b.links[l].state != open {
			continue
		}
		for _, peer := range []struct {
			isolated bool
			class    int
		}{{b.egress[l.from], l.to}, {b.ingress[l.to], l.from}} {
			if c := b.classes[peer.class]; peer.isolated && c.namespace == "" && !c.addr.IsValid() {
				b.refuse(noAddress(b.classes[l.from].name, b.classes[l.to].name))
			}
		}
	}
}

// keepClosed isolates for ingress, too, what is to be closed to at least two thirds
// of the pods there are, also where it would do to close their egress: so that it stays closed
// to pods to come, and a connection that matters has a lock at both ends.
func (b *builder) keepClosed() {
	var sources int
	for _, c := range b.classes {
		if c.namespace != "" && !c.dns {
			sources++
		}
	}
	type way struct{ closed, open map[int]bool }
	ways := map[int]way{}
	for l, a := range b.links {
		if !b.classes[l.to].writable || b.classes[l.from].namespace == "" {
			continue
		}
		if ways[l.to].closed == nil {
			ways[l.to] = way{map[int]bool{}, map[int]bool{}}
		}
		switch a.state {
		case closed:
			ways[l.to].closed[l.from] = true
		case open:
			ways[l.to].open[l.from] = true
		}
	}
	for to, w := range ways {
		maps.DeleteFunc(w.closed, func(from int, _ bool) bool { return w.open[from] })
		if n := len(w.closed); n > 0 && 3*n >= 2*(sources-1) && !b.unnamed(to) {
			b.ingress[to] = true
		}
	}
}

// unnamed reports that something without an address is to get in, which no rule can name.
func (b *builder) unnamed(to int) bool {
	for l, a := range b.links {
		if c := b.classes[l.from]; l.to == to && a.state == open && c.namespace == "" && !c.addr.IsValid() {
			return true
		}
	}
	return false
}

// index lists the open links of each class.
func (b *builder) index() {
	b.in, b.out = map[int][]link{}, map[int][]link{}
	for _, l := range slices.SortedFunc(maps.Keys(b.links), link.compare) {
		if b.links[l].state == open {
			b.in[l.to], b.out[l.from] = append(b.in[l.to], l), append(b.out[l.from], l)
		}
	}
}

// free counts, for each class, the connections to it and from it that have no wish, and
// would be closed with the others where it is isolated.
func (b *builder) free() (in, out map[int]int) {
	in, out = map[int]int{}, map[int]int{}
	seen := map[link]bool{}
	for _, f := range b.bare.Flows() {
		f.From, f.To = b.bare.OneFamily(f.From, f.To)
		if l := b.link(f); !seen[l] && b.links[l].state == free && !b.denied.Allowed(f) {
			seen[l] = true
			in[l.to]++
			out[l.from]++
		}
	}
	return in, out
}

// cost is how much there is to write where an end is isolated: the policy, and something
// for each peer. Ingress is cheaper, for that is where people look.
func (b *builder) cost(links []link, n int, egress bool) int {
	sum := 8
	if egress {
		sum++
	}
	for _, l := range links {
		self, peer := l.to, l.from
		if egress {
			self, peer = l.from, l.to
		}
		if self != n || b.links[l].state != open {
			continue
		}
		sum++
		if c := b.classes[peer]; c.namespace == "" && !c.addr.IsValid() {
			sum += 1 << 20 // It cannot be named.
		}
	}
	return sum
}

// end is an end that may be isolated, and what that costs.
type end struct{ class, cost int }

// cover is a choice between the two ends of each of its edges.
type cover struct {
	from, to []end
	edges    map[int][]int
}

func (g *cover) add(from, to int) {
	if g.edges == nil {
		g.edges = map[int][]int{}
	}
	g.edges[from] = append(g.edges[from], to)
}

// solve is the choice that costs least. In a graph of two sides that is where the
// greatest flow from one to the other is held up.
func (g *cover) solve() (from, to []int) {
	order := func(a, b end) int { return cmp.Compare(a.class, b.class) }
	slices.SortFunc(g.from, order)
	slices.SortFunc(g.to, order)
	toNumber := map[int]int{}
	for i, e := range g.to {
		toNumber[e.class] = i
	}
	left, right := make([]int, len(g.from)), make([]int, len(g.to)) // What more each end can take.
	next := make([][]int, len(g.from))
	for i, e := range g.from {
		left[i] = e.cost
		for _, n := range g.edges[e.class] {
			next[i] = append(next[i], toNumber[n])
		}
		slices.Sort(next[i])
	}
	for i, e := range g.to {
		right[i] = e.cost
	}
	sent := make([]map[int]int, len(g.to)) // By each of the other side.
	for i := range sent {
		sent[i] = map[int]int{}
	}
	for {
		seenFrom, seenTo, end := g.search(left, right, next, sent)
		if end < 0 {
			for i, e := range g.from {
				if seenFrom[i] == unseen {
					from = append(from, e.class)
				}
			}
			for i, e := range g.to {
				if seenTo[i] != unseen {
					to = append(to, e.class)
				}
			}
			return from, to
		}
		augment(left, right, sent, seenFrom, seenTo, end)
	}
}

// What a search knows of an end: that it was not seen, that it is where the search
// begins, or by which of the other side it was reached.
const (
	unseen = -2
	root   = -1
)

// search looks for a way from an end with something left to one of the other side.
func (g *cover) search(left, right []int, next [][]int, sent []map[int]int) (seenFrom, seenTo []int, end int) {
	seenFrom, seenTo = slices.Repeat([]int{unseen}, len(left)), slices.Repeat([]int{unseen}, len(right))
	var queue []int
	for i, rest := range left {
		if rest > 0 {
			seenFrom[i] = root
			queue = append(queue, i)
		}
	}
	end = -1
	for len(queue) > 0 {
		i := queue[0]
		queue = queue[1:]
		for _, j := range next[i] {
			if seenTo[j] != unseen {
				continue
			}
			seenTo[j] = i
			if right[j] > 0 {
				return seenFrom, seenTo, j
			}
			for _, back := range slices.Sorted(maps.Keys(sent[j])) {
				if seenFrom[back] == unseen && sent[j][back] > 0 {
					seenFrom[back] = j
					queue = append(queue, back)
				}
			}
		}
	}
	return seenFrom, seenTo, end
}

// augment sends as much as the way takes.
func augment(left, right []int, sent []map[int]int, seenFrom, seenTo []int, end int) {
	most := right[end]
	for j := end; ; {
		i := seenTo[j]
		if seenFrom[i] == root {
			most = min(most, left[i])
			break
		}
		j = seenFrom[i]
		most = min(most, sent[j][i])
	}
	right[end] -= most
	for j := end; ; {
		i := seenTo[j]
		sent[j][i] += most
		if seenFrom[i] == root {
			left[i] -= most
			return
		}
		j = seenFrom[i]
		sent[j][i] -= most
	}
}
