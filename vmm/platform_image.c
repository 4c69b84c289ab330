/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/platform_image.h"

static const struct bus_device nowhere;

void platform_save(struct platform *p, struct platform_image *ret)
{
	pthread_mutex_lock(&p->lock);
	*ret = (struct platform_image){
		.ioapic = p->ioapic,
		.serial = p->serial,
		.rtc = p->rtc,
		.pit = p->pit,
		.pm = p->pm,
		.reset = p->reset,
	};
	pthread_mutex_unlock(&p->lock);
	ret->serial.dev = ret->rtc.dev = ret->pit.dev = ret->pit.port_b = nowhere;
	ret->pm.event = ret->pm.control = ret->pm.timer = nowhere;
	ret->reset.control = ret->reset.i8042 = nowhere;
	ret->serial.ops = NULL;
	ret->pm.ops = NULL;
	ret->reset.requested = NULL;
	ret->serial.ctx = ret->pm.ctx = ret->reset.ctx = NULL;
}

/* What connects the devices of @from to their node, in place of what @to has. */
static void connect_devices(struct platform_image *to, const struct platform *from)
{
	to->serial.dev = from->serial.dev;
	to->serial.ops = from->serial.ops;
	to->serial.ctx = from->serial.ctx;
	to->rtc.dev = from->rtc.dev;
	to->pit.dev = from->pit.dev;
	to->pit.port_b = from->pit.port_b;
	to->pm.event = from->pm.event;
	to->pm.control = from->pm.control;
	to->pm.timer = from->pm.timer;
	to->pm.ops = from->pm.ops;
	to->pm.ctx = from->pm.ctx;
	to->reset.control = from->reset.control;
	to->reset.i8042 = from->reset.i8042;
	to->reset.requested = from->reset.requested;
	to->reset.ctx = from->reset.ctx;
}

void platform_load(struct platform *p, const struct platform_image *image)
{
	struct platform_image own = *image;

	pthread_mutex_lock(&p->lock);
	connect_devices(&own, p);
	p->ioapic = own.ioapic;
	p->serial = own.serial;
	p->rtc = own.rtc;
	p->pit = own.pit;
	p->pm = own.pm;
	p->reset = own.reset;
	pthread_mutex_unlock(&p->lock);
}
