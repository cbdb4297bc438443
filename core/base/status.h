/* SPDX-License-Identifier: BSD-3-Clause
 *
 * status.h - errors: a code for programs, a sentence for people, one way up.
 */
#ifndef NF_BASE_STATUS_H
#define NF_BASE_STATUS_H

#include "nearfar/nearfar.h"

/** Fills err (may be NULL) with code and message, and returns code. */
int nf_fail(nf_error *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** nf_fail for memory that could not be had; `what` says for what. */
int nf_fail_memory(nf_error *err, const char *what);

/** Passes a negative code upwards. */
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        int rc_ = (call);                                                                                              \
        if (rc_ < 0)                                                                                                   \
            return rc_;                                                                                                \
    } while (0)

/** Where messages that are not errors go. */
typedef struct {
    nf_log_fn *fn; /* may be NULL */
    void *ctx;
} nf_log;

void nf_log_write(const nf_log *log, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
