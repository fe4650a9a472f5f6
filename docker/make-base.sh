#!/bin/bash
# Makes what the Dockerfiles start from, Debian with Node and npm in /usr/local, where no registry of images can be
# reached: from Debian's mirror and npm's registry, by buildah, as the image $1. Needs root and debootstrap.
#   docker/make-base.sh IMAGE DEBIAN_SUITE NODE_VERSION
set -euo pipefail
image=$1 suite=$2 node_version=$3
npm_version=11.21.2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
debootstrap --variant=minbase --include=ca-certificates "$suite" "$work/root" >"$work/debootstrap.log" 2>&1 ||
  { tail -n 20 "$work/debootstrap.log" >&2 && exit 1; }
rm -rf "$work/root/var/cache/apt" "$work/root/var/lib/apt/lists"

platform=linux-$(node --print process.arch)
npm install --prefix "$work/npm" --no-save --ignore-scripts --no-audit --no-fund --loglevel=error \
  "node-$platform@$node_version" "npm@$npm_version"
mkdir -p "$work/root/usr/local/lib/node_modules"
cp "$work/npm/node_modules/node-$platform/bin/node" "$work/root/usr/local/bin/node"
cp -r "$work/npm/node_modules/npm" "$work/root/usr/local/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/root/usr/local/bin/npm"

# A machine behind a proxy that signs anew trusts more than Debian does.
authorities=${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}
cp "$authorities" "$work/root/etc/ssl/certs/ca-certificates.crt"

container=$(buildah from scratch)
buildah add --quiet "$container" "$work/root" / >/dev/null
buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  --env NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
  --env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt "$container"
buildah commit --quiet --rm "$container" "$image"
