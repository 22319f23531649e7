package main

import (
	"bufio"
	"fmt"
	"text/tabwriter"
)

type lessonsCmd struct {
	Check lessonsCheckCmd `cmd:"" help:"Say what is in a folder of lessons, or what is wrong with it."`
}

type lessonsCheckCmd struct {
	Dir    string `arg:"" type:"existingdir" help:"Folder with a folder NN-name for each lesson, such as lessons/content."`
	Beside bool   `help:"The lessons stand beside the lab's own, as with serve --lessons: none has the name of one of these, links may lead to them, and a topology of theirs may be shared."`
}

// Help is the end of what --help prints.
func (lessonsCheckCmd) Help() string {
	return `Everything is read as the server reads it at its start. Every exercise is proved: its
start fails, its solution passes, each wrong answer fails, no two of these say the
same, and one is too wide. What stands in the text as YAML can be applied, each link
leads somewhere, and the policies of a start are shown in the text or were written
before. The second table says of each exercise how many connections are named to the
learner, how many are graded and how many are free.

What is wrong is printed to standard error, one problem a line:

  file:line: field: message` + fmt.Sprintf(exitCodes, "the lessons are in order", "something is wrong with them")
}

func (c *lessonsCheckCmd) Run(std streams) error {
	var all content
	if c.Beside {
		var err error
		if all, err = ownContent(); err != nil {
			return err
		}
	}
	own := len(all.lessons)
	if err := all.add(c.Dir, ""); err != nil {
		fmt.Fprintln(std.stderr, err)
		return errNo
	}
	found := all.lessons[own:]
	out := bufio.NewWriter(std.stdout)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "LESSON\tMINUTES\tSECTIONS\tEXERCISES\tCHECKS\tPICTURES\tWALK-THROUGH\tSNIPPETS")
	minutes, exercises := 0, 0
	for _, l := range found {
		checks, pictures := 0, 0
		for _, e := range l.Exercises {
			checks += len(e.Checks)
		}
		for _, s := range l.Sections {
			for b := range s.All() {
				if b.Picture != nil {
					pictures++
				}
			}
		}
		minutes, exercises = minutes+l.Minutes, exercises+len(l.Exercises)
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", l.Slug, l.Minutes, len(l.Sections), len(l.Exercises), checks, pictures, len(l.Walkthrough), len(l.Snippets))
	}
	fmt.Fprintln(table, "\nEXERCISE\tCHECKS\tGRADED\tFREE\tEXACT\tWRONG ANSWERS")
	for _, l := range found {
		for _, e := range l.Exercises {
			exact := "no"
			if e.Exact {
				exact = "yes"
			}
			fmt.Fprintf(table, "%s/%s\t%d\t%d\t%d\t%s\t%d\n", l.Slug, e.ID, len(e.Checks), len(l.Flows)-len(e.Free), len(e.Free), exact, len(e.Wrong))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s, %s, about %s.\n", count(len(found), "lesson", "lessons"), count(exercises, "exercise", "exercises"), count(minutes, "minute", "minutes"))
	return finish(out, nil, false)
}
