package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/worker"
)

// serveHTTP serves metrics and health until the returned function is called; addr "" is none.
func serveHTTP(ctx context.Context, addr string, h http.Handler, monitor *worker.Monitor, log zerolog.Logger) (stop func(), err error) {
	if addr == "" {
		return func() {}, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, coded(exitConfig, fmt.Errorf("cannot serve metrics: %w (http_addr in the file; \"\" turns it off)", err))
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error().Err(err).Msg("cannot serve metrics any more")
			monitor.Expect("http", "not serving any more", 0) // which the watchdog sees
		}
	})
	log.Info().Str("http_addr", l.Addr().String()).Msg("serving metrics and health")
	return func() { _ = s.Close(); wg.Wait() }, nil
}
