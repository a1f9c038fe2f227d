package localstack_test

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"golang.org/x/sync/errgroup"

	"stillpoint/localstack"
)

// listed are the ids of all volumes and snapshots. It asks without the SDK: that one closes the body of a request as soon as it has
// the head of the answer, and net/http, if it has not yet seen the end of the body by then, closes the connection, so that long
// answers now and then fail with "use of closed network connection".
func listed(t *testing.T, url string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for action, id := range map[string]string{"DescribeVolumes": "item><volumeId>", "DescribeSnapshots": "item><snapshotId>"} {
		req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/?Version=2016-11-15&Action="+action, nil))(t)
		resp := must(client.Do(req))(t)
		body := must(io.ReadAll(resp.Body))(t)
		_ = resp.Body.Close()
		for part := range strings.SplitSeq(string(body), id) {
			if at, _, ok := strings.Cut(part, "</"); ok && !strings.HasPrefix(part, "<") {
				out[at] = true
			}
		}
	}
	return out
}

// Calls are cut short by SIGKILL at any point. Whatever was answered is there afterwards, and no file that is not known.
func TestKilledAtAnyPoint(t *testing.T) {
	folder := t.TempDir()
	made := map[string]bool{} // of what was answered, and is not deleted
	for round := range 8 {
		client, kill := victim(t, folder)
		var mu sync.Mutex
		set := func(id string, there bool) {
			mu.Lock()
			defer mu.Unlock()
			made[id] = there
		}
		var doubtful sync.Map // being deleted when the server was killed
		var all errgroup.Group
		calls := make(chan struct{}, 1000)
		for range 3 {
			all.Go(func() error {
				for {
					v, err := client.CreateVolume(context.Background(), &ec2.CreateVolumeInput{Size: aws.Int32(1), AvailabilityZone: aws.String("eu-west-1a")})
					if err != nil {
						return nil //nolint:nilerr // it was killed
					}
					set(*v.VolumeId, true)
					x, err := client.CreateSnapshot(context.Background(), &ec2.CreateSnapshotInput{VolumeId: v.VolumeId})
					if err != nil {
						return nil //nolint:nilerr // it was killed
					}
					set(*x.SnapshotId, true)
					doubtful.Store(*v.VolumeId, true)
					if _, err := client.DeleteVolume(context.Background(), &ec2.DeleteVolumeInput{VolumeId: v.VolumeId}); err != nil {
						return nil //nolint:nilerr // it was killed
					}
					set(*v.VolumeId, false)
					calls <- struct{}{}
				}
			})
		}
		for range 3 + 5*round {
			<-calls
		}
		time.Sleep(time.Duration(round) * 300 * time.Microsecond) // to be at another place of a call each time
		kill()
		must(struct{}{}, all.Wait())(t)

		log, told := logOf()
		s := must(localstack.Start(t.Context(), localstack.Config{Dir: folder, Keep: true, Logger: log}))(t)
		if strings.Contains(told.String(), `"level":"warn"`) {
			t.Errorf("round %d: it warned: %s", round, told)
		}
		found := listed(t, s.URL())
		for id, there := range made {
			if _, doubt := doubtful.Load(id); there && !found[id] && !doubt {
				t.Errorf("round %d: %s was made and is lost", round, id)
			} else if !there && found[id] {
				t.Errorf("round %d: %s was deleted and is back", round, id)
			}
		}
		files := 0
		for _, path := range must(filepath.Glob(filepath.Join(folder, "*.img")))(t) {
			files++
			if id := strings.TrimSuffix(filepath.Base(path), ".img"); !found[id] {
				t.Errorf("round %d: the file %s is of nothing", round, path)
			}
		}
		if files != len(found) {
			t.Errorf("round %d: %d files for %d volumes and snapshots", round, files, len(found))
		}
		made = found
		must(struct{}{}, s.Close())(t)
	}
	must(struct{}{}, must(localstack.Start(t.Context(), localstack.Config{Dir: folder}))(t).Close())(t)
	wantEmpty(t, folder)
}
