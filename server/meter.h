/* SPDX-License-Identifier: BSD-3-Clause
 *
 * meter.h - how fast and how late the answers of a link are: counters that cost nanoseconds and a fixed few kB, however
 * long the run is.
 *
 * Latencies are counted in bins of equal ratio, eight an octave from one microsecond to an hour, so that a percentile
 * is known to 5 %.
 */
#ifndef NF_SERVER_METER_H
#define NF_SERVER_METER_H

#include <stdint.h>

enum { NF_METER_BINS = 8 * 32, NF_METER_SECONDS = 16 };

/** All zero has seen nothing. Times are nanoseconds of one clock. */
typedef struct {
    uint64_t steps, structures;
    uint64_t waiting, computing;       /* ns in all */
    uint64_t longest;                  /* ns */
    uint32_t bins[NF_METER_BINS];      /* latencies */
    uint32_t recent[NF_METER_SECONDS]; /* steps in each of the last seconds, by second modulo their number */
    uint64_t second;                   /* the one of the last step */
    uint64_t since;                    /* 0, or when the present wait or computation began */
} nf_meter;

/** The driver waits for us from now on: its positions are complete. */
void nf_meter_begin(nf_meter *meter, uint64_t now);
/** An answer to `structures` structures has left: we wait for the driver. */
void nf_meter_answered(nf_meter *meter, uint64_t now, uint64_t structures);
/** The latency, ns, below which a share of 0 to 1 of all answers stayed; 0 without answers. */
double nf_meter_latency(const nf_meter *meter, double share);
/** Steps per second over the last ten seconds, or as many as there were. */
double nf_meter_rate(const nf_meter *meter, uint64_t now);

#endif
