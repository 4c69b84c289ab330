#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# First process of the Intel host: loads KVM, runs /lab/command, tells its status, powers off.
#
# The second serial line carries what the command prints, the third its exit status. The first is
# the kernel's console.
/bin/busybox mkdir -p /proc /sys /dev /tmp /run
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp XDG_RUNTIME_DIR=/run LANG=C.UTF-8

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
ln -sf /proc/self/fd /dev/fd
ip link set lo up
for line in /dev/ttyS1 /dev/ttyS2; do
	stty -F $line raw
done

while read -r module options; do
	# shellcheck disable=SC2086 # several options
	insmod "/lab/modules/$module" $options || echo "intel: $module: not loaded"
done </lab/modules.list

# By a pipe, for a command that writes otherwise to a terminal.
mkfifo /lab/output
cat /lab/output >/dev/ttyS1 &
/bin/sh /lab/command </dev/null >/lab/output 2>&1
status=$?
wait
echo $status >/dev/ttyS2
poweroff -f
