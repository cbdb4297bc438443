/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

enum { ALIGNMENT = 64 };

/* Test hook only: -1 in production, where the one relaxed load is all it costs. */
static atomic_long fail_after = -1;
static atomic_int refused, only_one;

/* Threads count down together, and none may undo nf_mem_fail_stop. */
static int refuse(void)
{
    long left = atomic_load_explicit(&fail_after, memory_order_relaxed), then;
    do {
        if (left < 0)
            return 0;
        then = left > 0 || atomic_load(&only_one) ? left - 1 : 0;
    } while (!atomic_compare_exchange_weak(&fail_after, &left, then));
    if (left == 0)
        atomic_store(&refused, 1);
    return left == 0;
}

static void arm(long n, int once)
{
    atomic_store(&refused, 0);
    atomic_store(&only_one, once);
    atomic_store(&fail_after, n);
}

void nf_mem_fail_after(long n)
{
    arm(n, 0);
}

void nf_mem_fail_once(long n)
{
    arm(n, 1);
}

int nf_mem_fail_stop(void)
{
    atomic_store(&fail_after, -1);
    return atomic_load(&refused);
}

void *nf_calloc(size_t n, size_t size)
{
    if (refuse() || (size != 0 && n > (SIZE_MAX - ALIGNMENT) / size))
        return NULL;
    size_t bytes = (n * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    void *p = aligned_alloc(ALIGNMENT, bytes == 0 ? ALIGNMENT : bytes);
    if (p != NULL)
        memset(p, 0, bytes);
    return p;
}

void *nf_realloc(void *old, size_t old_count, size_t count, size_t size)
{
    void *p = nf_calloc(count, size);
    if (p == NULL)
        return NULL;
    if (old != NULL)
        memcpy(p, old, (old_count < count ? old_count : count) * size);
    nf_free(old);
    return p;
}

char *nf_strdup(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = nf_calloc(n, 1);
    if (copy != NULL)
        memcpy(copy, text, n);
    return copy;
}

void nf_free(void *p)
{
    free(p);
}

int nf_grow_to(void *array, size_t *capacity, size_t count, size_t size)
{
    void *old;
    if (count <= *capacity)
        return 0;
    size_t wanted = *capacity + *capacity / 2;
    if (wanted < count)
        wanted = count;
    memcpy(&old, array, sizeof old);
    void *bigger = nf_realloc(old, *capacity, wanted, size);
    if (bigger == NULL)
        return NF_ENOMEM;
    memcpy(array, &bigger, sizeof bigger);
    *capacity = wanted;
    return 0;
}
