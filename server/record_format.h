/* SPDX-License-Identifier: BSD-3-Clause
 *
 * record_format.h - the bytes of a recording, for the two that write and read it. docs/record.md has the same for people.
 *
 *     gzip of   magic[8] | version | n | JSON[n] | crc         the head
 *               n | kind | link | time (8) | payload[n] | crc  as many records as there are
 *
 * Numbers have 4 bytes (the time 8: microseconds since the start), little-endian. Each crc is zlib's crc32 of all bytes
 * before it, of the head or of its record.
 */
#ifndef NF_SERVER_RECORD_FORMAT_H
#define NF_SERVER_RECORD_FORMAT_H

#include <stdint.h>
#include <zlib.h>

#include "base/mem.h"

#define NF_RECORD_MAGIC "NFRECORD"

enum {
    NF_RECORD_VERSION = 1,
    NF_RECORD_MAGIC_SIZE = 8,
    NF_RECORD_HEAD = 16,           /* magic, version, n */
    NF_RECORD_JSON_MOST = 1 << 30, /* bytes */
    NF_RECORD_ENTRY = 20,          /* n, kind, link, time */
    NF_RECORD_CRC = 4,
    NF_RECORD_PAYLOAD_MOST = 1 << 20,
};

typedef enum {
    NF_RECORD_LINK = 1,     /* 0: connected, 1: accepted (one byte) | address */
    NF_RECORD_RECEIVED = 2, /* bytes from the driver; none: it closed its end */
    NF_RECORD_SENT = 3,     /* bytes to it */
    NF_RECORD_CLOSED = 4,   /* code (4 bytes, signed) | why */
    NF_RECORD_END = 5,      /* why the recording ends; nothing: the process did */
} nf_record_kind;

static inline void *nf_zip_alloc(void *ctx, unsigned n, unsigned size)
{
    (void)ctx;
    return nf_calloc(n, size);
}

static inline void nf_zip_free(void *ctx, void *p)
{
    (void)ctx;
    nf_free(p);
}

static inline void nf_put_u32(unsigned char *at, uint32_t x)
{
    for (int k = 0; k < 4; k++)
        at[k] = (unsigned char)(x >> 8 * k);
}

static inline void nf_put_u64(unsigned char *at, uint64_t x)
{
    nf_put_u32(at, (uint32_t)x);
    nf_put_u32(at + 4, (uint32_t)(x >> 32));
}

static inline uint32_t nf_get_u32(const unsigned char *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline uint64_t nf_get_u64(const unsigned char *at)
{
    return nf_get_u32(at) | (uint64_t)nf_get_u32(at + 4) << 32;
}

#endif
