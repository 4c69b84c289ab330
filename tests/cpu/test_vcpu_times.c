/* SPDX-License-Identifier: Apache-2.0 */
/* Where the time of a thread went, as another one sees it. No figure is expected but by others. */
#include "cpu/vcpu_times.h"

#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#include "base/clock.h"
#include "tests/check.h"

struct thread {
	struct vcpu_spent spent;
	pthread_t id;
	sem_t go, done;
	uint64_t cpu_ns; /* that it has used, by another clock of the kernel's */
};

static uint64_t cpu_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* The other thread looks between two steps. */
static void step(struct thread *t)
{
	sem_post(&t->done);
	sem_wait(&t->go);
}

static void *life(void *arg)
{
	struct thread *t = arg;

	vcpu_times_begin(&t->spent);
	while (cpu_time() < 20 * NSEC_PER_MSEC)
		;
	t->cpu_ns = cpu_time();
	step(t);
	vcpu_rest(&t->spent, VCPU_REST_ASLEEP, true);
	step(t);
	vcpu_rest(&t->spent, VCPU_REST_ASLEEP, false);
	step(t);
	vcpu_rest(&t->spent, VCPU_REST_DEVICE, true);
	vcpu_rest(&t->spent, VCPU_REST_DEVICE, false);
	vcpu_rest(&t->spent, VCPU_REST_ASLEEP, true);
	step(t);
	vcpu_rest(&t->spent, VCPU_REST_ASLEEP, false);
	vcpu_times_end(&t->spent);
	step(t);
	return NULL;
}

static struct vcpu_times next(struct thread *t)
{
	struct vcpu_times times;

	sem_post(&t->go);
	sem_wait(&t->done);
	vcpu_times(&t->spent, &times);
	return times;
}

static struct vcpu_times again(const struct thread *t)
{
	struct vcpu_times times;

	vcpu_times(&t->spent, &times);
	return times;
}

static void a_life_is_told_at_any_moment(void **state)
{
	struct thread t = {0};
	struct vcpu_times was, now;

	now = again(&t);
	assert_int_equal(now.alive, 0);
	sem_init(&t.go, 0, 0);
	sem_init(&t.done, 0, 0);
	assert_int_equal(pthread_create(&t.id, NULL, life, &t), 0);
	sem_wait(&t.done);

	/* It has run, and then slept, so the kernel has counted. */
	while ((now = again(&t)).ran < t.cpu_ns && now.alive < 10 * NSEC_PER_SEC)
		;
	assert_true(now.ran >= t.cpu_ns);
	assert_int_equal(now.rested[VCPU_REST_ASLEEP], 0);

	/* A rest grows while it goes on, and stays when it is over. */
	was = next(&t);
	now = again(&t);
	assert_true(was.rested[VCPU_REST_ASLEEP] > 0);
	assert_true(now.rested[VCPU_REST_ASLEEP] > was.rested[VCPU_REST_ASLEEP]);
	assert_true(now.rested[VCPU_REST_ASLEEP] < now.alive);
	was = next(&t);
	assert_true(was.rested[VCPU_REST_ASLEEP] > now.rested[VCPU_REST_ASLEEP]);
	now = again(&t);
	assert_int_equal(now.rested[VCPU_REST_ASLEEP], was.rested[VCPU_REST_ASLEEP]);
	assert_int_equal(now.rested[VCPU_REST_DEVICE], 0);

	/* Each kind for itself; the next rest comes on top of the first. */
	now = next(&t);
	assert_true(now.rested[VCPU_REST_DEVICE] > 0);
	assert_true(now.rested[VCPU_REST_ASLEEP] > was.rested[VCPU_REST_ASLEEP]);
	assert_int_equal(now.rested[VCPU_REST_AWAY] + now.rested[VCPU_REST_PAUSED], 0);

	/* What has ended changes no more, also when its thread is gone. */
	was = next(&t);
	sem_post(&t.go);
	pthread_join(t.id, NULL);
	now = again(&t);
	assert_memory_equal(&now, &was, sizeof(now));
	assert_true(now.ran >= t.cpu_ns && now.alive > now.rested[VCPU_REST_ASLEEP]);
	sem_destroy(&t.go);
	sem_destroy(&t.done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_life_is_told_at_any_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
