/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vmm/crystals.h"

#include <math.h>

#define HZ     2.5e9
#define KHZ    UINT64_C(2500000)
#define US     INT64_C(1000000) /* ps */
#define LATE   (2 * 1000 * US)	/* how late the main thread may look at what is due */
#define BEGINS (5 * PS_PER_SECOND)

struct host {
	double ppm, swing_phase;
	double rate;	   /* ticks a second, until the next knot */
	int64_t knot;	   /* where the rate changed the last time, */
	double knot_part;  /* and the TSC there: its part of a tick, */
	uint64_t knot_tsc; /* whole ticks */

	int64_t way[2];			/* shortest, there and back */
	int64_t burst_end, burst_begin; /* of the queue in direction `burst_way` */
	int burst_way;
	double burst_us;

	struct servo servo;
	bool started, judged, gone;
	int64_t begins, patience_ends;
	int64_t applied;
	uint64_t floor, last;
	int64_t next_ping, next_pong, next_step; /* INT64_MAX: none is due */
	struct servo_sample sample;		 /* of the ping under way */
};

/* Longer than the bring-up: the guest starts while it is so. */
#define LATE_ENDS (4 * PS_PER_SECOND)

struct world {
	const struct world_config *cfg;
	uint64_t random;
	struct host host[MAX_NODES];
	struct world_result *result;
	struct patience patience[MAX_NODES][MAX_NODES]; /* of one with another */
	uint64_t looked, since_look;			/* at the messages, reference ticks */
};

/* ---- chance ---- */

static double uniform(struct world *w)
{
	w->random = w->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	uint64_t x = w->random ^ w->random >> 33;

	return (double)((x * UINT64_C(0xff51afd7ed558ccd)) >> 11) / 9007199254740992.0;
}

static double exponential(struct world *w, double mean)
{
	return -mean * log(1 - uniform(w));
}

static double normal(struct world *w)
{
	double sum = -6;

	for (unsigned i = 0; i < 12; i++)
		sum += uniform(w);
	return sum;
}

/* ---- crystals ---- */

static void bend(struct world *w, struct host *h, int64_t now)
{
	const double day = 2 * M_PI * (double)now / (7200.0 * PS_PER_SECOND);
	double ticks = h->rate * (double)(now - h->knot) / PS_PER_SECOND + h->knot_part;
	bool reference = h == &w->host[0];

	h->knot_tsc += (uint64_t)ticks;
	h->knot_part = ticks - floor(ticks);
	h->knot = now;
	h->ppm += reference ? 0 : normal(w) * w->cfg->wander_ppb / 1000;
	h->rate = HZ *
		  (1 + (h->ppm + (reference ? 0 : w->cfg->swing_ppm * sin(day + h->swing_phase))) /
			       1e6);
}

static uint64_t tsc(const struct host *h, int64_t now)
{
	return h->knot_tsc +
	       (uint64_t)(h->rate * (double)(now - h->knot) / PS_PER_SECOND + h->knot_part);
}

/* A node's clock less the reference, in ticks. */
static int64_t error(const struct world *w, const struct host *h, int64_t now)
{
	uint64_t at = tsc(h, now) + (uint64_t)h->applied;

	return (int64_t)(MAX(at, h->floor) - tsc(&w->host[0], now));
}

/* ---- network ---- */

static int64_t way(struct world *w, struct host *h, int direction, int64_t now)
{
	double base = w->cfg->way_us, us = exponential(w, base / 10);

	us += exponential(w, w->cfg->noise_us);
	if (now < LATE_ENDS && direction == (h - w->host) % 2)
		us += w->cfg->late_us;
	if (uniform(w) < 0.05)
		us += exponential(w, base * 5);
	if (now >= h->burst_end) {
		h->burst_begin =
			now + (int64_t)(exponential(w, 3600 / w->cfg->bursts) * PS_PER_SECOND);
		h->burst_end = h->burst_begin + (int64_t)(exponential(w, 15) * PS_PER_SECOND);
		h->burst_way = uniform(w) < 0.5;
		h->burst_us = exponential(w, base * 20);
	}
	if (now >= h->burst_begin && direction == h->burst_way)
		us += h->burst_us + exponential(w, h->burst_us / 4);
	return h->way[direction] + (int64_t)(us * US);
}

