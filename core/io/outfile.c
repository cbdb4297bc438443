/* SPDX-License-Identifier: BSD-3-Clause */
#define _XOPEN_SOURCE 700 /* realpath */
#include "io/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/status.h"

enum { BUFFER = 1 << 16, NAME_EXTRA = 48, MAX_TRIES = 100 };

/* ---- opening ---- */

char *nf_outfile_target(const char *path)
{
    char *real = realpath(path, NULL);
    char *copy = nf_strdup(real != NULL ? real : path);
    free(real);
    return copy;
}

static int open_part(nf_outfile *out)
{
    int fd = -1;
    size_t size = strlen(out->target) + NAME_EXTRA;
    for (int n = 0; n < MAX_TRIES && fd < 0; n++) {
        snprintf(out->part, size, n == 0 ? "%s.%ld.part" : "%s.%ld.%d.part", out->target, (long)getpid(), n);
        fd = open(out->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST)
            break;
    }
    if (fd < 0)
        out->part[0] = '\0'; /* that name is another's */
    return fd;
}

/* The descriptor to write to; -1 with errno set. */
static int open_target(nf_outfile *out, const char *path)
{
    struct stat is;
    if (strcmp(path, "-") == 0)
        return dup(STDOUT_FILENO);
    if (stat(path, &is) == 0 && !S_ISREG(is.st_mode))
        return open(path, O_WRONLY | O_CLOEXEC);
    out->target = nf_outfile_target(path);
    if (out->target != NULL)
        out->part = nf_calloc(strlen(out->target) + NAME_EXTRA, 1);
    if (out->part != NULL)
        return open_part(out);
    errno = ENOMEM;
    return -1;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static int open_stream(nf_outfile *out, const char *path)
{
    int fd = open_target(out, path);
    if (fd < 0)
        return -1;
    out->gz = gzdopen(fd, ends_with(path, ".gz") ? "wb" : "wbT");
    if (out->gz != NULL)
        return 0;
    close(fd);
    errno = ENOMEM;
    return -1;
}

int nf_outfile_create(nf_outfile *out, const char *path, nf_error *err)
{
    *out = (nf_outfile){0};
    errno = ENOMEM;
    out->path = nf_strdup(path);
    if (out->path != NULL && NF_GROW(out->buffer, out->capacity, BUFFER) == 0 && open_stream(out, path) == 0)
        return 0;
    int number = errno;
    nf_outfile_discard(out);
    if (number == ENOMEM)
        return nf_fail_memory(err, "writing a file");
    return nf_fail(err, NF_EIO, "%s: cannot create: %s", path, strerror(number));
}

/* ---- writing ---- */

static void remember(nf_outfile *out, int code, int number)
{
    if (out->code != 0)
        return;
    out->code = code;
    out->number = number;
}

static void flush(nf_outfile *out)
{
    errno = 0;
    if (out->code == 0 && out->length > 0 && gzwrite(out->gz, out->buffer, (unsigned)out->length) <= 0)
        remember(out, NF_EIO, errno);
    out->length = 0;
}

char *nf_outfile_room(nf_outfile *out, size_t n)
{
    if (out->length + n > out->capacity)
        flush(out);
    if (NF_GROW(out->buffer, out->capacity, n) < 0)
        remember(out, NF_ENOMEM, 0);
    return out->code == 0 ? out->buffer + out->length : NULL;
}

void nf_outfile_put(nf_outfile *out, const char *text, size_t n)
{
    char *room = nf_outfile_room(out, n);
    if (room == NULL)
        return;
    memcpy(room, text, n);
    out->length += n;
}

int nf_outfile_check(const nf_outfile *out, nf_error *err)
{
    if (out->code == NF_ENOMEM)
        return nf_fail_memory(err, "writing a file");
    if (out->code != 0)
        return nf_fail(err, out->code, "%s: cannot write: %s", out->path,
                       out->number != 0 ? strerror(out->number) : "unknown reason");
    return 0;
}

/* ---- closing ---- */

static void close_stream(nf_outfile *out)
{
    errno = 0;
    if (out->gz != NULL && gzclose_w(out->gz) != Z_OK)
        remember(out, NF_EIO, errno);
    out->gz = NULL;
}

int nf_outfile_commit(nf_outfile *out, nf_error *err)
{
    flush(out);
    close_stream(out);
    if (out->code == 0 && out->part != NULL && rename(out->part, out->target) != 0)
        remember(out, NF_EIO, errno);
    int rc = nf_outfile_check(out, err);
    if (rc == 0) {
        nf_free(out->part);
        out->part = NULL;
    }
    nf_outfile_discard(out);
    return rc;
}

void nf_outfile_discard(nf_outfile *out)
{
    close_stream(out);
    if (out->part != NULL && out->part[0] != '\0')
        unlink(out->part);
    nf_free(out->path);
    nf_free(out->target);
    nf_free(out->part);
    nf_free(out->buffer);
    *out = (nf_outfile){0};
}
