/* SPDX-License-Identifier: BSD-3-Clause */
#if defined __linux__
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "server/host.h"

#include <stdio.h>
#include <unistd.h>

#if defined __linux__
#include <sched.h>
#endif

#include "kern/kern.h"

#if defined __linux__
static size_t put_range(char *out, size_t size, size_t n, int first, int last)
{
    if (n >= size)
        return n;
    const char *comma = n == 0 ? "" : ",";
    int more = first == last ? snprintf(out + n, size - n, "%s%d", comma, first)
                             : snprintf(out + n, size - n, "%s%d-%d", comma, first, last);
    return n + (size_t)more;
}

void nf_host_cpus(char *out, size_t size)
{
    cpu_set_t set;
    size_t n = 0;
    snprintf(out, size, "?");
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return;
    for (int c = 0; c < CPU_SETSIZE; c++) {
        int first = c;
        while (c < CPU_SETSIZE && CPU_ISSET(c, &set))
            c++;
        if (c > first)
            n = put_range(out, size, n, first, c - 1);
    }
}

long nf_host_resident_kB(void)
{
    long total, resident = 0;
    FILE *in = fopen("/proc/self/statm", "r");
    if (in == NULL)
        return 0;
    if (fscanf(in, "%ld %ld", &total, &resident) != 2)
        resident = 0;
    fclose(in);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}
#else
void nf_host_cpus(char *out, size_t size)
{
    snprintf(out, size, "?");
}

long nf_host_resident_kB(void)
{
    return 0;
}
#endif

const char *nf_host_isa(void)
{
    return nf_kern_select()->name;
}
