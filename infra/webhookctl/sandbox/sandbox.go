package sandbox

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"time"
)

// Config is what a sandbox is made of.
type Config struct {
	// Dir is where everything that survives a restart is kept; it is made with mode 0700.
	Dir string
	// Store is the API's store, its tables made.
	Store Store
	// Now is the clock, Random the source of keys and ids: crypto/rand.Reader.
	Now    func() time.Time
	Random io.Reader
	// Out gets what the receiver shows.
	Out io.Writer
	Log *slog.Logger
}

// Sandbox is the surroundings of one API, from [Start] to Close.
type Sandbox struct {
	// Key is the API key of [Company], with every permission and without an end.
	Key string
	// Authority vouches for the receiver.
	Authority *Authority
	// ReceiverURL is the receiver's scheme, host and port, on 127.0.0.1. It takes webhooks at any path.
	ReceiverURL string

	dir    string
	server *http.Server
}

// Networks are what the receiver's address is in: loopback, which no webhook may otherwise be sent
// to.
func Networks() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// Start makes what is missing, takes up what is kept, and starts the receiver.
func Start(ctx context.Context, c Config) (*Sandbox, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the development folder: %w", err)
	}
	now := c.Now().UTC().Truncate(time.Millisecond) // as stores keep it
	authority, err := LoadOrCreateAuthority(c.Dir, now)
	if err != nil {
		return nil, err
	}
	if err := addEventTypes(ctx, c.Store, now); err != nil {
		return nil, err
	}
	key, err := apiKey{store: c.Store, now: now, random: c.Random}.loadOrCreate(ctx, c.Dir)
	if err != nil {
		return nil, err
	}
	s := &Sandbox{Key: key, Authority: authority, dir: c.Dir}
	if err := s.startReceiver(c); err != nil {
		return nil, err
	}
	return s, nil
}

// Close stops the receiver.
func (s *Sandbox) Close() error { return s.server.Close() }

func (s *Sandbox) startReceiver(c Config) error {
	leaf, err := s.Authority.Leaf(c.Now())
	if err != nil {
		return err
	}
	listener, kept, err := listen(c.Dir)
	if err != nil {
		return err
	}
	if !kept {
		c.Log.Warn("the receiver's usual port is taken, so webhooks made for it earlier do not reach it", "addr", listener.Addr().String())
	}
	s.ReceiverURL = "https://" + listener.Addr().String()
	s.server = newReceiverServer(NewReceiver(c.Out, c.Now), leaf, c.Log)
	go func() {
		if err := s.server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			c.Log.Error("the receiver has stopped", "cause", err)
		}
	}()
	return nil
}

// newReceiverServer limits what one sender can hold up. Handshakes that fail, such as those of a
// sender that does not trust the authority, are told when debugging only.
func newReceiverServer(handler http.Handler, leaf tls.Certificate, log *slog.Logger) *http.Server {
	const timeout = 10 * time.Second
	return &http.Server{
		Handler:           handler,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: timeout,
		ReadTimeout:       timeout,
		WriteTimeout:      timeout,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
