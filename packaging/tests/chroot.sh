#!/usr/bin/env bash
# Runs the static program in a folder without libc, /etc/hosts, users or certificates: chroot.sh PROGRAM
# `cargo xtask package --check` calls it in namespaces of network, processes and mounts.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
root=$(mktemp -d) chroot=$(command -v chroot)
trap 'kill $(jobs -p) 2>/dev/null; umount -l "$root/proc" "$root/dev"; rm -rf "$root"' EXIT
mkdir "$root"/{bin,data,dev,etc,proc,tmp}
cp "$1" "$root/bin/monitor"
cp "$(command -v busybox)" "$root/bin/busybox" # the command of tasks; static, too
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
ip link set lo up
python3 "$here/names.py" & # answers to *.example
echo nameserver 127.0.0.1 >"$root/etc/resolv.conf"

monitor() { env -i HOME=/data PATH=/bin TERM=xterm MONITOR_DATA=/data/server "$chroot" "$root" /bin/monitor "$@"; }
# Repeats a command until its output has a text.
expect() {
    local text=$1 output=
    shift
    for _ in $(seq 100); do
        output=$("$@" 2>&1) || true
        [[ $output == *"$text"* ]] && { echo "ok: ${*: -3}: $text"; return; }
        sleep 0.1
    done
    echo "FAILED: $* has no $text: $output" >&2
    exit 1
}

echo "── server and page"
monitor server --listen 127.0.0.1:60010 --agent off --alerts-file /etc/alerts.toml &
cat >"$root/etc/alerts.toml" <<'END'
[channel.mail]
kind = "mail"
server = "mail.example:2525"
tls = "none"
from = "monitor@a.example"
to = ["ops@a.example"]
[channel.local]
kind = "mail"
server = "localhost:2525"
tls = "none"
from = "monitor@a.example"
to = ["ops@a.example"]
[channel.hook]
kind = "webhook"
url = "http://hook.example:60019/"
private = true
[channel.secure]
kind = "webhook"
url = "https://hook.example:60020/"
private = true
END
expect '/assets/' curl -fsS http://127.0.0.1:60010/tasks
expect ok curl -fsS -o /dev/null -w ok http://127.0.0.1:60010/readyz
expect version monitor status --server http://localhost:60010
expect version monitor status --server http://127.0.0.1:60010

echo "── login"
printf 'correct horse battery' | monitor user add ada --role admin
expect 303 curl -sS -o /dev/null -w '%{http_code}' -d 'user=ada&password=correct+horse+battery' http://127.0.0.1:60010/login
expect 401 curl -sS -o /dev/null -w '%{http_code}' -d 'user=ada&password=wrong' http://127.0.0.1:60010/login
expect '/login?link=' monitor open

echo "── runs and batch tasks"
# Through a pipe, because monitor run records no output that goes to a file.
monitor run --name first -- /bin/busybox echo hello | cat
expect first monitor list
expect hello monitor logs 1
expect '/etc/passwd' monitor run --user of-ldap -- /bin/busybox true
monitor token create local --scope agent | monitor agent join http://localhost:60010 --data /data/agent --config /etc/agent.toml
monitor agent --config /etc/agent.toml &
expect added monitor task add --name gold -- /bin/busybox echo gold-is-here
expect ok monitor task run gold --wait
expect gold monitor list

echo "── copies"
monitor backup /tmp/copy.db
expect '' monitor check /tmp/copy.db

echo "── names: mail and HTTP"
aiosmtpd -n -l 127.0.0.1:2525 >"$root/tmp/mails" 2>&1 &
python3 "$here/names.py" hook 60019 &
expect took monitor alert test mail
expect took monitor alert test local
expect took monitor alert test hook
grep -q 'To: ops@a.example' "$root/tmp/mails"

echo "── TLS"
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=monitor.example -addext subjectAltName=DNS:monitor.example \
    -addext basicConstraints=critical,CA:FALSE -keyout "$root/etc/key.pem" -out "$root/etc/cert.pem" 2>/dev/null
printf 'correct horse battery' | monitor user add ada --role admin --data /data/tls
token=$(monitor token create t --scope admin --data /data/tls)
monitor server --listen 127.0.0.1:60020 --public-url https://monitor.example:60020 --tls-cert /etc/cert.pem --tls-key /etc/key.pem \
    --agent off --data /data/tls &
secure() { env -i HOME=/data MONITOR_TOKEN="$token" "$@"; }
expect version secure MONITOR_SERVER_CERT=/etc/cert.pem "$chroot" "$root" /bin/monitor status --server https://monitor.example:60020
# The built-in certificates are read, and none of them has signed this one.
expect UnknownIssuer secure "$chroot" "$root" /bin/monitor status --server https://monitor.example:60020
expect UnknownIssuer monitor alert test secure
echo "── the static program works without libraries"
