/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "server/recording.h"
#include "server/replies.h"

enum {
    READ = 1 << 16,
    TURN = 256 /* records, then others get their turn */,
    TEXT = 240,
    PATIENCE = 600,
    TICK_MS = 500
};

static const char closes_early[] = "the server closes the link, where it went on when it was recorded";
static const size_t waiting_most = (size_t)64 << 20;

/* Bytes that come at one end and go at the other. */
typedef struct {
    unsigned char *bytes;
    size_t begin, end, capacity;
} fifo;

typedef struct player {
    struct player *next;
    nf_replay *replay;
    uint32_t number; /* in the recording */
    int served;      /* in the server */
    uv_pipe_t pipe;
    uv_write_t write;
    uv_shutdown_t shutdown;
    bool writing, stopped /* reading */, hung_up /* we are */, driver_left /* in the recording */;
    bool ended; /* no record is to come */
    bool gone;  /* the server has closed */
    bool known; /* how it should be closed */
    bool told;  /* how it was */
    bool over;
    int code, code_now;
    uint64_t nreplies, nbytes; /* compared */
    char text[TEXT], text_now[TEXT];
    nf_replies replies;
    fifo expected, arrived, out;
} player;

struct nf_replay {
    nf_recording *recording;
    nf_replay_options o;
    uv_timer_t timer;
    uv_idle_t idle;
    int nhandles; /* not yet closed */
    player *players;
    nf_record_entry entry;
    bool pending; /* entry is to be played */
    bool ended;   /* there are no more records */
    bool over;
    size_t waiting;    /* bytes in fifos of expected */
    uint64_t heard_at; /* ms */
    char ending[TEXT]; /* why the recording ends, as it says */
    nf_error err;
    nf_replay_outcome outcome;
};

static void pump(nf_replay *p);
static void on_idle(uv_idle_t *idle);

/* ---- fifos ---- */

static size_t held(const fifo *f)
{
    return f->end - f->begin;
}

/* n bytes behind the last one; NULL without memory. */
static unsigned char *fifo_room(fifo *f, size_t n)
{
    if (f->begin == f->end)
        f->begin = f->end = 0;
    if (f->begin > 0 && f->end + n > f->capacity) {
        memmove(f->bytes, f->bytes + f->begin, held(f));
        f->end -= f->begin;
        f->begin = 0;
    }
    return NF_GROW(f->bytes, f->capacity, f->end + n) < 0 ? NULL : f->bytes + f->end;
}

static bool fifo_put(fifo *f, const void *bytes, size_t n)
{
    unsigned char *at = fifo_room(f, n);
    if (at == NULL)
        return false;
    memcpy(at, bytes, n);
    f->end += n;
    return true;
}

/* ---- the end ---- */

static void write_verdict(nf_replay *p)
{
    nf_replay_outcome *o = &p->outcome;
    char *at = o->verdict;
    size_t size = sizeof o->verdict;
    int n = snprintf(at, size, "replayed %llu link%s, %llu repl%s: ", (unsigned long long)o->nlinks,
                     o->nlinks == 1 ? "" : "s", (unsigned long long)o->nreplies, o->nreplies == 1 ? "y" : "ies");
    if (o->ndifferent > 0)
        n += snprintf(at + n, size - (size_t)n, "%llu link%s; the first: %s", (unsigned long long)o->ndifferent,
                      o->ndifferent == 1 ? " differs" : "s differ", o->line[0]);
    else if (o->nbytes == 0)
        n += snprintf(at + n, size - (size_t)n, "there was nothing to compare");
    else
        n += snprintf(at + n, size - (size_t)n, o->code != 0 ? "so far all bits agree" : "all bits agree");
    if (o->code != 0)
        snprintf(at + n, size - (size_t)n, "; not played to the end: %s", p->err.msg);
    else if (p->ending[0] != '\0')
        snprintf(at + n, size - (size_t)n, "; the recording ends early: %s", p->ending);
    else if (!o->whole)
        snprintf(at + n, size - (size_t)n, "; the recording was cut off there");
}

static void free_player(player *l)
{
    nf_replies_free(&l->replies);
    nf_free(l->expected.bytes);
    nf_free(l->arrived.bytes);
    nf_free(l->out.bytes);
    nf_free(l);
}

/* Some handle of the replay is closed: the last one ends it. */
static void one_less(nf_replay *p)
{
    if (--p->nhandles > 0)
        return;
    p->outcome.whole = nf_recording_whole(p->recording);
    write_verdict(p);
    p->o.done(p->o.ctx, &p->outcome);
}

