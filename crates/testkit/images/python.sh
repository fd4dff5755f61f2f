#!/bin/sh
# Makes the image $1 from this machine's own Python, a static busybox and the packages in folder $2: no registry is asked.
# What a Dockerfile says `FROM` it finds a shell, python3 and pip there, and the packages installed.
set -eu
name=$1
packages=$2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
prefix=$(python3 -c 'import sys; print(sys.base_prefix)')
version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
library=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
program=$(python3 -c 'import os, sys; print(os.path.realpath(sys._base_executable))')
mkdir -p "$root/bin" "$root/tmp" "$root/usr/local/bin" "$root/usr/local/packages" "$root$library" "$root$(dirname "$program")"
chmod 1777 "$root/tmp"
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in $(busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
cp "$program" "$root$program"
ln -s "$program" "$root/usr/local/bin/python3"
printf '#!/bin/sh\nexec python3 -m pip "$@"\n' > "$root/usr/local/bin/pip"
chmod +x "$root/usr/local/bin/pip"
(cd "$library" && tar -c --exclude=test --exclude=tests --exclude=__pycache__ --exclude=idlelib --exclude=tkinter \
    --exclude=config-* --exclude=site-packages --exclude=*.a .) | tar -x -C "$root$library"
pip=$(python3 -c 'import os, pip; print(os.path.dirname(pip.__file__))')
cp -r "$pip" "$pip"-*.dist-info "$root/usr/local/packages/" 2>/dev/null || cp -r "$pip" "$root/usr/local/packages/"
cp -r "$packages"/. "$root/usr/local/packages/"
# Every library that the interpreter and its modules load.
find "$library/lib-dynload" -name '*.so' -print | xargs ldd "$program" 2>/dev/null | awk '/=> \// {print $3} /^\t\// {print $1}' | sort -u |
    while read -r file; do
        mkdir -p "$root$(dirname "$file")"
        cp -L "$file" "$root$file"
    done
mkdir -p "$root/etc"
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' > "$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' > "$root/etc/group"
tar -c -C "$root" . | docker import \
    --change "ENV PATH=/usr/local/bin:/bin PYTHONHOME=$prefix PYTHONPATH=/usr/local/packages" \
    --change 'CMD ["python3"]' - "$name" > /dev/null
echo "$name: python $version"
