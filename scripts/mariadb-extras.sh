#!/usr/bin/env bash
# Unpacks into the cache what of MariaDB's packages the tests use and the core
# package lacks: the server's plugins (metadata_lock_info), and Galera. Nothing is
# installed; 4.5 MB are fetched the first time. Where that cannot be, the tests
# that need it say so.
set -euo pipefail
tree=${STILLPOINT_MARIADB_TREE:-${XDG_CACHE_HOME:-$HOME/.cache}/stillpoint/mariadb}
[ -e "$tree/usr/lib/mysql/plugin/metadata_lock_info.so" ] && [ -e "$tree/usr/lib/galera/libgalera_smm.so" ] && [ -x "$tree/usr/bin/garbd" ] && exit 0
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
	echo "setup: no apt-get here: MariaDB's plugins and Galera are left out" >&2
	exit 0
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if ! (cd "$dir" && apt-get download mariadb-server galera-4 galera-arbitrator-4) >"$dir/log" 2>&1; then
	echo "setup: cannot fetch its packages: what needs MariaDB's plugins or Galera is left out" >&2
	exit 0
fi
mkdir -p "$tree"
for package in "$dir"/*.deb; do
	mkdir "$dir/tree" && dpkg-deb -x "$package" "$dir/tree"
	for part in usr/lib/mysql/plugin usr/lib/galera usr/bin; do
		case $package in */mariadb-server_*) [ "$part" = usr/bin ] && continue ;; esac
		[ -d "$dir/tree/$part" ] && mkdir -p "$tree/$part" && cp -rL "$dir/tree/$part/." "$tree/$part/"
	done
	rm -rf "$dir/tree"
done