static void on_helper_closed(uv_handle_t *handle)
{
    one_less(handle->data);
}

static void on_player_closed(uv_handle_t *handle)
{
    player *l = handle->data;
    nf_replay *p = l->replay;
    for (player **at = &p->players; *at != NULL; at = &(*at)->next)
        if (*at == l) {
            *at = l->next;
            break;
        }
    free_player(l);
    one_less(p);
}

static void finish(player *l)
{
    if (l->over)
        return;
    l->over = true;
    l->replay->waiting -= held(&l->expected);
    l->replay->outcome.nreplies += l->nreplies;
    l->replay->outcome.nbytes += l->nbytes;
    uv_close((uv_handle_t *)&l->pipe, on_player_closed);
}

static void close_all(nf_replay *p)
{
    if (p->over)
        return;
    p->over = true;
    for (player *l = p->players; l != NULL; l = l->next)
        finish(l);
    uv_close((uv_handle_t *)&p->timer, on_helper_closed);
    uv_close((uv_handle_t *)&p->idle, on_helper_closed);
}

static void give_up(nf_replay *p, int code, const char *text)
{
    if (!p->over)
        p->outcome.code = nf_fail(&p->err, code, "%s", text);
    close_all(p);
}

static void no_memory(nf_replay *p)
{
    give_up(p, NF_ENOMEM, "out of memory for a replay");
}

/* ---- differences ---- */

static void differ(player *l, const char *line)
{
    nf_replay_outcome *o = &l->replay->outcome;
    o->ndifferent++;
    if (o->nlines < NF_REPLAY_LINES)
        snprintf(o->line[o->nlines++], NF_REPLAY_LINE, "%s", line);
    finish(l);
}

static void differ_here(player *l)
{
    char line[NF_REPLAY_LINE];
    nf_replies_describe(&l->replies, l->number, l->expected.bytes + l->expected.begin, held(&l->expected),
                        l->arrived.bytes + l->arrived.begin, held(&l->arrived), line, sizeof line);
    differ(l, line);
}

static void differ_at_end(player *l, const char *what)
{
    char line[NF_REPLAY_LINE];
    snprintf(line, sizeof line, "link %lu, behind reply %llu: %s%s%s", (unsigned long)l->number,
             (unsigned long long)l->replies.nreplies, what, l->told && l->text_now[0] != '\0' ? ": " : "",
             l->told ? l->text_now : "");
    differ(l, line);
}

static void consume(player *l, size_t n)
{
    nf_replies_advance(&l->replies, l->arrived.bytes + l->arrived.begin, n);
    l->nreplies = l->replies.nreplies;
    l->nbytes = l->replies.nbytes;
    l->arrived.begin += n;
    l->expected.begin += n;
    l->replay->waiting -= n;
}

static size_t same_bytes(const unsigned char *a, const unsigned char *b, size_t n)
{
    size_t k = 0;
    if (memcmp(a, b, n) == 0)
        return n;
    while (a[k] == b[k])
        k++;
    return k;
}

/* Once what is different is there as a whole number, in both, it can be told. */
static bool can_tell(const player *l)
{
    size_t wanted = nf_replies_wanted(&l->replies);
    return (held(&l->arrived) >= wanted || l->gone) && (held(&l->expected) >= wanted || l->ended);
}

static void compare(player *l)
{
    size_t n = held(&l->expected) < held(&l->arrived) ? held(&l->expected) : held(&l->arrived);
    if (n > 0 && !l->over) {
        size_t same = same_bytes(l->expected.bytes + l->expected.begin, l->arrived.bytes + l->arrived.begin, n);
        consume(l, same);
        if (same < n && can_tell(l))
            differ_here(l);
    }
}

/* ---- a link comes to its end ---- */

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
    (void)shutdown;
    (void)status;
}

static void hang_up(player *l)
{
    if (l->hung_up || l->gone)
        return;
    l->hung_up = true;
    l->shutdown.data = l;
    uv_shutdown(&l->shutdown, (uv_stream_t *)&l->pipe, on_shutdown); /* fails if the server has just closed */
}

/* A server that leaves, or cannot reach its driver, does so for reasons that no recording has. */
static bool closes_by_itself(const player *l)
{
    return l->known && l->code != 0 && l->code != NF_EIO && !l->driver_left;
}

