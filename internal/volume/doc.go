// Package volume goes from a mount point to the block devices under it to EBS
// volume ids. It reads mountinfo and sysfs and asks nobody; what EC2 says is
// attached is handed in, and both must agree.
package volume
