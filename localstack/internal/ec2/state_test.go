package ec2

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/rs/zerolog"

	"stillpoint/localstack/internal/calls"
	"stillpoint/localstack/internal/clock"
	"stillpoint/localstack/internal/disk"
	"stillpoint/localstack/internal/host"
	"stillpoint/localstack/internal/wire"
)

// What State shows is what is in the file after each call.
func TestStateIsWhatIsOnDisk(t *testing.T) {
	dir := t.TempDir()
	h := host.Host{Region: "eu-west-1", Account: "111122223333", Clock: clock.New(), Log: zerolog.Nop()}
	s := New(h, &disk.Store{Dir: dir}, 0)
	if err := s.Open(true); err != nil {
		t.Fatal(err)
	}
	call := func(params string) {
		t.Helper()
		q, err := url.ParseQuery(params)
		if err != nil {
			t.Fatal(err)
		}
		op := s.Operation(q.Get("Action"), wire.Query(q))
		if _, apiErr := op.Do(t.Context(), &wire.Call{Record: new(calls.Log).Begin(calls.Call{})}); apiErr != nil {
			t.Fatalf("%s: %+v", params, apiErr)
		}
		text, err := os.ReadFile(filepath.Join(dir, stateName))
		if err != nil {
			t.Fatal(err)
		}
		var want any
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if got := s.State(); !reflect.DeepEqual(got, want) {
			t.Errorf("after %s the state is\n%v, on disk is\n%v", params, got, want)
		}
		if _, err := os.Stat(filepath.Join(dir, "intent.json")); err == nil {
			t.Error("a file is still in the making")
		}
	}
	call("Action=CreateVolume&Size=1&AvailabilityZone=eu-west-1a&ClientToken=t")
	var id string
	for id = range s.volumes {
	}
	call("Action=CreateSnapshot&VolumeId=" + id + "&TagSpecification.1.ResourceType=snapshot&TagSpecification.1.Tag.1.Key=k&TagSpecification.1.Tag.1.Value=v")
	call("Action=CreateTags&ResourceId.1=" + id + "&Tag.1.Key=k&Tag.1.Value=v")
	call("Action=DeleteVolume&VolumeId=" + id)
	state := s.State().(map[string]any)
	if len(state["Volumes"].([]any)) != 0 || len(state["Snapshots"].([]any)) != 1 {
		t.Errorf("the state is %v", state)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A call that was still waiting for its turn when the server closed must not touch a folder that may be another's by now.
func TestNothingIsDoneAfterClose(t *testing.T) {
	dir := t.TempDir()
	s := New(host.Host{Region: "eu-west-1", Account: "111122223333", Clock: clock.New(), Log: zerolog.Nop()}, &disk.Store{Dir: dir}, 0)
	if err := s.Open(false); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	op := s.Operation("CreateVolume", wire.Query{"AvailabilityZone": {"eu-west-1a"}, "Size": {"1"}})
	if _, apiErr := op.Do(t.Context(), &wire.Call{Record: new(calls.Log).Begin(calls.Call{})}); apiErr == nil {
		t.Error("a closed EC2 makes volumes")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("in the folder is %v (%v)", left, err)
	}
}
