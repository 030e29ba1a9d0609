#!/bin/sh
# Builds the stand-in: build.sh OUTDIR leaves one executable, OUTDIR/k3s.
# All programs are built with the same flags, so that they share what is compiled; check.sh uses them too.
set -eu
out=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")"
. ./go-env.sh

version=v1.36.3+k3s1
commit=$(find . \( -name '*.go' -o -name 'go.*' -o -name '*.yaml' -o -name build.sh \) -type f | LC_ALL=C sort \
  | xargs sha256sum | sha256sum | cut -c1-8)
own="-X holdfast/lab/k3s/internal/version.Version=$version -X holdfast/lab/k3s/internal/version.Commit=$commit"
base=k8s.io/component-base/version
kubernetes="-X $base.gitVersion=$version -X $base.gitMajor=1 -X $base.gitMinor=36 -X $base.gitTreeState=clean"
client=k8s.io/client-go/pkg/version
kubernetes="$kubernetes -X $client.gitVersion=$version -X $client.gitMajor=1 -X $client.gitMinor=36"
containerd=github.com/containerd/containerd/v2
plugins=github.com/containernetworking/plugins/plugins

work=$(mktemp -d "$out/.build.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/tools/bin" "$work/tools/cni"

say() { printf '%s k3s: %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
say "1/4 Kubernetes, kine and the supervisor (the longest step from cold: 3000 packages)"
go build -ldflags "-s -w $own $kubernetes" -o "$work/tools/bin/k3s" .
say "2/4 containerd, ctr, shim"
go build -ldflags "-s -w -X $containerd/version.Version=v2.3.2-k3s2" -o "$work/tools/bin/" \
  $containerd/cmd/containerd $containerd/cmd/containerd-shim-runc-v2 $containerd/cmd/ctr
say "3/4 crictl and the CNI plugins"
go build -ldflags "-s -w -X sigs.k8s.io/cri-tools/pkg/version.Version=v1.36.0-k3s2" -o "$work/tools/bin/" \
  sigs.k8s.io/cri-tools/cmd/crictl
go build -ldflags "-s -w" -o "$work/tools/cni/" $plugins/ipam/host-local $plugins/main/bridge $plugins/main/loopback \
  $plugins/meta/bandwidth $plugins/meta/firewall $plugins/meta/portmap
for name in kubectl kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet; do
  ln -s k3s "$work/tools/bin/$name"
done
say "4/4 bundle"
go build -ldflags "-s -w $own" -o "$work/launcher" ./launcher
go run ./bundler "$work/launcher" "$work/tools" "$work/k3s"
mv "$work/k3s" "$out/k3s"
say "done: $out/k3s, $(du -m "$out/k3s" | cut -f1) MB, $version ($commit)"
