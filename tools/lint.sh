#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Everything about the sources that needs no run: lint.sh, from anywhere. Goes on after a failure,
# so that one run tells all. The build with gcc is part of `make lint`.
#
# shellcheck disable=SC2317 # steps are called by their name
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0

step() { # NAME COMMAND...
	name=$1
	shift
	if "$@"; then
		echo "lint: $name ok"
	else
		echo "lint: $name FAILED"
		failed=1
	fi
}

files() { # PATTERN...: of git, as far as they exist
	git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
		[ ! -f "$file" ] || echo "$file"
	done
}

formatting() {
	files '*.c' '*.h' | xargs clang-format --dry-run -Werror 2>&1 |
		awk -F: '/: error: / && !seen[$1]++ { print $1 ": not formatted; make format"; bad = 1 }
			 END { exit bad }'
}

clang_build() {
	[ -e build-clang/build.ninja ] || CC=clang meson setup build-clang >/dev/null || return 1
	ninja -C build-clang --quiet -j "$(nproc)"
}

# What the product is made of, by the compile commands of the build above.
clang_tidy() {
	files '*.c' | grep -vE '^(tests|bench|lab)/' |
		xargs -P "$(nproc)" -n 4 clang-tidy -p build-clang --quiet 2>/dev/null
}

shell_scripts() {
	# SC2187: busybox scripts are checked as dash, which is what we want.
	files '*.sh' .ci/run | xargs shellcheck -S warning -e SC2187
}

python_syntax() {
	files '*.py' tests/run | xargs python3 -c '
import ast, sys
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        ast.parse(file.read(), path)'
}

manual_pages() {
	files 'man/*' | xargs mandoc -T lint -W warning
}

# A longer file is two ideas. Blank lines are free.
length_of_files() {
	files '*.c' '*.h' '*.py' '*.sh' tests/run | xargs grep -c . |
		awk -F: '$2 > 600 { print $1 ": " $2 " lines, more than 600"; bad = 1 }
			 END { exit bad }'
}

licence() {
	without=$(files '*.c' '*.h' '*.py' '*.sh' '*.m' Makefile tests/run .ci/run |
		xargs grep -L 'SPDX-License-Identifier: Apache-2.0')
	[ -z "$without" ] || { echo "without a licence line:" "$without"; return 1; }
}

step "formatting" formatting
step "layers" python3 tools/layers.py .
step "clang" clang_build
step "clang-tidy" clang_tidy
step "shell scripts" shell_scripts
step "python" python_syntax
step "manual pages" manual_pages
step "length of files" length_of_files
step "licence lines" licence
exit $failed
