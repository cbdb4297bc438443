/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/status.h"

enum { IN = 1 << 16, STEP = 1 << 16 /* of the head: what it announces may be nonsense */ };

struct nf_recording {
    char *name;
    int fd; /* -1: memory */
    const unsigned char *memory;
    size_t nmemory;
    bool zipped, ended /* the stream of bytes */, over /* the records */, whole;
    int code; /* of an error, for good */
    nf_error err;
    z_stream z;
    json_t *header;
    uint64_t count;
    unsigned char *record; /* payload and crc of the one that was read last, and a NUL */
    size_t capacity;
    unsigned char in[IN];
};

/* ---- bytes ---- */

static int wrong(nf_recording *r, int code, const char *text)
{
    r->code = nf_fail(&r->err, code, "%s: %s", r->name, text);
    return r->code;
}

/* More of the file into in; 0: there is none. */
static int fill(nf_recording *r)
{
    size_t n = r->nmemory < IN ? r->nmemory : IN;
    if (r->fd >= 0) {
        ssize_t k = read(r->fd, r->in, IN);
        while (k < 0 && errno == EINTR)
            k = read(r->fd, r->in, IN);
        if (k < 0)
            return r->code = nf_fail(&r->err, NF_EIO, "%s: cannot read: %s", r->name, strerror(errno));
        n = (size_t)k;
    } else if (n > 0) {
        memcpy(r->in, r->memory, n);
        r->memory += n;
        r->nmemory -= n;
    }
    r->z.next_in = r->in;
    r->z.avail_in = (unsigned)n;
    return n > 0;
}

static int unzip(nf_recording *r)
{
    int how = inflate(&r->z, Z_NO_FLUSH);
    if (how == Z_MEM_ERROR)
        return wrong(r, NF_ENOMEM, "out of memory for a recording");
    if (how != Z_OK && how != Z_STREAM_END && how != Z_BUF_ERROR)
        return wrong(r, NF_EFORMAT, "the compressed data are damaged");
    r->ended = how == Z_STREAM_END;
    return 0;
}

static void copy_plain(nf_recording *r)
{
    unsigned n = r->z.avail_in < r->z.avail_out ? r->z.avail_in : r->z.avail_out;
    memcpy(r->z.next_out, r->z.next_in, n);
    r->z.next_in += n;
    r->z.avail_in -= n;
    r->z.next_out += n;
    r->z.avail_out -= n;
}

/* 1: n bytes; 0: the file ends before them; negative: damage. */
static int take(nf_recording *r, unsigned char *to, size_t n)
{
    r->z.next_out = to;
    r->z.avail_out = (unsigned)n;
    while (r->z.avail_out > 0 && !r->ended) {
        int more = r->z.avail_in > 0 ? 1 : fill(r);
        if (more < 0)
            return more;
        if (more == 0 && !r->zipped)
            break;
        if (!r->zipped)
            copy_plain(r);
        else
            TRY(unzip(r));
        if (more == 0 && r->z.avail_out > 0)
            break;
    }
    return r->z.avail_out == 0;
}

/* ---- the head ---- */

static int begin_bytes(nf_recording *r)
{
    int more = fill(r);
    if (more < 0)
        return more;
    r->z.zalloc = nf_zip_alloc;
    r->z.zfree = nf_zip_free;
    r->zipped = r->z.avail_in >= 2 && r->in[0] == 0x1f && r->in[1] == 0x8b;
    if (r->zipped && inflateInit2(&r->z, 15 + 16) != Z_OK) {
        r->zipped = false;
        return wrong(r, NF_ENOMEM, "out of memory for a recording");
    }
    return 0;
}

static int need(nf_recording *r, unsigned char *to, size_t n)
{
    int rc = take(r, to, n);
    return rc == 0 ? wrong(r, NF_EFORMAT, "cut off in its head: nothing was recorded") : rc;
}

/* The text grows as it comes. */
static int take_json(nf_recording *r, size_t n)
{
    for (size_t have = 0; have < n;) {
        size_t k = n - have < STEP ? n - have : STEP;
        if (NF_GROW(r->record, r->capacity, have + k) < 0)
            return wrong(r, NF_ENOMEM, "out of memory for a recording");
        TRY(need(r, r->record + have, k));
        have += k;
    }
    return 0;
}

static int parse_json(nf_recording *r, size_t n)
{
    r->header = json_loadb((const char *)r->record, n, 0, NULL);
    if (!json_is_object(r->header))
        return wrong(r, NF_EFORMAT, "the head of the recording is no JSON object");
    return 0;
}

static int read_head(nf_recording *r)
{
    unsigned char head[NF_RECORD_HEAD], crc[NF_RECORD_CRC];
    TRY(begin_bytes(r));
    int rc = take(r, head, sizeof head);
    if (rc < 0)
        return rc;
    if (rc == 0 || memcmp(head, NF_RECORD_MAGIC, NF_RECORD_MAGIC_SIZE) != 0)
        return wrong(r, NF_EFORMAT, "this is no recording of nearfar");
    uint32_t version = nf_get_u32(head + 8), n = nf_get_u32(head + 12);
    if (version != NF_RECORD_VERSION)
        return r->code =
                   nf_fail(&r->err, NF_EUNSUPPORTED, "%s: a recording of format %u, and this nearfar reads format %d",
                           r->name, version, NF_RECORD_VERSION);
    if (n > NF_RECORD_JSON_MOST)
        return wrong(r, NF_EFORMAT, "the head of the recording has an impossible length");
    TRY(take_json(r, n));
    TRY(need(r, crc, sizeof crc));
    uLong sum = crc32(0, head, sizeof head);
    if (n > 0)
        sum = crc32(sum, r->record, n);
    if (sum != nf_get_u32(crc))
        return wrong(r, NF_EFORMAT, "the head of the recording is damaged: its checksum does not fit");
    return parse_json(r, n);
}

