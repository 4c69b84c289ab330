/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who receives an interrupt message: pure destination matching for IPIs, I/O APIC and MSI.
 *
 * Supported: physical ids of 32 bits; logical destinations in x2APIC form (cluster = id >> 4, bit =
 * id & 15); broadcast; the four shorthands; lowest priority. The table has the APIC id of each vCPU
 * of the whole cluster, in vCPU order; every node keeps a copy and routes for itself.
 *
 * LIMIT. Every APIC counts as enabled and in x2APIC mode, as firmware hands it over: a guest that
 * turns one back to xAPIC mode reaches it by its physical id only.
 *
 * Lowest priority: the processors' priorities are not known across hosts, so among the n matching
 * vCPUs the one at (vector mod n) is taken. The choice is the same on every node and spreads
 * different vectors, as the manuals leave it to the chipset (SDM vol 3, 10.6.2.4).
 *
 * Thread: any; nothing is kept between calls.
 */
#ifndef SSIHV_IRQ_ROUTE_H
#define SSIHV_IRQ_ROUTE_H

#include "irq/message.h"

/* Sender of a message that no vCPU sent. */
#define ROUTE_DEVICE UINT32_MAX

/* A set of vCPU indexes. */
struct route_set {
	uint64_t word[MAX_VCPUS / 64];
};

static inline bool route_set_has(const struct route_set *set, unsigned vcpu)
{
	return vcpu < MAX_VCPUS && (set->word[vcpu / 64] >> (vcpu % 64) & 1);
}

/** route_set_next() - the smallest member that is at least @from, or -1. */
int route_set_next(const struct route_set *set, unsigned from);

/**
 * route_message() - the vCPUs that @m is for
 * @m:      message; a lowest-priority one or a single match yields one vCPU
 * @sender: vCPU index of the sender, or ROUTE_DEVICE
 * @ids:    the APIC ids of @count vCPUs, at most MAX_VCPUS
 * @ret:    the targets
 *
 * Return: the number of targets, 0 if nobody matches; -EINVAL for a table that is too long, an
 * unknown shorthand, or a shorthand without a sender in the table. @ret is set unless negative.
 */
int route_message(const struct irq_message *m, uint32_t sender, const uint32_t *ids, unsigned count,
		  struct route_set *ret);

/**
 * route_widen_dest() - a 32-bit destination from the fields of an MSI or a redirection entry
 * @dest8:    the 8-bit destination field
 * @extended: bits 14:8 of the destination, in the field that bare hardware reserves and virtual
 *            machines use for more than 255 vCPUs; 0 otherwise
 *
 * Return: the destination; IRQ_BROADCAST for 0xff without extension.
 */
uint32_t route_widen_dest(uint8_t dest8, uint8_t extended);

/**
 * msi_decode() - an interrupt message from an MSI write (SDM vol 3, 10.11)
 * @address: 0xfeexxxxx; bits 11:5 extend the destination, see route_widen_dest(). The redirection
 *           hint (bit 3) makes a fixed message lowest-priority. The destination mode (bit 2) counts
 *           with and without the hint, as in hardware.
 * @data:    vector, delivery mode, trigger
 *
 * Return: 0; -EINVAL when the address is not an MSI's, or is in remappable format (bit 4);
 * -ENOMSG for a message that delivers nothing: a de-assertion or a reserved delivery mode.
 */
int msi_decode(uint64_t address, uint32_t data, struct irq_message *ret);

#endif
