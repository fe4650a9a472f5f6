#!/bin/bash
# Builds the three images for real and draws a picture with them, where no container engine and no registry of images
# is at hand: buildah runs the Dockerfiles on a base made of Debian's and npm's packages, and docker/verify/main.ts
# starts what they made. Needs root, Debian's buildah, debootstrap and redis-server, Node 24 and npm.
#   docker/verify.sh [WORK_DIR]
# WORK_DIR keeps the built layers for the next run, the logs and the picture. Where the kernel has no overlay file
# system, STORAGE_DRIVER=vfs does, slowly.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "$1" >&2
  exit 1
}

for program in buildah debootstrap redis-server node npm unshare setpriv; do
  command -v "$program" >/dev/null || fail "$program is missing (on Debian: apt-get install buildah debootstrap redis-server)."
done
[ "$(id -u)" = 0 ] || fail 'This mounts and changes roots: run it as root.'

work=$(realpath --canonicalize-missing "${1:-${TMPDIR:-/tmp}/sdcpu-images}")
mkdir -p "$work/tmp"
export TMPDIR=$work/tmp BUILDAH_ISOLATION=chroot CONTAINERS_STORAGE_CONF=$work/storage.conf
cat >"$CONTAINERS_STORAGE_CONF" <<CONF
[storage]
driver = "${STORAGE_DRIVER:-overlay}"
graphroot = "$work/storage"
runroot = "$work/run"
CONF

# The base that the Dockerfiles name, `…/node:<version>-<suite>-slim`, as far as it can be made here.
base=$(sed -n 's/^ARG BASE=//p' docker/api.Dockerfile)
[[ $base =~ node:([0-9.]+)-([a-z]+)-slim ]] || fail "the base $base is no Node image"
node_version=${BASH_REMATCH[1]} suite=${BASH_REMATCH[2]}
local_base=localhost/sdcpu-base:$node_version-$suite
if ! buildah images --quiet "$local_base" >"$work/base.log" 2>&1; then
  echo "Making the base $local_base..."
  docker/make-base.sh "$local_base" "$suite" "$node_version" >"$work/base.log" 2>&1 ||
    fail "the base could not be made; see $work/base.log"
fi

images=()
for part in api worker web; do
  image=localhost/stable-diffusion-cpu-$part
  echo "Building $image..."
  # Docker's format, because the other one has no health checks.
  buildah bud --format docker --layers --build-arg "BASE=$local_base" --file "docker/$part.Dockerfile" \
    --tag "$image" . >"$work/$part.log" 2>&1 || fail "$image could not be built; see $work/$part.log"
  images+=("$image")
done

node docker/verify/main.ts "$work" "${images[@]}"
