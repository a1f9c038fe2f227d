#!/usr/bin/env bash
# Makes two Debian 12 in the user's cache, in which the tests of the packages
# run, so that the machine's own packages stay as they are:
#   host   a database host: systemd and MariaDB, nothing else that was asked for
#   tools  what looks at the packages: rpm, mandoc, and the shells that complete
# Nobody writes to them: each test lays a layer of its own above (test/guest).
# For newer ones remove the folder and run this again. Needs root, for debootstrap.
#
# Where it cannot be had this says so in a line and ends well, as the tests say
# what they left out; with CI=true in the environment it is an error.
set -euo pipefail
. "$(dirname "$0")/mirrors.sh"

trees=${STILLPOINT_DEBIAN_TREES:-${XDG_CACHE_HOME:-${HOME:-/var/cache}/.cache}/stillpoint/debian}
declare -A include=(
	[host]=systemd,systemd-sysv,ca-certificates,mariadb-server
	[tools]=rpm,mandoc,bash-completion,zsh,fish
)
there() { [ -e "$trees/host/etc/os-release" ] && [ -e "$trees/tools/etc/os-release" ]; }
there && exit 0

leave_out() {
	echo "setup: no Debian to install the packages in: $*; what needs it is left out" >&2
	[ "${CI:-}" = true ] && exit 1
	exit 0
}
[ "$(id -u)" -eq 0 ] || leave_out "not root"
command -v debootstrap >/dev/null 2>&1 || leave_out "no debootstrap here"

mkdir -p "$trees"
# One run at a time; the others wait and find the trees.
exec 9>"$trees/.lock"
flock 9
there && exit 0
rm -rf --one-file-system "$trees"/.new.* # of runs that were killed
new=$(mktemp -d "$trees/.new.XXXXXX")
# debootstrap mounts proc and sys for its scripts, and undoes that also where it fails.
trap 'umount -R "$new"/*/proc "$new"/*/sys 2>/dev/null || true; rm -rf --one-file-system "$new"' EXIT

make_tree() {
	local mirror
	for mirror in $(mirrors); do
		rm -rf --one-file-system "$new/$1"
		# Without services: what a package would start here is started by the tests.
		debootstrap --variant=minbase --include="${include[$1]}" bookworm "$new/$1" "$mirror" >"$new/log" 2>&1 && return
	done
	return 1
}
for tree in host tools; do
	[ -e "$trees/$tree/etc/os-release" ] && continue
	echo "setup: fetching a Debian 12 (${include[$tree]}; a minute, once) into $trees/$tree"
	make_tree $tree || leave_out "cannot be made: $(grep -m 1 -E '^[EW]:' "$new/log" || tail -n 1 "$new/log")"
	rm -rf "$new/$tree"/var/cache/apt/archives/*.deb "$new/$tree"/var/lib/apt/lists/*
	# What has this name is whole.
	mv -T "$new/$tree" "$trees/$tree"
done
