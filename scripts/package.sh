#!/usr/bin/env bash
# Makes the packages: `package.sh package` a .deb and an .rpm for each
# architecture, `package.sh release` also archives, a list of what is in the
# program (SPDX) for each, and SHA256SUMS. The same commit gives the same bytes,
# wherever and whenever it is built, with the same Go. `package.sh version` makes
# nothing, and says what the packages' version would be.
#
# From the environment, with what holds otherwise:
#   VERSION            what `stillpoint version` says (git describe)
#   SOURCE_DATE_EPOCH  the time of all files (that of the commit)
#   ARCHES             "amd64 arm64"
#   FORMATS            "deb rpm"
#   DIST               where to (dist)
#   MAINTAINER         whom the packages name
set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC
cd "$(dirname "$0")/.."

nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0
what=${1:-package}
case $what in
package | release | version) ;;
*)
	echo "package: the argument is \"package\", \"release\" or \"version\", not \"$what\"" >&2
	exit 64
	;;
esac
# So many digits everywhere: by itself git takes more in a clone that has more objects.
version=${VERSION:-$(git describe --tags --always --dirty --abbrev=12 2>/dev/null)} || true
[ -n "$version" ] || {
	echo "package: no version: build in a clone, or set VERSION and SOURCE_DATE_EPOCH" >&2
	exit 1
}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

# The packages' version: digits first, no hyphen, and what comes later sorts
# higher. 1.2.0-3-gabc (three commits after the tag) is 1.2.0+3.gabc; without a
# tag it is 0~ and the time, below every release.
package_version() {
	local v=${1#v} dirty= after= whole
	case $v in *-dirty) v=${v%-dirty} dirty=.dirty ;; esac
	whole=$v
	if [[ $v =~ ^(.+)-([0-9]+)-(g[0-9a-f]+)$ ]]; then
		v=${BASH_REMATCH[1]} after=+${BASH_REMATCH[2]}.${BASH_REMATCH[3]}
	elif [ -n "$dirty" ]; then
		after=+0 # before the first commit after the tag
	fi
	if [[ $v =~ ^([0-9]+\.[0-9]+\.[0-9]+)(-([0-9A-Za-z.]+))?$ ]]; then
		echo "${BASH_REMATCH[1]}${BASH_REMATCH[3]:+~${BASH_REMATCH[3]}}$after$dirty" # 1.2.0-rc.1 comes before 1.2.0
	else
		echo "0~$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S).${whole//[^0-9A-Za-z.]/.}$dirty"
	fi
}
PACKAGE_VERSION=$(package_version "$version")
if [ "$what" = version ]; then
	echo "$PACKAGE_VERSION"
	exit
fi
export PACKAGE_VERSION PACKAGE_ARCH STAGE PACKAGE_MAINTAINER=${MAINTAINER:-Stillpoint maintainers <maintainers@stillpoint.invalid>}

dist=${DIST:-dist}
mkdir -p "$dist"
dist=$(cd "$dist" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GOTMPDIR=$work
made=$work/made # all of this run, which DIST may not be
mkdir "$made"
for PACKAGE_ARCH in ${ARCHES:-amd64 arm64}; do
	STAGE=$work/stillpoint-$PACKAGE_VERSION-linux-$PACKAGE_ARCH
	mkdir "$STAGE"
	echo "package: $version as $PACKAGE_VERSION for $PACKAGE_ARCH"
	CGO_ENABLED=0 GOOS=linux GOARCH=$PACKAGE_ARCH go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$version" -o "$STAGE/stillpoint" ./cmd/stillpoint
	go run ./scripts/materials -version "$version" -notices "$STAGE/copyright" -sbom "$work/sbom" "$STAGE/stillpoint"
	gzip -9n <CHANGELOG.md >"$STAGE/changelog.gz"
	for page in stillpoint.1 stillpoint.yaml.5 stillpoint.7; do
		gzip -9n <"infra/packaging/man/$page" >"$STAGE/$page.gz"
	done
	for format in ${FORMATS:-deb rpm}; do
		go run "$nfpm" package --config infra/packaging/nfpm.yaml --packager $format --target "$made" >"$work/log" 2>&1 || {
			cat "$work/log" >&2
			exit 1
		}
	done
	[ "$what" = release ] || continue
	cp infra/stillpoint.yaml infra/packaging/stillpoint.service infra/packaging/stillpoint.conf "$STAGE/"
	cp -r infra/packaging/completions "$STAGE/"
	chmod -R u=rwX,go=rX "$STAGE"
	tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu -C "$work" -c "${STAGE##*/}" |
		gzip -n >"$made/${STAGE##*/}.tar.gz"
	cp "$work/sbom" "$made/${STAGE##*/}.spdx.json"
done
[ "$what" = package ] || (cd "$made" && sha256sum -- stillpoint* >"$work/sums" && mv "$work/sums" SHA256SUMS)
for package in "$made"/*.{deb,rpm}; do
	[ ! -e "$package" ] || echo "package: $dist/${package##*/}"
done
mv -f "$made"/* "$dist/"
