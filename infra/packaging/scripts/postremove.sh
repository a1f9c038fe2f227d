#!/bin/sh
# After the files are gone. dpkg says "remove", "purge" or "upgrade"; rpm says
# how many versions are left, and knows no purge.
#
# What stays at a removal, so that a reinstalled worker goes on where it ended:
# /etc/stillpoint with all that a person wrote there, and /var/lib/stillpoint,
# which knows the requests that were done and the results that are still owed.
#
# At a purge:
# - /var/lib/stillpoint goes, unless something in it is still owed to the
#   outside: a request whose worker was killed (sent), a result that SNS has not
#   taken (outbox), tags without which a good set looks unverified (tags), or
#   another instance's state that was set aside (foreign-...). Then all of it
#   stays and one line says so. A state_dir elsewhere is not looked for: whoever
#   moved it knows where it is.
# - What a person wrote to /etc/stillpoint stays, as the package did not bring it.
# - Snapshots are in EC2, and nothing here touches them.
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
# Nothing is frozen, or the removal would have failed. What says otherwise is kept.
gone_from_run() {
	[ -d /run/stillpoint ] || return 0
	rm -f /run/stillpoint/worker.lock /run/stillpoint/run.lock
	rmdir /run/stillpoint 2>/dev/null || true
}

enabled=/etc/systemd/system/multi-user.target.wants/stillpoint.service

case "$1" in
remove)
	gone_from_run
	;;
0) # rpm takes the next one for a first installation, which is not enabled
	gone_from_run
	rm -f $enabled
	;;
purge)
	gone_from_run
	rm -f $enabled
	state=/var/lib/stillpoint
	owed=
	for entry in "$state"/sent/* "$state"/outbox/* "$state"/tags/* "$state"/foreign-*; do
		[ -e "$entry" ] || continue
		owed=$entry
		break
	done
	if [ -n "$owed" ]; then
		echo "stillpoint: $state is kept: something in it is still owed, such as $owed; look at it, and remove the directory when it is not wanted" >&2
	else
		rm -rf "$state" || true # a volume of its own is emptied, and stays mounted
	fi
	rmdir /etc/stillpoint 2>/dev/null || true
	if [ -d /etc/stillpoint ]; then
		echo "stillpoint: /etc/stillpoint is kept: what is in it was written by hand" >&2
	fi
	;;
esac
