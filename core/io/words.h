/* SPDX-License-Identifier: BSD-3-Clause
 *
 * words.h - words of a line, and pieces of a foreign file fit for a message.
 */
#ifndef NF_IO_WORDS_H
#define NF_IO_WORDS_H

#include <stdbool.h>
#include <stddef.h>

/** White space inside a line; isspace would ask the locale. */
static inline bool nf_is_blank(char c)
{
    return c == ' ' || c == '\t' || (c >= '\v' && c <= '\r');
}

static inline bool nf_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline const char *nf_skip_blanks(const char *p)
{
    while (nf_is_blank(*p))
        p++;
    return p;
}

/** The first blank or the end of the text. */
static inline const char *nf_word_end(const char *p)
{
    while (*p != '\0' && !nf_is_blank(*p))
        p++;
    return p;
}

/** The beginning of some text, printable whatever it is made of. */
typedef struct {
    char text[36];
} nf_excerpt;

static inline nf_excerpt nf_excerpt_of(const char *p, size_t n)
{
    enum { LENGTH = sizeof(nf_excerpt) - 4 };
    nf_excerpt e = {{0}};
    size_t k = 0;
    for (; k < n && k < LENGTH && p[k] != '\0'; k++)
        e.text[k] = p[k] >= ' ' && p[k] <= '~' ? p[k] : '?';
    for (size_t dot = 0; dot < 3 && k == LENGTH && n > LENGTH; dot++)
        e.text[LENGTH + dot] = '.';
    return e;
}

/** An excerpt of the word at p. */
static inline nf_excerpt nf_excerpt_word(const char *p)
{
    return nf_excerpt_of(p, (size_t)(nf_word_end(p) - p));
}

#endif
