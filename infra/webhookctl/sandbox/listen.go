package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// portFile holds the port of the receiver, which is a part of the URLs of the webhooks made for it.
const portFile = "receiver-port"

// listen opens the port that is kept in a folder, or a free one when there is none or another
// program has it. Only the first port is kept: a second sandbox in the same folder must not take
// the first one's away. kept tells whether the port will be the same after a restart.
func listen(dir string) (listener net.Listener, kept bool, err error) {
	path := filepath.Join(dir, portFile)
	port := readPort(path)
	listener, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err == nil && port != 0 {
		return listener, true, nil
	}
	if err != nil {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, false, fmt.Errorf("opening a port for the receiver: %w", err)
	}
	if port != 0 {
		return listener, false, nil
	}
	// Of a TCP listener, this is what the address is.
	chosen := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	if err := writeFile(path, []byte(chosen+"\n"), readable); err != nil {
		return nil, false, errors.Join(fmt.Errorf("keeping the receiver's port: %w", err), listener.Close())
	}
	return listener, true, nil
}

// readPort gives 0, which asks for a free port, where no file or no number is.
func readPort(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	port, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 16)
	if err != nil {
		return 0
	}
	return int(port)
}
