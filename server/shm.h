/* SPDX-License-Identifier: BSD-3-Clause
 *
 * shm.h - the shared memory of one link: six segments of the driver's, by name.
 *
 * They are read and written with pread and pwrite, never mapped: a driver that makes a segment shorter while it is in
 * use, or has no memory behind it, gives an error and not SIGBUS. That costs a copy in the kernel.
 *
 * A name is a driver's word, and what it names is written to. It must be an object that this user may open, that belongs
 * to whoever the driver is, and that is exactly as long as the structures need.
 */
#ifndef NF_SERVER_SHM_H
#define NF_SERVER_SHM_H

#include <sys/types.h>

#include "base/status.h"
#include "protocol/ipi.h"

typedef struct {
    size_t natoms, nstructures; /* what the segments are made for */
    int fd[IPI_SEGMENTS];       /* -1: not open; inverse cells are checked and closed again */
    dev_t device;               /* of the positions, by which two links with the same memory are found */
    ino_t inode;
} nf_shm;

/** No segments yet. */
void nf_shm_init(nf_shm *shm);
/** Closes what is open. The segments stay: they are the driver's. */
void nf_shm_close(nf_shm *shm);

/** The first POSDATA announced structures of so many atoms, for which segments are to follow. */
void nf_shm_begin(nf_shm *shm, size_t natoms, size_t nstructures);
/** Opens the segment of this name (nname bytes, a NUL behind them, no slash). `owner`: whose it must be, nf_shm_peer;
 *  (uid_t)-1 is anybody. NF_EFORMAT: the name; NF_EIO: what it names; NF_EINVAL: owner or length. */
int nf_shm_open(nf_shm *shm, ipi_segment which, const char *name, size_t nname, uid_t owner, nf_error *err);
/** Whether two links were given the same memory: then both have wrong numbers. */
bool nf_shm_same(const nf_shm *a, const nf_shm *b);

/** Copies n doubles, from number `first` on, of an open segment to `to`, or `from` to the segment. NF_EIO. */
int nf_shm_read(const nf_shm *shm, ipi_segment which, size_t first, double *to, size_t n, nf_error *err);
int nf_shm_write(const nf_shm *shm, ipi_segment which, size_t first, const double *from, size_t n, nf_error *err);

/** The user at the other end of a connected unix socket; (uid_t)-1 if the system does not say. */
uid_t nf_shm_peer(int fd);

#endif
