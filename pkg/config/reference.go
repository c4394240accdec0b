package config

import (
	"fmt"
	"reflect"
	"strings"
)

// This file writes the reference pages from the same tags that the parser reads.

// Reference returns the reference pages, Markdown by file name: configuration.md, and one page for every
// adapter, such as sink-github.md.
func Reference() map[string][]byte { return reference(adapters()) }

func reference(c catalog) map[string][]byte {
	pages := map[string][]byte{"configuration.md": []byte(configurationPage(c))}
	for _, e := range c {
		pages[pageName(e)] = []byte(adapterPage(e))
	}
	return pages
}

func pageName(e entry) string { return string(e.kind) + "-" + e.name + ".md" }

const generated = "<!-- Generated from the tags of the Go structs: go test ./pkg/config -update -->\n\n"

const aboutFile = `A configuration is YAML: the file ` + "`remint.yaml`" + ` at the top of the repository or in ` + "`.github`, `.forgejo` or `.gitea`" + `,
or the text of the action's input ` + "`config`" + `. Everything wrong with it is reported at once, each with line and
column, before anything is called. ` + "`remint.schema.json`" + ` describes it to editors.
`

const aboutValues = "## Values\n\n" +
	"**Durations** are whole numbers with units, the longest first: `90d`, `2w`, `1d12h`, `45s`. `y` is 365 days, `w` 7 days, `d` 24 hours, `m` minutes. " +
	"Months differ in length and have no unit.\n\n" +
	"**Credentials** are never written in a configuration. A key of this type takes `{env: NAME}`, an environment variable, or `{file: PATH}`. " +
	"Line ends after the credential are no part of it. Most have a variable that is used if the key is not given.\n\n" +
	"**Lists of text** of one entry may be written as that entry.\n\n" +
	"**Variables**: with a `matrix`, `${name}` stands for a value of the entry in every text of the rotation, name and id included, but not in keys. " +
	"`$${` is a literal `${`. `${token.…}` is left to the adapter that knows it. It is not the workflow's `${{ }}`, which is replaced before remint sees an inline configuration and has no meaning in a file.\n\n" +
	"**Short forms**: an adapter with one obvious key may be written with just that value, `github: FLY_DEPLOY_TOKEN`, and one that needs no keys as its bare name.\n\n" +
	"**Defaults**: a key is taken from the rotation itself, else from `defaults`, else from the environment, else from the default in the table. " +
	"Under `defaults`, a key of a rotation is used as a whole where a rotation does not give it; the name of an adapter holds keys that are used, one by one, wherever that adapter does not give them.\n\n" +
	"```yaml\n" +
	"defaults:\n" +
	"  grace: 1h\n" +
	"  fly: {expiry: 90d}\n" +
	"```\n\n" +
	"YAML's anchors and aliases work. Merge keys (`<<`), tags, a second document and a key given twice are refused, as is a text of more than 256 KiB.\n"

func configurationPage(c catalog) string {
	var b strings.Builder
	b.WriteString(generated + "# Configuration\n\n" + aboutFile + "\n")
	b.WriteString("```yaml\nrotations:\n  - name: web deploy\n    provider: {fly: {app: web, expiry: 90d}}\n    sinks: [{github: FLY_DEPLOY_TOKEN}]\n    verify: [{dispatch: deploy.yml}]\n```\n\n")
	b.WriteString("## Adapters\n\n| | name | |\n| --- | --- | --- |\n")
	for _, k := range []kind{aProvider, aSink, aVerifier} {
		for _, e := range c {
			if e.kind == k {
				fmt.Fprintf(&b, "| %s | [%s](%s) | %s |\n", k, e.name, pageName(e), cell(e.summary))
			}
		}
	}
	b.WriteString("\n## Top\n\n")
	keyTable(&b, fieldsOf(reflect.TypeFor[topKeys]()))
	b.WriteString("\n## A rotation\n\n")
	keyTable(&b, fieldsOf(reflect.TypeFor[rotationKeys]()))
	b.WriteString("\n" + aboutValues)
	return b.String()
}

