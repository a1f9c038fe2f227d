#!/usr/bin/env bash
# Unpacks into the cache what of MariaDB's packages the tests use and the core
# package lacks: the server's plugins (metadata_lock_info), and Galera. Nothing is
# installed; 4.5 MB are fetched the first time. Where that cannot be this says so
# in a line and ends well, as the tests say what they left out; with CI=true in
# the environment it is an error, as with mysql.sh.
set -euo pipefail
tree=${STILLPOINT_MARIADB_TREE:-${XDG_CACHE_HOME:-$HOME/.cache}/stillpoint/mariadb}
# The arbitrator wants a library of boost's, which may be installed or not.
arbitrates() { LD_LIBRARY_PATH=$tree/usr/lib/boost "$tree/usr/bin/garbd" --version >/dev/null 2>&1; }
[ -e "$tree/usr/lib/mysql/plugin/metadata_lock_info.so" ] && [ -e "$tree/usr/lib/galera/libgalera_smm.so" ] && arbitrates && exit 0
leave_out() {
	echo "setup: no MariaDB plugins and Galera: $*; what needs them is left out" >&2
	[ "${CI:-}" = true ] && exit 1
	exit 0
}
for tool in apt-get dpkg-deb; do
	command -v "$tool" >/dev/null 2>&1 || leave_out "no $tool here"
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fetch() {
	(cd "$dir" && apt-get download mariadb-server galera-4 galera-arbitrator-4 &&
		apt-get download "$(dpkg-deb -f galera-arbitrator-4_*.deb Depends | grep -o 'libboost-program-options[0-9.]*')") >"$dir/log" 2>&1
}
# The lists of packages may be missing, or older than the mirror.
fetch || { [ "$(id -u)" -eq 0 ] && apt-get update >"$dir/log" 2>&1 && fetch; } ||
	leave_out "cannot be fetched: $(grep -m 1 -E "^[EW]:" "$dir/log")"
mkdir -p "$tree"
for package in "$dir"/*.deb; do
	mkdir "$dir/tree" && dpkg-deb -x "$package" "$dir/tree"
	for part in usr/lib/mysql/plugin usr/lib/galera usr/bin; do
		case $package in */mariadb-server_*) [ "$part" = usr/bin ] && continue ;; esac
		[ -d "$dir/tree/$part" ] && mkdir -p "$tree/$part" && cp -rL "$dir/tree/$part/." "$tree/$part/"
	done
	case $package in */libboost*) mkdir -p "$tree/usr/lib/boost" && cp -L "$dir/tree"/usr/lib/*/libboost*.so* "$tree/usr/lib/boost/" ;; esac
	rm -rf "$dir/tree"
done
arbitrates || leave_out "the arbitrator does not start"
