/* SPDX-License-Identifier: BSD-3-Clause
 *
 * snapshot.h - the snapshot of a server that does not exist, as it is after so many seconds.
 */
#ifndef NF_TEST_SNAPSHOT_H
#define NF_TEST_SNAPSHOT_H

#include <jansson.h>

/** nlinks links of one address, a model named `model` in its `generation`. A new reference. */
json_t *snapshot_make(int nlinks, double seconds, const char *model, int generation);

#endif