/* Behind all that was recorded; but what a leaving server had not yet answered may be answered now. */
static bool too_much(const player *l)
{
    return held(&l->arrived) > 0 && l->known && !l->driver_left && (closes_by_itself(l) || l->replies.owed == 0);
}

static bool closes_differently(const player *l)
{
    if (!l->known || !l->told)
        return false;
    if (closes_by_itself(l))
        return l->code != l->code_now || strcmp(l->text, l->text_now) != 0;
    if (l->driver_left) { /* whether it was owed an answer then is a matter of time */
        bool then = l->code == 0 || l->code == NF_EIO, now = l->code_now == 0 || l->code_now == NF_EIO;
        return then != now || (!then && l->code != l->code_now);
    }
    return !l->hung_up && l->code_now != 0;
}

static void compare_ends(player *l)
{
    char what[NF_REPLAY_LINE];
    if (held(&l->expected) > 0) {
        differ_at_end(l, closes_early);
    } else if (too_much(l)) {
        differ_here(l);
    } else if (closes_differently(l)) {
        snprintf(what, sizeof what, "closed%s%s when it was recorded, closed%s now", l->text[0] != '\0' ? " for " : "",
                 l->text, l->text_now[0] == '\0' ? " without a reason" : "");
        differ_at_end(l, what);
    } else {
        finish(l);
    }
}

/* The recording was cut off: what is owed to the driver is waited for, since it may be what killed the server. */
static void settle_cut_off(player *l)
{
    if (l->replies.broken)
        return;
    nf_replies_advance(&l->replies, l->arrived.bytes + l->arrived.begin, held(&l->arrived));
    l->arrived.begin = l->arrived.end;
    if (!ipi_dec_idle(&l->replies.decoder))
        finish(l);
    else if (l->replies.owed == 0)
        hang_up(l);
}

/* Behind its last record. */
static void settle(player *l)
{
    if (l->over || !l->ended)
        return;
    if (l->gone)
        compare_ends(l);
    else if (held(&l->expected) > 0 || l->writing)
        return;
    else if (!l->known)
        settle_cut_off(l);
    else if (too_much(l) && can_tell(l))
        differ_here(l);
    else if (!closes_by_itself(l))
        hang_up(l);
}

/* ---- what the server sends ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    player *l = handle->data;
    (void)suggested;
    *buf = uv_buf_init((char *)fifo_room(&l->arrived, READ), READ);
    if (buf->base == NULL)
        buf->len = 0;
}

static void take_arrived(player *l, ssize_t n)
{
    nf_replay *p = l->replay;
    if (n == UV_ENOBUFS) {
        no_memory(p);
        return;
    }
    p->heard_at = uv_now(p->o.loop);
    l->gone = l->gone || n < 0;
    l->arrived.end += n > 0 ? (size_t)n : 0;
    compare(l);
    if (!l->over && held(&l->arrived) > waiting_most) {
        l->stopped = true;
        uv_read_stop((uv_stream_t *)&l->pipe);
    }
    settle(l);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    player *l = stream->data;
    nf_replay *p = l->replay;
    (void)buf;
    if (l->over)
        return;
    take_arrived(l, n);
    pump(p);
}

static void read_again(player *l)
{
    if (l->over || !l->stopped || held(&l->arrived) > waiting_most / 2)
        return;
    l->stopped = false;
    uv_read_start((uv_stream_t *)&l->pipe, on_alloc, on_read);
}

/* ---- what the driver sent ---- */

static void on_written(uv_write_t *write, int status)
{
    player *l = write->data;
    nf_replay *p = l->replay;
    l->writing = false;
    if (status == UV_ECANCELED || l->over)
        return;
    settle(l); /* a write that fails is a link that the server closes: it will be read */
    pump(p);
}

static void send_bytes(player *l, const unsigned char *bytes, size_t n)
{
    l->out.begin = l->out.end = 0;
    if (!fifo_put(&l->out, bytes, n) || nf_replies_ask(&l->replies, bytes, n) != 0) {
        no_memory(l->replay);
        return;
    }
    uv_buf_t buf = uv_buf_init((char *)l->out.bytes, (unsigned)n);
    l->write.data = l;
    l->writing = uv_write(&l->write, (uv_stream_t *)&l->pipe, &buf, 1, on_written) == 0;
}

/* ---- records ---- */

static player *find(nf_replay *p, uint32_t number)
{
    for (player *l = p->players; l != NULL; l = l->next)
        if (l->number == number && !l->ended && !l->over)
            return l;
    return NULL;
}

