/* SPDX-License-Identifier: BSD-3-Clause
 *
 * eval.c - the public calls: nf_eval and nf_features, on the stream of a team.
 */
#include <string.h>

#include "model/stream.h"

static int fail_all(size_t n, nf_job *const job[], nf_done *done, void *ctx)
{
    for (size_t i = 0; i < n; i++) {
        job[i]->code = nf_fail_memory(&job[i]->err, "an evaluation");
        if (done != NULL)
            done(ctx, job[i]);
    }
    return NF_ENOMEM;
}

int nf_eval(nf_team *team, size_t n, nf_job *const job[], void (*done)(void *ctx, nf_job *job), void *ctx)
{
    nf_stream *s = nf_stream_of(team);
    int code = 0;
    if (s == NULL || nf_stream_once(s, n, job, NULL, NULL, done, ctx) != 0)
        return fail_all(n, job, done, ctx);
    for (size_t i = 0; i < n; i++) {
        nf_calc_trim(job[i]->calc);
        nf_judge_log(job[i]->calc);
        code = code == 0 ? job[i]->code : code;
    }
    return code;
}

int nf_visit_patches(nf_team *team, nf_calc *calc, const nf_frame *frame, nf_visit *visit, void *ctx, nf_error *err)
{
    nf_result result = NF_RESULT_INIT;
    nf_job job = {.calc = calc, .frame = frame, .result = &result}, *jobs = &job;
    nf_stream *s = nf_stream_of(team);
    if (s == NULL || nf_stream_once(s, 1, &jobs, visit, ctx, NULL, NULL) != 0)
        return nf_fail_memory(err, "an evaluation");
    if (err != NULL)
        *err = job.err;
    return job.code;
}

/* ---- descriptor values alone ---- */

typedef struct {
    size_t stride;
    double *out;
} feature_table;

static int copy_features(evaluation *e, const nf_patch_view *view, nf_arena *arena, nf_error *err)
{
    const nf_descriptor *descriptor = e->calc->model->descriptor;
    const feature_table *table = e->visit_ctx;
    const nf_patch *patch = view->patch;
    for (int k = 0; k < view->nelements; k++) {
        size_t begin = patch->element_first[k], n = patch->element_first[k + 1] - begin, ld = nf_padded(n);
        size_t nfeatures = descriptor->class->nfeatures(descriptor, k), mark = nf_arena_mark(arena);
        double *g = nf_arena_doubles(arena, nfeatures * ld);
        if (n == 0)
            continue;
        memset(g, 0, nfeatures * ld * sizeof *g);
        TRY(descriptor->class->forward(descriptor, view, k, ld, g, arena, err));
        TRY(nf_check_values(g, nfeatures * ld, err));
        for (size_t a = 0; a < n; a++)
            for (size_t f = 0; f < nfeatures; f++)
                table->out[(size_t)patch->centre[begin + a] * table->stride + f] = g[f * ld + a];
        nf_arena_rewind(arena, mark);
    }
    return 0;
}

int nf_features(nf_team *team, nf_calc *calc, const nf_frame *frame, size_t stride, double *out, nf_error *err)
{
    feature_table table = {stride, out};
    for (int e = 0; e < calc->model->elements.n; e++)
        if (calc->model->descriptor->class->nfeatures(calc->model->descriptor, e) > stride)
            return nf_fail(err, NF_EINVAL, "a stride of %zu is smaller than the number of descriptor values", stride);
    return nf_visit_patches(team, calc, frame, copy_features, &table, err);
}
