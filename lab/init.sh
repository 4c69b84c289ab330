#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# First process of an emulated host: modules, the machine's root as a chroot, network, agent.
#
# Kernel command line: lab.host=I lab.hosts=N lab.slots=S lab.shares=PATH:PATH (9p tags share0...).
# Whatever fails ends the host (panic=-1 and -no-reboot), so `lab.py up` sees it at once.
set -e
/bin/busybox mkdir -p /proc /sys /dev /root
/bin/busybox --install -s /bin
export PATH=/bin

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev

option() {
	sed -n "s/.*\\b$1=\\([^ ]*\\).*/\\1/p" /proc/cmdline
}
self=$(option lab.host)
hosts=$(option lab.hosts)
slots=$(option lab.slots)
shares=$(option lab.shares)

while read -r module; do
	insmod "/lab/modules/$module"
done </lab/modules.list

ninep=trans=virtio,version=9p2000.L,msize=262144
# The machine's root does not change while the lab runs, as far as the lab is concerned, so it may
# be cached without asking again. Shares are where things are built and written: never stale.
mount -t 9p -o "$ninep,cache=loose,ro" root /root
mount -t proc proc /root/proc
mount -t sysfs sysfs /root/sys
mount -t devtmpfs dev /root/dev
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /root/dev/pts
mount -t tmpfs tmpfs /root/dev/shm
mount -t tmpfs tmpfs /root/run
mount -t tmpfs tmpfs /root/tmp
ln -sf /proc/self/fd /root/dev/fd
ln -sf /proc/self/fd/0 /root/dev/stdin
ln -sf /proc/self/fd/1 /root/dev/stdout
ln -sf /proc/self/fd/2 /root/dev/stderr

share=0
IFS=:
for path in $shares; do
	mkdir -p "/root$path"
	mount -t 9p -o "$ninep,cache=none" "share$share" "/root$path"
	share=$((share + 1))
done
unset IFS

# One point-to-point link for every other host; the MAC address ends in SELF:PEER. All links carry
# the same own address, so a host has one address however many links it has.
hostname "host$self"
ip link set lo up
own=10.77.0.$((self + 1))
for nic in /sys/class/net/*; do
	mac=$(cat "$nic/address")
	case $mac in
	52:54:00:77:*)
		peer=$((0x${mac##*:}))
		ip link set "${nic##*/}" name "to$peer"
		ip link set "to$peer" mtu 65000 up
		ip addr add "$own" peer "10.77.0.$((peer + 1))" dev "to$peer"
		;;
	esac
done

mkdir -p /root/run/lab
cp /bin/busybox /lab/agent /root/run/lab/
{
	echo "127.0.0.1 localhost"
	host=0
	while [ "$host" -lt "$hosts" ]; do
		echo "10.77.0.$((host + 1)) host$host"
		host=$((host + 1))
	done
} >/root/run/lab/hosts
mount --bind /root/run/lab/hosts /root/etc/hosts

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/tmp LANG=C.UTF-8 LAB_HOST="$self" LAB_HOSTS="$hosts"
exec /bin/chroot /root /run/lab/agent "$slots"
