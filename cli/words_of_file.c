/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/words_of_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { LONGEST = 1 << 20 };

static int read_text(char **out, const char *path, nf_error *err)
{
    FILE *in = fopen(path, "rb");
    if (in == NULL)
        return nf_fail(err, NF_EIO, "cannot open %s: %s", path, strerror(errno));
    char *text = nf_calloc(LONGEST + 1, 1);
    size_t n = text == NULL ? 0 : fread(text, 1, LONGEST, in);
    bool failed = ferror(in) != 0, long_file = n == LONGEST;
    fclose(in);
    if (text == NULL)
        return nf_fail_memory(err, path);
    *out = text;
    if (failed)
        return nf_fail(err, NF_EIO, "cannot read %s", path);
    if (long_file || strlen(text) != n)
        return nf_fail(err, NF_EFORMAT, "%s is no list of words: it is too long, or has zero bytes", path);
    return 0;
}

static int add(command_words *w, size_t *capacity, char *word, nf_error *err)
{
    if (NF_GROW(w->argv, *capacity, (size_t)w->argc + 2))
        return nf_fail_memory(err, "the command line");
    w->argv[w->argc++] = word;
    w->argv[w->argc] = NULL;
    return 0;
}

typedef struct {
    char *at;
    int line;
} cursor;

static char next(cursor *c)
{
    c->line += *c->at == '\n';
    return *c->at++;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks_and_comments(cursor *c)
{
    while (blank(*c->at) || *c->at == '#') {
        bool comment = *c->at == '#';
        while (comment && *c->at != '\0' && *c->at != '\n')
            c->at++;
        if (!comment)
            next(c);
    }
}

/* The word at the cursor, written without its quotes to where it begins; NULL if a quote is not closed. */
static char *take_word(cursor *c)
{
    char *word = c->at, *to = word, quote = '\0';
    while (*c->at != '\0' && (quote != '\0' || !blank(*c->at))) {
        char x = next(c);
        if (quote == '\0' && (x == '\'' || x == '"'))
            quote = x;
        else if (quote != '\0' && x == quote)
            quote = '\0';
        else
            *to++ = x;
    }
    if (*c->at != '\0')
        next(c); /* the blank, whose place the end of the word may need */
    *to = '\0';
    return quote == '\0' ? word : NULL;
}

static int add_words(command_words *w, size_t *capacity, const char *path, nf_error *err)
{
    cursor c = {w->text, 1};
    for (skip_blanks_and_comments(&c); *c.at != '\0'; skip_blanks_and_comments(&c)) {
        int line = c.line;
        char *word = take_word(&c);
        if (word == NULL)
            return nf_fail(err, NF_EFORMAT, "%s:%d: a quote is not closed", path, line);
        if (strncmp(word, "--config", 8) == 0)
            return nf_fail(err, NF_EINVAL, "%s:%d: a file of words cannot name another one", path, line);
        TRY(add(w, capacity, word, err));
    }
    return 0;
}

static int add_file(command_words *w, size_t *capacity, const char *path, nf_error *err)
{
    if (w->text != NULL)
        return nf_fail(err, NF_EINVAL, "--config is given twice");
    TRY(read_text(&w->text, path, err));
    return add_words(w, capacity, path, err);
}

int command_words_expand(command_words *w, int argc, char **argv, nf_error *err)
{
    size_t capacity = 0;
    *w = (command_words){0};
    for (int i = 0; i < argc; i++) {
        bool here = strcmp(argv[i], "--config") == 0, joined = strncmp(argv[i], "--config=", 9) == 0;
        if (!here && !joined) {
            TRY(add(w, &capacity, argv[i], err));
            continue;
        }
        if (here && ++i == argc)
            return nf_fail(err, NF_EINVAL, "--config needs the name of a file");
        TRY(add_file(w, &capacity, here ? argv[i] : argv[i] + 9, err));
    }
    return 0;
}

void command_words_free(command_words *w)
{
    nf_free(w->argv);
    nf_free(w->text);
    *w = (command_words){0};
}
