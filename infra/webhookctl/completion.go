package main

import (
	"fmt"
	"io"
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
	return `The script completes commands, flags and their values. Load it from your shell's startup file:

    source <(webhookctl completion bash)
    source <(webhookctl completion zsh)
    webhookctl completion fish | source`
}

// The scripts pass the words up to the cursor to "webhookctl complete". If it prints nothing, the shell completes file names.
const (
	bashScript = `_webhookctl() {
    COMPREPLY=($("${COMP_WORDS[0]}" complete "${COMP_WORDS[@]:1:$COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _webhookctl webhookctl
`
	zshScript  = "autoload -U +X compinit bashcompinit && compinit && bashcompinit\n" + bashScript
	fishScript = `function __webhookctl_complete
    set -l words (commandline -opc) (commandline -ct)
    $words[1] complete $words[2..] 2>/dev/null | string match '*'; or __fish_complete_path $words[-1]
end
complete -c webhookctl -f -a '(__webhookctl_complete)'
`
)

// Run prints the script.
func (cmd *completionCmd) Run(c *console) error {
	_, err := io.WriteString(c.out, map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[cmd.Shell])
	return err
}

// completeCmd is "webhookctl complete".
type completeCmd struct {
	Words []string `arg:""`
}

// Run prints what the last word can be, one possibility per line.
func (cmd *completeCmd) Run(c *console, command *kong.Context) error {
	last := len(cmd.Words) - 1
	for _, word := range candidates(command.Model.Node, cmd.Words[:last], strings.HasPrefix(cmd.Words[last], "-")) {
		if strings.HasPrefix(word, cmd.Words[last]) {
			fmt.Fprintln(c.out, word)
		}
	}
	return nil
}

// candidates returns what can follow some words: the values of a flag, flags if wanted, or else commands and arguments.
func candidates(node *kong.Node, typed []string, wantFlags bool) (words []string) {
	flags := node.Flags
	var needsValue *kong.Flag
	for _, word := range typed {
		flag := slices.IndexFunc(flags, func(f *kong.Flag) bool { return word == "--"+f.Name && !f.IsBool() })
		child := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return word == n.Name })
		switch {
		case word == "=": // bash makes it a word of its own
		case needsValue != nil:
			needsValue = nil
		case flag >= 0:
			needsValue = flags[flag]
		case child >= 0:
			node = node.Children[child]
			flags = append(slices.Clip(flags), node.Flags...)
		}
	}
	switch {
	case needsValue != nil:
		return needsValue.EnumSlice()
	case wantFlags:
		for _, flag := range flags {
			if !flag.Hidden && !slices.Contains(unusedFlags(node), flag.Name) {
				words = append(words, "--"+flag.Name)
			}
		}
		return words
	}
	for _, arg := range node.Positional {
		words = append(words, arg.EnumSlice()...)
	}
	return append(words, commands(node)...)
}
