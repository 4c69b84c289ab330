#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The proof's own test, as an ordinary process and in TAP: it passes on this machine, every check
# notices its sabotage, and a misspelt parameter is refused.
set -u
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n=0
failed=0

tell() { # STATUS DESCRIPTION
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		failed=1
	fi
}

"$here/build.sh" "$dir/proof" || exit 1
cpus=$(getconf _NPROCESSORS_ONLN)

"$dir/proof" --native >"$dir/good"
status=$?
[ $status -eq 0 ] || sed 's/^/# /' "$dir/good"
tell $status "the proof passes"
sed -n 's/^PROOF //p' "$dir/good" | python3 -m json.tool >/dev/null
tell $? "its last line but one is JSON"

# One CPU more than there are is an expectation that cannot be met: numa's sabotage.
all=sweep,atomics,litmus,procs,shootdown,signals,clock
"$dir/proof" --native proof.sabotage=$all proof.expect_cpus=$((cpus + 1)) >"$dir/bad"
status=$?
tell $((status != 1)) "the spoilt proof fails"
for name in $(sed -n 's/^proof: \([^ ]*\) ok .*/\1/p' "$dir/good"); do
	grep -qF "proof: $name FAIL " "$dir/bad"
	tell $? "$name notices its sabotage"
done

"$dir/proof" --native proof.skip=sweep proof.seconds=0 >"$dir/brief"
status=$?
[ $status -eq 0 ] || sed 's/^/# /' "$dir/brief"
tell $status "every check does something, however little time it has"

"$dir/proof" --native proof.only=numa proof.expect_cpu=1 >"$dir/word"
grep -qx 'PROOF-RESULT FAIL parameter proof.expect_cpu=1' "$dir/word"
tell $? "a misspelt parameter is refused"
"$dir/proof" --native proof.only=storm proof.seconds=60 proof.scale=100 proof.timeout=1 >"$dir/slow"
grep -q '^proof: storm FAIL .*not done after 1 s' "$dir/slow"
tell $? "a check that takes too long is killed"

echo "1..$n"
exit $failed
