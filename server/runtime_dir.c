/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* struct ucred */
#include "server/runtime_dir.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { PLACES = 3, LONGEST_NAME = 64 };

static const double glance = 1; /* seconds to see whether somebody listens */

/* ---- directories ---- */

/* A link in the place of the directory would lead where others may look. */
static int check_directory(const char *dir, nf_error *err)
{
    struct stat info;
    if (lstat(dir, &info) != 0)
        return nf_fail(err, NF_EIO, "cannot use the directory %.150s: %s", dir, strerror(errno));
    if (!S_ISDIR(info.st_mode))
        return nf_fail(err, NF_EIO, "%.150s is no directory: remove it, or name another place for the socket", dir);
    if (info.st_uid != geteuid())
        return nf_fail(err, NF_EIO, "the directory %.150s is another user's: name another place for the socket", dir);
    if ((info.st_mode & 077) != 0)
        return nf_fail(err, NF_EIO,
                       "others may enter the directory %.150s: chmod 700, or name another place for the "
                       "socket",
                       dir);
    return 0;
}

static bool is_ours(const char *dir)
{
    struct stat info;
    return stat(dir, &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid();
}

/* The place in order of preference; false where there is none of this number. A job of a batch system may not see what
 * a login sees: those who look go through all. */
static bool place(int which, char out[NF_SOCKET_PATH])
{
    char base[NF_SOCKET_PATH];
    const char *given = getenv("XDG_RUNTIME_DIR");
    int n = 0;
    if (which == 0)
        n = snprintf(base, sizeof base, "%s", given == NULL ? "" : given);
    else if (which == 1)
        n = snprintf(base, sizeof base, "/run/user/%ld", (long)geteuid());
    if (which == PLACES - 1)
        return snprintf(out, NF_SOCKET_PATH, "/tmp/nearfar-%ld", (long)geteuid()) > 0;
    if (n >= (int)sizeof base || base[0] != '/' || !is_ours(base))
        return false;
    return snprintf(out, NF_SOCKET_PATH, "%s/nearfar", base) < NF_SOCKET_PATH - 24; /* room for /PID.sock */
}

int nf_runtime_path(char out[NF_SOCKET_PATH], nf_error *err)
{
    char dir[NF_SOCKET_PATH];
    if (!place(0, dir))
        place(PLACES - 1, dir);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return nf_fail(err, NF_EIO, "cannot make the directory %.150s: %s", dir, strerror(errno));
    TRY(check_directory(dir, err));
    snprintf(out, NF_SOCKET_PATH, "%.80s/%ld.sock", dir, (long)getpid());
    return 0;
}

/* ---- connecting ---- */

static bool same_user(int fd)
{
    struct ucred who;
    socklen_t n = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && who.uid == geteuid();
}

int nf_runtime_connect(const char *path, double seconds)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = (time_t)seconds, .tv_usec = (suseconds_t)(1e6 * (seconds - (time_t)seconds))};
    if (strlen(path) >= sizeof to.sun_path)
        return -ENAMETOOLONG;
    memcpy(to.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit); /* of connect, too */
    int rc = connect(fd, (const struct sockaddr *)&to, sizeof to) != 0 ? -errno : same_user(fd) ? 0 : -EPERM;
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

/* ---- finding ---- */

/* Between bind and listen a living server refuses, too. */
static bool is_dead(long pid, int code)
{
    return code == -ECONNREFUSED && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

static bool try_server(const char *dir, const char *name, nf_runtime_server *out)
{
    char *end;
    long pid = strtol(name, &end, 10);
    if (pid <= 0 || strcmp(end, ".sock") != 0)
        return false;
    *out = (nf_runtime_server){.pid = pid};
    snprintf(out->path, sizeof out->path, "%.80s/%ld.sock", dir, pid);
    int fd = nf_runtime_connect(out->path, glance);
    if (fd >= 0)
        close(fd);
    else if (is_dead(pid, fd))
        unlink(out->path);
    return fd >= 0;
}

static int look_into(const char *dir, nf_runtime_server *out, int most)
{
    int n = 0;
    DIR *d = check_directory(dir, NULL) == 0 ? opendir(dir) : NULL;
    if (d == NULL)
        return 0;
    for (const struct dirent *entry; n < most && (entry = readdir(d)) != NULL;)
        n += try_server(dir, entry->d_name, &out[n]);
    closedir(d);
    return n;
}

static int by_pid(const void *a, const void *b)
{
    long x = ((const nf_runtime_server *)a)->pid, y = ((const nf_runtime_server *)b)->pid;
    return (x > y) - (x < y);
}

int nf_runtime_servers(nf_runtime_server *out, int most)
{
    char dirs[PLACES][NF_SOCKET_PATH];
    int n = 0;
    for (int i = 0; i < PLACES; i++) {
        bool there = place(i, dirs[i]);
        for (int k = 0; k < i && there; k++)
            there = strcmp(dirs[i], dirs[k]) != 0;
        if (there)
            n += look_into(dirs[i], out + n, most - n);
        else
            dirs[i][0] = '\0';
    }
    qsort(out, (size_t)n, sizeof *out, by_pid);
    return n;
}

int nf_runtime_clear(const char *path, nf_error *err)
{
    struct stat info;
    if (lstat(path, &info) != 0)
        return 0;
    if (!S_ISSOCK(info.st_mode))
        return nf_fail(err, NF_EINVAL, "%.150s is no socket: remove it, or name another place", path);
    int fd = nf_runtime_connect(path, 1);
    if (fd >= 0)
        close(fd);
    if (fd != -ECONNREFUSED)
        return nf_fail(err, NF_EIO, "somebody listens at %.150s already: name another place", path);
    unlink(path);
    return 0;
}
