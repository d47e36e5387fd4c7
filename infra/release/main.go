// Command release builds the archives of webhookctl that are given to people: for Linux and macOS,
// amd64 and arm64, each with the licences of what is in it, and a file of checksums. The same source
// and version give the same bytes with the same version of Go, wherever and whenever they are built.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	version := flags.String("version", "", "version to build, such as v1.2.3 or v1.2.3-rc.1; what git describe says if not given")
	output := flags.String("output", "dist", "folder for the archives; what is in it of other versions stays")
	verify := flags.Bool("verify", false, "build everything a second time from a copy of the source, compare, and start what this machine can")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: run it with -help", flags.Arg(0))
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	r := release{root: root, targets: allTargets()}
	if r.version, err = chooseVersion(ctx, root, *version); err != nil {
		return err
	}
	if err := r.build(ctx, *output); err != nil {
		return err
	}
	if *verify {
		if err := r.verify(ctx, *output); err != nil {
			return err
		}
	}
	for _, t := range r.targets {
		fmt.Println(filepath.Join(*output, r.archive(t)))
	}
	fmt.Println(filepath.Join(*output, r.sums()))
	return nil
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w: run it inside the repository", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// chooseVersion takes the one given, or names the state of the repository. One that is given must look like ours: the names of
// the archives, and so the commands that people are told to type, begin with it.
func chooseVersion(ctx context.Context, root, given string) (string, error) {
	version := given
	if version == "" {
		describe := exec.CommandContext(ctx, "git", "describe", "--tags", "--always", "--dirty")
		describe.Dir = root
		out, err := describe.Output()
		if err != nil {
			return "", errors.New("git describe names no version here: give one with -version")
		}
		version = strings.TrimSpace(string(out))
	} else if !regexp.MustCompile(`^(v\d+\.\d+\.\d+([-+].*)?|[0-9a-f]{7,64}(-dirty)?)$`).MatchString(version) {
		return "", fmt.Errorf("%q is no version: write it as v1.2.3, a pre-release as v1.2.3-rc.1, or leave it out for what git describe says", version)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+_-]*$`).MatchString(version) {
		return "", fmt.Errorf("%q can be no version: use letters, digits and . + _ -", version)
	}
	return version, nil
}
