#!/bin/sh
# Makes the image $1 from this machine's static busybox: no registry is asked.
set -eu
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/tmp"
chmod 1777 "$root/tmp"
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in $(busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
tar -c -C "$root" . | docker import --change 'ENV PATH=/bin' --change 'CMD ["sh"]' - "$1" > /dev/null
