/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far this host's TSC is from node 0's, and how fast that changes: a pure core.
 *
 * GOAL. From pings alone a line that says, for any tick of the own TSC, what must be added to it to
 * have the reference: a phase and a frequency. Crystals are some ppm apart for ever and change by
 * parts in 10^9 a second as they warm up; a queue in the network delays one direction for a second
 * or a minute by many times the shortest way. The line must not follow the queue.
 *
 * SAMPLES. A ping leaves at t0 and its answer is here at t1; the reference was read between them.
 * Both ways take at least half of the shortest round trip known, so the true offset lies within
 * `excess` = (round trip - shortest) / 2 of the one that the middle suggests, whatever was delayed
 * and in which direction. Each sample is thus an interval that holds the truth, some are narrow.
 *
 * FILTER. A Kalman filter of two states (phase, frequency), whose frequency walks at random by
 * SERVO_WANDER. A sample that agrees with the line within its excess moves nothing; else the line
 * moves as far as the nearer end of the interval pulls it. So a delayed sample cannot pull the line
 * out of where the narrow ones have put it, as it would if it were averaged. The first
 * SERVO_FIRST samples are kept and worked through together, since before them the shortest
 * round trip is not known.
 *
 * VERDICT. Whether a host can be followed at all is not left to the filter: early in a busy network
 * the shortest round trip is not known yet, and its line may be off by hundreds of ppm while it
 * looks certain. But whatever was delayed, each sample holds the truth within half of its own round
 * trip. Two of them bound the frequency, the tighter the longer apart: a verdict is a proof, and
 * comes when there is one. A guest may run before that.
 *
 * FOLLOWING. The clock's offset follows the line by steps of at most a quarter of the shortest one
 * way. A step goes past the line by half of itself when the line moves on that way, so that the
 * clock is half a step ahead, then half a step behind: never more than an eighth of one way from
 * the line, with as few steps as that takes.
 *
 * LIMITS. A path that takes longer in one direction than in the other for ever shifts the line by
 * half of the difference; no measurement between two hosts can find that. The shortest round trip
 * is that of the last half hour to hour: a path that has become longer is believed after that.
 *
 * Time here is ticks of the own TSC, as the hardware scales it for guests. Threads: one.
 */
#ifndef SSIHV_VMM_SERVO_H
#define SSIHV_VMM_SERVO_H

#include "base/base.h"

#define SERVO_FIRST	  32
#define SERVO_MAX_PPM	  500
#define SERVO_PATIENCE_MS 2000 /* to learn the frequency in before the guest starts */

/* Can the reference be followed? Not when it is further off than SERVO_MAX_PPM. */
enum servo_verdict { SERVO_UNSURE, SERVO_HOLDS, SERVO_TOO_FAR };

struct servo_sample {
	uint64_t t0, t1, reference;
};

struct servo {
	double hz;	/* of the own TSC, nearly */
	unsigned count; /* samples, up to SERVO_FIRST */
	struct servo_sample first[SERVO_FIRST];
	uint64_t shortest[2]; /* round trips: of this half hour, of the one before */
	uint64_t half_hour;   /* when this one began */

	struct servo_sample anchor; /* the best of the first */
	double lowest, highest;	    /* what the frequency can be */

	uint64_t at;   /* the line's point: a tick of the own TSC, */
	int64_t whole; /* and the offset there: this + phase */
	double phase;
	double frequency; /* of the offset, ticks a tick */
	double var_phase, var_both, var_frequency;
};

/** servo_init() - @khz: frequency of the own TSC, @reference_khz of node 0's; both nearly. */
void servo_init(struct servo *s, uint64_t khz, uint64_t reference_khz);

/** servo_take() - a sample; t0 <= t1, later than the last one. */
void servo_take(struct servo *s, const struct servo_sample *sample);

/** servo_is_ready() - is there a line? After SERVO_FIRST samples. */
bool servo_is_ready(const struct servo *s);

/** servo_offset() - what the line says for the tick @at. */
int64_t servo_offset(const struct servo *s, uint64_t at);

/** servo_ppm() - the line's slope; @uncertain: its standard deviation. */
double servo_ppm(const struct servo *s, double *uncertain);

/** servo_is_steady() - is the slope known within 15 ppm, as far as the filter can tell? */
bool servo_is_steady(const struct servo *s);

/** servo_judge() - see VERDICT. @ppm: the middle of what the frequency may be; unless unsure. */
enum servo_verdict servo_judge(const struct servo *s, double *ppm);

/** servo_ping_ms() - how long to wait from one ping to the next: the less is known the shorter. */
uint64_t servo_ping_ms(const struct servo *s);

/** servo_shortest() - the shortest round trip known, ticks; UINT64_MAX without a sample. */
uint64_t servo_shortest(const struct servo *s);

/** servo_step() - by how much to change the offset @applied at the tick @at; 0: leave it. */
int64_t servo_step(const struct servo *s, uint64_t at, int64_t applied);

/** servo_due() - in how many ticks from @at the next step is due; 0: now. */
uint64_t servo_due(const struct servo *s, uint64_t at, int64_t applied);

#endif
