/* SPDX-License-Identifier: BSD-3-Clause */
#include "io/npz.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "base/mem.h"
#include "base/status.h"
#include "io/outfile.h"

enum {
    HEADER = 192,         /* bytes of an .npy header: a multiple of 64 that holds the longest one */
    IN_MEMORY = 1 << 17,  /* bytes of an array before they go to a file */
    DOS_1980 = 1 << 5 | 1 /* 1 January 1980 */
};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ORDER "<"
#else
#define ORDER ">"
#endif

struct nf_npz_array {
    nf_npz *npz;
    char *name; /* with .npy */
    char type[32];
    bool scalar; /* one row, no dimensions */
    bool compressed;
    size_t ntail, tail[NF_NPZ_MAX_TAIL], row_bytes, nrows;
    char *data; /* header and rows; what is not in the file yet, if there is one */
    size_t length, capacity;
    FILE *file;
};

struct nf_npz {
    char *path;       /* for messages */
    char *target;     /* what it stands for */
    nf_error failure; /* the first one */
    size_t n, capacity;
    nf_npz_array **arrays;
};

/* Remembers the first failure. */
static int fail(nf_npz *npz, nf_error *err, int code, const char *what, const char *why)
{
    nf_error failure;
    if (code == NF_ENOMEM)
        nf_fail_memory(&failure, "arrays");
    else
        nf_fail(&failure, code, "%.150s: %s: %.60s", npz->path, what, why);
    if (npz->failure.code == 0)
        npz->failure = failure;
    if (err != NULL)
        *err = failure;
    return code;
}

static int fail_memory(nf_npz *npz, nf_error *err)
{
    return fail(npz, err, NF_ENOMEM, NULL, NULL);
}

/* Says what errno is about. */
static int fail_file(nf_npz *npz, nf_error *err, const char *what)
{
    return errno == ENOMEM ? fail_memory(npz, err) : fail(npz, err, NF_EIO, what, strerror(errno));
}

/* ---- creating ---- */

