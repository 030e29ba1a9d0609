#!/usr/bin/env bash
# Remove k3s from this host: containers, configuration, datastore and tokens.
# The applications' volumes below storage/ go too, unless K3S_KEEP_STORAGE=1.
set -u
if [ "$(id -u)" -ne 0 ]; then exec sudo --preserve-env=K3S_KEEP_STORAGE,K3S_DATA_DIR "$0" "$@"; fi
data=${K3S_DATA_DIR:-/var/lib/rancher/k3s}
case $data in /*/*) ;; *)
    echo "refusing to remove '$data'" >&2
    exit 1
    ;;
esac

/usr/local/bin/k3s-killall.sh

for unit in /etc/systemd/system/k3s*.service; do
    [ -f "$unit" ] || continue
    name=$(basename "$unit")
    systemctl disable "$name"
    systemctl reset-failed "$name" 2>/dev/null
    rm -rf "$unit" "$unit.env" "$unit.d"
done
systemctl daemon-reload

for tool in kubectl crictl ctr; do
    if [ -L "/usr/local/bin/$tool" ]; then rm -f "/usr/local/bin/$tool"; fi
done

# Volumes may be mounts of their own: empty what is mounted, remove what is not.
remove() {
    local path=$1 entry
    if mountpoint -q "$path"; then
        for entry in "$path"/* "$path"/.[!.]*; do
            if [ -e "$entry" ] || [ -L "$entry" ]; then remove "$entry"; fi
        done
    else
        rm -rf "$path"
    fi
}

for entry in "$data"/* "$data"/.[!.]*; do
    [ -e "$entry" ] || [ -L "$entry" ] || continue
    if [ "${K3S_KEEP_STORAGE:-0}" = 1 ] && [ "$(basename "$entry")" = storage ]; then continue; fi
    remove "$entry"
done
rmdir "$data" 2>/dev/null
for path in /etc/rancher/k3s /run/k3s /run/flannel /var/lib/kubelet; do
    if [ -e "$path" ]; then remove "$path"; fi
done
# Below these, killed shims leave records and sockets; another container runtime of this host may use the same places.
containerd_lives() { ps -e -o stat= -o comm= | awk '$1 !~ /^Z/ && $2 ~ /^containerd/ {n++} END {exit !n}'; }
containerd_lives || rm -rf /run/containerd
if [ -d /run/netns ] && [ -z "$(ls -A /run/netns)" ]; then
    umount /run/netns 2>/dev/null
    rmdir /run/netns
fi
rm -f /usr/local/bin/k3s /usr/local/bin/k3s-killall.sh /usr/local/bin/k3s-uninstall.sh
exit 0
