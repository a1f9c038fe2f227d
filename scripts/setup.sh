#!/usr/bin/env bash
# Installs from the distribution's packages what the tests, the demo and the
# benchmark need, where it is missing: a MariaDB server without a service that
# starts at boot, its client, and xfsprogs. Changes nothing else. With the
# argument "mysql" also what only the tests need: Oracle's MySQL (mysql.sh),
# a Debian to install the packages in (debian.sh, with debootstrap), and curl,
# which the documents' commands use.
set -euo pipefail
cd "$(dirname "$0")"

packages() {
	need=()
	have() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]; }
	have mkfs.xfs || need+=(xfsprogs)
	have mkfs.ext4 || need+=(e2fsprogs)
	have mariadbd && have mariadb-install-db || need+=(mariadb-server-core)
	have mariadb-binlog && have mariadb || need+=(mariadb-client)
	have losetup || need+=(mount)
	if [ "${1:-}" = mysql ]; then
		have debootstrap || need+=(debootstrap)
		have curl || need+=(curl)
	fi
	[ "${#need[@]}" -eq 0 ] && return

	if [ "$(id -u)" -ne 0 ]; then
		echo "setup: not root: cannot install ${need[*]}; what needs them is left out" >&2
		return
	fi
	if ! command -v apt-get >/dev/null 2>&1; then
		echo "setup: no apt-get here: install ${need[*]} yourself; what needs them is left out" >&2
		return
	fi
	echo "setup: installing ${need[*]}"
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	export DEBIAN_FRONTEND=noninteractive
	# --no-install-recommends: the core packages alone, no service.
	if ! apt-get install -y --no-install-recommends "${need[@]}" >"$log" 2>&1; then
		apt-get update >"$log" 2>&1 &&
			apt-get install -y --no-install-recommends "${need[@]}" >>"$log" 2>&1 || {
			tail -n 20 "$log" >&2
			echo "setup: could not install ${need[*]}" >&2
			exit 1
		}
	fi
}

packages "$@"
case ${1:-} in
mysql)
	./mysql.sh
	./mariadb-extras.sh
	./debian.sh
	;;
"") ;;
*)
	echo "setup: the argument is \"mysql\" or nothing, not \"$1\"" >&2
	exit 64
	;;
esac
