// Package journal keeps what must survive a crash, as small files in the state
// directory: what each request id came to, which results wait to be published,
// which tags are owed and when each plan last succeeded. Every file is
// replaced as a whole and synced before anyone relies on it; names are made
// of digests, never of what a message says.
//
//	requests/<sha256 of the id>.json  plan, attempts and result of one request id
//	sent/<sha256 of id and attempt>   one byte: was the create call sent
//	outbox/<time>-<event id>.json     results that wait to be published, with the tags owed
//	tags/<sha256 of the snapshot id>.json
//	plans/<sha256 of the plan>.json   last success
//	instance.json                     whose the directory is
//	unclaimed.json                    it was another's, and this instance is not confirmed yet
//	foreign-<instance>-<time>/        what another instance left: never read
//	reserve                           room for what must be written on a full disk
//
// An entry in the outbox is what makes a request finished: the other files
// follow from it, and Open makes up for what a crash left out.
package journal
