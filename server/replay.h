/* SPDX-License-Identifier: BSD-3-Clause
 *
 * replay.h - plays a recording to a server and compares, byte for byte, what comes back.
 *
 * Every recorded link is one end of a socket pair; the server gets the other as if it had accepted it. Records are
 * played in their order. What the driver sent goes out when all that it had got before has come back; that order
 * cannot stall, since what is waited for depends only on what was sent before. What the server says depends on what
 * it is told, never on when: equal models on equal machines give equal bytes.
 *
 * Memory: what waits to be compared (64 MB for all links, then reading stops), never the recording.
 */
#ifndef NF_SERVER_REPLAY_H
#define NF_SERVER_REPLAY_H

#include <jansson.h>
#include <uv.h>

#include "base/status.h"

typedef struct nf_replay nf_replay;

enum { NF_REPLAY_LINES = 16, NF_REPLAY_LINE = 400 };

typedef struct {
    int code; /* why it was not played to its end: a damaged file, no answer, no memory, stopped; 0: it was */
    uint64_t nlinks, nreplies, nbytes; /* replies: whole FORCEREADY that agree; bytes of any kind that agree */
    uint64_t ndifferent;               /* links with a difference, each played up to its first */
    bool whole; /* the recording says where it ends; false: its process was killed, or still runs */
    int nlines;
    char line[NF_REPLAY_LINES][NF_REPLAY_LINE]; /* the first differences, a sentence each, in the order of finding */
    char verdict[2 * NF_REPLAY_LINE];           /* one sentence: "replayed 2 links, 100 replies: all bits agree" */
} nf_replay_outcome;

typedef struct {
    uv_loop_t *loop;
    /** Takes over fd, a connected stream socket, also if it fails: negative. Else a number >= 0 for nf_replay_closed. */
    int (*serve)(void *ctx, int fd, const char *address);
    /** Called once, from the loop; the handles of the replay are closed then, and nf_replay_free may be called from it. */
    void (*done)(void *ctx, const nf_replay_outcome *outcome);
    void *ctx;
    double patience; /* seconds without a byte from the server before it counts as hanging; 0: 600 */
} nf_replay_options;

/** Opens a recording. As nf_recording_open. */
int nf_replay_open(nf_replay **out, const char *path, nf_error *err);
/** Before nf_replay_start, or after done; NULL is fine. */
void nf_replay_free(nf_replay *p);
/** What was served when it was recorded (docs/record.md); borrowed. */
const json_t *nf_replay_header(const nf_replay *p);
/** Warns of what may change bits, `now` being the header that a recording made here would have: another version,
 *  instruction set, number of models, SHA-256 of a model. How many differ. */
int nf_replay_warn(const nf_replay *p, const json_t *now, const nf_log *log);

/** Begins to play, in the next turn of the loop. */
void nf_replay_start(nf_replay *p, const nf_replay_options *options);
/** Ends before the end; done is still called. */
void nf_replay_stop(nf_replay *p);
/** The server closed the link that serve had given this number: compared with how it was closed in the recording. */
void nf_replay_closed(nf_replay *p, int number, int code, const char *text);

#endif
