/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/replicas.h"

#include <string.h>

typedef double sample[NF_REPLICAS_ATOMS][3];

static size_t take(sample out, size_t natoms, const double (*pos)[3])
{
    size_t n = natoms < NF_REPLICAS_ATOMS ? natoms : NF_REPLICAS_ATOMS;
    for (size_t i = 0; i < n; i++)
        memcpy(out[i], pos[i * natoms / n], sizeof out[i]);
    return n;
}

/* More than a third of the coordinates that move in both steps. */
static bool turns_round(size_t n, const double *before, const double *after)
{
    size_t moving = 0, turning = 0;
    for (size_t i = 0; i < n; i++) {
        moving += before[i] != 0 && after[i] != 0;
        turning += (before[i] < 0 && after[i] > 0) || (before[i] > 0 && after[i] < 0);
    }
    return 3 * turning > moving;
}

void nf_replicas_see(nf_replicas *r, size_t natoms, const double (*pos)[3])
{
    sample now, step;
    size_t n = take(now, natoms, pos);
    if (r->natoms != natoms) {
        *r = (nf_replicas){.several = r->several, .natoms = natoms};
        memcpy(r->last, now, sizeof now[0] * n);
        return;
    }
    if (memcmp(r->last, now, sizeof now[0] * n) == 0)
        return;
    for (size_t i = 0; i < n; i++)
        for (int c = 0; c < 3; c++)
            step[i][c] = now[i][c] - r->last[i][c];
    r->turns = r->have_step && turns_round(3 * n, r->step[0], step[0]) ? r->turns + 1 : 0;
    r->several = r->several || r->turns >= 2;
    r->have_step = true;
    memcpy(r->last, now, sizeof now[0] * n);
    memcpy(r->step, step, sizeof step[0] * n);
}