static int make_pair(int fd[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0)
        return -errno;
    for (int k = 0; k < 2; k++)
        fcntl(fd[k], F_SETFD, FD_CLOEXEC);
    return 0;
}

/* fd is the pipe's, or closed. */
static int open_pipe(player *l, int fd)
{
    nf_replay *p = l->replay;
    int rc = uv_pipe_init(p->o.loop, &l->pipe, 0);
    if (rc < 0) {
        close(fd);
        free_player(l);
        return rc;
    }
    l->pipe.data = l;
    l->next = p->players;
    p->players = l;
    p->nhandles++;
    if ((rc = uv_pipe_open(&l->pipe, fd)) < 0)
        close(fd);
    return rc < 0 ? rc : uv_read_start((uv_stream_t *)&l->pipe, on_alloc, on_read);
}

static void open_player(nf_replay *p, const nf_record_entry *e)
{
    int fd[2];
    player *l = nf_calloc(1, sizeof *l);
    if (l == NULL) {
        no_memory(p);
        return;
    }
    l->replay = p;
    l->number = e->link;
    nf_replies_begin(&l->replies);
    int rc = make_pair(fd);
    if (rc < 0) {
        free_player(l);
    } else if ((rc = open_pipe(l, fd[0])) < 0) {
        close(fd[1]);
    }
    if (rc < 0) {
        give_up(p, NF_EIO, uv_strerror(rc));
        return;
    }
    p->outcome.nlinks++;
    l->served = p->o.serve(p->o.ctx, fd[1], e->text);
    if (l->served < 0)
        differ_at_end(l, "the server does not take the link");
}

/* Whether a record that the driver sent was played. */
static bool play_received(player *l, const nf_record_entry *e)
{
    if (held(&l->expected) > 0 && held(&l->arrived) > 0 &&
        (can_tell(l) || held(&l->expected) < nf_replies_wanted(&l->replies))) {
        differ_here(l);
        return true;
    }
    if (l->writing || (held(&l->expected) > 0 && !l->gone))
        return false;
    if (e->nbytes == 0) {
        l->driver_left = true;
        hang_up(l);
    } else if (l->gone) {
        differ_at_end(l, closes_early);
    } else {
        send_bytes(l, e->bytes, e->nbytes);
    }
    return true;
}

static bool play_sent(player *l, const nf_record_entry *e)
{
    nf_replay *p = l->replay;
    if (p->waiting + e->nbytes > waiting_most && held(&l->expected) > 0)
        return false;
    if (!fifo_put(&l->expected, e->bytes, e->nbytes)) {
        no_memory(p);
        return true;
    }
    p->waiting += e->nbytes;
    compare(l);
    read_again(l);
    if (!l->over && l->gone && held(&l->expected) > 0 && held(&l->arrived) == 0)
        differ_at_end(l, closes_early);
    return true;
}

static bool play_closed(player *l, const nf_record_entry *e)
{
    l->ended = l->known = true;
    l->code = e->code;
    snprintf(l->text, sizeof l->text, "%s", e->text);
    compare(l);
    settle(l);
    return true;
}

static bool play(nf_replay *p, const nf_record_entry *e)
{
    if (e->kind == NF_RECORD_END) {
        snprintf(p->ending, sizeof p->ending, "%s", e->text);
        return true;
    }
    player *l = find(p, e->link);
    if (e->kind == NF_RECORD_LINK) {
        if (l != NULL)
            l->ended = true;
        open_player(p, e);
        return true;
    }
    if (l == NULL) /* it was played up to a difference */
        return true;
    return e->kind == NF_RECORD_RECEIVED ? play_received(l, e)
           : e->kind == NF_RECORD_SENT   ? play_sent(l, e)
                                         : play_closed(l, e);
}

static void end_of_records(nf_replay *p)
{
    player *next;
    p->ended = true;
    for (player *l = p->players; l != NULL; l = next) {
        next = l->next;
        l->ended = true;
        compare(l);
        settle(l);
    }
}

static bool all_over(const nf_replay *p)
{
    for (const player *l = p->players; l != NULL; l = l->next)
        if (!l->over)
            return false;
    return true;
}

