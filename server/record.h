/* SPDX-License-Identifier: BSD-3-Clause
 *
 * record.h - keeps the wire traffic of a server in a file that replay.h plays again.
 *
 *     loop thread      copies bytes into blocks of a queue of at most 64 MB; never waits, never fails for its caller
 *     writer's thread  checksums, compresses, writes; all is in the file 0.2 s later at most
 *
 * What cannot go on (a full disk, a disk slower than the drivers, no memory) ends the recording with one warning, and
 * the server goes on. What was written until then can be replayed; so can the file of a process that was killed.
 */
#ifndef NF_SERVER_RECORD_H
#define NF_SERVER_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct nf_record nf_record;

/** Creates the file, which must not be there yet (a device may be), and writes its head; header is borrowed.
 *  docs/record.md says which keys it has. The log gets the one warning, on the thread that calls what follows.
 *  NF_EIO, NF_EINVAL, NF_ELIMIT, NF_ENOMEM. */
int nf_record_open(nf_record **out, const char *path, const json_t *header, const nf_log *log, nf_error *err);
/** Completes the file and frees; NULL is fine. Takes as long as it takes to write what waits. */
void nf_record_close(nf_record *r);

/* All on one thread. r NULL: nothing is recorded. Numbers of links may be used again after nf_record_closed. */

/** There is a connection. */
void nf_record_link(nf_record *r, uint32_t link, const char *address, bool accepted);
/** The driver sent n bytes, as they were read; 0: it closed its end, or broke off. */
void nf_record_received(nf_record *r, uint32_t link, const void *bytes, size_t n);
/** The same towards it, when they are handed to the kernel or to libuv. */
void nf_record_sent(nf_record *r, uint32_t link, const void *bytes, size_t n);
/** The connection is closed; code and text are 0 and NULL after a regular end. */
void nf_record_closed(nf_record *r, uint32_t link, int code, const char *text);

#endif
