/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/record.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>
#include <zlib.h>

#include "base/mem.h"
#include "server/record_format.h"

enum {
    AROUND = NF_RECORD_ENTRY + NF_RECORD_CRC,
    SLOT = 1 << 16,        /* the longest record that is written; what is longer becomes several */
    PIECE = SLOT - AROUND, /* its payload */
    BLOCK = 4 * SLOT,
    BLOCKS_MOST = 256, /* 64 MB */
    SPARE_MOST = 8,
    OUT = 1 << 16,
    TEXT_MOST = 1024, /* of addresses and reasons */
    LEVEL = 1         /* with Z_RLE: coordinates are noise, and half the time finds as little in them */
};

static const uint64_t flush_ns = 200000000;

typedef struct block {
    struct block *next;
    size_t n;
    unsigned char bytes[BLOCK];
} block;

struct nf_record {
    char *path;
    nf_log log;
    uint64_t start; /* ns */
    uv_thread_t thread;
    uv_mutex_t lock;
    uv_cond_t more; /* for the writer */
    /* the writer's own */
    int fd;
    z_stream z;
    uint64_t flushed_at;
    uint64_t nrecords, time;         /* that were compressed; when the last one was made */
    uint64_t nflushed, time_flushed; /* the same of what is in the file for certain */
    unsigned char out[OUT];
    /* guarded by lock */
    block *first, *last; /* the queue; the last one has room */
    block *spare;
    int nblocks, nspare; /* all that there are; those of them at hand */
    bool asleep;         /* the writer, until somebody wakes it */
    bool closing;
    const char *ending; /* why nothing more is put */
    int failed;         /* errno of the file */
    /* the caller's own */
    bool said;
};

/* ---- the file ---- */

/* 0 or errno. */
static int write_out(nf_record *r)
{
    size_t n = OUT - r->z.avail_out, done = 0;
    while (done < n) {
        ssize_t k = write(r->fd, r->out + done, n - done);
        if (k < 0 && errno != EINTR)
            return errno;
        done += k > 0 ? (size_t)k : 0;
    }
    r->z.next_out = r->out;
    r->z.avail_out = OUT;
    return 0;
}

static int compress_bytes(nf_record *r, const void *bytes, size_t n, int how)
{
    r->z.next_in = (unsigned char *)bytes; /* zlib only reads */
    r->z.avail_in = (unsigned)n;
    for (;;) {
        deflate(&r->z, how);
        if (r->z.avail_out > 0 && how != Z_FINISH && how != Z_SYNC_FLUSH)
            return 0;
        bool more = r->z.avail_out == 0;
        int number = write_out(r);
        if (number != 0 || !more)
            return number;
    }
}

static void remember_flushed(nf_record *r)
{
    r->nflushed = r->nrecords;
    r->time_flushed = r->time;
}

static int flush_file(nf_record *r)
{
    int number = compress_bytes(r, NULL, 0, Z_SYNC_FLUSH);
    if (number == 0)
        remember_flushed(r);
    r->flushed_at = uv_hrtime();
    return number;
}

static size_t seal(unsigned char *at)
{
    size_t n = NF_RECORD_ENTRY + nf_get_u32(at);
    nf_put_u32(at + n, (uint32_t)crc32(0, at, (unsigned)n));
    return n + NF_RECORD_CRC;
}

static int write_block(nf_record *r, block *b)
{
    for (size_t at = 0; at < b->n; r->nrecords++) {
        r->time = nf_get_u64(b->bytes + at + 12);
        at += seal(b->bytes + at);
    }
    return compress_bytes(r, b->bytes, b->n, Z_NO_FLUSH);
}

static size_t put_entry(unsigned char *at, nf_record_kind kind, uint32_t link, uint64_t time, const void *payload,
                        size_t n)
{
    nf_put_u32(at, (uint32_t)n);
    nf_put_u32(at + 4, kind);
    nf_put_u32(at + 8, link);
    nf_put_u64(at + 12, time);
    if (n > 0)
        memcpy(at + NF_RECORD_ENTRY, payload, n);
    return n + AROUND;
}

static int write_end(nf_record *r, const char *why)
{
    unsigned char record[AROUND + TEXT_MOST];
    put_entry(record, NF_RECORD_END, 0, (uv_hrtime() - r->start) / 1000, why, why == NULL ? 0 : strlen(why));
    return compress_bytes(r, record, seal(record), Z_FINISH);
}

