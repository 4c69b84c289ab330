#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# An uncompressed initramfs whose /init is the proof: make-initramfs.sh OUT.cpio [PROGRAM]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: make-initramfs.sh OUT.cpio [PROGRAM]}
mkdir -p "$(dirname "$out")"
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
if [ $# -gt 1 ]; then
	cp "$2" "$root/init"
else
	"$here/build.sh" "$root/init"
fi
chmod 755 "$root" "$root/init"
strip "$root/init"
mkdir "$root/proc" "$root/sys" "$root/dev"
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc --reproducible -R 0:0) >"$out.tmp"
mv "$out.tmp" "$out"
