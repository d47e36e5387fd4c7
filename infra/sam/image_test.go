package sam_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const (
	baseImage     = "public.ecr.aws/lambda/provided:al2023-x86_64"
	emulatorImage = "public.ecr.aws/lambda/provided:al2023-rapid-x86_64"
)

// playDocker is a docker that has the images named in the files of the folder $PLAY: a file holds the
// image's layers, and ends in "stand-in" for one of those. It notes what it is told in $PLAY.calls.
const playDocker = `
echo "$*" >>"$PLAY.calls"
file() { echo "$PLAY/$(echo "$1" | tr /: __)"; }
for last; do :; done
case "$1 $2" in
  "image inspect")
    [ -f "$(file "$last")" ] || exit 1
    case "$4" in
      *Labels*) grep -q stand-in "$(file "$last")" && echo true ;;
      *) sed 's/stand-in//' "$(file "$last")" ;;
    esac
    exit 0 ;;
  "pull --quiet")
    [ -n "$PULLS" ] || { echo "no such host" >&2; exit 1; }
    echo "aws " >"$(file "$last")" ;;
  "import --change") tar -tf - | sort >"$PLAY.tar"; echo "stand-in busybox " >"$(file "$last")" ;;
  "rmi --force") rm "$(file "$last")" ;;
  *) exit 99 ;;
esac`

func TestImage(t *testing.T) {
	const (
		fetching = "sam: fetching " + baseImage + " (once)\n"
		failed   = "sam: it could not be pulled: no such host\n"
		standIn  = "sam: functions run in a stand-in for " + baseImage + ", made of busybox-static\n"
		awsImage = "sam: functions run in AWS's image " + baseImage + "\n"
	)
	tests := []struct {
		name         string
		base         string // the layers of the image that is there, if any
		emulator     string
		pulls        bool
		ldd          string // a script that plays ldd, which fails for a static program
		want         string
		code         int
		imported     bool
		keepEmulator bool
	}{
		{name: "AWS's is there", base: "aws ", emulator: "aws rie ", want: awsImage, keepEmulator: true},
		{name: "AWS's is there, the emulator on an older one", base: "aws ", emulator: "old rie ", want: awsImage},
		{name: "nothing is there, and it can be pulled", pulls: true, want: fetching + awsImage},
		{name: "nothing is there, nor can it be pulled", ldd: "exit 1", want: fetching + failed + standIn, imported: true},
		{name: "a stand-in is there, nor can it be pulled", base: "stand-in busybox ", emulator: " busybox rie ",
			want: fetching + failed + standIn, keepEmulator: true},
		{name: "a stand-in gives way", base: "stand-in busybox ", emulator: " busybox rie ", pulls: true, want: fetching + awsImage},
		{name: "no static busybox", ldd: "exit 0", code: 1,
			want: fetching + failed + "sam: nor can a stand-in be made, without Debian's busybox-static: connect to the network, or install that\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.imported && runtime.GOOS != "linux" {
				t.Skip("stand-ins are made on Linux alone, with GNU tar")
			}
			play := filepath.Join(t.TempDir(), "play")
			if err := os.Mkdir(play, 0o700); err != nil {
				t.Fatal(err)
			}
			for image, layers := range map[string]string{baseImage: test.base, emulatorImage: test.emulator} {
				name := filepath.Join(play, strings.NewReplacer("/", "_", ":", "_").Replace(image))
				if layers == "" {
					continue
				}
				if err := os.WriteFile(name, []byte(layers+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			environment := []string{"PLAY=" + play, tools(t, nil, map[string]string{
				"docker": playDocker, "busybox": "", "ldd": test.ldd, "uname": "echo Linux",
			})}
			if test.pulls {
				environment = append(environment, "PULLS=1")
			}
			code, out := run(t, environment, "image", "x86_64")
			if code != test.code || out != test.want {
				t.Errorf("exit code %d and\n%swant %d and\n%s", code, out, test.code, test.want)
			}
			archive, err := os.ReadFile(play + ".tar")
			if imported := err == nil; imported != test.imported {
				t.Errorf("a stand-in was made: %v", imported)
			}
			for _, file := range []string{"./bin/sh", "./bin/chmod", "./bin/mv", "./lambda-entrypoint.sh", "./tmp/"} {
				if test.imported && !strings.Contains(string(archive), file+"\n") {
					t.Errorf("the stand-in has no %s", file)
				}
			}
			_, err = os.Stat(filepath.Join(play, strings.NewReplacer("/", "_", ":", "_").Replace(emulatorImage)))
			if kept := err == nil; kept != test.keepEmulator {
				t.Errorf("the emulator's image was kept: %v", kept)
			}
		})
	}
}