/* A file beside the archive, without a name; NULL with errno set. */
static FILE *nameless_file(const char *target)
{
    size_t size = strlen(target) + 16;
    char *name = nf_calloc(size, 1);
    if (name == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    snprintf(name, size, "%s.XXXXXX", target);
    int fd = mkstemp(name), number = errno;
    if (fd >= 0)
        unlink(name);
    nf_free(name);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w+b");
    if (fd >= 0 && file == NULL) {
        number = errno;
        close(fd);
    }
    errno = number;
    return file;
}

static int try_place(nf_npz *npz, const char *path, nf_error *err)
{
    struct stat is;
    if (strcmp(path, "-") == 0 || (stat(path, &is) == 0 && !S_ISREG(is.st_mode)))
        return nf_fail(err, NF_EINVAL, "%s: arrays can only be written to an ordinary file", path);
    npz->path = nf_strdup(path);
    npz->target = nf_outfile_target(path);
    if (npz->path == NULL || npz->target == NULL)
        return nf_fail_memory(err, "arrays");
    FILE *file = nameless_file(npz->target);
    if (file == NULL)
        return fail_file(npz, err, "cannot create");
    fclose(file);
    return 0;
}

int nf_npz_create(nf_npz **out, const char *path, nf_error *err)
{
    *out = NULL;
    nf_npz *npz = nf_calloc(1, sizeof *npz);
    if (npz == NULL)
        return nf_fail_memory(err, "arrays");
    int rc = try_place(npz, path, err);
    if (rc == 0)
        *out = npz;
    else
        nf_npz_discard(npz);
    return rc;
}

void nf_npz_discard(nf_npz *npz)
{
    if (npz == NULL)
        return;
    for (size_t i = 0; i < npz->n; i++) {
        nf_npz_array *array = npz->arrays[i];
        if (array->file != NULL)
            fclose(array->file);
        nf_free(array->name);
        nf_free(array->data);
        nf_free(array);
    }
    nf_free(npz->arrays);
    nf_free(npz->path);
    nf_free(npz->target);
    nf_free(npz);
}

/* ---- arrays ---- */

/* An array in the archive's list. NULL without memory. */
static nf_npz_array *new_array(nf_npz *npz, const char *name)
{
    if (NF_GROW(npz->arrays, npz->capacity, npz->n + 1))
        return NULL;
    nf_npz_array *array = nf_calloc(1, sizeof *array);
    if (array == NULL)
        return NULL;
    npz->arrays[npz->n++] = array;
    array->npz = npz;
    array->name = nf_calloc(strlen(name) + sizeof ".npy", 1);
    if (array->name == NULL || NF_GROW(array->data, array->capacity, HEADER))
        return NULL;
    sprintf(array->name, "%s.npy", name);
    array->length = HEADER; /* written at the end */
    return array;
}

int nf_npz_add(nf_npz *npz, nf_npz_array **out, const char *name, nf_npz_type type, size_t ntail, const size_t *tail,
               nf_error *err)
{
    static const struct {
        const char *name;
        size_t size;
    } types[] = {
        {ORDER "f8", sizeof(double)}, {ORDER "i4", sizeof(int32_t)}, {ORDER "i8", sizeof(int64_t)}, {"|b1", 1}};
    assert(ntail <= NF_NPZ_MAX_TAIL);
    nf_npz_array *array = new_array(npz, name);
    if (array == NULL)
        return fail_memory(npz, err);
    snprintf(array->type, sizeof array->type, "%s", types[type].name);
    array->row_bytes = types[type].size;
    for (size_t d = 0; d < ntail; d++) {
        array->tail[d] = tail[d];
        array->row_bytes *= tail[d];
    }
    array->ntail = ntail;
    *out = array;
    return 0;
}

void nf_npz_compress(nf_npz_array *array)
{
    array->compressed = true;
}

static int write_file(nf_npz_array *array, const void *data, size_t bytes, nf_error *err)
{
    if (fwrite(data, 1, bytes, array->file) == bytes)
        return 0;
    return fail_file(array->npz, err, "cannot write to a file beside it");
}

/* From memory to the file. */
static int flush(nf_npz_array *array, nf_error *err)
{
    if (array->file == NULL)
        array->file = nameless_file(array->npz->target);
    if (array->file == NULL)
        return fail_file(array->npz, err, "cannot create a file beside it");
    size_t length = array->length;
    array->length = 0;
    return write_file(array, array->data, length, err);
}

int nf_npz_append(nf_npz_array *array, size_t nrows, const void *data, nf_error *err)
{
    size_t bytes = nrows * array->row_bytes;
    array->nrows += nrows;
    if (bytes == 0)
        return 0;
    if (array->length + bytes > IN_MEMORY)
        TRY(flush(array, err));
    if (bytes > IN_MEMORY)
        return write_file(array, data, bytes, err);
    if (NF_GROW(array->data, array->capacity, array->length + bytes))
        return fail_memory(array->npz, err);
    memcpy(array->data + array->length, data, bytes);
    array->length += bytes;
    return 0;
}

/* ---- strings ---- */

/* The next character of UTF-8 text, of which *text is set behind it; U+FFFD for a byte that does not belong. */
static uint32_t next_character(const unsigned char **text)
{
    const unsigned char *p = (*text)++;
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    int more = p[0] < 0x80 ? 0 : p[0] < 0xc2 ? -1 : p[0] < 0xe0 ? 1 : p[0] < 0xf0 ? 2 : p[0] < 0xf5 ? 3 : -1;
    if (more < 0)
        return 0xfffd;
    uint32_t c = more == 0 ? p[0] : p[0] & (0x3fu >> more);
    for (int k = 1; k <= more; k++) {
        if ((p[k] & 0xc0) != 0x80)
            return 0xfffd;
        c = c << 6 | (p[k] & 0x3f);
    }
    if (c < least[more] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
        return 0xfffd;
    *text = p + more + 1;
    return c;
}

static size_t count_characters(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t n = 0;
    for (; *p != '\0'; n++)
        next_character(&p);
    return n;
}

static int append_string(nf_npz_array *array, uint32_t *row, const char *text, nf_error *err)
{
    const unsigned char *p = (const unsigned char *)text;
    memset(row, 0, array->row_bytes);
    for (size_t k = 0; *p != '\0'; k++)
        row[k] = next_character(&p);
    return nf_npz_append(array, 1, row, err);
}

int nf_npz_strings(nf_npz *npz, const char *name, size_t n, const char *const text[], nf_error *err)
{
    nf_npz_array *array = new_array(npz, name);
    size_t longest = 1;
    for (size_t i = 0; i < n; i++) {
        size_t length = count_characters(text[i]);
        longest = length > longest ? length : longest;
    }
    uint32_t *row = nf_calloc(longest, sizeof *row);
    if (array == NULL || row == NULL) {
        nf_free(row);
        return fail_memory(npz, err);
    }
    snprintf(array->type, sizeof array->type, ORDER "U%zu", longest);
    array->row_bytes = longest * sizeof *row;
    nf_npz_compress(array);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = append_string(array, row, text[i], err);
    nf_free(row);
    return rc;
}

int nf_npz_string(nf_npz *npz, const char *name, const char *text, nf_error *err)
{
    TRY(nf_npz_strings(npz, name, 1, &text, err));
    npz->arrays[npz->n - 1]->scalar = true;
    return 0;
}

/* ---- closing ---- */

/* Magic, version, length, and a Python dictionary padded with blanks to the whole. */
static void make_header(const nf_npz_array *array, char out[HEADER + 1])
{
    static const char begin[] = {
        '\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, (char)((HEADER - 10) & 0xff), (char)((HEADER - 10) >> 8)};
    char shape[128] = "";
    size_t n = 0;
    if (!array->scalar)
        n += (size_t)snprintf(shape, sizeof shape, "%zu,", array->nrows);
    for (size_t d = 0; d < array->ntail; d++)
        n += (size_t)snprintf(shape + n, sizeof shape - n, " %zu%s", array->tail[d], d + 1 < array->ntail ? "," : "");
    memset(out, ' ', HEADER);
    memcpy(out, begin, sizeof begin);
    int length = snprintf(out + sizeof begin, HEADER - sizeof begin,
                          "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", array->type, shape);
    out[sizeof begin + (size_t)length] = ' ';
    out[HEADER - 1] = '\n';
}

/* Writes what stdio still holds, too. */
static int go_to_beginning(nf_npz_array *array, nf_error *err)
{
    if (fseeko(array->file, 0, SEEK_SET) == 0)
        return 0;
    return fail_file(array->npz, err, "cannot write to a file beside it");
}

/* The file, if there is one, is complete then and at its beginning. */
static int write_header(nf_npz_array *array, nf_error *err)
{
    char header[HEADER + 1];
    make_header(array, header);
    if (array->file == NULL) {
        memcpy(array->data, header, HEADER);
        return 0;
    }
    TRY(flush(array, err));
    TRY(go_to_beginning(array, err));
    TRY(write_file(array, header, HEADER, err));
    return go_to_beginning(array, err);
}

/* What libzip reads the array from; owns the file then. */
static zip_source_t *source_of(nf_npz_array *array, zip_t *zip)
{
    if (array->file == NULL)
        return zip_source_buffer(zip, array->data, array->length, 0);
    zip_source_t *source = zip_source_filep(zip, array->file, 0, 0);
    if (source != NULL)
        array->file = NULL;
    return source;
}

static int fail_zip(nf_npz *npz, zip_t *zip, nf_error *err)
{
    return fail(npz, err, NF_EIO, "cannot write", zip_error_strerror(zip_get_error(zip)));
}

static int add_entry(nf_npz_array *array, zip_t *zip, nf_error *err)
{
    enum { ORDINARY_FILE = 0100644, FASTEST = 1 };
    TRY(write_header(array, err));
    zip_source_t *source = source_of(array, zip);
    if (source == NULL)
        return fail_zip(array->npz, zip, err);
    zip_int64_t index = zip_file_add(zip, array->name, source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
        fail_zip(array->npz, zip, err);
        zip_source_free(source);
        return NF_EIO;
    }
    zip_uint64_t entry = (zip_uint64_t)index;
    if (zip_set_file_compression(zip, entry, array->compressed ? ZIP_CM_DEFLATE : ZIP_CM_STORE,
                                 array->compressed ? FASTEST : 0) ||
        zip_file_set_dostime(zip, entry, 0, DOS_1980, 0) ||
        zip_file_set_external_attributes(zip, entry, 0, ZIP_OPSYS_UNIX, (zip_uint32_t)ORDINARY_FILE << 16))
        return fail_zip(array->npz, zip, err);
    return 0;
}

static int write_archive(nf_npz *npz, nf_error *err)
{
    int code;
    zip_t *zip = zip_open(npz->target, ZIP_CREATE | ZIP_TRUNCATE, &code);
    if (zip == NULL) {
        zip_error_t error;
        zip_error_init_with_code(&error, code);
        fail(npz, err, NF_EIO, "cannot create", zip_error_strerror(&error));
        zip_error_fini(&error);
        return NF_EIO;
    }
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < npz->n; i++)
        rc = add_entry(npz->arrays[i], zip, err);
    if (rc == 0 && zip_close(zip) == 0)
        return 0;
    if (rc == 0)
        rc = fail_zip(npz, zip, err);
    zip_discard(zip);
    return rc;
}

int nf_npz_close(nf_npz *npz, nf_error *err)
{
    int rc = npz->failure.code;
    if (rc != 0 && err != NULL)
        *err = npz->failure;
    if (rc == 0)
        rc = write_archive(npz, err);
    nf_npz_discard(npz);
    return rc;
}
