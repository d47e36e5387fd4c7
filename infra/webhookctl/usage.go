package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// usageError says in plain words what is wrong with the command line or a variable, and how to get help.
func usageError(err error) error {
	e, ok := errors.AsType[*kong.ParseError](err)
	if !ok || e.Context == nil {
		return err
	}
	node := e.Context.Selected()
	if node == nil {
		node = e.Context.Model.Node
	}
	text, hint := plainUsage(e.Context, node, e.Error()), fmt.Sprintf("run %q for help", node.FullPath()+" --help")
	if strings.HasSuffix(text, "?") {
		return fmt.Errorf("%s Or %s", text, hint)
	}
	return fmt.Errorf("%s: %s", text, hint)
}

// plainUsage rewrites an error of kong, which is written for the programmer.
func plainUsage(ctx *kong.Context, node *kong.Node, text string) string {
	switch {
	case strings.HasPrefix(text, "missing flags: "):
		return missingFlags(ctx)
	case strings.HasPrefix(text, "expected ") && len(node.Children) > 0:
		names := commands(node)
		if len(names) == 1 {
			return "missing command: use " + names[0]
		}
		return "missing command: use one of " + strings.Join(names, ", ")
	}
	if len(node.Children) > 0 {
		text = regexp.MustCompile(`^unexpected argument `).ReplaceAllString(text, "unknown command ")
	}
	for _, rule := range []struct{ pattern, plain string }{
		{`^(--.*) \(from envar \w+=".*"\)$`, `$1`},
		{`^(--\S+) and (--\S+) can't be used together$`, `$1 and $2 exclude each other: pass only one of them`},
		{`^expected "(<.*>)"$`, `missing argument $1`},
		{`^(--\S+): expected \w+ value but got "EOL" .*$`, `$1 needs a value`},
		{`^(--\S+): missing value, .*$`, `$1 needs a value`},
		{`^(--\S+): expected \w+ value but got "(.*)" \(.*\); perhaps .*$`, `$1 needs a value: if "$2" is the value, write $1=$2`},
		{`^(--\S+): expected a valid \d+ bit int but got (".*")$`, `$1: $2 is not a valid whole number`},
		{`^(--\S+): bool value must be .* but got (".*")$`, `$1: $2 is not valid: use true or false`},
		{`^(--\S+): expected duration but got (".*"): .*$`, `$1: $2 is not a valid duration: use hours, minutes or seconds, for example 30s`},
		{`^(\S+) must be one of "(?:",")?(.*)" but got (".*")$`, `$1: $3 is not valid: use one of $2`},
	} {
		text = regexp.MustCompile("(?s)"+rule.pattern).ReplaceAllString(text, rule.plain)
	}
	return nameVariable(ctx, strings.ReplaceAll(text, `","`, ", "))
}

// missingFlags lists the required flags that are not set. Of flags that exclude each other, any one is enough.
func missingFlags(ctx *kong.Context) string {
	var missing []string
	var listed []*kong.Flag
	for _, flag := range ctx.Flags() {
		if !flag.Required || slices.Contains(listed, flag) {
			continue
		}
		choices := slices.DeleteFunc(ctx.Flags(), func(f *kong.Flag) bool { return f != flag && !excludes(f, flag) })
		listed = append(listed, choices...)
		if !slices.ContainsFunc(choices, func(f *kong.Flag) bool { return f.Set }) {
			missing = append(missing, strings.Join(described(choices), " or "))
		}
	}
	return "missing " + strings.Join(missing, " and ")
}

// excludes reports whether two flags exclude each other.
func excludes(a, b *kong.Flag) bool {
	return slices.ContainsFunc(a.Xor, func(group string) bool { return slices.Contains(b.Xor, group) })
}

// described returns flags with their environment variables.
func described(flags []*kong.Flag) (texts []string) {
	for _, flag := range flags {
		texts = append(texts, fmt.Sprintf("--%s (or %s)", flag.Name, strings.Join(flag.Tag.Envs, " or ")))
	}
	return texts
}

// nameVariable replaces the flag at the start of an error by its environment variable, if that is where the value came from.
func nameVariable(ctx *kong.Context, text string) string {
	for _, flag := range ctx.Flags() {
		rest, found := strings.CutPrefix(text, "--"+flag.Name)
		passed := slices.ContainsFunc(ctx.Path, func(p *kong.Path) bool { return p.Flag == flag })
		if !found || passed || strings.IndexAny(rest, ": ") != 0 {
			continue
		}
		for _, variable := range flag.Tag.Envs {
			if _, set := os.LookupEnv(variable); set {
				return variable + rest
			}
		}
	}
	return text
}

// commands returns the names of a command's subcommands.
func commands(node *kong.Node) (names []string) {
	for _, child := range node.Children {
		if !child.Hidden {
			names = append(names, child.Name)
		}
	}
	return names
}
