/* SPDX-License-Identifier: BSD-3-Clause
 *
 * cmd_listen.c - nearfar listen ADDRESS... MODEL...
 */
#include "cli/common.h"
#include "cli/serving.h"

int cmd_listen(int argc, char **argv)
{
    static const serving_kind kind = {
        "listen",
        "ADDRESS... MODEL... [options]\n"
        "ADDRESS: unix:NAME (/tmp/ipi_NAME), unix:/path, tcp:HOST:PORT; MODEL: a path, or NAME=PATH[,PATH...]\n"
        "clients connect and name model and species in their INIT; without a name they get the first model",
        true};
    return serving_main(&kind, argc, argv);
}
