/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/surveyor.h"

#include <signal.h>

#include "base/text.h"
#include "survey/kallsyms.h"

#define CR0_PG		   UINT64_C(0x80000000)
#define CR4_LA57	   UINT64_C(0x1000)
#define EFER_LMA	   UINT64_C(0x400)
#define MSR_KERNEL_GS_BASE 0xc0000102u

void surveyor_init(struct surveyor *s)
{
	_cleanup_free_ char *old =
		s->dir ? text_printf("%s/%s" SYMBOLS_SUFFIX, s->dir, s->name) : NULL;

	if (old)
		unlink(old);
}

/* ---- vCPUs ---- */

static uint64_t msr(const struct wire_vcpu *image, uint32_t index)
{
	for (uint32_t i = 0; i < image->nmsrs; i++)
		if (image->msr[i].index == index)
			return image->msr[i].value;
	return 0;
}

/* The kernel swaps the two when it is entered; between the two instructions the other one is it. */
static uint64_t kernel_gs(const struct wire_vcpu *image)
{
	uint64_t now = image->gs.base, other = msr(image, MSR_KERNEL_GS_BASE);
	uint64_t likely = image->ss.dpl == 3 ? other : now;

	if (likely >= SURVEY_HALF)
		return likely;
	likely = likely == now ? other : now;
	return likely >= SURVEY_HALF ? likely : 0;
}

void surveyor_left(struct surveyor *s, const struct wire_vcpu *image)
{
	atomic_store(&s->gs[image->index], kernel_gs(image));
}

void surveyor_add(struct surveyor *s, const struct wire_vcpu *image)
{
	bool walks = (image->cr0 & CR0_PG) && (image->efer & EFER_LMA);

	s->cpu[s->cpus++] = (struct survey_cpu){
		.index = image->index,
		.la57 = image->cr4 & CR4_LA57,
		.cr3 = walks ? image->cr3 : 0,
		.gs = kernel_gs(image),
	};
}

/* Those that went elsewhere. */
static void add_gone(struct surveyor *s)
{
	bool here[MAX_VCPUS] = {false};

	for (size_t i = 0; i < s->cpus; i++)
		here[s->cpu[i].index] = true;
	for (uint32_t i = 0; i < MAX_VCPUS; i++) {
		uint64_t gs = atomic_load(&s->gs[i]);
		if (gs && !here[i])
			s->cpu[s->cpus++] = (struct survey_cpu){.index = i, .gs = gs};
	}
}

/* ---- files ---- */

struct output {
	char *path, *part; /* it gets its name when it is whole */
	FILE *file;
};

static int output_open(struct output *o, char *path)
{
	*o = (struct output){.path = path, .part = path ? text_printf("%s.part", path) : NULL};
	o->file = o->part ? fopen(o->part, "we") : NULL;
	return o->file ? 0 : o->part ? -errno : -ENOMEM;
}

/* @r: how it went until now. */
static int output_close(struct output *o, int r)
{
	if (o->file) {
		bool bad = ferror(o->file);

		if ((fclose(o->file) != 0 || bad) && r == 0)
			r = bad ? -EIO : -errno;
		if (r == 0 && rename(o->part, o->path) < 0)
			r = -errno;
		if (r < 0)
			unlink(o->part);
	}
	free(o->path);
	free(o->part);
	return r;
}

static int write_survey(const struct surveyor *s, const struct survey *survey)
{
	struct output o;
	int r = output_open(&o, text_printf("%s/%s-%u" SURVEY_SUFFIX, s->dir, s->name, s->number));

	if (r == 0)
		survey_print(survey, o.file);
	return output_close(&o, r);
}

static int write_symbols(const struct surveyor *s, const struct symbols *symbols)
{
	struct output o;
	int r = output_open(&o, text_printf("%s/%s" SYMBOLS_SUFFIX, s->dir, s->name));

	if (r == 0)
		symbols_print(symbols, o.file);
	return output_close(&o, r);
}

/* ---- the thread ---- */

static int read_ram(void *ctx, uint64_t gpa, void *buf, size_t len)
{
	const struct surveyor *s = ctx;

	return atomic_load(&s->cancelled) ? -ECANCELED : ram_read(s->ram, gpa, buf, len);
}

/* Return: 0, also when the kernel has none that can be found. */
static int take_symbols(struct surveyor *s, const struct survey_source *source,
			const struct survey *survey)
{
	_cleanup_free_ uint8_t *image = NULL;
	struct symbols symbols = {0};
	uint64_t va;
	size_t len;
	int r = survey_image(source, survey, &image, &len, &va);

	if (r == 0)
		r = kallsyms_read(image, len, va, &symbols);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = write_symbols(s, &symbols);
	symbols_free(&symbols);
	s->symbols = r < 0; /* once is enough */
	return r;
}

static void *run(void *arg)
{
	struct surveyor *s = arg;
	const struct survey_source source = {read_ram, s};
	_cleanup_(survey_freep) struct survey *survey = NULL;
	int r = survey_take(&source, s->cpu, s->cpus, &survey);

	if (r == 0) {
		survey->epoch = s->epoch;
		r = write_survey(s, survey);
	}
	if (r == 0 && s->symbols)
		r = take_symbols(s, &source, survey);
	if (r < 0 && r != -ECANCELED)
		events_log(s->events, "warning", "%s: the guest's memory was not surveyed: %s",
			   s->dir, strerror(-r));
	atomic_store(&s->done, true);
	return NULL;
}

bool surveyor_busy(const struct surveyor *s)
{
	return s->started && !atomic_load(&s->done);
}

bool surveyor_may(struct surveyor *s)
{
	if (!s->dir || surveyor_busy(s))
		return false;
	surveyor_join(s);
	s->cpus = 0;
	return true;
}

/* With all signals blocked: they are for other threads. */
static int start(struct surveyor *s)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int r = pthread_create(&s->thread, NULL, run, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	s->started = r == 0;
	if (s->started)
		pthread_setname_np(s->thread, "survey");
	return r;
}

void surveyor_begin(struct surveyor *s)
{
	add_gone(s);
	s->number++;
	atomic_store(&s->done, false);
	int r = start(s);
	if (r)
		events_log(s->events, "warning", "the guest's memory was not surveyed: %s",
			   strerror(r));
}

void surveyor_cancel(struct surveyor *s)
{
	atomic_store(&s->cancelled, true);
}

void surveyor_join(struct surveyor *s)
{
	if (s->started)
		pthread_join(s->thread, NULL);
	s->started = false;
}
