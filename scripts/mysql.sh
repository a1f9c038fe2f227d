#!/usr/bin/env bash
# Unpacks Oracle's MySQL, as Debian's unstable has it, into a folder of the
# user's cache, where the tests find it (test/rig, MySQLTree). Its packages are
# only downloaded and unpacked: none is installed, no script of theirs runs, and
# nothing of the machine's packages changes, so it needs no root either. The
# programs run with the C library that comes along, so the machine's may be older.
# For a newer MySQL remove the folder and run this again.
#
# Where it cannot be had this says so in a line and ends well, as the tests say
# what they left out; with CI=true in the environment it is an error.
set -euo pipefail
. "$(dirname "$0")/mirrors.sh"

cache=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
tree=$(realpath -m "${STILLPOINT_MYSQL_TREE:-${cache:-/var/cache}/stillpoint/mysql}")
[ -x "$tree/usr/sbin/mysqld" ] && exit 0

leave_out() {
	echo "setup: no Oracle MySQL: $*; what needs it is left out" >&2
	[ "${CI:-}" = true ] && exit 1
	exit 0
}
for tool in apt-get apt-config dpkg-deb gpgv flock; do
	command -v "$tool" >/dev/null 2>&1 || leave_out "no $tool here"
done
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || leave_out "no $keyring here (package debian-archive-keyring)"
case $(uname -m) in
x86_64 | aarch64) triplet=$(uname -m)-linux-gnu ;;
*) leave_out "Debian has none for $(uname -m)" ;;
esac

parent=$(dirname "$tree")
mkdir -p "$parent" 2>/dev/null && [ -w "$parent" ] || leave_out "cannot write to $parent"
# One run at a time; the others wait and find the tree.
exec 9>"$tree.lock"
flock 9
[ -x "$tree/usr/sbin/mysqld" ] && exit 0
rm -rf "$tree".new.* # of runs that were killed
new=$(mktemp -d "$tree.new.XXXXXX")
trap 'rm -rf "$new"' EXIT
chmod 755 "$new"

# An apt of its own: no package is installed, so all that MySQL needs comes
# along. Proxies and credentials stay those of the machine's configuration. The
# signature counts and not the age, as a mirror that stands still serves as well.
apt=$new/apt
mkdir -p "$apt"/lists/partial "$apt"/archives/partial "$new/all"
: >"$apt/status"
mine() {
	apt-get -qq -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State="$apt" -o Dir::State::Lists="$apt/lists" -o Dir::State::Status="$apt/status" \
		-o Dir::Cache="$apt" -o Dir::Cache::Archives="$apt/archives" -o APT::Sandbox::User="$(id -un)" \
		-o APT::Install-Recommends=false -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none \
		-o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@"
}

fetch() {
	for mirror in $(mirrors); do
		echo "deb [signed-by=$keyring] $mirror sid main" >"$apt/sources.list"
		mine update >>"$apt/log" 2>&1 &&
			mine install -y --download-only mysql-server-core patchelf >>"$apt/log" 2>&1 && return
	done
	return 1
}
echo "setup: fetching Oracle's MySQL (60 MB, once) into $tree"
fetch || leave_out "cannot be fetched: $(grep -m 1 -E "^[EW]:" "$apt/log")"
for package in "$apt"/archives/*.deb; do
	dpkg-deb -x "$package" "$new/all" 2>>"$apt/log" || leave_out "cannot unpack ${package##*/}: $(tail -n 1 "$apt/log")"
done

# Of all that only what the server and its reader of binlogs need.
lib=usr/lib/$triplet
whole=$new/tree
mkdir -p "$whole/usr/sbin" "$whole/usr/bin" "$whole/usr/share" "$whole/$lib"
mv "$new/all/usr/sbin/mysqld" "$whole/usr/sbin/"
mv "$new/all/usr/bin/mysqlbinlog" "$whole/usr/bin/"
mv "$new/all/usr/share/mysql" "$whole/usr/share/"
mv "$new/all/usr/lib/mysql" "$whole/usr/lib/"
find "$new/all/$lib" -maxdepth 1 -name '*.so*' ! -name 'libperl*' -exec mv -t "$whole/$lib" {} +

# Patched for the place where it will be: both paths are absolute.
loader=$(cd "$whole/$lib" && echo ld-linux-*.so.*)
with() { "$whole/$lib/$loader" --library-path "$whole/$lib" "$@"; }
for program in usr/sbin/mysqld usr/bin/mysqlbinlog; do
	with "$new/all/usr/bin/patchelf" --set-interpreter "$tree/$lib/$loader" --force-rpath --set-rpath "$tree/$lib" "$whole/$program"
	with "$whole/$program" --no-defaults --version >>"$apt/log" 2>&1 || leave_out "${program##*/} does not run here: $(tail -n 1 "$apt/log")"
done
# What has this name is whole.
rm -rf "$tree"
mv -T "$whole" "$tree"
