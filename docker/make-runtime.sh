#!/bin/sh
# Fills the folder $1 with what Node needs of the Debian it is built on, and nothing else: no shell, no package
# manager, no set-uid program. Takes no network, so two builds on one base give the same files.
set -eu
root=$1
packages='base-files libc6 libgcc-s1 libstdc++6 tzdata'
user_id=10001

# Only libc's own charsets stay out of what the packages hold: Node brings ICU.
list_files() {
  dpkg --listfiles "$1" | while read -r path; do
    case $path in
      /usr/lib/*/gconv/* | /usr/share/gcc/* | /usr/share/gdb/* | /usr/share/lintian/*) continue ;;
    esac
    # A slim base has dropped manuals and translations that the list still names.
    if [ -L "$path" ] || [ -f "$path" ]; then echo "$path"; fi
  done
}

# Where scanners look for packages in an image without a package manager.
describe_package() {
  dpkg --status "$1" >"$root/var/lib/dpkg/status.d/$1"
  for sums in "/var/lib/dpkg/info/$1.md5sums" /var/lib/dpkg/info/"$1":*.md5sums; do
    if [ -f "$sums" ]; then cp "$sums" "$root/var/lib/dpkg/status.d/$1.md5sums"; fi
  done
}

copy() { sed 's,^/,,' | tar --create --directory=/ --no-recursion --files-from=- | tar --extract --directory="$root"; }

mkdir -p "$root/var/lib/dpkg/status.d" "$root/etc" "$root/proc" "$root/sys" "$root/dev" "$root/run"
# /lib and its like, where libraries are looked for by those names.
for path in /bin /lib /lib64 /sbin; do
  if [ -L "$path" ]; then
    echo "$path"
    mkdir -p "$root/$(readlink -f "$path")"
  fi
done | copy
for package in $packages; do
  list_files "$package" | copy
  describe_package "$package"
done

node=$(readlink -f "$(command -v node)")
install -D "$node" "$root/usr/local/bin/node"
if [ -f /usr/local/LICENSE ]; then install -D -m 644 /usr/local/LICENSE "$root/usr/share/doc/node/LICENSE"; fi

printf 'root:x:0:0:root:/:/sbin/nologin\nsd:x:%s:%s:sd:/nonexistent:/sbin/nologin\n' $user_id $user_id >"$root/etc/passwd"
printf 'root:x:0:\nsd:x:%s:\n' $user_id >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
install -d -m 1777 "$root/tmp"

# Without this check a Node that needs more would give an image that fails only where it is started.
ldd "$node" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' | while read -r library; do
  if [ ! -e "$root$library" ]; then
    echo "$node needs $library, which no package of \"$packages\" holds: add its package to them" >&2
    exit 1
  fi
done
