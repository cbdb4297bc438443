/* SPDX-License-Identifier: BSD-3-Clause
 *
 * command.h - what a line of the control socket asks for.
 *
 *     {"command":"status"}
 *     {"command":"reload","model":NAME|null,"path":PATH|null}
 */
#ifndef NF_SERVER_COMMAND_H
#define NF_SERVER_COMMAND_H

#include <jansson.h>

#include "base/status.h"

enum { NF_COMMAND_MOST = 16384 }; /* bytes of a line */

typedef enum { NF_COMMAND_STATUS, NF_COMMAND_RELOAD } nf_command_kind;

typedef struct {
    nf_command_kind kind;
    const char *model, *path; /* of reload, or NULL; they live as long as `line` */
    json_t *line;
} nf_command;

/** 0, or NF_EFORMAT, or NF_EINVAL for a command that makes no sense. To be freed in either case. */
int nf_command_read(nf_command *out, const char *line, size_t n, nf_error *err);
void nf_command_free(nf_command *c);

#endif
