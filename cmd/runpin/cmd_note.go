package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

func labelCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "label", Usage: "set or remove labels of a run", ArgsUsage: "<run> <key>=<value>... | <key>-...",
		Description: "A label is an event that points at the run: naming never changes what was recorded.\n\n" + examples("runpin label latest paper=fig3", "runpin label 5Q0M8C1A paper-"),
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 2, -1, "<run> and at least one <key>=<value>")
			if err != nil {
				return err
			}
			label := schema.Label{Set: map[string]string{}}
			for _, a := range args[1:] {
				if key, remove := strings.CutSuffix(a, "-"); remove && !strings.Contains(a, "=") {
					label.Remove = append(label.Remove, key)
					continue
				}
				k, v, err := keyValue("label", a)
				if err != nil {
					return usageError("write <key>=<value>, or <key>- to remove", "%q is not a label", a)
				}
				if redact.Param(k, v) {
					return usageError("a record keeps no secrets", "label %q looks like a secret", k)
				}
				label.Set[k] = v
			}
			return appendEvent(env, c, args[0], func(d *schema.Document) { d.Kind, d.Label = schema.KindLabel, &label })
		},
	}
}

func noteCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "note", Usage: "add a remark to a run", ArgsUsage: "<run> <text>",
		Description: examples(`runpin note latest "trained on the wrong split"`),
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 2, -1, "<run> and <text>")
			if err != nil {
				return err
			}
			if redact.Param("note", strings.Join(args[1:], " ")) {
				return usageError("a record keeps no secrets", "the note holds what looks like a secret")
			}
			note := schema.Note{Text: schema.Text(strings.Join(args[1:], " ")), By: env.user()}
			return appendEvent(env, c, args[0], func(d *schema.Document) { d.Kind, d.Note = schema.KindNote, &note })
		},
	}
}

// appendEvent adds one event by a person to a run.
func appendEvent(env *Env, c *cli.Context, query string, fill func(*schema.Document)) error {
	w, err := openWiring(c.Context, env, c, forReporting)
	if err != nil {
		return err
	}
	defer w.close()
	id, err := w.store.Find(c.Context, query, w.scope(""))
	if err != nil {
		return err
	}
	doc := w.event(id)
	fill(&doc)
	return w.store.Save(c.Context, schema.Report{Documents: []schema.Document{doc}})
}
