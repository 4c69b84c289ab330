#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches the packages that a guest's loads are from, group "load" of tools/packages, and unpacks them
# into CACHE/load/root. Nothing is installed. A CACHE/load/packages that lists the same stays as it is.
#
# Usage: fetch.sh CACHE
set -eu

[ $# -eq 1 ] || { echo "usage: fetch.sh CACHE" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cache=$(cd "$1" && pwd)
packages=$(awk '$1 == "load" { print $2 }' "$here/../../tools/packages")

exec 9>"$cache/load.lock"
flock 9
[ ! -f "$cache/load/packages" ] || [ "$(cat "$cache/load/packages")" != "$packages" ] || exit 0
work=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
echo "fetching $(echo "$packages" | wc -l) packages for the guest" >&2
mkdir "$work/deb" "$work/load"
# shellcheck disable=SC2086 # a list of words
(cd "$work/deb" && apt-get download -q $packages >"$work/told" 2>&1) || {
	tail -3 "$work/told" >&2
	echo "fetch.sh: not all can be had; run apt-get update" >&2
	exit 1
}
for file in "$work"/deb/*.deb; do
	dpkg-deb -x "$file" "$work/load/root"
done
echo "$packages" >"$work/load/packages"
rm -rf "${cache:?}/load"
mv "$work/load" "$cache/load"