/* ---- what a node does ---- */

/*
 * @to has waited for @from all the time since the last look, if it would wait now: there is always
 * a message.
 */
static void message(struct world *w, unsigned from, unsigned to, int64_t now)
{
	const double ticks_us = HZ / 1e6;
	struct patience *p = &w->patience[to][from];
	uint64_t at = tsc(&w->host[0], now), looked = at - w->since_look;
	double ahead = (double)(error(w, &w->host[from], now) - error(w, &w->host[to], now)) -
		       w->cfg->way_us * ticks_us;

	w->result->ahead_us = fmax(w->result->ahead_us, ahead / ticks_us);
	if (ahead > PATIENCE_SOUND_US * ticks_us &&
	    !patience_take(p, looked, at - looked + (uint64_t)ahead, KHZ))
		w->result->blamed = true;
	w->result->patience = fmax(w->result->patience,
				   (double)patience_taken(p, at) / (KHZ * PATIENCE_BUDGET_MS));
}

/* The guest runs once all have started. */
static void messages(struct world *w, int64_t now)
{
	uint64_t at = tsc(&w->host[0], now);

	for (unsigned i = 1; i < w->cfg->nodes; i++)
		if (!w->host[i].started)
			return;
	w->since_look = w->looked ? at - w->looked : 0;
	w->looked = at;
	for (unsigned from = 0; from < w->cfg->nodes; from++)
		for (unsigned to = 0; to < w->cfg->nodes; to++)
			if (from != to)
				message(w, from, to, now);
}

static void compare(struct world *w, int64_t now)
{
	int64_t low = 0, high = 0;

	messages(w, now);
	if (now < BEGINS)
		return;
	for (unsigned i = 1; i < w->cfg->nodes; i++) {
		int64_t e = error(w, &w->host[i], now);
		low = MIN(low, e);
		high = MAX(high, e);
	}
	w->result->worst_us = fmax(w->result->worst_us, (double)(high - low) / HZ * 1e6);
}

static void look(struct world *w, struct host *h, int64_t now)
{
	uint64_t reading = MAX(tsc(h, now) + (uint64_t)h->applied, h->floor);

	w->result->back += reading < h->last;
	h->last = reading;
}

static void plan(struct world *w, struct host *h, int64_t now)
{
	uint64_t due = servo_due(&h->servo, tsc(h, now), h->applied);

	h->next_step =
		now + (int64_t)((double)due / HZ * PS_PER_SECOND) + (int64_t)(uniform(w) * LATE);
}

static void step(struct world *w, struct host *h, int64_t now)
{
	int64_t ticks = servo_step(&h->servo, tsc(h, now), h->applied);

	look(w, h, now);
	compare(w, now);
	if (ticks && !w->cfg->off) {
		if (ticks < 0)
			h->floor = MAX(tsc(h, now) + (uint64_t)h->applied, h->floor);
		h->applied += ticks;
		w->result->steps++;
		w->result->worst_step_us =
			fmax(w->result->worst_step_us, fabs((double)ticks) / HZ * 1e6);
		look(w, h, now);
		compare(w, now);
	}
	plan(w, h, now);
}

static void ping(struct world *w, struct host *h, int64_t now)
{
	int64_t there = now + way(w, h, 0, now), back = there + way(w, h, 1, now);

	h->sample = (struct servo_sample){tsc(h, now), tsc(h, back), tsc(&w->host[0], there)};
	h->next_ping = INT64_MAX;
	h->next_pong = back;
}

