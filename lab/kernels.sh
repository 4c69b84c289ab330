#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches the newest Debian kernels into CACHE without installing them.
#
# Usage: kernels.sh CACHE
#
#   CACHE/host   generic kernel: what an emulated host runs (kvm-amd, 9p, virtio, rdma_rxe)
#   CACHE/guest  cloud kernel: the stock guest that boots fastest
#
# Each holds boot/vmlinuz-VERSION, lib/modules/VERSION with its modules.dep, and a file `version`.
# Nothing is installed: a kernel package's maintainer scripts would rebuild the machine's own
# initramfs and boot menu. Needs apt-get, dpkg-deb, depmod; no root.
set -eu

[ $# -eq 1 ] || { echo "usage: kernels.sh CACHE" >&2; exit 2; }
mkdir -p "$1"
cache=$(cd "$1" && pwd)
work=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP

# The metapackage (linux-image-amd64) names the package that really holds the kernel.
real_package() {
	apt-cache depends "$1" | awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }'
}

fetch() {
	into=$1
	meta=$2
	package=$(real_package "$meta")
	[ -n "$package" ] || { echo "kernels.sh: $meta names no kernel; run apt-get update" >&2; exit 1; }
	version=${package#linux-image-}
	if [ -f "$cache/$into/version" ] && [ "$(cat "$cache/$into/version")" = "$version" ]; then
		return
	fi
	echo "fetching $package" >&2
	mkdir -p "$work/$into"
	(cd "$work" && apt-get download -q "$package" >/dev/null)
	dpkg-deb -x "$work/$package"_*.deb "$work/$into"
	# Newer releases ship the modules below usr/lib, where depmod -b does not look.
	[ -e "$work/$into/lib" ] || ln -s usr/lib "$work/$into/lib"
	# By its path: a user's PATH may lack /sbin.
	/sbin/depmod -b "$work/$into" "$version"
	echo "$version" >"$work/$into/version"
	rm -rf "${cache:?}/$into"
	mv "$work/$into" "$cache/$into"
}

fetch host linux-image-amd64
fetch guest linux-image-cloud-amd64
