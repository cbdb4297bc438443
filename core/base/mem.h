/* SPDX-License-Identifier: BSD-3-Clause
 *
 * mem.h - allocation. One door, so that tests can make the n-th allocation fail.
 *
 * Everything is freed with nf_free (NULL-safe). nf_grow_to is for arrays that only grow between steps: the steady
 * state of an evaluation allocates nothing.
 */
#ifndef NF_BASE_MEM_H
#define NF_BASE_MEM_H

#include <stddef.h>

/** n zeroed elements of `size` bytes, aligned to 64. NULL without memory or if n*size overflows. */
void *nf_calloc(size_t n, size_t size);
void *nf_realloc(void *old, size_t old_count, size_t count, size_t size);
char *nf_strdup(const char *text);
void nf_free(void *p);

/** Makes room for `count` elements: *array of *capacity elements keeps its contents. 0 or NF_ENOMEM. */
int nf_grow_to(void *array, size_t *capacity, size_t count, size_t size);
/** As nf_grow_to, over the type of the array. */
#define NF_GROW(array, capacity, count) nf_grow_to(&(array), &(capacity), (count), sizeof *(array))

/** Tests: the allocation after `n` successful ones fails, and all that follow; negative: none fails. */
void nf_mem_fail_after(long n);
/** Tests: the allocation after `n` successful ones fails, whatever thread makes it, and no other. */
void nf_mem_fail_once(long n);
/** Tests: ends either, and says whether an allocation was refused. */
int nf_mem_fail_stop(void);

#endif
