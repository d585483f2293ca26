#!/usr/bin/env bash
# Builds the container image, and runs the server in it as a container runtime would: container.sh FOLDER
# FOLDER has the Containerfile. The root is read-only, and the user has no name. `cargo xtask package --check` calls it in namespaces of
# network, processes and mounts.
set -euo pipefail
work=$(mktemp -d) chroot=$(command -v chroot)
trap 'kill $(jobs -p) 2>/dev/null; umount -R -l "$work/root" "$work/storage" 2>/dev/null; rm -rf "$work"' EXIT
images() { buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }
images build --isolation chroot --tag process-monitor "$1" 2>&1 | grep -v HEALTHCHECK
container=$(images from process-monitor)
mkdir "$work/root"
mount --bind "$(images mount "$container")" "$work/root"
mkdir "$work/root/dev" "$work/root/proc"
mount -o remount,bind,ro "$work/root"
mount --bind /dev "$work/root/dev"
mount -t proc proc "$work/root/proc"
owner=$(stat -c %u:%g "$work/root/data")
# A new volume gets owner and mode of the folder in the image.
mount -t tmpfs -o "uid=${owner%:*},gid=${owner#*:},mode=$(stat -c %a "$work/root/data")" volume "$work/root/data"
ip link set lo up
ip address add 10.60.0.10/32 dev lo
read -ra environment < <(sed -n 's/^ENV //p' "$1/Containerfile")
user=$(sed -n 's/^USER //p' "$1/Containerfile")
monitor() { env -i "${environment[@]}" "$chroot" --userspec="$user" "$work/root" /usr/bin/monitor "$@"; }
monitor version
if monitor server >"$work/refusal" 2>&1 || ! grep -q 'monitor user add' "$work/refusal"; then
    echo "FAILED: without users the server must end and name the remedy: $(cat "$work/refusal")" >&2
    exit 1
fi
printf 'correct horse battery' | monitor user add ada --role admin
monitor server &
# The probes of Kubernetes request the address of the pod.
for _ in $(seq 100); do curl -fs -o "$work/ready" http://10.60.0.10:60010/readyz && break; sleep 0.1; done
curl -fsS http://10.60.0.10:60010/healthz
monitor status
echo "── the container's file system works, read-only, as user $owner"
