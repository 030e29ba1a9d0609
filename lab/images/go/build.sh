#!/usr/bin/env bash
# Build the static Go programs that the air-gap images hold.
# Usage: build.sh OUTDIR [NAME…]; names: coredns local-path-provisioner metrics-server pause (default: all).
# Each program lands as OUTDIR/NAME only when it is complete; one that is there is not built again.
set -euo pipefail

COREDNS=v1.14.6
LOCAL_PATH=v0.0.30
METRICS_SERVER=v0.9.0

out=${1:?usage: build.sh OUTDIR [NAME…]}
shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)
[ "$#" -gt 0 ] || set -- pause local-path-provisioner metrics-server coredns

export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
scratch=
trap '[ -z "$scratch" ] || rm -rf "$scratch"' EXIT

# finish SCRATCH NAME: a program appears under its name in one step, so that a killed build leaves nothing half made.
finish() {
  chmod 0755 "$1/$2"
  mv "$1/$2" "$out/$2"
}

# install_module NAME PACKAGE@VERSION LDFLAGS: each module is built alone, their dependencies exclude one another.
install_module() {
  scratch=$(mktemp -d "$out/.build.XXXXXX")
  (cd "$scratch" && GOBIN=$scratch go install -trimpath -ldflags "-s -w $3" "$2")
  [ -e "$scratch/$1" ] || mv "$scratch"/* "$scratch/$1"
  finish "$scratch" "$1"
  rmdir "$scratch"
}

for name in "$@"; do
  [ ! -x "$out/$name" ] || continue
  echo "building $name"
  case $name in
    pause)
      scratch=$(mktemp -d "$out/.build.XXXXXX")
      (cd "$here/pause" && go build -trimpath -ldflags '-s -w' -o "$scratch/pause" .)
      finish "$scratch" pause
      rmdir "$scratch"
      ;;
    coredns) install_module coredns "github.com/coredns/coredns@$COREDNS" "" ;;
    local-path-provisioner)
      install_module local-path-provisioner "github.com/rancher/local-path-provisioner@$LOCAL_PATH" "-X main.VERSION=$LOCAL_PATH"
      ;;
    metrics-server)
      install_module metrics-server "sigs.k8s.io/metrics-server/cmd/metrics-server@$METRICS_SERVER" \
        "-X sigs.k8s.io/metrics-server/pkg/version.gitVersion=$METRICS_SERVER"
      ;;
    *)
      echo "unknown program '$name'; known: coredns local-path-provisioner metrics-server pause" >&2
      exit 2
      ;;
  esac
done
