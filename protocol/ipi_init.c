/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ipi_init.c - the text of INIT, the only channel by which a user of i-PI reaches a driver.
 *
 * i-PI writes its <parameters> as ` k : v , k : v , ` and appends `, batch_size:B` where it batches; without
 * parameters it sends one blank, and ASE one NUL. Nothing is quoted, so a comma always ends an item; the
 * first colon of an item ends its key, and later ones belong to the value (paths, addresses).
 */
#include "protocol/ipi.h"

#include <string.h>

typedef struct {
    const char *p;
    size_t n;
} view;

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static view trimmed(const char *p, const char *end)
{
    while (p < end && blank(*p))
        p++;
    while (p < end && blank(end[-1]))
        end--;
    return (view){p, (size_t)(end - p)};
}

static void split(view item, ipi_param *out)
{
    const char *end = item.p + item.n, *colon = memchr(item.p, ':', item.n);
    view key = trimmed(item.p, colon != NULL ? colon : end);
    view value = colon != NULL ? trimmed(colon + 1, end) : (view){NULL, 0};
    *out = (ipi_param){.key = key.p, .nkey = key.n, .value = value.p, .nvalue = value.n};
}

bool ipi_init_next(const char **cursor, ipi_param *out)
{
    while (**cursor != '\0') {
        const char *start = *cursor, *end = start + strcspn(start, ",");
        view item = trimmed(start, end);
        *cursor = *end == ',' ? end + 1 : end;
        if (item.n > 0) {
            split(item, out);
            return true;
        }
    }
    return false;
}

int ipi_batch_size(const char *p, size_t n)
{
    int64_t value = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        value = 10 * value + (p[i] - '0');
        if (value > INT32_MAX)
            return -1;
    }
    return value > 0 ? (int)value : -1;
}
