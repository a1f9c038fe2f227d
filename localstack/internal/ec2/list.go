package ec2

// Volume is a volume as the server's own endpoints show it. Device and File are paths of this machine, empty without data.
type Volume struct {
	ID         string `json:"id"`
	GiB        int    `json:"gib"`
	Bytes      int64  `json:"bytes"`
	Device     string `json:"device"`
	Instance   string `json:"instance"`
	Attachment string `json:"attachment"` // the device's name in the API: /dev/sdf
	Root       bool   `json:"root"`
	File       string `json:"file"`
	SnapshotID string `json:"snapshotId"`
	State      string `json:"state"`
}

// Volumes lists the volumes in the order in which they were made.
func (s *Service) Volumes() []Volume {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	out := []Volume{}
	for _, v := range sorted(s.volumes, func(v *volume) int { return v.Serial }) {
		j := Volume{
			ID: v.ID, GiB: v.GiB, Instance: v.Instance, Attachment: v.Device, Root: v.root(), SnapshotID: v.From, State: v.state(),
		}
		if v.loop != nil {
			j.Device = v.loop.Path
		}
		if s.disks.Real() {
			j.File = s.disks.Path(v.ID)
			if n, err := s.disks.Size(v.ID); err == nil {
				j.Bytes = n
			}
		}
		out = append(out, j)
	}
	return out
}
