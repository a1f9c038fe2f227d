package ec2

import (
	"testing"

	"stillpoint/localstack/internal/clock"
	"stillpoint/localstack/internal/disk"
	"stillpoint/localstack/internal/host"
	"stillpoint/localstack/internal/wire"
)

// An instance whose volumes are gone gets no empty answer.
func TestInstanceWithoutVolumes(t *testing.T) {
	s := New(host.Host{Clock: clock.New(), Region: "eu-west-1", Account: "111122223333"}, &disk.Store{}, 0)
	volumes, apiErr := s.included(wire.Query{}, &instance{ID: "i-0123456789abcdef0"})
	if len(volumes) != 0 || apiErr == nil || apiErr.Code != "IncorrectState" {
		t.Errorf("got %v and %+v", volumes, apiErr)
	}
}
