package doctor

import (
	"fmt"
	"strings"
	"time"
)

// Metadata is what the instance's metadata said.
type Metadata struct {
	// Off says that AWS_EC2_METADATA_DISABLED forbids to ask.
	Off bool
	// Err is why there was no answer; "": there was one.
	Err string
	// InstanceID and Region are what it said. Role is that of the instance
	// profile; "" where the instance has none.
	InstanceID, Region, Role string
}

// Told is what the file and the AWS configuration say; "" where they say nothing.
type Told struct{ InstanceID, Region string }

func (t Told) lacks() string {
	switch {
	case t.InstanceID == "" && t.Region == "":
		return "region and instance id"
	case t.InstanceID == "":
		return "the instance id"
	case t.Region == "":
		return "the region"
	}
	return ""
}

const metadataFix = "enable the instance's metadata with IMDSv2 (aws ec2 modify-instance-metadata-options --http-endpoint enabled; in a container --http-put-response-hop-limit 2)"

// JudgeMetadata holds what the metadata say against what was told. No finding
// means that they may not be asked and are not needed.
func JudgeMetadata(m Metadata, told Told) []Finding {
	lacks := told.lacks()
	switch {
	case m.Off && lacks == "":
		return nil
	case m.Off:
		return one(Bad("AWS_EC2_METADATA_DISABLED forbids to ask the instance's metadata, and nothing else says "+lacks, "unset it, or set region and instance_id in the file"))
	case m.Err != "" && lacks == "":
		return one(Unchecked("the instance's metadata do not answer ("+m.Err+"): the file's word is taken for who this is", metadataFix))
	case m.Err != "":
		return one(Bad("the instance's metadata do not answer ("+m.Err+"), and nothing else says "+lacks, metadataFix+"; or set region and instance_id in the file"))
	case told.InstanceID != "" && told.InstanceID != m.InstanceID:
		return one(Bad(fmt.Sprintf("this is %s, and instance_id in the file is %s", m.InstanceID, told.InstanceID), "take instance_id out of the file, or correct it"))
	case told.Region != "" && told.Region != m.Region:
		return one(Bad(fmt.Sprintf("this instance is in %s, and the file or the AWS configuration says %s", m.Region, told.Region), "take region out of the file, or correct it there, in AWS_REGION or in the profile"))
	case m.Role == "":
		return one(Good(fmt.Sprintf("IMDSv2 answers: %s in %s, without an instance profile", m.InstanceID, m.Region)))
	}
	return one(Good(fmt.Sprintf("IMDSv2 answers: %s in %s, with the role %s", m.InstanceID, m.Region, m.Role)))
}

func one(f Finding) []Finding { return []Finding{f} }

// Credentials are those that the program found, without what is secret.
type Credentials struct {
	// Err is why there are none; "": there are.
	Err string
	// Source is the SDK's name for where they come from.
	Source string
	// Metadata says that they are those of the instance's role.
	Metadata bool
	// Session says that they are temporary.
	Session bool
	// Expires is when they end; zero: not known, or never.
	Expires time.Time
}

// JudgeCredentials judges them at a time. window is for how long a run needs
// what it has.
func JudgeCredentials(c Credentials, now time.Time, window time.Duration) Finding {
	const profile = "give the instance a profile with the role of instance.yaml, whose credentials come and go by themselves, and take other ones away from root and from the worker's unit"
	switch {
	case c.Err != "":
		return Bad("there are no credentials: "+c.Err, "give the instance a profile with the role of instance.yaml; "+metadataFix)
	case !c.Session:
		return Poor(fmt.Sprintf("a key that does not expire is used (%s)", c.Source), profile)
	case c.Expires.IsZero():
		return Poor(fmt.Sprintf("temporary credentials of which nobody says when they end (%s): the worker may not have them, or not for long", c.Source), profile)
	case !c.Expires.After(now):
		return Bad(fmt.Sprintf("the credentials (%s) ended at %s", c.Source, stamp(c.Expires)), profile)
	case c.Expires.Sub(now) < window:
		return Poor(fmt.Sprintf("the credentials (%s) end at %s, within the time of a run", c.Source, stamp(c.Expires)), profile)
	case c.Metadata:
		return Good("those of the instance's role, which are renewed by themselves")
	}
	return Good(fmt.Sprintf("temporary ones (%s), until %s", c.Source, stamp(c.Expires)))
}

// JudgeCaller says who AWS takes the program for.
func JudgeCaller(arn, instanceID string) Finding {
	_, session, _ := strings.Cut(arn, ":assumed-role/")
	_, session, _ = strings.Cut(session, "/")
	switch {
	case strings.HasSuffix(arn, ":root"):
		return Poor("AWS takes this for "+arn, "never use the account's root user: take its key away")
	case strings.HasPrefix(session, "i-") && instanceID != "" && session != instanceID:
		return Poor(fmt.Sprintf("AWS takes this for %s, which is another instance than %s", arn, instanceID), "take copied credentials away, and use those of the instance's profile")
	}
	return Good("AWS takes this for " + arn)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
