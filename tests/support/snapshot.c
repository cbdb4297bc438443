/* SPDX-License-Identifier: BSD-3-Clause */
#include "snapshot.h"

#include <math.h>
#include <unistd.h>

static double wave(double t, double period, double shift)
{
    return 0.5 + 0.5 * sin(6.283185307 * t / period + shift);
}

static json_t *make_link(int i, double t)
{
    static const char *const states[] = {"computing", "idle", "receiving", "have data"};
    double rate = 8 + 2 * wave(t, 40, i), computing = 0.7 * t + 3 * wave(t, 60, 0);
    int steps = (int)(8.9 * t);
    if (i == 2)
        return json_pack("{siss ss si si s{} sf sf sn ss}", "number", i + 1, "address", "unix:water", "state", "closed",
                         "steps", 3, "structures", 3, "latency_ms", "waiting_s", 0.1, "computing_s", 0.2, "energy",
                         "reason", "the driver does not read what it asks for");
    return json_pack("{siss ss si si si sf s{sfsfsf} sf sf sf sf si sn}", "number", i + 1, "address", "unix:water",
                     "state", states[(i + steps) % 4], "steps", steps, "structures", 8 * steps, "natoms", 192,
                     "steps_per_s", rate, "latency_ms", "p50", 80 + 10 * wave(t, 50, i), "p99",
                     120 + 60 * wave(t, 30, 1), "max", 260.5, "waiting_s", t - computing > 0 ? t - computing : 0,
                     "computing_s", computing, "energy", -29971.25 + wave(t, 5, i), "energy_std",
                     0.05 + 0.04 * wave(t, 45, i), "extrapolated", i % 3, "reason");
}

static json_t *make_links(int n, double t)
{
    json_t *links = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(links, make_link(i, t));
    return links;
}

static json_t *make_models(const char *name, int generation)
{
    return json_pack("[{ss s[ss] ss si si s[ss] sf}]", "name", name, "paths", "/models/water/nnp-1",
                     "/models/water/nnp-2", "sha256",
                     "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c", "generation", generation,
                     "members", 8, "elements", "H", "O", "cutoff", 6.35);
}

static json_t *make_addresses(const char *model, int nlinks, double t)
{
    return json_pack("[{ss ss ss sf si si}{ss ss ss sf si sn}]", "address", "unix:water", "model", model, "state",
                     "connected", "state_s", t, "links", nlinks, "natoms", 192, "address", "tcp:localhost:31415",
                     "model", model, "state", "waiting", "state_s", t + 1, "links", 0, "natoms");
}

json_t *snapshot_make(int nlinks, double t, const char *model, int generation)
{
    int steps = nlinks * (int)(8.9 * t);
    json_t *totals = json_pack("{si si si si si sf sf}", "links", nlinks, "steps", steps, "structures", 8 * steps,
                               "failures", 1, "neighbour_lists", 3 + (int)(t / 10), "waiting_s", 0.3 * t, "computing_s",
                               0.7 * t + 3 * wave(t, 60, 0));
    return json_pack("{ss si ss ss ss sf si ss ss si so so so so}", "nearfar", "0.1.0", "pid", (int)getpid(), "command",
                     "run", "state", "serving", "started", "2026-11-24T16:00:00Z", "uptime_s", t, "threads", 2, "isa",
                     "avx2", "cpus", "0-1", "resident_kB", 9000, "models", make_models(model, generation), "addresses",
                     make_addresses(model, nlinks, t), "links", make_links(nlinks, t), "totals", totals);
}
