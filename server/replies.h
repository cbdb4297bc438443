/* SPDX-License-Identifier: BSD-3-Clause
 *
 * replies.h - where in which reply a byte that a server sent lies: for a replay that finds two of them different.
 *
 * What the driver sent says what comes back: a word for each STATUS, and for each GETFORCE a FORCEREADY whose length
 * only the POSDATA before it tells.
 */
#ifndef NF_SERVER_REPLIES_H
#define NF_SERVER_REPLIES_H

#include "protocol/ipi.h"

typedef enum {
    NF_PART_WORD,
    NF_PART_ENERGY,
    NF_PART_NATOMS,
    NF_PART_FORCES,
    NF_PART_VIRIAL,
    NF_PART_LENGTH, /* of extras */
    NF_PART_EXTRAS,
    NF_PART_LOST /* nobody knows any more: the driver broke the protocol */
} nf_reply_part;

typedef struct {
    uint32_t natoms, nstructures;
} nf_reply_shape;

/** All zero, then nf_replies_begin. */
typedef struct {
    ipi_dec decoder;
    bool broken;            /* the driver broke the protocol */
    nf_reply_shape posdata; /* the last one */
    nf_reply_shape *asked;  /* of GETFORCE that wait for their reply: a queue */
    size_t first, nasked, capacity;
    uint64_t owed; /* answers, words among them, that the driver waits for */
    /* the next byte */
    nf_reply_part part;
    nf_reply_shape shape;
    uint64_t at; /* in the part */
    uint32_t structure, nextras;
    unsigned char unit[IPI_HEADER]; /* the bytes of a word or number that came already */
    uint64_t nreplies, nbytes;      /* so far: whole FORCEREADY; bytes of any kind */
} nf_replies;

void nf_replies_begin(nf_replies *r);
void nf_replies_free(nf_replies *r);
/** The driver sent this. NF_ENOMEM. */
int nf_replies_ask(nf_replies *r, const unsigned char *bytes, size_t n);
/** The server sent this. */
void nf_replies_advance(nf_replies *r, const unsigned char *bytes, size_t n);
/** How many bytes from the next one on complete the word or number it belongs to. */
size_t nf_replies_wanted(const nf_replies *r);
/** A sentence: what is there in one stream and in the other. Each has its bytes from the next one on, nf_replies_wanted
 *  of them or more; fewer where the stream ends. */
void nf_replies_describe(const nf_replies *r, uint32_t link, const unsigned char *then, size_t nthen,
                         const unsigned char *now, size_t nnow, char *out, size_t size);

#endif