func adapterPage(e entry) string {
	fields := fieldsOf(reflect.TypeOf(e.make()).Elem())
	var b strings.Builder
	fmt.Fprintf(&b, "%s# The %s %s\n\n%s\n\n```yaml\n%s\n```\n\n", generated, e.kind, e.name, e.summary, e.sample(fields))
	if f := obvious(fields); f != nil {
		fmt.Fprintf(&b, "A bare value, `%s: …`, is the key `%s`.\n\n", e.name, f.key)
	}
	if len(fields) == 0 {
		b.WriteString("It has no keys.\n")
		return b.String()
	}
	keyTable(&b, fields)
	b.WriteString("\nTypes, variables and short forms: [configuration](configuration.md#values).\n")
	return b.String()
}

// sample is the smallest useful form: the one given, or what the tags demand.
func (e entry) sample(fields []field) string {
	if e.example != "" {
		return e.example
	}
	var keys []string
	bare := ""
	for _, f := range fields {
		value := f.example
		if value == "" {
			value = "…"
		}
		switch {
		case f.scalar:
			bare = value
			keys = append(keys, f.key+": "+value)
		case f.required && f.def == "" && len(f.env) == 0:
			keys = append(keys, f.key+": "+value)
		}
	}
	one := e.name
	switch {
	case bare != "" && len(keys) == 1:
		one += ": " + bare
	case len(keys) > 0:
		one += ": {" + strings.Join(keys, ", ") + "}"
	}
	switch e.kind {
	case aProvider:
		return "provider: {" + one + "}"
	case aSink:
		return "sinks:\n  - " + one
	}
	return "verify:\n  - " + one
}

func keyTable(b *strings.Builder, fields []field) {
	b.WriteString("| key | type | default | environment | what |\n| --- | --- | --- | --- | --- |\n")
	keyRows(b, fields, "")
}

func keyRows(b *strings.Builder, fields []field, prefix string) {
	for _, f := range fields {
		def := ""
		switch {
		case f.def != "":
			def = "`" + f.def + "`"
		case f.required:
			def = "required"
		}
		var env []string
		for _, name := range f.env {
			env = append(env, "`"+name+"`")
		}
		what := f.doc
		if f.example != "" {
			what = strings.TrimSpace(what + " Such as `" + f.example + "`.")
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", prefix+f.key, typeName(f), cell(def), strings.Join(env, ", "), cell(what))
		if f.class == nested {
			keyRows(b, f.fields, prefix+f.key+".")
		} else if len(f.fields) > 0 {
			keyRows(b, f.fields, prefix+f.key+"[].")
		}
	}
}

func typeName(f field) string {
	if len(f.enum) > 0 {
		return "`" + strings.Join(f.enum, "`, `") + "`"
	}
	switch f.class {
	case adapter:
		return string(f.kind)
	case list:
		if of := direct(f.typ.Elem()); classOf(of) == adapter {
			return "list of " + string(f.kind) + "s"
		} else {
			return "list of " + plural(classOf(of))
		}
	case table:
		return "mapping of " + plural(classOf(direct(f.typ.Elem())))
	case unknown:
		return map[string]string{"rotations": "list of rotations", "defaults": "mapping"}[f.key]
	}
	return singular(f.class)
}

func singular(c class) string {
	switch c {
	case boolean:
		return "`true`, `false`"
	case integer:
		return "whole number"
	case duration:
		return "duration"
	case instant:
		return "time"
	case secret:
		return "credential"
	case nested, table:
		return "mapping"
	case list:
		return "list"
	}
	return "text"
}

func plural(c class) string {
	switch c {
	case str:
		return "text"
	case boolean:
		return "`true` or `false`"
	}
	return singular(c) + "s"
}

func cell(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "|", "\\|"), "\n", " ")
}
