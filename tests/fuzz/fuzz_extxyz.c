/* SPDX-License-Identifier: BSD-3-Clause
 *
 * fuzz_extxyz.c - any bytes are either refused with a message or are structures, and a structure that was
 * read can be written and reads back as it was.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/extxyz.h"
#include "io/extxyz_comment.h"

#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                                    \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *scratch(void)
{
    static char path[64];
    snprintf(path, sizeof path, "fuzz_extxyz.%ld.xyz", (long)getpid());
    return path;
}

static void write_one(const nf_structure *s)
{
    nf_xyz_writer *writer;
    nf_error err;
    MUST(nf_xyz_create(&writer, scratch(), &err) == 0);
    MUST(nf_xyz_write(writer, s, NULL, &err) == 0);
    MUST(nf_xyz_close(writer, &err) == 0);
}

static void compare_rest(const nf_structure *a, const nf_structure *b)
{
    MUST(a->ninfo == b->ninfo && a->ncolumns == b->ncolumns && a->ntokens == b->ntokens);
    for (size_t i = 0; i < a->ninfo; i++) {
        const nf_info *p = &a->info[i], *q = &b->info[i];
        MUST(strcmp(p->key, q->key) == 0 && (p->value == NULL) == (q->value == NULL));
        MUST(p->value == NULL || nf_pair_is_empty(p->value) || strcmp(p->value, q->value) == 0);
    }
    for (size_t i = 0; i < a->natoms * a->ntokens; i++)
        MUST(strcmp(a->text + a->token[i], b->text + b->token[i]) == 0);
}

static void compare(const nf_structure *a, const nf_structure *b)
{
    MUST(a->natoms == b->natoms);
    MUST(memcmp(a->pos, b->pos, a->natoms * sizeof *a->pos) == 0);
    MUST(memcmp(a->species, b->species, a->natoms * sizeof *a->species) == 0);
    MUST(memcmp(a->cell, b->cell, sizeof a->cell) == 0);
    MUST(memcmp(a->pbc, b->pbc, sizeof a->pbc) == 0);
    MUST(a->has_energy == b->has_energy && a->has_forces == b->has_forces);
    MUST(a->has_virial == b->has_virial && a->has_stress == b->has_stress);
    MUST(!a->has_energy || memcmp(&a->energy, &b->energy, sizeof a->energy) == 0);
    MUST(!a->has_forces || memcmp(a->forces, b->forces, a->natoms * sizeof *a->forces) == 0);
    MUST(!a->has_virial || memcmp(a->virial, b->virial, sizeof a->virial) == 0);
    compare_rest(a, b);
}

static void round_trip(const nf_structure *s)
{
    nf_xyz_reader *reader;
    nf_structure back = {0};
    nf_error err;
    write_one(s);
    MUST(nf_xyz_open(&reader, scratch(), &err) == 0);
    int rc = nf_xyz_next(reader, &back, &err);
    if (rc != 1)
        fprintf(stderr, "%s\n", rc < 0 ? err.msg : "no frame");
    MUST(rc == 1);
    compare(s, &back);
    MUST(nf_xyz_next(reader, &back, &err) == 0);
    nf_structure_free(&back);
    nf_xyz_reader_free(reader);
    unlink(scratch());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nf_xyz_reader *reader;
    nf_structure s = {0};
    nf_error err = {0};
    int rc;
    MUST(nf_xyz_open_memory(&reader, "input", data, size, &err) == 0);
    while ((rc = nf_xyz_next(reader, &s, &err)) == 1)
        round_trip(&s);
    MUST(rc == 0 || (rc == err.code && err.msg[0] != '\0'));
    nf_structure_free(&s);
    nf_xyz_reader_free(reader);
    return 0;
}
