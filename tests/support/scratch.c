/* SPDX-License-Identifier: BSD-3-Clause */
#include "scratch.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void scratch_begin(scratch *s)
{
    const char *root = getenv("TMPDIR");
    snprintf(s->path, sizeof s->path, "%s/nearfar-XXXXXX", root != NULL ? root : "/tmp");
    ck_assert_msg(mkdtemp(s->path) != NULL, "cannot create %s", s->path);
}

static void remove_tree(const char *path)
{
    struct stat info;
    if (lstat(path, &info) != 0)
        return;
    if (S_ISDIR(info.st_mode)) {
        DIR *dir = opendir(path);
        for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
            char below[1024];
            snprintf(below, sizeof below, "%s/%s", path, e->d_name);
            if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                remove_tree(below);
        }
        if (dir != NULL)
            closedir(dir);
    }
    remove(path);
}

void scratch_end(const scratch *s)
{
    remove_tree(s->path);
}

void scratch_mkdir(const scratch *s, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", s->path, name);
    ck_assert_int_eq(mkdir(path, 0777), 0);
}

static FILE *open_in(const char *folder, const char *name, const char *mode)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, mode);
    ck_assert_msg(file != NULL, "cannot open %s", path);
    return file;
}

void write_file(const char *folder, const char *name, const void *data, size_t size)
{
    FILE *file = open_in(folder, name, "wb");
    size_t n = size == WHOLE_STRING ? strlen(data) : size;
    ck_assert_uint_eq(fwrite(data, 1, n, file), n);
    ck_assert_int_eq(fclose(file), 0);
}

char *read_file(const char *folder, const char *name)
{
    FILE *file = open_in(folder, name, "rb");
    fseek(file, 0, SEEK_END);
    long n = ftell(file);
    rewind(file);
    char *text = calloc((size_t)n + 1, 1);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(fread(text, 1, (size_t)n, file), (size_t)n);
    fclose(file);
    return text;
}