/* ---- the writer's thread ---- */

static bool has_work(const nf_record *r, bool unflushed)
{
    bool queued = r->first != NULL;
    if (r->closing || r->ending != NULL || (queued && r->first->next != NULL))
        return true;
    return (queued || unflushed) && uv_hrtime() >= r->flushed_at + flush_ns;
}

static void sleep_a_while(nf_record *r, bool unflushed)
{
    uint64_t now = uv_hrtime();
    r->asleep = r->first == NULL && !unflushed;
    if (r->asleep)
        uv_cond_wait(&r->more, &r->lock);
    else if (now < r->flushed_at + flush_ns)
        uv_cond_timedwait(&r->more, &r->lock, r->flushed_at + flush_ns - now);
    r->asleep = false;
}

/* All that is queued; *over: nothing comes behind it, and *why. */
static block *wait_for_blocks(nf_record *r, bool unflushed, bool *over, const char **why)
{
    uv_mutex_lock(&r->lock);
    while (!has_work(r, unflushed))
        sleep_a_while(r, unflushed);
    block *list = r->first;
    r->first = r->last = NULL;
    *over = r->closing || r->ending != NULL;
    *why = r->ending;
    uv_mutex_unlock(&r->lock);
    return list;
}

static void free_list(block *list)
{
    while (list != NULL) {
        block *b = list;
        list = b->next;
        nf_free(b);
    }
}

static void give_back(nf_record *r, block *b)
{
    uv_mutex_lock(&r->lock);
    bool keep = r->nspare < SPARE_MOST;
    if (keep) {
        b->n = 0;
        b->next = r->spare;
        r->spare = b;
        r->nspare++;
    } else {
        r->nblocks--;
    }
    uv_mutex_unlock(&r->lock);
    if (!keep)
        nf_free(b);
}

static int write_list(nf_record *r, block *list)
{
    int number = 0;
    while (list != NULL && number == 0) {
        block *b = list;
        list = b->next;
        number = write_block(r, b);
        give_back(r, b);
    }
    free_list(list);
    return number;
}

/* The file may end within a record: its reader leaves that one out. */
static void give_up(nf_record *r, int number)
{
    uv_mutex_lock(&r->lock);
    block *list = r->first;
    r->first = r->last = NULL;
    r->failed = number;
    uv_mutex_unlock(&r->lock);
    free_list(list);
}

static void keep_signals_away(void)
{
    sigset_t all;
    sigfillset(&all); /* SIGXFSZ too: a file at its limit is an error of write() then */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

static void write_all(void *arg)
{
    nf_record *r = arg;
    bool over = false, unflushed = false;
    const char *why = NULL;
    int number = 0;
    keep_signals_away();
    while (!over && number == 0) {
        number = write_list(r, wait_for_blocks(r, unflushed, &over, &why));
        unflushed = true;
        if (number == 0 && !over && uv_hrtime() >= r->flushed_at + flush_ns) {
            number = flush_file(r);
            unflushed = false;
        }
    }
    if (number == 0)
        number = write_end(r, why);
    if (number != 0)
        give_up(r, number);
}

/* ---- opening ---- */

static int open_file(const char *path, nf_error *err)
{
    struct stat is;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666), number = errno;
    if (fd >= 0)
        return fd;
    if (number == EEXIST && stat(path, &is) == 0 && S_ISCHR(is.st_mode)) {
        fd = open(path, O_WRONLY | O_CLOEXEC);
        number = errno;
    } else if (number == EEXIST) {
        return nf_fail(err, NF_EIO,
                       "%s: there is such a file, and a recording is never written over another: remove it, "
                       "or name a new one",
                       path);
    }
    return fd >= 0 ? fd : nf_fail(err, NF_EIO, "%s: cannot create: %s", path, strerror(number));
}

