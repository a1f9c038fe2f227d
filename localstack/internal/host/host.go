// Package host is what each of the services gets from the server that it lives in.
package host

import (
	"context"

	"github.com/rs/zerolog"

	"stillpoint/localstack/internal/clock"
	"stillpoint/localstack/internal/wire"
)

// Host is the server as its services see it.
type Host struct {
	URL     string // where it listens: http://127.0.0.1:4566
	Region  string // its own; calls may be meant for another
	Account string // its own: twelve digits
	Clock   *clock.Clock
	Log     zerolog.Logger

	// Life ends when the server closes.
	Life context.Context //nolint:containedctx // the life of the server, not of a call

	// Invoke is how a service calls another one.
	Invoke wire.Invoke
}
