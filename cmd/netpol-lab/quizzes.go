package main

import (
	"bufio"
	"fmt"
	"text/tabwriter"
)

type quizzesCmd struct {
	Check quizzesCheckCmd `cmd:"" help:"Say what is in a folder of quizzes, or what is wrong with it."`
}

type quizzesCheckCmd struct {
	Dir     string `arg:"" type:"existingdir" help:"Folder with a file NN-name.yaml for each quiz, such as quizzes/content."`
	Lessons string `type:"existingdir" placeholder:"DIR" help:"Folder with the lessons that the quizzes may be about besides the lab's own."`
	Beside  bool   `help:"The quizzes stand beside the lab's own, as with serve --quizzes: none has the name of one of these."`
}

// Help is the end of what --help prints.
func (quizzesCheckCmd) Help() string {
	return `Everything is read as the server reads it at its start, and what can be computed is:
the right answers of the questions about connections, and whether a line that repairs
a policy does, and no mistake does too.

What is wrong is printed to standard error, one problem a line:

  file:line: field: message` + fmt.Sprintf(exitCodes, "the quizzes are in order", "something is wrong with them")
}

func (c *quizzesCheckCmd) Run(std streams) error {
	all, err := ownContent()
	if err != nil {
		return err
	}
	if !c.Beside {
		all.quizzes = nil
	}
	own := len(all.quizzes)
	if err := all.add(c.Lessons, c.Dir); err != nil {
		fmt.Fprintln(std.stderr, err)
		return errNo
	}
	out := bufio.NewWriter(std.stdout)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "QUIZ\tLESSON\tQUESTIONS\tIN THE SANDBOX")
	questions := 0
	for _, q := range all.quizzes[own:] {
		provable := 0
		for _, question := range q.Questions {
			if question.Provable() {
				provable++
			}
		}
		questions += len(q.Questions)
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\n", q.Slug, q.Lesson, len(q.Questions), provable)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s, %s.\n", count(len(all.quizzes)-own, "quiz", "quizzes"), count(questions, "question", "questions"))
	return finish(out, nil, false)
}