static int compress_head(nf_record *r, const char *json, size_t n)
{
    unsigned char head[NF_RECORD_HEAD], crc[NF_RECORD_CRC];
    memcpy(head, NF_RECORD_MAGIC, NF_RECORD_MAGIC_SIZE);
    nf_put_u32(head + 8, NF_RECORD_VERSION);
    nf_put_u32(head + 12, (uint32_t)n);
    nf_put_u32(crc, (uint32_t)crc32(crc32(0, head, sizeof head), (const unsigned char *)json, (unsigned)n));
    int number = compress_bytes(r, head, sizeof head, Z_NO_FLUSH);
    if (number == 0)
        number = compress_bytes(r, json, n, Z_NO_FLUSH);
    if (number == 0)
        number = compress_bytes(r, crc, sizeof crc, Z_NO_FLUSH);
    return number != 0 ? number : flush_file(r);
}

static int write_head(nf_record *r, const json_t *header, nf_error *err)
{
    sigset_t limit, before;
    size_t n = json_dumpb(header, NULL, 0, JSON_COMPACT);
    char *json = n <= NF_RECORD_JSON_MOST ? nf_calloc(n + 1, 1) : NULL;
    if (n > NF_RECORD_JSON_MOST)
        return nf_fail(err, NF_ELIMIT, "%s: a recording begins with what is served, and that has more than 1 GB",
                       r->path);
    if (json == NULL || n == 0 || json_dumpb(header, json, n, JSON_COMPACT) != n) {
        nf_free(json);
        return nf_fail_memory(err, "a recording");
    }
    sigemptyset(&limit);
    sigaddset(&limit, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &limit, &before);
    int number = compress_head(r, json, n);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    nf_free(json);
    return number == 0 ? 0 : nf_fail(err, NF_EIO, "%s: cannot write: %s", r->path, strerror(number));
}

static int start_writer(nf_record *r, nf_error *err)
{
    if (uv_mutex_init(&r->lock) != 0)
        return nf_fail_memory(err, "a recording");
    if (uv_cond_init(&r->more) != 0) {
        uv_mutex_destroy(&r->lock);
        return nf_fail_memory(err, "a recording");
    }
    if (uv_thread_create(&r->thread, write_all, r) == 0)
        return 0;
    uv_cond_destroy(&r->more);
    uv_mutex_destroy(&r->lock);
    return nf_fail(err, NF_ENOMEM, "cannot start the thread that writes the recording");
}

static void free_record(nf_record *r)
{
    deflateEnd(&r->z);
    if (r->fd >= 0)
        close(r->fd);
    free_list(r->first);
    free_list(r->spare);
    nf_free(r->path);
    nf_free(r);
}

static int prepare(nf_record *r, const char *path, nf_error *err)
{
    r->z.zalloc = nf_zip_alloc;
    r->z.zfree = nf_zip_free;
    r->z.next_out = r->out;
    r->z.avail_out = OUT;
    r->path = nf_strdup(path);
    r->spare = nf_calloc(1, sizeof *r->spare);
    r->nblocks = r->nspare = r->spare != NULL;
    if (r->path == NULL || r->spare == NULL || deflateInit2(&r->z, LEVEL, Z_DEFLATED, 15 + 16, 9, Z_RLE) != Z_OK)
        return nf_fail_memory(err, "a recording");
    r->fd = open_file(path, err);
    return r->fd < 0 ? r->fd : 0;
}

int nf_record_open(nf_record **out, const char *path, const json_t *header, const nf_log *log, nf_error *err)
{
    *out = NULL;
    nf_record *r = nf_calloc(1, sizeof *r);
    if (r == NULL)
        return nf_fail_memory(err, "a recording");
    r->fd = -1;
    r->log = *log;
    r->start = uv_hrtime();
    int rc = prepare(r, path, err);
    if (rc == 0 && (rc = write_head(r, header, err)) == 0)
        rc = start_writer(r, err);
    if (rc == 0) {
        *out = r;
        return 0;
    }
    struct stat is;
    if (r->fd >= 0 && fstat(r->fd, &is) == 0 && S_ISREG(is.st_mode))
        unlink(path);
    free_record(r);
    return rc;
}

/* ---- what the loop thread does ---- */

static void say_once(nf_record *r, int failed, const char *why)
{
    if (r->said)
        return;
    r->said = true;
    if (failed != 0)
        nf_log_write(&r->log, NF_LOG_WARNING,
                     "the recording ends, the server goes on: cannot write to %s: %s; it holds at least "
                     "the first %.1f s, %llu records",
                     r->path, strerror(failed), 1e-6 * (double)r->time_flushed, (unsigned long long)r->nflushed);
    else
        nf_log_write(&r->log, NF_LOG_WARNING, "the recording ends, the server goes on: %s; %s holds the first %.1f s",
                     why, r->path, 1e-9 * (double)(uv_hrtime() - r->start));
}

