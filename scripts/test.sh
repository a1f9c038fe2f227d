#!/usr/bin/env bash
# Runs every test with the race detector and sums up as it goes. Arguments go to `go test`.
set -uo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" -ne 0 ]; then
	echo "test: not root: everything on real file systems and a real server is left out (run it as root for the whole)"
fi
command -v aws >/dev/null 2>&1 || echo "test: no 'aws' command here: the tests that drive it are left out"
echo "test: building with the race detector (the first time takes some minutes)"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go build -buildvcs=false -o "$dir/testsummary" ./scripts/testsummary || exit 1
# The longest first, or it would be alone at the end.
[ $# -gt 0 ] || set -- stillpoint/test/e2e $(go list ./... | grep -v '/test/e2e$')
# What is built with the race detector waits a second before it ends, which adds up.
export GORACE="${GORACE:-atexit_sleep_ms=50}"
# -count=1: the tests depend on more than their sources (the kernel, the
# server, the program that they build), so an old result says nothing.
go test -race -count=1 -timeout 20m -p "${TEST_PARALLEL:-2}" -json "$@" | "$dir/testsummary"
