/* SPDX-License-Identifier: BSD-3-Clause
 *
 * arena.h - working memory: a bump allocator one marks and rewinds. One per thread.
 *
 *     | used ...... | free ............... |
 *       ^ mark/rewind here     64-byte steps
 *
 * nf_arena_reserve is the only call that may allocate; after it, takes up to the reserved sum cannot fail.
 */
#ifndef NF_BASE_ARENA_H
#define NF_BASE_ARENA_H

#include <assert.h>
#include <stddef.h>

#include "base/mem.h"

typedef struct nf_arena {
    char *base;
    size_t size, used;
} nf_arena;

enum { NF_ARENA_STEP = 64 };

static inline size_t nf_arena_round(size_t bytes)
{
    return (bytes + NF_ARENA_STEP - 1) / NF_ARENA_STEP * NF_ARENA_STEP;
}

/** Makes the arena at least `bytes` large. Only while nothing is taken. 0 or NF_ENOMEM. */
static inline int nf_arena_reserve(nf_arena *arena, size_t bytes)
{
    assert(arena->used == 0);
    return nf_grow_to(&arena->base, &arena->size, nf_arena_round(bytes), 1);
}

/** Uninitialised memory, aligned to 64 bytes. */
static inline void *nf_arena_take(nf_arena *arena, size_t bytes)
{
    void *p = arena->base + arena->used;
    arena->used += nf_arena_round(bytes);
    assert(arena->used <= arena->size);
    return p;
}

static inline double *nf_arena_doubles(nf_arena *arena, size_t n)
{
    return nf_arena_take(arena, n * sizeof(double));
}

static inline size_t nf_arena_mark(const nf_arena *arena)
{
    return arena->used;
}

static inline void nf_arena_rewind(nf_arena *arena, size_t mark)
{
    arena->used = mark;
}

static inline void nf_arena_free(nf_arena *arena)
{
    nf_free(arena->base);
    *arena = (nf_arena){0};
}

#endif
