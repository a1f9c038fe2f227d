// Package whoami asks who and when this is: the instance's metadata, the
// credentials that the program has, whom AWS takes it for, and how far the clock
// is from AWS's. It looks, and decides nothing.
package whoami