/* Plays what can be played; what waits for the server goes on when that has answered. */
static void pump(nf_replay *p)
{
    int n = 0;
    for (; !p->over && !p->ended && n < TURN; n++) {
        int rc = p->pending ? 1 : nf_recording_next(p->recording, &p->entry, &p->err);
        if (rc == 0)
            end_of_records(p);
        if (rc < 0) {
            p->outcome.code = rc;
            close_all(p);
        }
        if (rc <= 0)
            break;
        p->pending = !play(p, &p->entry);
        if (!p->pending)
            p->heard_at = uv_now(p->o.loop);
        if (p->pending)
            break;
    }
    if (p->over)
        return;
    if (n == TURN)
        uv_idle_start(&p->idle, on_idle);
    if (p->ended && all_over(p))
        close_all(p);
}

static void on_idle(uv_idle_t *idle)
{
    nf_replay *p = idle->data;
    uv_idle_stop(idle);
    pump(p);
}

static void on_tick(uv_timer_t *timer)
{
    nf_replay *p = timer->data;
    char text[160];
    double silent = 1e-3 * (double)(uv_now(p->o.loop) - p->heard_at);
    if (silent < p->o.patience)
        return;
    snprintf(text, sizeof text, "the server has not answered for %.1f s", silent);
    give_up(p, NF_EIO, text);
}

/* ---- what the server calls ---- */

int nf_replay_open(nf_replay **out, const char *path, nf_error *err)
{
    *out = NULL;
    nf_replay *p = nf_calloc(1, sizeof *p);
    if (p == NULL)
        return nf_fail_memory(err, "a replay");
    int rc = nf_recording_open(&p->recording, path, err);
    if (rc == 0)
        *out = p;
    else
        nf_free(p);
    return rc;
}

void nf_replay_free(nf_replay *p)
{
    if (p == NULL)
        return;
    nf_recording_close(p->recording);
    nf_free(p);
}

const json_t *nf_replay_header(const nf_replay *p)
{
    return nf_recording_header(p->recording);
}

void nf_replay_start(nf_replay *p, const nf_replay_options *options)
{
    p->o = *options;
    if (p->o.patience <= 0)
        p->o.patience = PATIENCE;
    uv_timer_init(p->o.loop, &p->timer);
    uv_idle_init(p->o.loop, &p->idle);
    p->timer.data = p->idle.data = p;
    p->nhandles = 2;
    uv_update_time(p->o.loop);
    p->heard_at = uv_now(p->o.loop);
    uv_timer_start(&p->timer, on_tick, TICK_MS, TICK_MS);
    uv_idle_start(&p->idle, on_idle);
}

void nf_replay_stop(nf_replay *p)
{
    give_up(p, NF_EIO, "stopped");
}

void nf_replay_closed(nf_replay *p, int number, int code, const char *text)
{
    for (player *l = p->players; l != NULL; l = l->next)
        if (l->served == number && !l->told && !l->over) {
            l->told = true;
            l->code_now = code;
            snprintf(l->text_now, sizeof l->text_now, "%s", text == NULL ? "" : text);
            return;
        }
}

/* ---- what may change bits ---- */

static const char *word_of(const json_t *object, const char *key)
{
    const char *word = json_string_value(json_object_get(object, key));
    return word == NULL ? "?" : word;
}

static int warn_word(const nf_log *log, const json_t *then, const json_t *now, const char *key, const char *what)
{
    const char *a = word_of(then, key), *b = word_of(now, key);
    if (strcmp(a, b) == 0)
        return 0;
    nf_log_write(log, NF_LOG_WARNING, "the recording was made with %s %.64s, this is %.64s: the bits may differ", what,
                 a, b);
    return 1;
}

static int warn_models(const nf_log *log, const json_t *then, const json_t *now)
{
    size_t n = json_array_size(then), m = json_array_size(now);
    int ndifferent = 0;
    if (n != m) {
        nf_log_write(log, NF_LOG_WARNING, "the recording was made with %zu models, here are %zu: the bits may differ",
                     n, m);
        return 1;
    }
    for (size_t i = 0; i < n; i++)
        ndifferent += warn_word(log, json_array_get(then, i), json_array_get(now, i), "sha256", "a model of SHA-256");
    return ndifferent;
}

int nf_replay_warn(const nf_replay *p, const json_t *now, const nf_log *log)
{
    const json_t *then = nf_replay_header(p);
    return warn_models(log, json_object_get(then, "models"), json_object_get(now, "models")) +
           warn_word(log, then, now, "nearfar", "nearfar") + warn_word(log, then, now, "isa", "the instruction set");
}
