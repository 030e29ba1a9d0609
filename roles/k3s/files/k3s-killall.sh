#!/usr/bin/env bash
# Stop k3s and everything that it started: containers, mounts, network. The cluster's data stays.
# Containers are killed at once: drain the node or scale the databases down first when they should end in order.
set -u
if [ "$(id -u)" -ne 0 ]; then exec sudo "$0" "$@"; fi
data=${K3S_DATA_DIR:-/var/lib/rancher/k3s}
export PATH="$PATH:$data/data/current/bin:$data/data/current/bin/aux"

stop_units() {
    local unit
    for unit in /etc/systemd/system/k3s*.service; do
        if [ -f "$unit" ]; then systemctl stop "$(basename "$unit")"; fi
    done
}

# A process and all of its descendants, parents last.
tree() {
    local pid child
    for pid in "$@"; do
        for child in $(ps -e -o pid= -o ppid= | awk -v parent="$pid" '$2 == parent {print $1}'); do tree "$child"; done
        echo "$pid"
    done
}

kill_containers() {
    local shims pids
    shims=$(ps -e -o pid= -o args= | awk -v shim="^$data/data/[^/]*/bin/containerd-shim" '$2 ~ shim {print $1}')
    [ -n "$shims" ] || return 0
    # shellcheck disable=SC2086 # one word per process
    pids=$(tree $shims)
    # shellcheck disable=SC2086
    kill -9 $pids 2>/dev/null
    return 0
}

unmount_below() {
    local mount
    awk -v path="$1" 'index($2, path) == 1 {print $2}' /proc/self/mounts | sort -r | while read -r mount; do
        umount -f "$mount" 2>/dev/null || umount -l "$mount" 2>/dev/null
    done
    awk -v path="$1" 'index($2, path) == 1 {found = 1} END {exit found}' /proc/self/mounts || return 0
    case $1 in /run/netns/cni-) rm -rf "$1"* ;; *) rm -rf "$1" ;; esac
}

remove_network() {
    local name
    ip netns list 2>/dev/null | awk '$1 ~ /^cni-/ {print $1}' | while read -r name; do ip netns delete "$name"; done
    ip -o link show 2>/dev/null | awk '/ master cni0 / {sub(/[@:].*/, "", $2); print $2}' | while read -r name; do
        ip link delete "$name" 2>/dev/null
    done
    for name in cni0 flannel.1 flannel-v6.1 kube-ipvs0 flannel-wg flannel-wg-v6; do
        ip link delete "$name" 2>/dev/null
    done
    rm -rf /var/lib/cni/
    for name in iptables ip6tables; do
        if command -v "$name-save" >/dev/null; then
            "$name-save" | grep -v -e KUBE- -e CNI- -e flannel | "$name-restore"
        fi
    done
}

stop_units
kill_containers
for path in /run/k3s /var/lib/kubelet/pods /var/lib/kubelet/plugins /run/netns/cni-; do unmount_below "$path"; done
remove_network
exit 0
