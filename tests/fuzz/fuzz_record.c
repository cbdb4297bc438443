/* SPDX-License-Identifier: BSD-3-Clause
 *
 * fuzz_record.c - any bytes as a recording: read to their end or refused with a printable sentence, and followed as
 * a replay does. A fuzzer meets no checksum: those of its input are put right first, unless the first
 * byte of the input says that they stay.
 */
#undef NDEBUG
#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "server/recording.h"
#include "server/replies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_printable(const char *text)
{
    for (; *text != '\0'; text++)
        assert(*text >= ' ' && *text <= '~');
}

static void seal(unsigned char *at, size_t from, size_t n)
{
    nf_put_u32(at + from + n, (uint32_t)crc32(0, at + from, (unsigned)n));
}

static void seal_all(unsigned char *bytes, size_t size)
{
    size_t at = NF_RECORD_HEAD;
    if (size < NF_RECORD_HEAD)
        return;
    if (nf_get_u32(bytes + 12) > size || (at += nf_get_u32(bytes + 12)) + NF_RECORD_CRC > size)
        return;
    seal(bytes, 0, at);
    at += NF_RECORD_CRC;
    while (at + NF_RECORD_ENTRY <= size) {
        size_t n = NF_RECORD_ENTRY + (size_t)nf_get_u32(bytes + at);
        if (n > size || at + n + NF_RECORD_CRC > size)
            return;
        seal(bytes, at, n);
        at += n + NF_RECORD_CRC;
    }
}

/* Where a difference at any byte would lie can be told. */
static void follow(nf_replies *r, const nf_record_entry *e)
{
    char line[400];
    if (e->kind == NF_RECORD_RECEIVED) {
        assert(nf_replies_ask(r, e->bytes, e->nbytes) == 0);
    } else if (e->kind == NF_RECORD_SENT) {
        size_t half = e->nbytes / 2;
        nf_replies_advance(r, e->bytes, half);
        assert(nf_replies_wanted(r) >= 1 && nf_replies_wanted(r) <= IPI_HEADER);
        nf_replies_describe(r, e->link, e->bytes + half, e->nbytes - half, e->bytes, e->nbytes, line, sizeof line);
        check_printable(line);
        nf_replies_advance(r, e->bytes + half, e->nbytes - half);
    }
}

static void read_all(nf_recording *in)
{
    nf_error err = {0};
    nf_record_entry e;
    int rc;
    nf_replies *replies = nf_calloc(1, sizeof *replies);
    nf_replies_begin(replies);
    while ((rc = nf_recording_next(in, &e, &err)) > 0) {
        assert(e.nbytes <= NF_RECORD_PAYLOAD_MOST);
        if (e.text != NULL)
            check_printable(e.text);
        follow(replies, &e);
    }
    assert(rc == 0 || (err.code == rc && err.msg[0] != '\0'));
    check_printable(err.msg);
    nf_replies_free(replies);
    nf_free(replies);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nf_error err = {0};
    nf_recording *in;
    if (size == 0)
        return 0;
    unsigned char *bytes = nf_calloc(size, 1);
    memcpy(bytes, data + 1, size - 1);
    if (data[0] != '!')
        seal_all(bytes, size - 1);
    if (nf_recording_open_memory(&in, "input", bytes, size - 1, &err) == 0) {
        assert(json_is_object(nf_recording_header(in)));
        read_all(in);
    } else {
        assert(in == NULL);
        check_printable(err.msg);
    }
    nf_recording_close(in);
    nf_free(bytes);
    return 0;
}
