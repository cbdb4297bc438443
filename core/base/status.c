/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

int nf_fail(nf_error *err, int code, const char *fmt, ...)
{
    if (err != NULL) {
        va_list ap;
        va_start(ap, fmt);
        err->code = code;
        vsnprintf(err->msg, sizeof err->msg, fmt, ap);
        va_end(ap);
    }
    return code;
}

int nf_fail_memory(nf_error *err, const char *what)
{
    return nf_fail(err, NF_ENOMEM, "out of memory for %s", what);
}

void nf_log_write(const nf_log *log, int level, const char *fmt, ...)
{
    if (log->fn == NULL)
        return;
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    log->fn(log->ctx, level, text);
}

const char *nf_version(void)
{
#define STRING_(x) #x
#define STRING(x)  STRING_(x)
    return STRING(NF_VERSION_MAJOR) "." STRING(NF_VERSION_MINOR) "." STRING(NF_VERSION_PATCH);
}
