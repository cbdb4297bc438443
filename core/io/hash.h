/* SPDX-License-Identifier: BSD-3-Clause
 *
 * hash.h - SHA-256 of the bytes of files while they are read: what a model was read from, not what is there later.
 */
#ifndef NF_IO_HASH_H
#define NF_IO_HASH_H

#include <sha2.h>

typedef struct nf_hash {
    SHA2_CTX state;
} nf_hash;

enum { NF_HASH_TEXT = SHA256_DIGEST_STRING_LENGTH }; /* 64 hexadecimal digits and the end of the string */

void nf_hash_begin(nf_hash *hash);
void nf_hash_add(nf_hash *hash, const void *data, size_t size);
void nf_hash_end(nf_hash *hash, char text[NF_HASH_TEXT]);

#endif
