/* SPDX-License-Identifier: BSD-3-Clause
 *
 * words_of_file.h - a command line that is kept in a file: `--config FILE` stands for the words in it.
 *
 *     # two systems
 *     WATER unix:water,species='O H H * 64'
 *     --threads 2
 */
#ifndef NF_CLI_WORDS_OF_FILE_H
#define NF_CLI_WORDS_OF_FILE_H

#include "base/status.h"

typedef struct {
    int argc;
    char **argv; /* NULL behind the last */
    char *text;  /* of the file */
} command_words;

/** argv with every `--config FILE` or `--config=FILE` replaced by the words of that file, which are separated by blanks and line
 *  breaks; # opens a comment, ' and " hold a word together. A file does not name another one. NF_EIO, NF_EFORMAT with
 *  file and line, NF_ENOMEM. The words of argv are borrowed. */
int command_words_expand(command_words *out, int argc, char **argv, nf_error *err);
void command_words_free(command_words *words);

#endif
