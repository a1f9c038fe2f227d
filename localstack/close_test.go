package localstack_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"stillpoint/localstack"
)

func TestContextThatHasEndedBeforeStart(t *testing.T) {
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s, err := localstack.Start(ctx, localstack.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Shutdown of net/http waits five seconds for each of these clients, and then Close fails.
func TestCloseDoesNotWaitForClientsThatSendNothing(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":          "",
		"half of the head": "POST / HTTP/1.1\r\nHost: loc",
		"half of the body": "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc",
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, localstack.Config{})
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, text); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond) // it is enough that the server has accepted it, in most runs
			began := time.Now()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("Close took %s", took)
			}
		})
	}
}
