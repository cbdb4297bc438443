/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ask.h - the other side of control.h, for commands: one question to a server, and its answer.
 */
#ifndef NF_SERVER_ASK_H
#define NF_SERVER_ASK_H

#include <jansson.h>

#include "base/status.h"

/** Sends `question` (its reference is taken; NULL: out of memory) to the server at `path` and waits up to `seconds`
 *  between two pieces of its answer, which is a new reference. NF_EIO: nobody listens, or it does not answer;
 *  NF_EFORMAT: this is no server of ours. */
int nf_ask(json_t **out, const char *path, json_t *question, double seconds, nf_error *err);

#endif
