/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/hash.h"

void nf_hash_begin(nf_hash *hash)
{
    SHA256Init(&hash->state);
}

void nf_hash_add(nf_hash *hash, const void *data, size_t size)
{
    SHA256Update(&hash->state, data, size);
}

void nf_hash_end(nf_hash *hash, char text[NF_HASH_TEXT])
{
    SHA256End(&hash->state, text);
}
