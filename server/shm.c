/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* struct ucred */
#include "server/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *name;
    bool ours; /* we write it */
    size_t each, atom;
} kinds[IPI_SEGMENTS] = {
    [IPI_SEGMENT_POSITIONS] = {"positions", .atom = 3},    [IPI_SEGMENT_CELLS] = {"cells", .each = 9},
    [IPI_SEGMENT_INVERSES] = {"inverse cells", .each = 9}, [IPI_SEGMENT_ENERGIES] = {"energies", true, .each = 1},
    [IPI_SEGMENT_FORCES] = {"forces", true, .atom = 3},    [IPI_SEGMENT_VIRIALS] = {"virials", true, .each = 9},
};

void nf_shm_init(nf_shm *shm)
{
    *shm = (nf_shm){0};
    for (int i = 0; i < IPI_SEGMENTS; i++)
        shm->fd[i] = -1;
}

void nf_shm_close(nf_shm *shm)
{
    for (int i = 0; i < IPI_SEGMENTS; i++)
        if (shm->fd[i] >= 0)
            close(shm->fd[i]);
    nf_shm_init(shm);
}

void nf_shm_begin(nf_shm *shm, size_t natoms, size_t nstructures)
{
    nf_shm_close(shm);
    shm->natoms = natoms;
    shm->nstructures = nstructures;
}

/* Of the path that shm_open wants; also of what a log can hold. */
static int check_name(const char *name, size_t nname, char path[IPI_SEGMENT_NAME + 2], nf_error *err)
{
    bool good = nname > 0 && nname <= IPI_SEGMENT_NAME && name[0] != '.';
    for (size_t i = 0; i < nname && good; i++)
        good = name[i] > ' ' && name[i] <= '~' && name[i] != '/';
    if (!good)
        return nf_fail(err, NF_EFORMAT,
                       "the driver's shared memory has a name that is none: 1 to %d printable characters, no slash, no "
                       "dot in front",
                       IPI_SEGMENT_NAME);
    path[0] = '/';
    memcpy(path + 1, name, nname);
    path[1 + nname] = '\0';
    return 0;
}

/* Doubles. The decoder has refused what does not fit a size_t. */
static size_t length(const nf_shm *shm, ipi_segment which)
{
    return shm->nstructures * (kinds[which].each + kinds[which].atom * shm->natoms);
}

static int check_object(nf_shm *shm, ipi_segment which, const char *path, int fd, uid_t owner, nf_error *err)
{
    struct stat st;
    size_t bytes = length(shm, which) * sizeof(double);
    if (fstat(fd, &st) != 0)
        return nf_fail(err, NF_EIO, "cannot look at the driver's shared memory '%.80s': %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return nf_fail(err, NF_EINVAL, "the driver's shared memory '%.80s' is no shared memory", path);
    if (owner != (uid_t)-1 && st.st_uid != owner)
        return nf_fail(err, NF_EINVAL, "the driver's shared memory '%.80s' belongs to user %lu, the driver to user %lu",
                       path, (unsigned long)st.st_uid, (unsigned long)owner);
    if (st.st_size < 0 || (size_t)st.st_size != bytes)
        return nf_fail(err, NF_EINVAL,
                       "the driver's shared memory '%.80s' has %lld bytes; %s of %zu x %zu atoms have %zu", path,
                       (long long)st.st_size, kinds[which].name, shm->nstructures, shm->natoms, bytes);
    if (which == IPI_SEGMENT_POSITIONS) {
        shm->device = st.st_dev;
        shm->inode = st.st_ino;
    }
    return 0;
}

int nf_shm_open(nf_shm *shm, ipi_segment which, const char *name, size_t nname, uid_t owner, nf_error *err)
{
    char path[IPI_SEGMENT_NAME + 2];
    TRY(check_name(name, nname, path, err));
    int fd = shm_open(path, (kinds[which].ours ? O_RDWR : O_RDONLY) | O_NONBLOCK, 0); /* it may name a pipe */
    if (fd < 0)
        return nf_fail(
            err, NF_EIO,
            "cannot open the driver's shared memory '%.80s': %s; it must be made on this machine, by this user", path,
            strerror(errno));
    int rc = check_object(shm, which, path, fd, owner, err);
    if (rc != 0 || which == IPI_SEGMENT_INVERSES) {
        close(fd);
        return rc;
    }
    if (shm->fd[which] >= 0)
        close(shm->fd[which]);
    shm->fd[which] = fd;
    return 0;
}

bool nf_shm_same(const nf_shm *a, const nf_shm *b)
{
    return a->fd[IPI_SEGMENT_POSITIONS] >= 0 && b->fd[IPI_SEGMENT_POSITIONS] >= 0 && a->device == b->device &&
           a->inode == b->inode;
}

static int refuse(ipi_segment which, ssize_t n, nf_error *err)
{
    return nf_fail(err, NF_EIO, "cannot %s the driver's shared memory for %s: %s", kinds[which].ours ? "write" : "read",
                   kinds[which].name, n < 0 ? strerror(errno) : "it has become shorter");
}

int nf_shm_read(const nf_shm *shm, ipi_segment which, size_t first, double *to, size_t n, nf_error *err)
{
    char *p = (char *)to;
    off_t at = (off_t)(first * sizeof *to);
    for (size_t left = n * sizeof *to; left > 0;) {
        ssize_t got = pread(shm->fd[which], p, left, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return refuse(which, got, err);
        p += got;
        at += got;
        left -= (size_t)got;
    }
    return 0;
}

int nf_shm_write(const nf_shm *shm, ipi_segment which, size_t first, const double *from, size_t n, nf_error *err)
{
    const char *p = (const char *)from;
    off_t at = (off_t)(first * sizeof *from);
    for (size_t left = n * sizeof *from; left > 0;) {
        ssize_t put = pwrite(shm->fd[which], p, left, at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return refuse(which, put, err);
        p += put;
        at += put;
        left -= (size_t)put;
    }
    return 0;
}

uid_t nf_shm_peer(int fd)
{
#if defined SO_PEERCRED
    struct ucred peer;
    socklen_t n = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && n == sizeof peer)
        return peer.uid;
#else
    (void)fd;
#endif
    return (uid_t)-1;
}