static int open_source(nf_recording **out, const char *name, int fd, const void *bytes, size_t n, nf_error *err)
{
    nf_recording *r = nf_calloc(1, sizeof *r);
    *out = NULL;
    if (r == NULL || (r->name = nf_strdup(name)) == NULL) {
        if (fd >= 0)
            close(fd);
        nf_free(r);
        return nf_fail_memory(err, "a recording");
    }
    r->fd = fd;
    r->memory = bytes;
    r->nmemory = n;
    if (read_head(r) == 0) {
        *out = r;
        return 0;
    }
    int rc = r->code;
    if (err != NULL)
        *err = r->err;
    nf_recording_close(r);
    return rc;
}

int nf_recording_open_memory(nf_recording **out, const char *name, const void *bytes, size_t n, nf_error *err)
{
    return open_source(out, name, -1, bytes, n, err);
}

int nf_recording_open(nf_recording **out, const char *path, nf_error *err)
{
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return nf_fail(err, NF_EIO, "%s: cannot open: %s", path, strerror(errno));
    return open_source(out, path, fd, NULL, 0, err);
}

void nf_recording_close(nf_recording *r)
{
    if (r == NULL)
        return;
    if (r->zipped)
        inflateEnd(&r->z);
    if (r->fd >= 0)
        close(r->fd);
    json_decref(r->header);
    nf_free(r->record);
    nf_free(r->name);
    nf_free(r);
}

/* ---- records ---- */

static int broken(nf_recording *r, const char *what)
{
    r->code = nf_fail(&r->err, NF_EFORMAT, "%s: record %llu %s", r->name, (unsigned long long)r->count + 1, what);
    return r->code;
}

static void make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

static const char *text_at(const nf_recording *r, size_t first, size_t n)
{
    char *text = (char *)r->record + first;
    r->record[n] = '\0'; /* where the crc was */
    make_printable(text);
    return text;
}

static int understand(nf_recording *r, nf_record_entry *e, uint32_t kind, size_t n)
{
    *e = (nf_record_entry){.kind = (nf_record_kind)kind, .link = e->link, .time = e->time};
    switch (kind) {
    case NF_RECORD_LINK:
        if (n < 1 || r->record[0] > 1)
            return broken(r, "does not say how its link came about");
        e->accepted = r->record[0];
        e->text = text_at(r, 1, n);
        return 1;
    case NF_RECORD_RECEIVED:
    case NF_RECORD_SENT:
        e->bytes = r->record;
        e->nbytes = n;
        return 1;
    case NF_RECORD_CLOSED:
        if (n < 4)
            return broken(r, "does not say why its link was closed");
        e->code = (int)(int32_t)nf_get_u32(r->record);
        e->text = text_at(r, 4, n);
        return 1;
    case NF_RECORD_END:
        e->text = text_at(r, 0, n);
        return 1;
    default:
        return broken(r, "is of a kind that this nearfar does not know");
    }
}

/* The end was said: nothing may follow. */
static int check_nothing_follows(nf_recording *r)
{
    unsigned char byte;
    int rc = take(r, &byte, 1);
    if (rc == 0 && r->zipped && r->ended && r->z.avail_in == 0)
        rc = fill(r);
    if (rc > 0 || (rc == 0 && r->z.avail_in > 0))
        return wrong(r, NF_EFORMAT, "something follows the end of the recording");
    return rc;
}

static int read_entry(nf_recording *r, nf_record_entry *e)
{
    unsigned char head[NF_RECORD_ENTRY];
    int rc = take(r, head, sizeof head);
    if (rc <= 0)
        return rc;
    uint32_t n = nf_get_u32(head), kind = nf_get_u32(head + 4);
    e->link = nf_get_u32(head + 8);
    e->time = nf_get_u64(head + 12);
    if (n > NF_RECORD_PAYLOAD_MOST)
        return broken(r, "has an impossible length");
    if (NF_GROW(r->record, r->capacity, n + NF_RECORD_CRC) < 0)
        return wrong(r, NF_ENOMEM, "out of memory for a recording");
    rc = take(r, r->record, n + NF_RECORD_CRC);
    if (rc <= 0)
        return rc;
    if (crc32(crc32(0, head, sizeof head), r->record, n) != nf_get_u32(r->record + n))
        return broken(r, "is damaged: its checksum does not fit");
    return understand(r, e, kind, n);
}

int nf_recording_next(nf_recording *r, nf_record_entry *entry, nf_error *err)
{
    if (r->over)
        return 0;
    int rc = r->code < 0 ? r->code : read_entry(r, entry);
    if (rc == 1 && entry->kind == NF_RECORD_END && (rc = check_nothing_follows(r)) == 0) {
        r->whole = true;
        rc = 1;
    }
    r->count += rc > 0;
    r->over = rc == 0 || r->whole;
    if (rc < 0 && err != NULL)
        *err = r->err;
    return rc;
}

const json_t *nf_recording_header(const nf_recording *r)
{
    return r->header;
}

bool nf_recording_whole(const nf_recording *r)
{
    return r->whole;
}

uint64_t nf_recording_count(const nf_recording *r)
{
    return r->count;
}
