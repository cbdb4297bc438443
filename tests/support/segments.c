/* SPDX-License-Identifier: BSD-3-Clause */
#include "segments.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "suite.h"

static size_t doubles(int which, size_t natoms, size_t nstructures)
{
    const size_t each[IPI_SEGMENTS] = {3 * natoms, 9, 9, 1, 3 * natoms, 9};
    return nstructures * each[which];
}

void segments_make(segments *s, size_t natoms, size_t nstructures)
{
    static int made;
    made++;
    for (int i = 0; i < IPI_SEGMENTS; i++) {
        snprintf(s->name[i], sizeof s->name[i], "nearfar-test-%ld-%d-%d", (long)getpid(), made, i);
        s->count[i] = doubles(i, natoms, nstructures);
        int fd = shm_open(s->name[i], O_RDWR | O_CREAT | O_EXCL, 0600);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(ftruncate(fd, (off_t)(s->count[i] * sizeof(double))), 0);
        s->at[i] = mmap(NULL, s->count[i] * sizeof(double), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(s->at[i], MAP_FAILED);
        close(fd);
    }
}

void segments_remove(segments *s)
{
    for (int i = 0; i < IPI_SEGMENTS; i++) {
        munmap(s->at[i], s->count[i] * sizeof(double));
        shm_unlink(s->name[i]);
    }
}
