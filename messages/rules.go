package messages

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of what a request may say.
const (
	// MaxRequestID is the length of a request id in characters.
	MaxRequestID = 256
	// MaxPlanName is the length of a plan's name in characters.
	MaxPlanName = 64
	// MaxDescription is the length of a description in characters, as EC2 has it.
	MaxDescription = 255
	// MaxTagKey and MaxTagValue are EC2's, in characters.
	MaxTagKey   = 128
	MaxTagValue = 256
	// MaxTags is how many tags plan and request may set together: Stillpoint
	// keeps 20 of EC2's 50 for itself.
	MaxTags = 30
)

const (
	requestIDSyntax = "1 to 256 of A-Z a-z 0-9 . _ : / + = @ -"
	planSyntax      = "1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit"
	instanceSyntax  = "i- and 8 to 17 hexadecimal digits, such as i-0123456789abcdef0"
	tagAlphabet     = "letters, digits, spaces and _ . : / = + - @"
)

var (
	requestIDPattern  = regexp.MustCompile(`^[A-Za-z0-9._:/+=@-]{1,256}$`)
	planPattern       = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	instanceIDPattern = regexp.MustCompile(`^i-[0-9a-f]{8,17}$`)
	// EC2's alphabet; \p{Zs} leaves out its line and paragraph separators.
	tagPattern = regexp.MustCompile(`^[\p{L}\p{Zs}\p{N}_.:/=+\-@]*$`)
)

// Prefixes of derived request ids, which nobody may choose.
const (
	prefixEventBridge = "eb:"
	prefixSNS         = "sns:"
	prefixSQS         = "sqs:"
)

var reservedIDPrefixes = []string{prefixEventBridge, prefixSNS, prefixSQS}

// CheckRequestID says whether a sender may choose this id.
func CheckRequestID(id string) error {
	if !requestIDPattern.MatchString(id) {
		return fmt.Errorf("must be %s, not %s", requestIDSyntax, quote(id))
	}
	for _, p := range reservedIDPrefixes {
		if strings.HasPrefix(id, p) {
			return fmt.Errorf("must not begin with %s, which is kept for ids that Stillpoint derives", p)
		}
	}
	return nil
}

// CheckPlanName says whether a plan may have this name.
func CheckPlanName(name string) error {
	if !planPattern.MatchString(name) {
		return fmt.Errorf("must be %s, not %s", planSyntax, quote(name))
	}
	return nil
}

// CheckInstanceID says whether this is an EC2 instance's id.
func CheckInstanceID(id string) error {
	if !instanceIDPattern.MatchString(id) {
		return fmt.Errorf("must be %s, not %s", instanceSyntax, quote(id))
	}
	return nil
}

// CheckDescription says whether EC2 takes this as a snapshot's description: at
// most MaxDescription printable characters.
func CheckDescription(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("must be valid UTF-8")
	}
	if n := utf8.RuneCountInString(s); n > MaxDescription {
		return fmt.Errorf("must be at most %d characters, not %d", MaxDescription, n)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("must be printable characters, and %U is not one", r)
		}
	}
	return nil
}

// CheckTagKey says whether a plan or a request may set a tag of this name.
func CheckTagKey(key string) error {
	if n := utf8.RuneCountInString(key); n < 1 || n > MaxTagKey {
		return fmt.Errorf("must be 1 to %d characters, not %d", MaxTagKey, n)
	}
	if !utf8.ValidString(key) || !tagPattern.MatchString(key) {
		return fmt.Errorf("must be %s, not %s", tagAlphabet, quote(key))
	}
	if len(key) >= 4 && strings.EqualFold(key[:4], "aws:") {
		return errors.New("must not begin with aws:, which is kept for AWS")
	}
	if strings.HasPrefix(key, "stillpoint:") {
		return errors.New("must not begin with stillpoint:, which is kept for Stillpoint")
	}
	return nil
}

// CheckTagValue says whether a tag may have this value; "" is one.
func CheckTagValue(value string) error {
	if n := utf8.RuneCountInString(value); n > MaxTagValue {
		return fmt.Errorf("must be at most %d characters, not %d", MaxTagValue, n)
	}
	if !utf8.ValidString(value) || !tagPattern.MatchString(value) {
		return fmt.Errorf("must be %s, not %s", tagAlphabet, quote(value))
	}
	return nil
}

// checkTags says the same of a whole set; the error names the tag.
func checkTags(tags map[string]string) error {
	if len(tags) > MaxTags {
		return fmt.Errorf("tags must be at most %d, not %d", MaxTags, len(tags))
	}
	keys := make([]string, 0, len(tags))
	for k := range tags {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if err := checkTag(k, tags[k]); err != nil {
			return err
		}
	}
	return nil
}

func checkTag(key, value string) error {
	if err := CheckTagKey(key); err != nil {
		return fmt.Errorf("the key %s in tags %w", quote(key), err)
	}
	if err := CheckTagValue(value); err != nil {
		return fmt.Errorf("the value of %s in tags %w", quote(key), err)
	}
	return nil
}

// checkDue bounds a time that an age is counted from.
func checkDue(t, now time.Time) error {
	if t.Year() < 1970 {
		return errors.New("must not lie before 1970")
	}
	if ahead := t.Sub(now); ahead > MaxClockSkew {
		return fmt.Errorf("must not lie more than %d minutes ahead, and %s does (it is %s here)",
			MaxClockSkew/time.Minute, stamp(t), stamp(now))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// named puts the key before what a Check function said of its value.
func named(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %w", key, err)
}
