package sandbox

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// portFile contains the receiver's port, which is part of the URLs of webhooks created for it.
const portFile = "receiver-port"

// Server serves a [Receiver] over HTTPS. Close stops it.
type Server struct {
	// URL has the scheme, host and port.
	URL string

	server  *http.Server
	stopped chan struct{} // closed when it has released its port
}

// Serve serves a receiver on a listener, with a certificate of the authority.
func (a *Authority) Serve(listener net.Listener, receiver *Receiver, log *slog.Logger) (*Server, error) {
	leaf, err := a.Leaf(receiver.Now())
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s := &Server{
		URL:     "https://" + listener.Addr().String(),
		server:  newReceiverServer(receiver, leaf, log),
		stopped: make(chan struct{}),
	}
	go func() {
		defer close(s.stopped)
		if err := s.server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the receiver has stopped", "cause", err)
		}
	}()
	return s, nil
}

// Close stops the receiver and waits until its port is free.
func (s *Server) Close() error {
	err := s.server.Close()
	<-s.stopped
	return err
}

// newReceiverServer limits what one sender can tie up. It logs failed handshakes, for example with
// senders that do not trust the authority, at the debug level.
func newReceiverServer(receiver *Receiver, leaf tls.Certificate, log *slog.Logger) *http.Server {
	const timeout = 10 * time.Second
	return &http.Server{
		Handler:           receiver,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: timeout,
		ReadTimeout:       timeout,
		WriteTimeout:      timeout + receiver.Delay,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// listen opens the port kept in dir, or a free one if there is none or it is taken, and keeps it.
func listen(dir string, log *slog.Logger) (net.Listener, error) {
	path := filepath.Join(dir, portFile)
	text, _ := os.ReadFile(path)
	kept, _ := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 16) // 0 picks a free port
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", kept))
	if err != nil && kept != 0 {
		log.Warn("the sample receiver's previous port is in use: webhooks created for it will not reach the receiver", "port", kept)
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, err
	}
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	if err := replaceFile(path, []byte(port+"\n"), 0o644); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}
