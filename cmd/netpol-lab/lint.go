package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/netpol-lab/netpol-lab/sandbox/policy/lint"
)

type lintCmd struct {
	policyFlags
	Topology string `required:"" placeholder:"FILE" help:"${topology_help}"`
	Output   string `short:"o" enum:"table,json,yaml" default:"table" help:"Output format: table, json or yaml."`
}

// Help is the end of what --help prints.
func (lintCmd) Help() string {
	return `Without -f the NetworkPolicies are those among the topology's objects.

JSON and YAML are one object:

  findings: a list; each finding has
    check     the check's name
    policy    namespace and name
    file      where the policy is
    position  line and column in it
    field     the path of the field, such as spec.ingress[0].ports[0]
    message   what is probably not meant, as a sentence
    fix       what to do about it
  warnings: a list of sentences` + fmt.Sprintf(exitCodes, "no finding", "findings")
}

// found is a finding in the output; see [lintCmd.Help].
type found struct {
	lint.Finding
	File string `json:"file"`
}

func (c *lintCmd) Run(std streams) error {
	s, err := load(std, c.Topology, c.policyFlags)
	if err != nil {
		return err
	}
	if len(s.policies.policies) == 0 {
		return inputError{c.Topology + ": there is no NetworkPolicy in it; -f says where the policies are"}
	}
	if _, err := s.compile(c.Topology); err != nil {
		return err // Of these there would be no findings.
	}
	findings := lint.Lint(s.network, s.policies.policies)
	out := bufio.NewWriter(std.stdout)
	if c.Output != "table" {
		items := func(yield func(any) bool) {
			for _, f := range findings {
				if !yield(found{f, s.policies.files[f.Policy]}) {
					return
				}
			}
		}
		err = writeObject(out, c.Output, "findings", items, rest{Warnings: s.warnings})
	} else {
		printWarnings(std.stderr, s.warnings)
		for _, f := range findings {
			fmt.Fprintf(out, "%s: %s: %s, %s: %s\n  %s\n", s.policies.where(f.Policy, f.Position), f.Check, f.Policy, f.Field, f.Message, strings.ReplaceAll(f.Fix, "\n", "\n  "))
		}
		fmt.Fprintln(out, count(len(findings), "finding", "findings"), "in", count(len(s.policies.policies), "policy", "policies")+".")
	}
	return finish(out, err, len(findings) > 0)
}
