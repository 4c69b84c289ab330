#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing of the packages that tools/packages lists, and says what.
#
# Usage: setup.sh GROUP...   (build, lab, load, intel, test, lint)
#
# Calls apt-get only when something is missing, with sudo when not root. The group "lab" also makes
# sure that `apt-get download` can find the kernels that lab/kernels.sh will ask for, and the group
# "load" is nothing but that for the packages that a guest runs (bench/guest/fetch.sh).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=$here/../build/lab-cache

[ $# -ge 1 ] || { echo "usage: setup.sh GROUP..." >&2; exit 2; }
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "setup: not a Debian system; install by hand what $here/packages lists" >&2
	exit 0
fi

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		DEBIAN_FRONTEND=noninteractive "$@"
	elif command -v sudo >/dev/null; then
		sudo DEBIAN_FRONTEND=noninteractive "$@"
	else
		echo "setup: neither root nor sudo; run as root: $*" >&2
		return 1
	fi
}

installed() {
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

update() {
	echo "setup: apt-get update" >&2
	as_root apt-get -qq -o DPkg::Lock::Timeout=300 update
}

install() {
	as_root apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 \
		-o Dpkg::Use-Pty=0 install "$@" >/dev/null
}

missing=
for group in "$@"; do
	packages=$(awk -v group="$group" '$1 == group { print $2 }' "$here/packages")
	[ -n "$packages" ] || { echo "setup: no group $group in $here/packages" >&2; exit 2; }
	[ "$group" != load ] || continue
	for package in $packages; do
		# pkg-config is also provided by pkgconf, which has replaced it.
		[ "$package" = pkg-config ] && command -v pkg-config >/dev/null && continue
		installed "$package" || missing="$missing $package"
	done
done

if [ -n "$missing" ]; then
	echo "setup: installing$missing" >&2
	# shellcheck disable=SC2086 # a list of words
	{ apt-cache show $missing >/dev/null 2>&1 || update; }
	# The list of packages may be older than the archive: refresh it once.
	# shellcheck disable=SC2086
	install $missing || { update && install $missing; }
fi

# Kernels are fetched once; a list that is out of date names files that are gone.
case " $* " in
*" lab "*)
	if [ ! -e "$cache/host/version" ] || [ ! -e "$cache/guest/version" ]; then
		update || apt-cache show linux-image-amd64 >/dev/null
	fi
	;;
*" load "*) [ -e "$cache/load/packages" ] || update || true ;;
esac
