/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/servo.h"

#include <math.h>

#define SERVO_WANDER 5e-9  /* the frequency's random walk: standard deviation after a second */
#define HALF_HOUR    1800  /* seconds */
#define FIRST_ERROR  1e-2  /* how far the given frequencies may be from the true ones */
#define KNOWN	     1e-6  /* once the frequency is known as well as this, four pings a second do */
#define STEADY	     15e-6 /* as well as this, the guest may start */
#define JITTER_PART  64	   /* what no excess explains: this part of the shortest round trip */

void servo_init(struct servo *s, uint64_t khz, uint64_t reference_khz)
{
	*s = (struct servo){
		.hz = (double)khz * 1000,
		.shortest = {UINT64_MAX, UINT64_MAX},
		.frequency = (double)reference_khz / (double)khz - 1,
		.var_frequency = FIRST_ERROR * FIRST_ERROR,
		.lowest = -INFINITY,
		.highest = INFINITY,
	};
}

bool servo_is_ready(const struct servo *s)
{
	return s->count == SERVO_FIRST;
}

uint64_t servo_shortest(const struct servo *s)
{
	return MIN(s->shortest[0], s->shortest[1]);
}

static void note_round_trip(struct servo *s, const struct servo_sample *sample)
{
	if (sample->t1 - s->half_hour > (uint64_t)(HALF_HOUR * s->hz)) {
		s->half_hour = sample->t1;
		s->shortest[1] = s->shortest[0];
		s->shortest[0] = UINT64_MAX;
	}
	s->shortest[0] = MIN(s->shortest[0], sample->t1 - sample->t0);
}

/* What is not known about the change of frequency since the last sample makes all less certain. */
static void predict(struct servo *s, double ticks)
{
	double walk = SERVO_WANDER * SERVO_WANDER / s->hz; /* variance a tick */

	s->var_phase += ticks * (2 * s->var_both + ticks * s->var_frequency) +
			walk * ticks * ticks * ticks / 3;
	s->var_both += ticks * s->var_frequency + walk * ticks * ticks / 2;
	s->var_frequency += walk * ticks;
	s->phase += s->frequency * ticks;
}

/* @off: how far the sample is from the line; @noise: its standard deviation. */
static void update(struct servo *s, double off, double noise)
{
	double var = s->var_phase + noise * noise;
	double to_phase = s->var_phase / var, to_frequency = s->var_both / var;

	s->phase += to_phase * off;
	s->frequency += to_frequency * off;
	s->var_frequency -= to_frequency * s->var_both;
	s->var_both -= to_phase * s->var_both;
	s->var_phase -= to_phase * s->var_phase;
}

/* Keeps the phase small: a double has too few digits for a TSC of some weeks. */
static void carry(struct servo *s)
{
	double whole = rint(s->phase);

	s->whole += (int64_t)whole;
	s->phase -= whole;
}

static int64_t offset_of(const struct servo_sample *sample, uint64_t *middle)
{
	*middle = sample->t0 + (sample->t1 - sample->t0) / 2;
	return (int64_t)(sample->reference - *middle);
}

/* References are what a peer says: any number. */
static int64_t difference(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

/* The frequency, on average since the anchor, is what joins both intervals. */
static void bound(struct servo *s, const struct servo_sample *sample)
{
	uint64_t from, to;
	int64_t before = offset_of(&s->anchor, &from), after = offset_of(sample, &to);
	double wide =
		(double)(s->anchor.t1 - s->anchor.t0) / 2 + (double)(sample->t1 - sample->t0) / 2;
	double time = (double)(int64_t)(to - from), rise = (double)difference(after, before);

	if (sample->t0 <= s->anchor.t1)
		return;
	s->lowest = fmax(s->lowest, (rise - wide) / time);
	s->highest = fmin(s->highest, (rise + wide) / time);
}

static void follow(struct servo *s, const struct servo_sample *sample)
{
	uint64_t shortest = servo_shortest(s), middle;
	int64_t measured = offset_of(sample, &middle);
	double excess = (double)(sample->t1 - sample->t0 - shortest) / 2;
	double noise = excess + (double)shortest / JITTER_PART + 1;

	if (middle > s->at) {
		predict(s, (double)(middle - s->at));
		s->at = middle;
	}
	double off = (double)difference(measured, s->whole) - s->phase;
	update(s, copysign(fmax(fabs(off) - excess, 0), off), noise);
	carry(s);
	bound(s, sample);
}

/* Starts the line at the best of the first samples, then works through all of them. */
static void start(struct servo *s)
{
	const struct servo_sample *best = &s->first[0];
	uint64_t middle;

	for (unsigned i = 1; i < SERVO_FIRST; i++)
		if (s->first[i].t1 - s->first[i].t0 < best->t1 - best->t0)
			best = &s->first[i];
	s->anchor = *best;
	s->whole = offset_of(best, &middle);
	s->at = s->first[0].t0;
	s->phase = -s->frequency * (double)(middle - s->at);
	carry(s);
	/* Not known at all: the samples alone count. */
	s->var_phase = pow(0.1 * s->hz, 2);
	for (unsigned i = 0; i < SERVO_FIRST; i++)
		follow(s, &s->first[i]);
}

void servo_take(struct servo *s, const struct servo_sample *sample)
{
	if (!s->count)
		s->half_hour = sample->t1;
	note_round_trip(s, sample);
	if (servo_is_ready(s)) {
		follow(s, sample);
		return;
	}
	s->first[s->count++] = *sample;
	if (servo_is_ready(s))
		start(s);
}

int64_t servo_offset(const struct servo *s, uint64_t at)
{
	return s->whole + (int64_t)rint(s->phase + s->frequency * (double)(int64_t)(at - s->at));
}

double servo_ppm(const struct servo *s, double *uncertain)
{
	*uncertain = sqrt(s->var_frequency) * 1e6;
	return s->frequency * 1e6;
}

bool servo_is_steady(const struct servo *s)
{
	return servo_is_ready(s) && s->var_frequency <= STEADY * STEADY;
}

enum servo_verdict servo_judge(const struct servo *s, double *ppm)
{
	const double most = SERVO_MAX_PPM * 1e-6;

	*ppm = (s->lowest + s->highest) / 2 * 1e6;
	if (s->lowest > most || s->highest < -most)
		return SERVO_TOO_FAR;
	return s->lowest >= -most && s->highest <= most ? SERVO_HOLDS : SERVO_UNSURE;
}

uint64_t servo_ping_ms(const struct servo *s)
{
	if (!servo_is_ready(s))
		return 8;
	return s->var_frequency > KNOWN * KNOWN ? 25 : 250;
}

static int64_t largest_step(const struct servo *s)
{
	return (int64_t)MAX(servo_shortest(s) / 8, 2u);
}

int64_t servo_step(const struct servo *s, uint64_t at, int64_t applied)
{
	int64_t largest = largest_step(s), behind = servo_offset(s, at) - applied;

	if (behind > -largest / 2 && behind < largest / 2)
		return 0;
	if ((behind > 0) == (s->frequency > 0))
		behind += behind > 0 ? largest / 2 : -largest / 2;
	return MIN(MAX(behind, -largest), largest);
}

uint64_t servo_due(const struct servo *s, uint64_t at, int64_t applied)
{
	double room = (double)(largest_step(s) / 2), most = s->hz; /* a second */
	double behind = (double)(servo_offset(s, at) - applied);

	if (fabs(behind) >= room)
		return 0;
	double left = (room - (s->frequency > 0 ? behind : -behind)) / fabs(s->frequency);
	return (uint64_t)fmin(left, most);
}
