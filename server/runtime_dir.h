/* SPDX-License-Identifier: BSD-3-Clause
 *
 * runtime_dir.h - where servers leave their control sockets, and who looks for them finds them.
 *
 *     $XDG_RUNTIME_DIR/nearfar/PID.sock     where that directory is ours
 *     /tmp/nearfar-UID/PID.sock             else
 *
 * The directory is ours and nobody else may enter it. Sockets of processes that are gone are removed when met.
 */
#ifndef NF_SERVER_RUNTIME_DIR_H
#define NF_SERVER_RUNTIME_DIR_H

#include <stdbool.h>

#include "base/status.h"

enum { NF_SOCKET_PATH = 108 }; /* bytes of sun_path, with the zero */

typedef struct {
    long pid;
    char path[NF_SOCKET_PATH];
} nf_runtime_server;

/** Where the socket of this process belongs; makes the directory. */
int nf_runtime_path(char out[NF_SOCKET_PATH], nf_error *err);
/** The servers of this user that accept connections, by pid; the number of them, at most `most`. */
int nf_runtime_servers(nf_runtime_server *out, int most);

/** A connected socket, close-on-exec, with timeouts of `seconds`; or -errno. Whoever listens there has our user. */
int nf_runtime_connect(const char *path, double seconds);

/** Makes room for a socket at `path`: one that nobody listens at is left from a process that died, and is removed. NF_EINVAL:
 *  there is something that is no socket; NF_EIO: somebody listens. */
int nf_runtime_clear(const char *path, nf_error *err);

#endif
