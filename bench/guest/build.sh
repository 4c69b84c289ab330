#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the guest that is measured as one static program: build.sh OUT
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: build.sh OUT}
mkdir -p "$(dirname "$out")"
exec "${CC:-gcc}" -static -O2 -g0 -std=gnu17 -D_GNU_SOURCE -I "$here/../.." \
	-Wall -Wextra -Werror -Wconversion -Wno-sign-conversion -Wshadow -Wundef \
	-Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-unused-parameter \
	-Wimplicit-fallthrough -Wformat=2 -Wpointer-arith -Wno-missing-field-initializers \
	-fno-strict-aliasing -fno-common -o "$out" "$here"/*.c
