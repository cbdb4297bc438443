/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/number.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/words.h"

/* The digits of a number: mantissa * 10^exponent. */
struct decimal {
    uint64_t mantissa;
    int ndigits; /* of the mantissa, leading zeros too; above MAX_DIGITS it is not valid */
    int exponent;
    bool negative;
};

enum { MAX_DIGITS = 19, MAX_EXPONENT = 99999 };

static const char *scan_digits(const char *p, struct decimal *d)
{
    for (; nf_is_digit(*p); p++) {
        if (d->ndigits < MAX_DIGITS)
            d->mantissa = 10 * d->mantissa + (uint64_t)(*p - '0');
        d->ndigits += d->ndigits <= MAX_DIGITS;
    }
    return p;
}

static const char *scan_exponent(const char *p, struct decimal *d)
{
    const char *q = p + 1;
    int e = 0;
    if (*p != 'e' && *p != 'E')
        return p;
    bool negative = *q == '-';
    if (*q == '-' || *q == '+')
        q++;
    if (!nf_is_digit(*q))
        return p;
    for (; nf_is_digit(*q); q++)
        if (e < MAX_EXPONENT)
            e = 10 * e + (*q - '0');
    d->exponent += negative ? -e : e;
    return q;
}

static const char *scan(const char *p, struct decimal *d)
{
    d->negative = *p == '-';
    if (*p == '-' || *p == '+')
        p++;
    p = scan_digits(p, d);
    if (*p == '.') {
        const char *fraction = p + 1;
        p = scan_digits(fraction, d);
        if (p - fraction <= MAX_DIGITS)
            d->exponent = -(int)(p - fraction);
    }
    return d->ndigits == 0 ? NULL : scan_exponent(p, d);
}

/* A mantissa below 2^53 and a power of ten below 10^23 are exact doubles, so that one multiplication or
 * division rounds once and correctly. Source: Clinger, PLDI 1990, doi:10.1145/93542.93557. */
static bool convert_exactly(const struct decimal *d, double *value)
{
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    enum { LARGEST = sizeof power / sizeof *power - 1 };
    if (d->ndigits > MAX_DIGITS || d->mantissa > UINT64_C(1) << 53 || abs(d->exponent) > LARGEST)
        return false;
    double m = (double)d->mantissa;
    m = d->exponent < 0 ? m / power[-d->exponent] : m * power[d->exponent];
    *value = d->negative ? -m : m;
    return true;
}

const char *nf_number_parse(const char *text, double *value)
{
    struct decimal d = {0};
    const char *end = scan(text, &d);
    if (end == NULL || convert_exactly(&d, value))
        return end;
    *value = strtod(text, NULL);
    return isfinite(*value) ? end : NULL;
}

size_t nf_number_format(char out[NF_NUMBER_TEXT], double value)
{
    double back;
    int n = snprintf(out, NF_NUMBER_TEXT, "%.15g", value);
    for (int digits = 16; digits <= 17 && isfinite(value); digits++) {
        if (nf_number_parse(out, &back) != NULL && back == value)
            break;
        n = snprintf(out, NF_NUMBER_TEXT, "%.*g", digits, value);
    }
    return (size_t)n;
}
