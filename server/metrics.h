/* SPDX-License-Identifier: BSD-3-Clause
 *
 * metrics.h - the snapshot of a server as Prometheus reads it (text format 0.0.4; names in docs/monitoring.md).
 */
#ifndef NF_SERVER_METRICS_H
#define NF_SERVER_METRICS_H

#include "server/writer.h"

/** Appends all metrics; what is not known is left out. */
void nf_metrics(nf_writer *out, const json_t *snapshot);

#endif
