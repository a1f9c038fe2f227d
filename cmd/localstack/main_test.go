package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRunServesUntilItIsToldToEnd(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"--region", "us-east-1", "--account", "123456789012"}, in, io.Discard)
		_ = in.Close()
	}()
	buffer := make([]byte, 4096)
	n, err := out.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	text := string(buffer[:n])
	for _, want := range []string{"loopback only, without authentication", "export AWS_ENDPOINT_URL=http://127.0.0.1:", "export AWS_REGION=us-east-1", "/123456789012/requests", "sqs send-message"} {
		if !strings.Contains(text, want) {
			t.Errorf("it printed no %q:\n%s", want, text)
		}
	}
	_, url, _ := strings.Cut(text, "AWS_ENDPOINT_URL=")
	url, _, _ = strings.Cut(url, "\n")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Get(url + "/_localstack/health")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("health: %v, %v", resp, err)
	}
	_ = resp.Body.Close()
	stop()
	if err := <-done; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if _, err := client.Get(url + "/_localstack/health"); err == nil {
		t.Error("it still answers")
	}
}

func TestRunRefuses(t *testing.T) {
	for _, x := range []struct {
		args  []string
		usage bool
	}{
		{[]string{"--no-such-flag"}, true},
		{[]string{"extra"}, true},
		{[]string{"--addr", "0.0.0.0:0"}, false},
		{[]string{"--account", "me"}, false},
	} {
		err := run(t.Context(), x.args, io.Discard, io.Discard)
		if err == nil || errors.Is(err, errUsage) != x.usage {
			t.Errorf("with %v it ended with %v", x.args, err)
		}
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, &out, &out); err != nil || !strings.Contains(out.String(), "--snapshot-time") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
