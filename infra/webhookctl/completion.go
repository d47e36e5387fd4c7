package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCmd is "webhookctl completion".
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Help is the end of "webhookctl completion --help".
func (*completionCmd) Help() string {
	return `The script completes the commands and flags of this version. Print it again after an upgrade, or load it from your shell's startup file:

    source <(webhookctl completion bash)
    source <(webhookctl completion zsh)
    webhookctl completion fish | source`
}

// Run prints the script.
func (cmd *completionCmd) Run(c *console, command *kong.Context) error {
	script, entry := bashScript, "    '%s') echo '%s' ;;\n"
	switch cmd.Shell {
	case "zsh":
		script = "autoload -U +X compinit bashcompinit && compinit && bashcompinit\n" + script
	case "fish":
		script, entry = fishScript, "        case '%s'\n            echo '%s'\n"
	}
	var table strings.Builder
	write := func(after string, words []string) {
		if cmd.Shell != "fish" {
			after = strings.ReplaceAll(after, "*", "'*'")
		}
		fmt.Fprintf(&table, entry, after, strings.Join(words, " "))
	}
	writeWords(write, command.Model.Node, nil)
	_, err := fmt.Fprintf(c.out, script, &table)
	return err
}

// writeWords writes what can follow a command and those below it, and each flag that takes a value. A shell completes file names if
// there are no words.
func writeWords(write func(after string, words []string), node *kong.Node, inherited []*kong.Flag) {
	var words []string
	flags := slices.Concat(inherited, node.Flags)
	for _, child := range node.Children {
		words = append(words, child.Name)
		writeWords(write, child, flags)
	}
	for _, arg := range node.Positional {
		words = append(words, arg.EnumSlice()...)
	}
	for _, flag := range flags {
		if !flag.Hidden && !slices.Contains(unusedFlags(node.Name), flag.Name) {
			words = append(words, "--"+flag.Name)
		}
	}
	for _, flag := range node.Flags {
		if !flag.IsBool() {
			write(node.FullPath()+"* --"+flag.Name, flag.EnumSlice())
		}
	}
	write(node.FullPath(), words)
}

// The scripts walk through the words of the command line to find the command, and then look up what can follow.

const bashScript = `_webhookctl_words() {
    case "$1" in
%s    *) return 1 ;;
    esac
}
_webhookctl() {
    local at=webhookctl word words
    for word in "${COMP_WORDS[@]:1:$((COMP_CWORD - 1))}"; do
        [[ $word != -* ]] && _webhookctl_words "$at $word" >/dev/null && at="$at $word"
    done
    words=$(_webhookctl_words "$at ${COMP_WORDS[@]:$((COMP_CWORD - 1)):1}" || _webhookctl_words "$at")
    COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[@]:$COMP_CWORD:1}"))
}
complete -o default -F _webhookctl webhookctl
`

const fishScript = `function __webhookctl_words
    switch "$argv[1]"
%s        case '*'
            return 1
    end
end
function __webhookctl_complete
    set -l typed (commandline -opc)
    set -l current (commandline -ct)
    set -l at webhookctl
    for word in $typed[2..]
        if not string match -q -- '-*' $word; and __webhookctl_words "$at $word" >/dev/null
            set at "$at $word"
        end
    end
    set -l words (__webhookctl_words "$at $typed[-1]"; or __webhookctl_words $at)
    string match -- "$current*" (string split -n ' ' -- $words); or __fish_complete_path $current
end
complete -c webhookctl -f -a '(__webhookctl_complete)'
`
