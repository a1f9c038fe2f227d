package ec2

import (
	"maps"
	"slices"
	"strings"

	"stillpoint/localstack/internal/wire"
)

// rate is what volumes of a type may have. The numbers are those of CreateVolume in the API reference; the IOPS per GiB are of
// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html
type rate struct {
	minGiB, maxGiB   int
	minIops, maxIops int // zero: the type does not take Iops
	perGiB           int // IOPS for each GiB, at most
	free             int // IOPS that it has without asking; zero where Iops has to be said
}

var rates = map[string]rate{
	"gp2":      {minGiB: 1, maxGiB: 16_384},
	"gp3":      {minGiB: 1, maxGiB: 65_536, minIops: 3_000, maxIops: 80_000, perGiB: 500, free: 3_000},
	"io1":      {minGiB: 4, maxGiB: 16_384, minIops: 100, maxIops: 64_000, perGiB: 50},
	"io2":      {minGiB: 4, maxGiB: 65_536, minIops: 100, maxIops: 256_000, perGiB: 1_000},
	"st1":      {minGiB: 125, maxGiB: 16_384},
	"sc1":      {minGiB: 125, maxGiB: 16_384},
	"standard": {minGiB: 1, maxGiB: 1_024},
}

const (
	minThroughput = 125 // MiB/s, of gp3, and what it has without asking
	maxThroughput = 2_000
	perMiB        = 4 // IOPS for each MiB/s, at least
)

// checkRates refuses what the volume's type cannot have, and sets what it has where nothing was asked for. Messages that no source
// is named for are guesses.
func (v *volume) checkRates() *wire.Error {
	r, ok := rates[v.Type]
	if !ok {
		return wire.Errorf("InvalidParameterValue", "Value (%s) for parameter volumeType is invalid. Valid values are %s", v.Type, strings.Join(slices.Sorted(maps.Keys(rates)), ", "))
	}
	if v.GiB < r.minGiB || v.GiB > r.maxGiB {
		return wire.Errorf("InvalidParameterValue", "The volume size is invalid for %s volumes: %d GiB. It must be from %d to %d GiB", v.Type, v.GiB, r.minGiB, r.maxGiB)
	}
	// "throughput can only be specified for volumeType gp3." https://github.com/runs-on/runs-on/issues/426
	if v.Throughput != 0 && v.Type != "gp3" {
		return wire.Errorf("InvalidParameterCombination", "throughput can only be specified for volumeType gp3.")
	}
	switch {
	case r.maxIops == 0 && v.Iops != 0:
		return wire.Errorf("InvalidParameterCombination", "The parameter iops is not supported for %s volumes.", v.Type)
	case r.maxIops == 0:
		if v.Type == "gp2" { // three for each GiB, and AWS says so in Iops
			v.Iops = min(max(3*v.GiB, 100), 16_000)
		}
		return nil
	case v.Iops == 0 && r.free == 0:
		return wire.Errorf("MissingParameter", "The request must contain the parameter iops for %s volumes", v.Type)
	case v.Iops == 0:
		v.Iops = r.free
	case v.Iops < r.minIops || v.Iops > r.maxIops:
		return wire.Errorf("InvalidParameterValue", "Volume iops of %d is out of range for %s volumes; it must be from %d to %d", v.Iops, v.Type, r.minIops, r.maxIops)
	}
	if v.Iops > max(r.perGiB*v.GiB, r.free) { // https://github.com/rocicorp/mono/pull/4410
		return wire.Errorf("InvalidParameterValue", "Iops to volume size ratio of %f is too high; maximum is %d", float64(v.Iops)/float64(v.GiB), r.perGiB)
	}
	if v.Type == "gp3" {
		return v.checkThroughput()
	}
	return nil
}

func (v *volume) checkThroughput() *wire.Error {
	switch {
	case v.Throughput == 0:
		v.Throughput = minThroughput
	case v.Throughput < minThroughput || v.Throughput > maxThroughput:
		return wire.Errorf("InvalidParameterValue", "Throughput of %d MiB/s is out of range; it must be from %d to %d", v.Throughput, minThroughput, maxThroughput)
	case v.Throughput*perMiB > v.Iops: // https://github.com/runs-on/runs-on/issues/260
		return wire.Errorf("InvalidParameterValue", "Throughput (MiBps) to iops ratio of %f is too high; maximum is 0.250000 MiBps per iops", float64(v.Throughput)/float64(v.Iops))
	}
	return nil
}
