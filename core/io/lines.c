/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/lines.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/status.h"
#include "io/words.h"

enum { FIRST_BUFFER = 1 << 16 };

static int prepare(nf_lines *in, const char *path, nf_error *err)
{
    *in = (nf_lines){0};
    in->path = nf_strdup(path);
    /* one byte more than is ever filled: the last line gets its terminator */
    if (in->path == NULL || NF_GROW(in->buffer, in->capacity, FIRST_BUFFER + 1) < 0) {
        nf_lines_close(in);
        return nf_fail_memory(err, "reading a file");
    }
    return 0;
}

static gzFile open_standard_input(void)
{
    int fd = dup(STDIN_FILENO);
    gzFile gz = fd < 0 ? NULL : gzdopen(fd, "rb");
    if (gz == NULL && fd >= 0)
        close(fd);
    return gz;
}

int nf_lines_open(nf_lines *in, const char *path, nf_error *err)
{
    struct stat info;
    bool standard_input = strcmp(path, "-") == 0;
    TRY(prepare(in, standard_input ? "standard input" : path, err));
    errno = 0;
    in->gz = standard_input ? open_standard_input() : gzopen(path, "rb");
    in->size = !standard_input && stat(path, &info) == 0 ? (long long)info.st_size : 0;
    if (in->gz != NULL)
        return 0;
    nf_lines_close(in);
    if (errno == 0)
        return nf_fail_memory(err, "reading a file");
    return nf_fail(err, NF_EIO, "%s: cannot open: %s", path, strerror(errno));
}

int nf_lines_open_memory(nf_lines *in, const char *name, const void *data, size_t size, nf_error *err)
{
    TRY(prepare(in, name, err));
    in->memory = data;
    in->left = size;
    return 0;
}

void nf_lines_close(nf_lines *in)
{
    if (in->gz != NULL)
        gzclose_r(in->gz);
    nf_free(in->path);
    nf_free(in->buffer);
    *in = (nf_lines){0};
}

static int read_memory(nf_lines *in, size_t room)
{
    size_t n = in->left < room ? in->left : room;
    if (n == 0)
        return 0;
    memcpy(in->buffer + in->end, in->memory, n);
    in->memory += n;
    in->left -= n;
    in->end += n;
    return 1;
}

static int read_file(nf_lines *in, size_t room, nf_error *err)
{
    int code;
    int n = gzread(in->gz, in->buffer + in->end, (unsigned)room);
    if (n > 0) {
        in->end += (size_t)n;
        return 1;
    }
    const char *why = gzerror(in->gz, &code);
    if (code == Z_BUF_ERROR)
        return nf_fail(err, NF_EIO, "%s: the compressed data ends too early; the file is truncated", in->path);
    if (code == Z_OK || code == Z_STREAM_END)
        return 0;
    return nf_fail(err, NF_EIO, "%s: cannot read: %s", in->path, code == Z_ERRNO ? strerror(errno) : why);
}

/* More bytes behind those that are there. 1: got some, 0: end. */
static int refill(nf_lines *in, nf_error *err)
{
    memmove(in->buffer, in->buffer + in->begin, in->end - in->begin);
    in->end -= in->begin;
    in->begin = 0;
    if (in->end + 1 == in->capacity && NF_GROW(in->buffer, in->capacity, 2 * in->capacity) < 0)
        return nf_fail_memory(err, "a long line");
    size_t room = in->capacity - 1 - in->end;
    return in->gz == NULL ? read_memory(in, room) : read_file(in, room, err);
}

static int too_long(const nf_lines *in, nf_error *err)
{
    return nf_fail(err, NF_ELIMIT, "%s:%ld: the line is longer than %d bytes", in->path, in->number + 1, NF_LINE_MAX);
}

/* Finds the end of the line at in->begin, reading what is missing. 1: found, 0: nothing left. */
static int find_end(nf_lines *in, char **end, nf_error *err)
{
    while ((*end = memchr(in->buffer + in->begin, '\n', in->end - in->begin)) == NULL) {
        if (in->end - in->begin > NF_LINE_MAX)
            return too_long(in, err);
        int rc = refill(in, err);
        if (rc < 0)
            return rc;
        if (rc == 0) {
            *end = in->buffer + in->end;
            return in->begin < in->end;
        }
    }
    return 1;
}

int nf_lines_next(nf_lines *in, char **line, nf_error *err)
{
    char *end;
    if (in->again) {
        in->again = false;
        *line = in->line;
        return 1;
    }
    int rc = find_end(in, &end, err);
    if (rc <= 0)
        return rc;
    char *start = in->buffer + in->begin;
    in->begin = (size_t)(end - in->buffer) + (end < in->buffer + in->end);
    if (end - start > NF_LINE_MAX)
        return too_long(in, err);
    in->number++;
    if (end > start && end[-1] == '\r')
        end--;
    *end = '\0';
    if (strlen(start) < (size_t)(end - start))
        return nf_fail(err, NF_EFORMAT, "%s:%ld: a zero byte: this is no text file", in->path, in->number);
    *line = in->line = start;
    return 1;
}

int nf_lines_next_filled(nf_lines *in, char **line, nf_error *err)
{
    int rc;
    do
        rc = nf_lines_next(in, line, err);
    while (rc > 0 && *nf_skip_blanks(*line) == '\0');
    return rc;
}

void nf_lines_unread(nf_lines *in)
{
    in->again = true;
}

double nf_lines_fraction(const nf_lines *in)
{
    return in->gz == NULL || in->size <= 0 ? -1 : (double)gzoffset(in->gz) / (double)in->size;
}
