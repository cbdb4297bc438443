/* SPDX-License-Identifier: BSD-3-Clause
 *
 * control.h - a UNIX socket over which the user of a server asks how it is and loads another model: one JSON object a
 * line each way (command.h). Nobody else may connect.
 *
 * A peer that is slow or silent holds up nobody: a connection has one line in and one answer out at most, and where
 * all are taken a new one gets the place of the one that has been silent longest. One line a turn of the loop is
 * answered for each connection. Nothing here keeps the loop running.
 */
#ifndef NF_SERVER_CONTROL_H
#define NF_SERVER_CONTROL_H

#include <uv.h>

#include "base/status.h"
#include "server/outside.h"

enum { NF_CONTROL_MOST = 32 }; /* connections */

typedef struct nf_control nf_control;

/** Listens at `path`, or at this user's own place (runtime_dir.h) if it is NULL. A socket that nobody listens at is
 *  replaced. `outside` is copied. NF_EINVAL, NF_EIO: the place cannot be used; *out is NULL then. */
int nf_control_open(nf_control **out, uv_loop_t *loop, const char *path, const nf_outside *outside, nf_error *err);
const char *nf_control_path(const nf_control *c);
/** Removes the socket and closes; c is freed by the loop in its next turn. A reload under way may end later: its answer
 *  is dropped. NULL is fine. */
void nf_control_close(nf_control *c);

#endif
