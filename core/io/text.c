/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/text.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

static const long long largest = 1LL << 30;

static int read_all(nf_text *text, FILE *file, nf_hash *hash, nf_error *err)
{
    size_t capacity = 0, n = 0, got;
    do {
        if (NF_GROW(text->data, capacity, n + 65536))
            return nf_fail_memory(err, text->path);
        got = fread(text->data + n, 1, 65535, file);
        if (hash != NULL)
            nf_hash_add(hash, text->data + n, got);
        n += got;
        if ((long long)n > largest)
            return nf_fail(err, NF_ELIMIT, "%s is larger than 1 GiB", text->path);
    } while (got > 0);
    if (ferror(file))
        return nf_fail(err, NF_EIO, "cannot read %s: %s", text->path, strerror(errno));
    text->data[n] = '\0';
    if (strlen(text->data) != n)
        return nf_fail(err, NF_EFORMAT, "%s is not a text file", text->path);
    return 0;
}

int nf_text_open(nf_text *text, const char *path, nf_hash *hash, nf_error *err)
{
    struct stat info;
    *text = (nf_text){.path = path};
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return nf_fail(err, NF_EIO, "cannot open %s: %s", path, strerror(errno));
    int rc = 0;
    if (fstat(fileno(file), &info) == 0 && S_ISDIR(info.st_mode))
        rc = nf_fail(err, NF_EIO, "%s is a directory, expected a file", path);
    if (rc == 0)
        rc = read_all(text, file, hash, err);
    fclose(file);
    if (rc != 0)
        nf_text_close(text);
    text->at = text->data;
    return rc;
}

void nf_text_close(nf_text *text)
{
    nf_free(text->data);
    nf_free(text->kept);
    text->data = text->at = text->kept = NULL;
}

int nf_text_keep(nf_text *text, nf_error *err)
{
    text->kept = nf_strdup(text->data);
    return text->kept == NULL ? nf_fail_memory(err, text->path) : 0;
}

void nf_text_rewind(nf_text *text)
{
    nf_free(text->data);
    text->data = text->at = text->kept;
    text->kept = NULL;
    text->line = 0;
}

static int split(nf_text *text, char *line, const char *comment_signs, nf_error *err)
{
    text->nwords = 0;
    line[strcspn(line, comment_signs)] = '\0';
    for (char *p = line + strspn(line, " \t\r"); *p != '\0'; p += strspn(p, " \t\r")) {
        if (text->nwords == NF_TEXT_MAX_WORDS)
            return nf_fail(err, NF_EFORMAT, "%s:%ld: more than %d words", text->path, text->line, NF_TEXT_MAX_WORDS);
        text->word[text->nwords++] = p;
        p += strcspn(p, " \t\r");
        if (*p != '\0')
            *p++ = '\0';
    }
    return 0;
}

int nf_text_next(nf_text *text, const char *comment_signs, nf_error *err)
{
    while (*text->at != '\0') {
        char *line = text->at, *end = line + strcspn(line, "\n");
        text->at = *end == '\0' ? end : end + 1;
        *end = '\0';
        text->line++;
        TRY(split(text, line, comment_signs, err));
        if (text->nwords > 0)
            return 1;
    }
    return 0;
}

int nf_text_number(const nf_text *text, int i, double *out, nf_error *err)
{
    char *end;
    *out = strtod(text->word[i], &end);
    if (*end != '\0' || end == text->word[i])
        return nf_fail(err, NF_EFORMAT, "%s:%ld: '%.40s' is not a number%s", text->path, text->line, text->word[i],
                       *end == 'D' || *end == 'd' ? " (write the exponent with E)" : "");
    if (!(fabs(*out) < 1e300)) /* so that no change of units overflows */
        return nf_fail(err, NF_EFORMAT, "%s:%ld: '%.40s' is not a finite number", text->path, text->line,
                       text->word[i]);
    return 0;
}

int nf_text_integer(const nf_text *text, int i, int *out, nf_error *err)
{
    char *end;
    errno = 0;
    long value = strtol(text->word[i], &end, 10);
    if (*end != '\0' || end == text->word[i] || errno != 0 || value > INT_MAX || value < INT_MIN)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: '%.40s' is not an integer", text->path, text->line, text->word[i]);
    *out = (int)value;
    return 0;
}

int nf_text_require(const nf_text *text, int n, const char *usage, nf_error *err)
{
    if (text->nwords >= n)
        return 0;
    return nf_fail(err, NF_EFORMAT, "%s:%ld: too few values, expected: %s", text->path, text->line, usage);
}
