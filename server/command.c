/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/command.h"

#include <string.h>

static int read_text(const char **out, const json_t *line, const char *key, nf_error *err)
{
    const json_t *value = json_object_get(line, key);
    *out = NULL;
    if (value == NULL || json_is_null(value))
        return 0;
    if (!json_is_string(value) || json_string_length(value) == 0)
        return nf_fail(err, NF_EINVAL, "'%s' of a command is a text or null", key);
    *out = json_string_value(value);
    return 0;
}

static int read_reload(nf_command *c, nf_error *err)
{
    c->kind = NF_COMMAND_RELOAD;
    TRY(read_text(&c->model, c->line, "model", err));
    TRY(read_text(&c->path, c->line, "path", err));
    if (c->path != NULL && c->path[0] != '/')
        return nf_fail(err, NF_EINVAL, "the path of a model to load begins with '/': the server may be elsewhere");
    return 0;
}

int nf_command_read(nf_command *out, const char *line, size_t n, nf_error *err)
{
    json_error_t why;
    *out = (nf_command){.kind = NF_COMMAND_STATUS, .line = json_loadb(line, n, JSON_REJECT_DUPLICATES, &why)};
    if (!json_is_object(out->line))
        return nf_fail(err, NF_EFORMAT, "a command is one JSON object on a line, such as {\"command\":\"status\"}");
    const char *name = json_string_value(json_object_get(out->line, "command"));
    if (name != NULL && strcmp(name, "status") == 0)
        return 0;
    if (name != NULL && strcmp(name, "reload") == 0)
        return read_reload(out, err);
    return nf_fail(err, NF_EINVAL, "the commands are status and reload");
}

void nf_command_free(nf_command *c)
{
    json_decref(c->line);
    c->line = NULL;
}
