/* SPDX-License-Identifier: BSD-3-Clause
 *
 * extxyz_comment.h - the comment line of extended XYZ as key=value pairs.
 *
 *     key  key=value  key = value  key="a b"  'a key'={a b}  key=[1, 2]  key=[[1, 2], [3, 4]]  key="say
 * \"a\""
 *
 * Quotes and brackets may open anywhere in a word and protect what they hold; a backslash protects one
 * character. This is the character machine of ASE 3.29 (key_val_str_to_dict), but for three things it gets
 * wrong: brackets nest, key="" is an empty value and not the next pair, and so is the `key= next=1` that ASE
 * writes for it.
 */
#ifndef NF_IO_EXTXYZ_COMMENT_H
#define NF_IO_EXTXYZ_COMMENT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    const char *key, *key_end;     /* never empty */
    const char *value, *value_end; /* NULL: a bare word */
    char closer;                   /* the line ends inside quotes or brackets, which `missing` of these would close */
    size_t missing;
} nf_pair;

/** The next pair at *cursor, which moves behind it. False at the end of the line. */
bool nf_pair_next(const char **cursor, nf_pair *pair);

/** Text without quotes, brackets and escapes; out has room for end - text + 1 bytes. Returns the length. */
size_t nf_pair_decode(char *out, const char *text, const char *end);

/** Whether nothing is left of a value when it is decoded. */
bool nf_pair_is_empty(const char *text);

/** The numbers of a decoded value, separated by blanks or commas. Returns how many, up to max + 1 (too many);
 * 0 if one of them is no finite number. */
size_t nf_pair_numbers(const char *text, size_t max, double *out);

/** The text in double quotes, with backslashes where they are needed; out has room for 2 strlen(text) + 3
 * bytes. Returns the length. */
size_t nf_pair_quote(char *out, const char *text);

/** Whether a text must be quoted to be read back as one word. */
bool nf_pair_needs_quotes(const char *text);

#endif
