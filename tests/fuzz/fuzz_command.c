/* SPDX-License-Identifier: BSD-3-Clause
 *
 * fuzz_command.c - any line of the control socket is a command that makes sense, or is refused with a printable sentence;
 * and what JSON it holds is written as JSON that means the same.
 */
#undef NDEBUG
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "server/command.h"
#include "server/writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_command(const nf_command *c)
{
    assert(c->kind == NF_COMMAND_STATUS || c->kind == NF_COMMAND_RELOAD);
    assert(c->path == NULL || (c->kind == NF_COMMAND_RELOAD && c->path[0] == '/'));
    assert(c->model == NULL || (c->kind == NF_COMMAND_RELOAD && c->model[0] != '\0'));
}

static void check_refusal(int rc, const nf_error *err)
{
    assert((rc == NF_EFORMAT || rc == NF_EINVAL) && err->code == rc && err->msg[0] != '\0');
    for (const char *p = err->msg; *p != '\0'; p++)
        assert(*p >= ' ' && *p <= '~');
}

static json_t *write_and_read(nf_writer *text, const json_t *value)
{
    nf_writer_json(text, value);
    assert(!text->failed && strchr(text->bytes, '\n') == NULL);
    json_t *read = json_loadb(text->bytes, text->n, 0, NULL);
    assert(read != NULL && json_object_size(read) == json_object_size(value));
    return read;
}

/* The first writing rounds numbers, and may make whole ones of them: from then on nothing changes. */
static void check_writing(const json_t *value)
{
    nf_writer texts[3] = {{0}};
    json_t *first = write_and_read(&texts[0], value);
    json_t *second = write_and_read(&texts[1], first);
    nf_writer_json(&texts[2], second);
    assert(texts[2].n == texts[1].n && memcmp(texts[2].bytes, texts[1].bytes, texts[1].n) == 0);
    json_decref(first);
    json_decref(second);
    for (int i = 0; i < 3; i++)
        nf_writer_free(&texts[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nf_command command;
    nf_error err;
    if (size > NF_COMMAND_MOST)
        return 0;
    int rc = nf_command_read(&command, size == 0 ? "" : (const char *)data, size, &err);
    if (rc == 0)
        check_command(&command);
    else
        check_refusal(rc, &err);
    if (json_is_object(command.line))
        check_writing(command.line);
    nf_command_free(&command);
    return 0;
}
