#!/bin/sh
# gofmt, vet and the tests of the stand-in, with build.sh's flags, so that nothing is compiled twice.
set -eu
cd "$(dirname "$0")"
. ./go-env.sh
unformatted=$(gofmt -l .)
[ -z "$unformatted" ] || { echo "gofmt -w is due on: $unformatted" >&2; exit 1; }
go vet ./...
go test ./...
