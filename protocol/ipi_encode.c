/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ipi_encode.c - what the driver answers, from replies to bytes.
 *
 * FORCEREADY is written whole, because a server may give up on a driver that pauses inside it. The size is
 * asked for first, so that one buffer of the caller serves and nothing here can run out of it.
 */
#include "protocol/ipi.h"

#include <string.h>

void ipi_status(unsigned char out[IPI_HEADER], ipi_word word)
{
    static const char words[][IPI_HEADER + 1] = {
        [IPI_READY] = "READY       ",
        [IPI_NEEDINIT] = "NEEDINIT    ",
        [IPI_HAVEDATA] = "HAVEDATA    ",
    };
    memcpy(out, words[word], IPI_HEADER);
}

static uint32_t extras_length(const ipi_reply *r)
{
    return r->nextras > 0 ? r->nextras : 1;
}

/* *sum += n * each, unless a size_t cannot hold that. */
static bool add(size_t *sum, size_t n, size_t each)
{
    if (n > (SIZE_MAX - *sum) / each)
        return false;
    *sum += n * each;
    return true;
}

static bool add_extras(size_t *total, size_t n, const ipi_reply reply[])
{
    for (size_t i = 0; i < n; i++)
        if (reply[i].nextras > INT32_MAX || !add(total, 1, extras_length(&reply[i])))
            return false;
    return true;
}

size_t ipi_forceready_size(uint32_t natoms, size_t n, const ipi_reply reply[])
{
    size_t total = IPI_HEADER + sizeof(int32_t);
    size_t one = (1 + 9) * sizeof(double) + sizeof(int32_t);
    if (natoms < 1 || natoms > INT32_MAX || n < 1)
        return 0;
    if (!add(&one, natoms, 3 * sizeof(double)) || !add(&total, n, one) || !add_extras(&total, n, reply))
        return 0;
    return total;
}

size_t ipi_forceready_shared_size(size_t n, const ipi_reply reply[])
{
    size_t total = IPI_HEADER;
    if (n < 1 || !add(&total, n, sizeof(int32_t)) || !add_extras(&total, n, reply))
        return 0;
    return total;
}

static unsigned char *put(unsigned char *out, const void *from, size_t n)
{
    memcpy(out, from, n);
    return out + n;
}

static unsigned char *put_int32(unsigned char *out, uint32_t value)
{
    int32_t i = (int32_t)value;
    return put(out, &i, sizeof i);
}

static unsigned char *put_extras(unsigned char *out, const ipi_reply *r)
{
    out = put_int32(out, extras_length(r));
    return put(out, r->nextras > 0 ? r->extras : " ", extras_length(r));
}

size_t ipi_forces_at(size_t n)
{
    return IPI_HEADER + sizeof(double) * n + sizeof(int32_t);
}

/* Forces that are where they belong stay there; those of copies come from there. */
static unsigned char *put_forces(unsigned char *out, const double *forces, size_t n)
{
    if ((const unsigned char *)forces != out)
        memcpy(out, forces, n);
    return out + n;
}

size_t ipi_forceready(unsigned char *out, uint32_t natoms, size_t n, const ipi_reply reply[])
{
    size_t size = ipi_forceready_size(natoms, n, reply);
    if (size == 0)
        return 0;
    out = put(out, "FORCEREADY  ", IPI_HEADER);
    for (size_t i = 0; i < n; i++)
        out = put(out, &reply[i].energy, sizeof reply[i].energy);
    out = put_int32(out, natoms);
    for (size_t i = 0; i < n; i++)
        out = put_forces(out, reply[i].forces, 3 * sizeof(double) * natoms);
    for (size_t i = 0; i < n; i++)
        out = put(out, reply[i].virial, sizeof reply[i].virial);
    for (size_t i = 0; i < n; i++)
        out = put_extras(out, &reply[i]);
    return size;
}

size_t ipi_forceready_shared(unsigned char *out, size_t n, const ipi_reply reply[])
{
    size_t size = ipi_forceready_shared_size(n, reply);
    if (size == 0)
        return 0;
    out = put(out, "FORCEREADY  ", IPI_HEADER);
    for (size_t i = 0; i < n; i++)
        out = put_extras(out, &reply[i]);
    return size;
}

size_t ipi_error(unsigned char out[IPI_ERROR_MOST], const char *text, size_t n)
{
    if (n > IPI_ERROR_TEXT)
        n = IPI_ERROR_TEXT;
    unsigned char *end = put(out, "ERROR       ", IPI_HEADER);
    end = put_int32(end, (uint32_t)n);
    return (size_t)(put(end, text, n) - out);
}
