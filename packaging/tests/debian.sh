#!/usr/bin/env bash
# Installs, upgrades, downgrades and removes the packages in a copy of a new Debian: debian.sh BASE PACKAGES
# BASE is a folder made by debootstrap, and stays unchanged. The commands of the units run by hand, because there is no systemd in it.
# `cargo xtask package --check` calls it in namespaces of network, processes and mounts.
set -euo pipefail
base=$1 packages=$2
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; umount -R -l "$work/root" "$work" 2>/dev/null; rm -rf "$work"' EXIT
mount -t tmpfs tmpfs "$work"
mkdir "$work"/{upper,other,root,debs}
mount -t overlay overlay -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/other" "$work/root"
root=$work/root
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
ip link set lo up
export DEBIAN_FRONTEND=noninteractive HOME=/root LC_ALL=C.UTF-8

inside() { chroot "$root" "$@"; }
as_server() { inside runuser -u monitor -- env MONITOR_DATA=/var/lib/monitor "$@"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
# Repeats a command until its output has a text.
expect() {
    local text=$1 output=
    shift
    for _ in $(seq 150); do
        output=$("$@" 2>&1) || true
        [[ $output == *"$text"* ]] && { echo "ok: ${*: -3}: $text"; return; }
        sleep 0.1
    done
    fail "$* has no $text: $output"
}
# Prints the values of a key of an installed unit.
unit() { sed -n "s/^$2=//p" "$root/lib/systemd/system/$1.service"; }
# Runs the commands of a unit as systemd would, and sets `pid`.
start() {
    local user program state
    user=$(unit "$1" User) state=$(unit "$1" StateDirectory)
    [[ -d $root/var/lib/$state ]] || install -d -m 700 ${user:+-o "$(inside id -u "$user")" -g "$(inside id -g "$user")"} "$root/var/lib/$state"
    [[ -z $(unit "$1" RuntimeDirectory) ]] || install -d -m "$(unit "$1" RuntimeDirectoryMode)" \
        -o "$(inside id -u "$user")" -g "$(inside id -g "$user")" "$root/run/$(unit "$1" RuntimeDirectory)"
    [[ -z $(unit "$1" ExecStartPre) ]] || inside "$(unit "$1" ExecStartPre)"
    mapfile -t environment < <(unit "$1" Environment)
    read -ra program < <(unit "$1" ExecStart)
    user=${user:-root}
    (exec chroot "$root" setpriv --reuid="$user" --regid="$user" --init-groups env HOME="/var/lib/$state" "${environment[@]}" "${program[@]}") &
    pid=$!
}
stop() { kill "$1" && wait "$1" || true; }
# Makes a copy of the packages with another version.
with_version() {
    for package in "$packages"/*.deb; do
        dpkg-deb -R "$package" "$work/debs/tree"
        sed -i "s/\b$version\b/$1/g" "$work"/debs/tree/DEBIAN/{control,preinst}
        dpkg-deb --root-owner-group -b "$work/debs/tree" "$root/tmp" >/dev/null
        rm -r "$work/debs/tree"
    done
}
installed() { inside dpkg-query -W -f '${Version} ${db:Status-Status}' "$1" 2>/dev/null || true; }

version=$(dpkg-deb -f "$packages"/monitor_*_all.deb Version)
cp "$packages"/*.deb "$root/tmp"

echo "── install $version"
begin=$(date +%s%N)
expect http://127.0.0.1:60010/tasks inside sh -c "apt-get install -y --no-install-recommends /tmp/monitor_${version}_all.deb /tmp/monitor-bin_${version}_*.deb"
inside monitor version
for file in etc/monitor/server.toml usr/share/man/man1/monitor-run.1.gz usr/share/bash-completion/completions/monitor \
    usr/share/zsh/vendor-completions/_monitor usr/share/fish/vendor_completions.d/monitor.fish; do
    [[ -f $root/$file ]] || fail "no $file"
done
[[ $(stat -c '%a %G' "$root/etc/monitor/server.toml") == "640 "* ]] || fail "everyone can read the settings"
[[ -L $root/etc/systemd/system/multi-user.target.wants/monitor.service ]] || fail "the server is not enabled"
[[ -L $root/etc/systemd/system/multi-user.target.wants/monitor-agent.service ]] || fail "the agent is not enabled"
exposure=$(systemd-analyze security --offline=true --root="$root" --threshold=30 monitor.service | tail -1) || fail "$exposure"
echo "$exposure"
start monitor; server=$pid
expect '/assets/' curl -fsS http://127.0.0.1:60010/tasks
echo "ok: the page $((($(date +%s%N) - begin) / 1000000)) ms after the begin of the installation"
expect '/login?link=' as_server monitor open
inside adduser --quiet --disabled-password --gecos '' ada
expect 'in the group' inside runuser -u ada -- monitor open
inside adduser --quiet ada monitor
expect '/login?link=' inside runuser -u ada -- monitor open
expect '/login?link=' inside env HOME=/root monitor open
start monitor-agent; agent=$pid
expect local as_server monitor host list
printf 'name = "from-file"\ncommand = ["echo", "works"]\n' >"$root/etc/monitor/tasks/from-file.toml"
expect from-file inside monitor task list --data /var/lib/monitor-agent
expect added as_server monitor task add --name gold -- echo gold
expect ok as_server monitor task run gold --wait
expect gold as_server monitor list

echo "── upgrade"
stop "$agent"; stop "$server"
with_version 999.0
inside sh -c "apt-get install -y --no-install-recommends /tmp/monitor_999.0_all.deb /tmp/monitor-bin_999.0_*.deb" >/dev/null
[[ $(installed monitor) == "999.0 installed" ]] || fail "no upgrade"
start monitor; server=$pid
expect gold as_server monitor list
stop "$server"

echo "── a downgrade is refused"
expect "is older" inside dpkg -i "/tmp/monitor_${version}_all.deb"
[[ $(installed monitor) == "999.0 installed" ]] || fail "$(installed monitor) after a refused downgrade"
expect "is older" inside sh -c "dpkg -i /tmp/monitor-bin_${version}_*.deb"
[[ $(installed monitor-bin) == "999.0 installed" ]] || fail "$(installed monitor-bin) after a refused downgrade"

echo "── remove and purge"
inside dpkg -r monitor >/dev/null
[[ -f $root/var/lib/monitor/monitor.db && -f $root/etc/monitor/server.toml ]] || fail "removal deleted data"
inside dpkg -P monitor monitor-bin >/dev/null
[[ ! -e $root/var/lib/monitor && ! -e $root/var/lib/monitor-agent && ! -e $root/etc/monitor/server.toml ]] || fail "purge left data"

echo "── the agent of a further machine"
rm "$root"/tmp/*_999.0_*
expect "has no server yet" inside sh -c "apt-get install -y --no-install-recommends /tmp/monitor-agent_${version}_all.deb /tmp/monitor-bin_${version}_*.deb"
grep -q ^ConditionPathExists=/var/lib/monitor-agent/agent.toml "$root/lib/systemd/system/monitor-agent.service" || fail "starts without settings"
inside env MONITOR_DATA=/srv/server MONITOR_AGENT=off monitor server &
expect ok curl -fsS -o /dev/null -w ok http://127.0.0.1:60010/readyz
inside monitor token create db-1 --scope agent --data /srv/server >"$root/tmp/token"
expect "wrote /var/lib/monitor-agent/agent.toml" inside sh -c 'monitor agent join http://127.0.0.1:60010 < /tmp/token'
start monitor-agent; agent=$pid
expect db-1 inside env MONITOR_DATA=/srv/server monitor host list
stop "$agent"
inside dpkg -P monitor-agent >/dev/null
[[ ! -e $root/var/lib/monitor-agent ]] || fail "purge left data"
echo "── the packages install, upgrade and purge"
