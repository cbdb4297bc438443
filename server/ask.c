/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/ask.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/runtime_dir.h"
#include "server/writer.h"

enum { LONGEST_ANSWER = 1 << 26, PIECE = 65536 };

static int send_question(int fd, json_t *question)
{
    nf_writer line = {0};
    size_t sent = 0;
    nf_writer_json(&line, question);
    nf_writer_add(&line, "\n", 1);
    int rc = line.failed ? ENOMEM : 0;
    while (rc == 0 && sent < line.n) {
        ssize_t n = send(fd, line.bytes + sent, line.n - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            rc = errno;
        sent += n < 0 ? 0 : (size_t)n;
    }
    nf_writer_free(&line);
    return rc;
}

/* Up to the end of the line, or of all. */
static int receive_answer(int fd, nf_writer *answer)
{
    char piece[PIECE];
    while (answer->n < LONGEST_ANSWER && !answer->failed) {
        ssize_t n = recv(fd, piece, sizeof piece, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : 0;
        nf_writer_add(answer, piece, (size_t)n);
        if (piece[n - 1] == '\n')
            return 0;
    }
    return answer->failed ? ENOMEM : EMSGSIZE;
}

static const char *reason(int number)
{
    return number == EAGAIN         ? "no answer in time"
           : number == EPERM        ? "it belongs to another user"
           : number == ENOENT       ? "there is no such socket"
           : number == ECONNREFUSED ? "nobody listens there"
                                    : strerror(number);
}

static int exchange(json_t **out, int fd, const char *path, json_t *question, nf_error *err)
{
    nf_writer answer = {0};
    int rc = send_question(fd, question);
    if (rc == 0)
        rc = receive_answer(fd, &answer);
    if (rc != 0) {
        rc = nf_fail(err, NF_EIO, "cannot ask the server at %.120s: %s", path, reason(rc));
    } else {
        *out = json_loadb(answer.n == 0 ? "" : answer.bytes, answer.n, 0, NULL);
        if (!json_is_object(*out))
            rc = nf_fail(err, NF_EFORMAT, "what answered at %.120s is no nearfar, or was about to end", path);
    }
    nf_writer_free(&answer);
    return rc;
}

int nf_ask(json_t **out, const char *path, json_t *question, double seconds, nf_error *err)
{
    *out = NULL;
    if (question == NULL)
        return nf_fail_memory(err, "a question");
    int fd = nf_runtime_connect(path, seconds);
    int rc = fd < 0 ? nf_fail(err, NF_EIO, "cannot ask the server at %.120s: %s", path, reason(-fd))
                    : exchange(out, fd, path, question, err);
    json_decref(question);
    if (fd >= 0)
        close(fd);
    if (rc != 0) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}
