#!/usr/bin/env bash
# Makes the packages: `package.sh package` a .deb and an .rpm for each
# architecture, `package.sh release` also archives, a list of what is in the
# program (SPDX) for each, and SHA256SUMS. The same commit gives the same bytes,
# wherever and whenever it is built, with the same Go.
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
package | release) ;;
*)
	echo "package: the argument is \"package\" or \"release\", not \"$what\"" >&2
	exit 64
	;;
esac
version=${VERSION:-$(git describe --tags --always --dirty 2>/dev/null)} || true
[ -n "$version" ] || {
	echo "package: no version: build in a clone, or set VERSION" >&2
	exit 1
}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
dist=${DIST:-dist}
mkdir -p "$dist"
dist=$(cd "$dist" && pwd)

# The packages' version: digits first, no hyphen, and what comes later sorts
# higher. 1.2.0-3-gabc (three commits after the tag) is 1.2.0+3.gabc; without a
# tag it is 0~ and the time, below every release.
package_version() {
	local v=${1#v} dirty=
	case $v in *-dirty) v=${v%-dirty} dirty=.dirty ;; esac
	if [[ $v =~ ^([0-9]+\.[0-9]+\.[0-9]+)-([0-9]+)-(g[0-9a-f]+)$ ]]; then
		echo "${BASH_REMATCH[1]}+${BASH_REMATCH[2]}.${BASH_REMATCH[3]}$dirty"
	elif [[ $v =~ ^([0-9]+\.[0-9]+\.[0-9]+)(-([0-9A-Za-z.]+))?$ ]]; then
		echo "${BASH_REMATCH[1]}${BASH_REMATCH[3]:+~${BASH_REMATCH[3]}}${dirty:++dirty}" # 1.2.0-rc.1 comes before 1.2.0
	else
		echo "0~$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S).${v//[^0-9A-Za-z.]/.}$dirty"
	fi
}
PACKAGE_VERSION=$(package_version "$version")
export PACKAGE_VERSION PACKAGE_ARCH STAGE PACKAGE_MAINTAINER=${MAINTAINER:-Stillpoint maintainers <maintainers@stillpoint.invalid>}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
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
		go run "$nfpm" package --config infra/packaging/nfpm.yaml --packager $format --target "$dist" >"$work/log" 2>&1 || {
			cat "$work/log" >&2
			exit 1
		}
	done
	[ "$what" = release ] || continue
	cp infra/stillpoint.yaml infra/packaging/stillpoint.service infra/packaging/stillpoint.conf "$STAGE/"
	cp -r infra/packaging/completions "$STAGE/"
	chmod -R u=rwX,go=rX "$STAGE"
	tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu -C "$work" -c "${STAGE##*/}" |
		gzip -n >"$dist/${STAGE##*/}.tar.gz"
	cp "$work/sbom" "$dist/${STAGE##*/}.spdx.json"
done
for made in "$dist"/stillpoint*"$PACKAGE_VERSION"*.{deb,rpm}; do
	[ ! -e "$made" ] || echo "package: $made"
done
[ "$what" = package ] || (cd "$dist" && sha256sum -- stillpoint*"$PACKAGE_VERSION"*.{deb,rpm,tar.gz,spdx.json} >SHA256SUMS)
