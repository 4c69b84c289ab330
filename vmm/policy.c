/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/policy.h"

static bool lodges(const struct policy *p, unsigned index)
{
	return p->vcpu[index].here && p->topology->node[index] != p->self;
}

/* Only the vCPU's own thread changes what it is; others read the sums. */
static void become(struct policy *p, unsigned index, bool here, bool asleep)
{
	struct policy_vcpu *v = &p->vcpu[index];
	bool lodged = lodges(p, index), was_awake = lodged && !v->asleep;

	v->here = here;
	v->asleep = asleep;
	bool is_awake = lodges(p, index) && !asleep;
	if (lodges(p, index) != lodged)
		atomic_fetch_add(&p->lodgers, lodged ? -1u : 1u);
	if (is_awake != was_awake)
		atomic_fetch_add(&p->awake, was_awake ? -1u : 1u);
}

void policy_init(struct policy *p, unsigned self, const struct topology *topology, bool together)
{
	*p = (struct policy){.self = self, .topology = topology};
	for (unsigned i = 0; i < topology->vcpus; i++)
		become(p, i, self == (together ? 0 : topology->node[i]), false);
}

void policy_is_here(struct policy *p, unsigned index, bool here)
{
	become(p, index, here, p->vcpu[index].asleep);
}

void policy_is_asleep(struct policy *p, unsigned index, bool asleep)
{
	become(p, index, p->vcpu[index].here, asleep);
}

void policy_has_stayed(struct policy *p, unsigned index)
{
	p->vcpu[index].settled = true;
}

uint64_t policy_slice(const struct policy *p)
{
	return atomic_load_explicit(&p->awake, memory_order_relaxed) ? POLICY_SLICE_NS : 0;
}

bool policy_yields(const struct policy *p)
{
	return atomic_load_explicit(&p->lodgers, memory_order_relaxed) > 0;
}

uint64_t policy_slack(const struct policy *p, unsigned index)
{
	return lodges(p, index) ? POLICY_SLACK_NS : 0;
}

bool policy_looks(const struct policy *p, unsigned index)
{
	return lodges(p, index) && !p->vcpu[index].settled;
}

unsigned policy_where(const struct policy *p, unsigned index, const struct vcpu_usage *usage)
{
	bool works = usage->user || usage->cpu_ns > POLICY_LODGES_NS;

	return policy_looks(p, index) && works ? p->topology->node[index] : p->self;
}
