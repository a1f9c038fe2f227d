#!/bin/sh
# Before the files go. dpkg says "remove", "upgrade" or "deconfigure"; rpm says
# how many versions will be left.
#
# At an upgrade nothing is done: the worker runs on from the file that it has
# open, and is restarted when the new one is in place. At a removal it ends once
# its request in hand is safe; then whatever was left frozen by one that was
# killed is thawed, while the program that can do it is still there. If
# that cannot be done the removal fails: without the program only fsfreeze(8) would be left.
set -e

case "$1" in
remove | 0) ;;
*) exit 0 ;;
esac

if [ -d /run/systemd/system ]; then
	systemctl stop stillpoint.service
fi
if ! stillpoint thaw --wait 60s >/dev/null; then
	echo "stillpoint: not removed: something is still frozen, or stopped, or post_thaw is still owed (see above)." >&2
	echo "stillpoint: put it right, run 'stillpoint thaw' until it says that nothing is frozen, and remove the package then." >&2
	exit 1
fi
