package main

import (
	"bufio"
	"errors"
	"fmt"

	"github.com/netpol-lab/netpol-lab/sandbox/policy"
)

type diffCmd struct {
	Before    string `arg:"" help:"The policies before: a file, a folder, - for standard input, or /dev/null for none."`
	After     string `arg:"" help:"The policies after."`
	Namespace string `short:"n" help:"Namespace of the policies that name none."`
	Topology  string `required:"" placeholder:"FILE" help:"${topology_help}"`
	Output    string `short:"o" enum:"table,json,yaml" default:"table" help:"Output format: table, json or yaml."`
}

// Help is the end of what --help prints.
func (diffCmd) Help() string {
	return `Of all flows between pods' container ports, and to those of the hosts outside, these are the ones that one set allows and the other does not.

JSON and YAML are one object:

  changes: a list; each change has
    before    the flow with its reasons, as netpol-lab eval prints it
    after     the same flow under the other policies
  policiesBefore, policiesAfter: lists; each policy has namespace, name and file
  warnings: a list of sentences` + fmt.Sprintf(exitCodes, "no flow changes", "flows change")
}

// changed is a change in the output; see [diffCmd.Help].
type changed struct {
	Before evaluated `json:"before"`
	After  evaluated `json:"after"`
}

func (c *diffCmd) Run(std streams) error {
	for _, pair := range [][2]string{{c.Before, c.After}, {c.Before, c.Topology}, {c.After, c.Topology}} {
		if pair[0] == stdinName && pair[1] == stdinName {
			return &usageError{errors.New("standard input can be only one of BEFORE, AFTER and the topology")}
		}
	}
	// The topology is read once, with the policies before.
	s, err := load(std, c.Topology, policyFlags{Filename: []string{c.Before}, Namespace: c.Namespace})
	if err != nil {
		return err
	}
	after := *s
	var warnings []string
	if after.policies, warnings, err = readPolicies(std, []string{c.After}, c.Namespace); err != nil {
		return err
	}
	s.warnings = append(append(s.warnings, warnings...), withoutNamespace(&after.network, &after.policies)...)
	old, err := s.compile(c.Topology)
	if err != nil {
		return err
	}
	now, err := after.compile(c.Topology)
	if err != nil {
		return err
	}
	flows := old.Flows()
	changes := policy.Diff(old, now, flows)
	out := bufio.NewWriter(std.stdout)
	if c.Output != "table" {
		items := func(yield func(any) bool) {
			for _, ch := range changes {
				if !yield(changed{newEvaluated(&s.network, ch.Before), newEvaluated(&s.network, ch.After)}) {
					return
				}
			}
		}
		err = writeObject(out, c.Output, "changes", items, rest{
			PoliciesBefore: s.policies.located(), PoliciesAfter: after.policies.located(), Warnings: s.warnings,
		})
	} else {
		printWarnings(std.stderr, s.warnings)
		for _, ch := range changes {
			word := "now blocked"
			if ch.After.Allowed {
				word = "now allowed"
			}
			fmt.Fprintf(out, "%s: %s -> %s:%d/%s\n  before: %s\n  after:  %s\n", word, ch.Before.From, ch.Before.To, ch.Before.Port, ch.Before.Protocol, ch.Before, ch.After)
		}
		fmt.Fprintf(out, "%d of %d flows change.\n", len(changes), len(flows))
	}
	return finish(out, err, len(changes) > 0)
}
