#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# First and only process of the nested guest: says how long it took, and switches off.
/bin/busybox mkdir -p /proc
/bin/busybox mount -t proc proc /proc
echo "guest is up after $(/bin/busybox cut -d' ' -f1 /proc/uptime) s"
/bin/busybox poweroff -f