/* As the bring-up does (vmm/agreement.c), and then the running node. */
static void judge(struct world *w, struct host *h, int64_t now)
{
	double ppm;
	enum servo_verdict verdict = servo_judge(&h->servo, &ppm);
	bool certain = verdict == SERVO_HOLDS && servo_is_steady(&h->servo);
	bool start = servo_is_ready(&h->servo) && (certain || now > h->patience_ends);

	if (verdict == SERVO_TOO_FAR) {
		w->result->refused += !h->started;
		w->result->ended += h->started;
		h->gone = true;
	}
	if (start && !h->started && !h->gone) {
		h->started = true;
		h->applied = servo_offset(&h->servo, tsc(h, now));
		w->result->unsure += verdict == SERVO_UNSURE;
	}
	h->judged = h->gone || (h->started && verdict == SERVO_HOLDS);
	if (h->judged)
		w->result->known_s =
			fmax(w->result->known_s, (double)(now - h->begins) / PS_PER_SECOND);
}

static void pong(struct world *w, struct host *h, int64_t now)
{
	servo_take(&h->servo, &h->sample);
	w->result->samples++;
	compare(w, now);
	if (!h->judged)
		judge(w, h, now);
	h->next_pong = INT64_MAX;
	h->next_ping = h->gone ? INT64_MAX : now + (int64_t)servo_ping_ms(&h->servo) * 1000 * US;
	if (h->gone)
		h->next_step = INT64_MAX;
	else if (h->started)
		plan(w, h, now);
}

/* ---- the world ---- */

static void begin(struct world *w)
{
	for (unsigned i = 0; i < w->cfg->nodes; i++) {
		struct host *h = &w->host[i];

		h->ppm = w->cfg->ppm * (i == 1 ? 1 : 2 * uniform(w) - 1);
		if (i == 0)
			h->ppm = 0;
		h->swing_phase = 2 * M_PI * uniform(w);
		h->knot_tsc = (uint64_t)(uniform(w) * 1e15);
		for (int direction = 0; direction < 2; direction++) {
			double longer =
				direction == (int)(i % 2) ? uniform(w) * w->cfg->asymmetry : 0;
			h->way[direction] = (int64_t)(w->cfg->way_us * (1 + longer) * US);
		}
		servo_init(&h->servo, KHZ, KHZ);
		h->next_ping = h->begins = (int64_t)(uniform(w) * PS_PER_SECOND);
		h->patience_ends = h->begins + SERVO_PATIENCE_MS * 1000 * US;
		h->next_pong = h->next_step = INT64_MAX;
		bend(w, h, 0);
	}
}

/* The node whose ping or step is next. */
static struct host *next(struct world *w, int64_t *at)
{
	struct host *first = &w->host[1];

	*at = INT64_MAX;
	for (unsigned i = 1; i < w->cfg->nodes; i++) {
		struct host *h = &w->host[i];
		int64_t talk = MIN(h->next_ping, h->next_pong);
		int64_t when = MIN(talk, h->next_step);
		if (when < *at) {
			*at = when;
			first = h;
		}
	}
	return first;
}

void world_run(const struct world_config *cfg, struct world_result *ret)
{
	struct world w = {.cfg = cfg, .random = cfg->seed, .result = ret};
	int64_t end = (int64_t)(cfg->hours * 3600) * PS_PER_SECOND, knot = 0, now = 0;

	*ret = (struct world_result){.shortest_us = cfg->way_us};
	begin(&w);
	for (;;) {
		struct host *h = next(&w, &now);
		if (now >= end)
			break;
		for (; knot <= now; knot += PS_PER_SECOND)
			for (unsigned i = 0; i < cfg->nodes; i++)
				bend(&w, &w.host[i], knot);
		if (now == h->next_ping)
			ping(&w, h, now);
		else if (now == h->next_pong)
			pong(&w, h, now);
		else
			step(&w, h, now);
	}
}
