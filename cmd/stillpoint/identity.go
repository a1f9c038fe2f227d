package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/rs/zerolog"

	"stillpoint/messages"
	"stillpoint/worker"
)

// The waits between questions to metadata that do not answer.
const (
	metadataRetryMin = time.Second
	metadataRetryMax = 30 * time.Second
)

// noMetadata says that the file leaves open what only the metadata could say,
// and that they may not be asked: no later time would bring an answer.
func noMetadata(cfg aws.Config, id messages.Identity) error {
	if what := missing(cfg.Region, id.InstanceID); what != "" && strings.EqualFold(os.Getenv("AWS_EC2_METADATA_DISABLED"), "true") {
		return coded(exitConfig, fmt.Errorf("cannot learn %s: the file does not say it, and AWS_EC2_METADATA_DISABLED forbids to ask the instance's metadata", what))
	}
	return nil
}

// awaitIdentity asks the instance's metadata until they answer or ctx ends: an
// outage of theirs at boot must not end the worker. monitor is told why no
// message is taken meanwhile.
func awaitIdentity(ctx context.Context, cfg *aws.Config, id *messages.Identity, monitor *worker.Monitor, log zerolog.Logger) error {
	said := ""
	for wait := metadataRetryMin; ; wait = min(2*wait, metadataRetryMax) {
		monitor.Expect(worker.LoopRequests, "asking the instance's metadata who this is", metadataTimeout+time.Minute)
		err := askMetadata(ctx, cfg, id)
		if err == nil && id.InstanceID == "" {
			err = errors.New("the instance's metadata name no instance")
		}
		if err == nil {
			monitor.NotPolling("")
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		monitor.NotPolling(fmt.Sprintf("%v: it is asked again until it answers; enable the instance's metadata (hop limit 2 in a container), or set region and instance_id in the file and restart", err))
		if text := err.Error(); text != said {
			log.Error().Err(err).Msg("no request is taken before it is known who this is: trying again until the instance's metadata answer; region and instance_id in the file make them unnecessary")
			said = text
		}
		monitor.Expect(worker.LoopRequests, "waiting to ask the instance's metadata again", wait+time.Minute)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}
