// Package look finds what stands in the way of a lock before it is requested, and
// does about it what the plan says: wait, refuse, or end it. It reads on B,
// holds nothing, and disturbs nobody but whom it is told to end.
//
// What FTWRL waits for is not the same on the two families; what each can show of
// it is another matter again. Both were tried, see TestWhatBlocks of package mysql.
package look
