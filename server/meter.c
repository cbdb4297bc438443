/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/meter.h"

#include <math.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)

enum { PER_OCTAVE = 8, RATE_SECONDS = 10 };

/* The bin of a latency: its octave above 1024 ns, and the eighth of the octave that its next three bits name. */
static int bin_of(uint64_t ns)
{
    int octave = 0;
    uint64_t x = ns;
    while (x >= 2048) {
        x >>= 1;
        octave++;
    }
    int eighth = x < 1024 ? 0 : (int)((x - 1024) / (1024 / PER_OCTAVE));
    int bin = PER_OCTAVE * octave + eighth;
    return bin < NF_METER_BINS ? bin : NF_METER_BINS - 1;
}

/* The middle of a bin, ns. */
static double latency_of(int bin)
{
    return ldexp(1024.0 + (bin % PER_OCTAVE + 0.5) * (1024.0 / PER_OCTAVE), bin / PER_OCTAVE);
}

/* Forgets the seconds that have gone by without a step. */
static void turn_to(nf_meter *m, uint64_t second)
{
    uint64_t gone = second - m->second;
    for (uint64_t k = 1; k <= gone && k <= NF_METER_SECONDS; k++)
        m->recent[(m->second + k) % NF_METER_SECONDS] = 0;
    m->second = second;
}

void nf_meter_begin(nf_meter *m, uint64_t now)
{
    if (m->since != 0 && m->steps > 0)
        m->waiting += now - m->since;
    m->since = now;
}

void nf_meter_answered(nf_meter *m, uint64_t now, uint64_t structures)
{
    uint64_t latency = now - m->since;
    turn_to(m, now / SECOND);
    m->recent[m->second % NF_METER_SECONDS]++;
    m->bins[bin_of(latency)]++;
    m->computing += latency;
    m->longest = latency > m->longest ? latency : m->longest;
    m->steps++;
    m->structures += structures;
    m->since = now;
}

double nf_meter_latency(const nf_meter *m, double share)
{
    uint64_t n = 0, total = 0;
    for (int b = 0; b < NF_METER_BINS; b++)
        total += m->bins[b];
    for (int b = 0; b < NF_METER_BINS; b++) {
        n += m->bins[b];
        if (n > 0 && (double)n >= share * (double)total)
            return latency_of(b) < (double)m->longest ? latency_of(b) : (double)m->longest;
    }
    return 0;
}

double nf_meter_rate(const nf_meter *m, uint64_t now)
{
    uint64_t second = now / SECOND, n = 0;
    for (uint64_t k = 1; k <= RATE_SECONDS; k++) /* the second under way is not over */
        if (second >= k && second - k <= m->second && m->second - (second - k) < NF_METER_SECONDS)
            n += m->recent[(second - k) % NF_METER_SECONDS];
    return (double)n / RATE_SECONDS;
}
