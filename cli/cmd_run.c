/* SPDX-License-Identifier: BSD-3-Clause
 *
 * cmd_run.c - nearfar run MODEL... ADDRESS...
 */
#include "cli/common.h"
#include "cli/serving.h"

int cmd_run(int argc, char **argv)
{
    static const serving_kind kind = {
        "run",
        "MODEL... ADDRESS[,key=value...] ... [--species FILE|LIST] [options]\n"
        "ADDRESS: unix:NAME (/tmp/ipi_NAME), unix:/path, tcp:HOST:PORT, shm:NAME; MODEL: a path, NAME=PATH, or null\n"
        "several models are a committee; each address is served by the models named before it",
        false};
    return serving_main(&kind, argc, argv);
}