static block *new_block(nf_record *r)
{
    block *b = r->spare;
    if (b != NULL) {
        r->spare = b->next;
        r->nspare--;
        b->next = NULL;
    } else if ((b = nf_calloc(1, sizeof *b)) != NULL) {
        r->nblocks++;
    }
    return b;
}

/* Room for one record of n bytes in all; NULL without memory. */
static unsigned char *room(nf_record *r, size_t n)
{
    if (r->last == NULL || r->last->n + n > BLOCK) {
        block *b = new_block(r);
        if (b == NULL)
            return NULL;
        if (r->last != NULL)
            r->last->next = b;
        else
            r->first = b;
        r->last = b;
    }
    r->last->n += n;
    return r->last->bytes + r->last->n - n;
}

static bool fits(const nf_record *r, size_t n)
{
    size_t available = (size_t)(BLOCKS_MOST - r->nblocks + r->nspare);
    if (r->last != NULL && r->last->n + n + AROUND <= BLOCK)
        return true;
    return (n / PIECE + 1) / (BLOCK / SLOT) + 1 <= available;
}

static void put_pieces(nf_record *r, nf_record_kind kind, uint32_t link, const unsigned char *bytes, size_t n)
{
    uint64_t time = (uv_hrtime() - r->start) / 1000;
    size_t done = 0;
    do {
        size_t k = n - done < PIECE ? n - done : PIECE;
        unsigned char *at = room(r, k + AROUND);
        if (at == NULL) {
            r->ending = "no memory";
            return;
        }
        put_entry(at, kind, link, time, bytes + done, k);
        done += k;
    } while (done < n);
}

static void put(nf_record *r, nf_record_kind kind, uint32_t link, const void *bytes, size_t n)
{
    static const unsigned char nothing[1];
    if (r == NULL || r->said)
        return;
    uv_mutex_lock(&r->lock);
    if (r->failed == 0 && !fits(r, n))
        r->ending = "the disk does not keep up with the drivers, and 64 MB wait to be written";
    else if (r->failed == 0)
        put_pieces(r, kind, link, n > 0 ? bytes : nothing, n);
    int failed = r->failed;
    const char *ending = r->ending;
    if (r->asleep || ending != NULL || (r->first != NULL && r->first->next != NULL))
        uv_cond_signal(&r->more);
    uv_mutex_unlock(&r->lock);
    if (failed != 0 || ending != NULL)
        say_once(r, failed, ending);
}

static size_t cut(const char *text)
{
    size_t n = text == NULL ? 0 : strlen(text);
    return n < TEXT_MOST ? n : TEXT_MOST;
}

void nf_record_link(nf_record *r, uint32_t link, const char *address, bool accepted)
{
    unsigned char payload[1 + TEXT_MOST] = {accepted};
    size_t n = cut(address);
    memcpy(payload + 1, address, n);
    put(r, NF_RECORD_LINK, link, payload, 1 + n);
}

void nf_record_received(nf_record *r, uint32_t link, const void *bytes, size_t n)
{
    put(r, NF_RECORD_RECEIVED, link, bytes, n);
}

void nf_record_sent(nf_record *r, uint32_t link, const void *bytes, size_t n)
{
    if (n > 0)
        put(r, NF_RECORD_SENT, link, bytes, n);
}

void nf_record_closed(nf_record *r, uint32_t link, int code, const char *text)
{
    unsigned char payload[4 + TEXT_MOST];
    size_t n = cut(text);
    nf_put_u32(payload, (uint32_t)code);
    if (n > 0)
        memcpy(payload + 4, text, n);
    put(r, NF_RECORD_CLOSED, link, payload, 4 + n);
}

void nf_record_close(nf_record *r)
{
    if (r == NULL)
        return;
    uv_mutex_lock(&r->lock);
    r->closing = true;
    uv_cond_signal(&r->more);
    uv_mutex_unlock(&r->lock);
    uv_thread_join(&r->thread);
    if (r->failed != 0)
        say_once(r, r->failed, NULL);
    uv_cond_destroy(&r->more);
    uv_mutex_destroy(&r->lock);
    free_record(r);
}
