#!/usr/bin/env bash
# Unpacks the plugin for ed25519, which Debian has in the package with MariaDB's
# service, into a folder of the user's cache, where the tests find it (test/rig,
# MariaDBPlugins). Nothing is installed. Where it cannot be had a test is left out.
set -euo pipefail

cache=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
tree=$(realpath -m "${STILLPOINT_MYSQL_TREE:-${cache:-/var/cache}/stillpoint/mysql}")
dir=$(dirname "$tree")/mariadb-plugin
plugin=usr/lib/mysql/plugin/auth_ed25519.so
[ -e "/$plugin" ] || [ -e "$dir/${plugin##*/}" ] && exit 0

leave_out() {
	echo "setup: no plugin for ed25519 of MariaDB's: $*; its test is left out" >&2
	exit 0
}
for tool in apt-get dpkg-deb dpkg-query; do
	command -v "$tool" >/dev/null 2>&1 || leave_out "no $tool here"
done
# Only the server's own version loads it.
version=$(dpkg-query -W -f '${Version}' mariadb-server-core 2>/dev/null) || leave_out "MariaDB is not from a package"
mkdir -p "$dir" 2>/dev/null && [ -w "$dir" ] || leave_out "cannot write to $dir"
new=$(mktemp -d "$dir/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
cd "$new"
apt-get -qq -o APT::Sandbox::User="$(id -un)" download "mariadb-server=$version" >log 2>&1 || leave_out "$(grep -m 1 '^E:' log || echo 'it cannot be fetched')"
dpkg-deb --fsys-tarfile ./*.deb | tar -xf - "./$plugin"
mv "$plugin" "$dir/"
