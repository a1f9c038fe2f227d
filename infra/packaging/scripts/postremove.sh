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
#   outside: a result that SNS has not taken (outbox), tags without which a good
#   set looks unverified (tags), or another instance's state that was set aside
#   (foreign-...). Then all of it stays and one line says so. A state_dir
#   elsewhere is not looked for: whoever moved it knows where it is.
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

case "$1" in
remove | 0)
	gone_from_run
	;;
purge)
	gone_from_run
	rm -f /etc/systemd/system/multi-user.target.wants/stillpoint.service
	state=/var/lib/stillpoint
	owed=
	for entry in "$state"/outbox/* "$state"/tags/* "$state"/foreign-*; do
		[ -e "$entry" ] || continue
		owed=$entry
		break
	done
	if [ -n "$owed" ]; then
		echo "stillpoint: $state is kept: something in it is still owed, such as $owed; look at it, and remove the directory when it is not wanted" >&2
	else
		rm -rf "$state"
	fi
	rmdir /etc/stillpoint 2>/dev/null || true
	if [ -d /etc/stillpoint ]; then
		echo "stillpoint: /etc/stillpoint is kept: what is in it was written by hand" >&2
	fi
	;;
esac
