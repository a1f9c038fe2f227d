#!/usr/bin/env bash
# Runs every test with the race detector and sums up. Arguments go to `go test`.
set -uo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" -ne 0 ]; then
	echo "test: not root: everything on real file systems and a real server is left out (run it as root for the whole)"
fi
for tool in aws moto_server; do
	command -v "$tool" >/dev/null 2>&1 || [ "$tool" = moto_server ] || echo "test: no '$tool' command here: the tests that drive it are left out"
done

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# -count=1: the tests depend on more than their sources (the kernel, the
# server, the program that they build), so an old result says nothing.
go test -race -count=1 -timeout 20m -p "${TEST_PARALLEL:-2}" -json "${@:-./...}" >"$log"
status=$?
go run ./scripts/testsummary "$log" || status=1
exit "$status"
