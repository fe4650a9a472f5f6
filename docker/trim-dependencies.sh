#!/bin/sh
# Removes from the installation in $1 what no running program reads: source maps, type declarations, and
# ONNX Runtime for other systems and processors (290 MB of packages hold 45 MB for this one).
set -eu
store=$1/node_modules/.pnpm
find "$store" -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete

here=linux/$(node --print process.arch)
for runtime in "$store"/onnxruntime-node@*/node_modules/onnxruntime-node/bin/napi-v*; do
  [ -d "$runtime" ] || continue # an image that draws nothing
  find "$runtime" -mindepth 2 -maxdepth 2 ! -path "$runtime/$here" -exec rm -r {} +
  find "$runtime" -type d -empty -delete
  # Fails the build where this processor has no runtime.
  ls "$runtime/$here/onnxruntime_binding.node"
done
