# Debian's Alertmanager from a folder that its package was unpacked into: it reads templates in /usr/share, so it gets a view of the file
# system of its own, in which they are there.
#
# unshare --map-root-user --mount sh alertmanager.sh FOLDER ARGS…
set -e
folder=$1
shift
mount -t overlay overlay -o "lowerdir=$folder/usr/share:/usr/share" /usr/share
exec "$folder/usr/bin/prometheus-alertmanager" "$@"
