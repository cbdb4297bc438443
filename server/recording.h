/* SPDX-License-Identifier: BSD-3-Clause
 *
 * recording.h - reads what record.h has written, record by record and strictly.
 *
 * A file that is cut off, because its process was killed or still runs, ends with its last whole record. Anything else
 * that a writer would not have written is an error. Compressed or not: the bytes inside count.
 */
#ifndef NF_SERVER_RECORDING_H
#define NF_SERVER_RECORDING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nearfar/nearfar.h"
#include "server/record_format.h"

typedef struct nf_recording nf_recording;

/** One record; views into the reader, good until the next is read. */
typedef struct {
    nf_record_kind kind;
    uint32_t link;
    uint64_t time; /* microseconds since the start */
    const unsigned char *bytes;
    size_t nbytes;    /* RECEIVED, SENT */
    bool accepted;    /* LINK */
    const char *text; /* LINK: address; CLOSED, END: why, "" if there is nothing to say; printable, with a NUL */
    int code;         /* CLOSED */
} nf_record_entry;

/** Opens a file and reads its head. NF_EIO, NF_EFORMAT, NF_EUNSUPPORTED (another version), NF_ENOMEM. */
int nf_recording_open(nf_recording **out, const char *path, nf_error *err);
/** The same of n bytes in memory, borrowed; `name` is for messages. */
int nf_recording_open_memory(nf_recording **out, const char *name, const void *bytes, size_t n, nf_error *err);
void nf_recording_close(nf_recording *r);

/** Borrowed: an object. */
const json_t *nf_recording_header(const nf_recording *r);
/** 1: *entry is the next; 0: there is no more; negative: the file is damaged, for good. */
int nf_recording_next(nf_recording *r, nf_record_entry *entry, nf_error *err);
/** At the end: whether the writer had said so, or the file is cut off. */
bool nf_recording_whole(const nf_recording *r);
/** Records read so far. */
uint64_t nf_recording_count(const nf_recording *r);

#endif
