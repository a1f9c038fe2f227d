package ec2

import (
	"regexp"
	"strings"

	"stillpoint/localstack/internal/wire"
)

// copyVolume is the volume that copies name: "an arbitrary volume ID ... should not be used for any purpose".
// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-copy-snapshot.html
const copyVolume = "vol-ffffffff"

// copySnapshot copies a snapshot of any region to that of the call, for the account that calls. There is no client token.
// PresignedUrl and DestinationRegion are for AWS's own way from region to region, and are not looked at.
func (s *Service) copySnapshot(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	for _, name := range []string{"DestinationOutpostArn", "DestinationAvailabilityZone"} {
		if q.Has(name) {
			return nil, wire.Errorf("InvalidParameterCombination", "%s: localstack has no Outposts and no Local Zones", name)
		}
	}
	if q.Get("SourceRegion") == "" {
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameter sourceRegion")
	}
	source, apiErr := s.snapshotIn(q.Get("SourceRegion"), q.Get("SourceSnapshotId"))
	if apiErr != nil {
		return nil, apiErr
	}
	c.About(source.arn())
	if !source.completed(s.Clock.Now()) { // the code and the text are those of volumes
		return nil, wire.Errorf("IncorrectState", "Snapshot '%s' is not 'completed'.", source.ID)
	}
	specs, apiErr := specified(q, "snapshot")
	if apiErr != nil {
		return nil, apiErr
	}
	if apiErr := checkDescription(q); apiErr != nil {
		return nil, apiErr
	}
	x := &snapshot{
		ID: newID("snap"), Region: s.caller.Region, Account: s.caller.Account, Volume: copyVolume, GiB: source.GiB,
		Description: q.Get("Description"), Tags: specs["snapshot"], Transfer: "standard",
	}
	accessible, apiErr := s.encryptCopy(q, source, x)
	if apiErr != nil {
		return nil, apiErr
	}
	if apiErr := readMinutes(q, x); apiErr != nil {
		return nil, apiErr
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	if apiErr := s.mayCopy(); apiErr != nil {
		return nil, apiErr
	}
	if s.disks.Real() {
		if err := s.disks.Intend(x.ID); err != nil {
			return nil, s.internal(err)
		}
		how, err := s.disks.Clone(source.ID, x.ID, 0, nil)
		c.Note(how)
		if err != nil {
			return nil, s.internal(err)
		}
	}
	s.begin(x, s.Clock.Now())
	if !accessible {
		x.Failed, x.Stuck, x.Message = true, 0, "Given key ID is not accessible"
	}
	c.About(x.arn())
	return []wire.Node{wire.El("snapshotId", x.ID), tagNodes(x.Tags)}, nil
}

// readMinutes reads CompletionDurationMinutes: steps of 15, up to 2880.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopySnapshot.html
func readMinutes(q wire.Query, x *snapshot) *wire.Error {
	if !q.Has("CompletionDurationMinutes") {
		return nil
	}
	minutes, apiErr := q.Number("CompletionDurationMinutes")
	if apiErr != nil {
		return apiErr
	}
	if minutes < 15 || minutes > 2880 || minutes%15 != 0 {
		return wire.Errorf("InvalidParameterValue", "Value (%d) for parameter completionDurationMinutes is invalid. It must be a multiple of 15, up to 2880.", minutes)
	}
	x.Minutes, x.Transfer = minutes, "time-based"
	return nil
}

// encryptCopy sets how the copy is encrypted. The copy of an encrypted snapshot is so too, with the account's key for EBS unless
// another one is named. A key that cannot be one is no error here: "the action can appear to complete, but eventually fails".
// Every key that looks like one is there and may be used.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopySnapshot.html
func (s *Service) encryptCopy(q wire.Query, source, x *snapshot) (accessible bool, apiErr *wire.Error) {
	name := q.Get("KmsKeyId")
	switch {
	case q.Has("Encrypted") && !q.Flag("Encrypted") && source.Encrypted:
		// "You cannot set this parameter to false"; what AWS answers is a guess.
		return false, wire.Errorf("InvalidParameterValue", "The snapshot '%s' is encrypted, and so are its copies: Encrypted cannot be false", source.ID)
	case name != "" && !q.Flag("Encrypted") && !source.Encrypted:
		return false, wire.Errorf("InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted to be set.")
	}
	x.Encrypted = source.Encrypted || q.Flag("Encrypted")
	if !x.Encrypted {
		return true, nil
	}
	x.Key, accessible = keyNamed(name, x.Region, x.Account)
	return accessible, nil
}

var (
	keyPattern   = regexp.MustCompile(`^(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)
	aliasPattern = regexp.MustCompile(`^alias/[A-Za-z0-9/_-]+$`)
)

// keyNamed is the ARN of a key that is given as an id, an alias or the ARN of either, and whether it can be one of the region.
// Empty and alias/aws/ebs are the account's own key for EBS. There is no KMS here that could tell what an alias stands for.
func keyNamed(name, region, account string) (arn string, ok bool) {
	rest := name
	if strings.HasPrefix(name, "arn:aws:kms:") {
		parts := strings.SplitN(name, ":", 6)
		if len(parts) < 6 || parts[3] != region || !accountPattern.MatchString(parts[4]) {
			return name, false
		}
		account, rest = parts[4], strings.TrimPrefix(parts[5], "key/")
	}
	switch {
	case rest == "" || rest == "alias/aws/ebs":
		return defaultKey(region, account), true
	case keyPattern.MatchString(rest):
		return keyARN(region, account, rest), true
	case aliasPattern.MatchString(rest):
		return "arn:aws:kms:" + region + ":" + account + ":" + rest, true
	}
	return name, false
}
