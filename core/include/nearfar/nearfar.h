/* SPDX-License-Identifier: BSD-3-Clause
 *
 * nearfar.h - the whole public C API of libnearfar: load a machine-learning potential, evaluate frames.
 *
 * Units everywhere: Angstrom, electronvolt, elementary charge. Virial W = -dE/dstrain (extensive, eV);
 * stress = -W/V. Cell vectors are rows.
 *
 * Every call that can fail returns 0 or a negative NF_E code and, if `err` is not NULL, leaves one sentence in it.
 * Nothing prints, exits or keeps global state. A model is immutable and may be shared by threads; a calc and a team
 * serve one nf_eval call at a time. Files are read with the numeric locale "C" of a program that calls no setlocale.
 *
 *     nf_error err;
 *     nf_model *model;  nf_calc *calc;  nf_team *team;
 *     const char *path = "nnp-1";
 *     if (nf_model_load(&model, 1, &path, NULL, &err) || nf_calc_new(&calc, model, NULL, &err) ||
 *         nf_team_new(&team, 0, &err))
 *         die(err.msg);
 *     nf_frame frame = NF_FRAME_INIT;      frame.natoms = n; frame.pos = pos; frame.species = atomic_numbers;
 *     nf_result result = NF_RESULT_INIT;   result.forces = forces;
 *     nf_job job = {.calc = calc, .frame = &frame, .result = &result}, *jobs = &job;
 *     nf_eval(team, 1, &jobs, NULL, NULL);
 */
#ifndef NEARFAR_H
#define NEARFAR_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined __GNUC__
#define NF_API __attribute__((visibility("default")))
#else
#define NF_API
#endif

#define NF_VERSION_MAJOR 0
#define NF_VERSION_MINOR 1
#define NF_VERSION_PATCH 0

/** "0.1.0" of the library that is running. */
NF_API const char *nf_version(void);

/* ---- errors and messages ---- */

enum {
    NF_OK = 0,
    NF_ENOMEM = -1,       /* out of memory */
    NF_EINVAL = -2,       /* an argument or a frame that makes no sense: NaN positions, singular cell ... */
    NF_EIO = -3,          /* a file cannot be opened, read or written */
    NF_EFORMAT = -4,      /* a file is not what it should be */
    NF_EUNSUPPORTED = -5, /* understood, but nearfar cannot do it */
    NF_ELIMIT = -6,       /* larger than a documented limit */
    NF_EDIVERGED = -7     /* energy or forces left the finite range: the structure is unphysical for the model */
};

typedef struct {
    int code;
    char msg[240];
} nf_error;

enum { NF_LOG_INFO = 0, NF_LOG_WARNING = 1 };

/** Receives messages that are not errors. Called on the thread that calls the library. */
typedef void nf_log_fn(void *ctx, int level, const char *message);

/* ---- models ---- */

typedef struct nf_model nf_model;

/** Units of the numbers in a file that carries none (n2p2/RuNNer directories). */
typedef enum {
    NF_UNITS_BOHR_HARTREE = 0,
    NF_UNITS_ANGSTROM_EV = 1,
    NF_UNITS_REDUCED = 2 /* numbers are taken as Angstrom and eV one to one */
} nf_units;

typedef struct {
    size_t size;    /* sizeof(nf_model_opts); fields may be appended */
    nf_units units; /* of files without units */
    nf_log_fn *log; /* may be NULL */
    void *log_ctx;
} nf_model_opts;

#define NF_MODEL_OPTS_INIT                                                                                             \
    {                                                                                                                  \
        sizeof(nf_model_opts), NF_UNITS_BOHR_HARTREE, NULL, NULL                                                       \
    }

/** Loads a model from `npaths` files or directories.
 *
 *  One n2p2/RuNNer directory is one potential; several, or one directory that holds nnp-1, nnp-2, ... are the
 *  members of a committee. opts may be NULL (bohr, hartree). On failure *out is NULL and err names file and line.
 *
 *  The single path "null" is a model without a file, to measure overheads and to try a set-up: every element, and zero
 *  energy, forces and virial for every frame that makes sense. A directory of that name is "./null".
 */
NF_API int nf_model_load(nf_model **out, size_t npaths, const char *const paths[], const nf_model_opts *opts,
                         nf_error *err);
/** One more owner. Returns its argument. */
NF_API nf_model *nf_model_ref(nf_model *model);
/** One owner less; NULL is fine. */
NF_API void nf_model_free(nf_model *model);

NF_API size_t nf_model_nmembers(const nf_model *model);
NF_API size_t nf_model_nelements(const nf_model *model);
/** Atomic number of element `index`, ascending. */
NF_API int nf_model_element(const nf_model *model, size_t index);
/** Largest distance at which two atoms feel each other directly, Angstrom. */
NF_API double nf_model_cutoff(const nf_model *model);
NF_API nf_units nf_model_units(const nf_model *model);
/** Number of descriptor values of an atom of that element; 0 if the model does not know the element. */
NF_API size_t nf_model_nfeatures(const nf_model *model, int atomic_number);
/** Number of adjustable parameters of one member. */
NF_API size_t nf_model_nparameters(const nf_model *model);
/** SHA-256 of the bytes of the model's files one after another as they were read, 64 hexadecimal digits. Owned by the
 *  model. Of an n2p2 directory:
 *
 *      cat input.nn scaling.data weights.*.data | sha256sum
 *
 *  with the weights of the model's elements only, by atomic number; of a committee these files of each member, member
 *  after member. Files are read as they lie on the disk: none may be compressed. The null model: that of nothing. */
NF_API const char *nf_model_sha256(const nf_model *model);
/** JSON text that says what the model is (no weights); to be freed with nf_string_free. NULL without memory. */
NF_API char *nf_model_describe(const nf_model *model);
NF_API void nf_string_free(char *text);

/* ---- threads ---- */

typedef struct nf_team nf_team;

/** Worker threads. nthreads 0: as many as the processors this process may use. */
NF_API int nf_team_new(nf_team **out, int nthreads, nf_error *err);
NF_API void nf_team_free(nf_team *team);
NF_API int nf_team_size(const nf_team *team);

/* ---- frames and results ---- */

/** A structure. Views: nothing is kept after nf_eval. */
typedef struct {
    size_t size; /* sizeof(nf_frame), set by NF_FRAME_INIT */
    size_t natoms;
    const double (*pos)[3]; /* Angstrom; atoms may lie anywhere, also far outside the cell */
    const int *species;     /* atomic numbers */
    double cell[3][3];      /* rows; all zero: a cluster; a zero row: not periodic in that direction */
    bool pbc[3];            /* false also means not periodic in that direction */
} nf_frame;

#define NF_FRAME_INIT                                                                                                  \
    {                                                                                                                  \
        sizeof(nf_frame), 0, NULL, NULL, {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}},                                            \
        {                                                                                                              \
            true, true, true                                                                                           \
        }                                                                                                              \
    }

/** What is wanted: the caller's buffers. NULL = not wanted, the only way to say so. What is asked for never changes
 *  the other numbers. Committee: energy, forces, virial, atom_energy are means; spreads have n-1 in the
 *  denominator and are 0 for a single model. */
typedef struct {
    size_t size; /* sizeof(nf_result), set by NF_RESULT_INIT */
    /* always filled */
    double energy, energy_std;
    double virial[3][3]; /* symmetric */
    long nextrapolated;  /* sum of `extrapolated` */
    /* per atom */
    double (*forces)[3];
    double *atom_energy;    /* offsets included: the sum is the energy */
    double (*force_std)[3]; /* per component */
    double *atom_energy_std;
    int *extrapolated; /* descriptor values outside the training range; committee: the largest count */
    /* committee; nmembers must be the model's where one of these is not NULL */
    size_t nmembers;
    double *member_energy;      /* [nmembers] */
    double (*member_forces)[3]; /* [nmembers][natoms][3] */
    double (*member_virial)[9]; /* [nmembers][9] */
} nf_result;

#define NF_RESULT_INIT                                                                                                 \
    {                                                                                                                  \
        sizeof(nf_result), 0, 0, {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}}, 0, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL,    \
            NULL                                                                                                       \
    }

/* ---- evaluation ---- */

typedef struct nf_calc nf_calc;

typedef struct {
    size_t size;
    double skin;    /* extra radius of the neighbour lists, Angstrom; default 1.0, 0 rebuilds at every change */
    int max_lists;  /* neighbour lists kept for different structures; default 64 */
    nf_log_fn *log; /* warnings about the first frame; may be NULL */
    void *log_ctx;
} nf_calc_opts;

#define NF_CALC_OPTS_INIT                                                                                              \
    {                                                                                                                  \
        sizeof(nf_calc_opts), 1.0, 64, NULL, NULL                                                                      \
    }

/** Evaluation state of a model: neighbour lists and buffers. Holds a reference to the model. opts may be NULL. */
NF_API int nf_calc_new(nf_calc **out, nf_model *model, const nf_calc_opts *opts, nf_error *err);
NF_API void nf_calc_free(nf_calc *calc);
/** How many neighbour lists were built so far, over all structures. */
NF_API long nf_calc_nbuilds(const nf_calc *calc);

typedef struct {
    nf_calc *calc;
    const nf_frame *frame;
    nf_result *result;
    nf_error err; /* filled if code is not 0 */
    int code;
    void *user;           /* the caller's */
    const int *abandoned; /* NULL, or not 0 as soon as nobody wants the result: the job then ends early with NF_EINVAL.
                             May be set by __atomic_store_n on any thread */
    bool judge;           /* refuse a frame whose species do not look to be in the order of its positions: NF_EINVAL */
} nf_job;

/** Evaluates n structures together on the team.
 *
 *  Jobs may share a calc; calcs live until the call returns. Each job gets its own code: one bad frame does not spoil
 *  the others. `done` (may be NULL) is called once per job as soon as its result is complete, on any thread of the team,
 *  never twice at a time; it must not call nf_eval. With it the job's frame and result are the caller's again.
 *  The results have the same bits whatever the number of threads, the company of other jobs and the age of
 *  neighbour lists. Returns 0 if every job did, else the first code that is not 0.
 */
NF_API int nf_eval(nf_team *team, size_t n, nf_job *const job[], void (*done)(void *ctx, nf_job *job), void *ctx);

/** Raw descriptor values of every atom: out[i*stride + f], f < nf_model_nfeatures(model, species[i]), in the order
 *  of the model's files (n2p2: its sorted order for the first member). stride >= the largest such number. */
NF_API int nf_features(nf_team *team, nf_calc *calc, const nf_frame *frame, size_t stride, double *out, nf_error *err);

/** Derivatives of the descriptor values G_f of one atom, the centre. Views that live until the callback returns. */
typedef struct {
    size_t centre;          /* an atom of the frame */
    size_t nfeatures;       /* of its element */
    size_t npairs;          /* atoms that the centre feels, itself included */
    const int *atom;        /* [npairs] ascending */
    const double *gradient; /* [npairs][nfeatures][3] dG_f/dr_atom, the images of an atom summed, 1/Angstrom */
    const double *strain;   /* [nfeatures][3][3] dG_f/dstrain, symmetric */
} nf_feature_gradient;

/** Derivatives of the values of nf_features: calls `each` once for every atom of the frame, in their order, on the
 *  thread of the caller, while memory holds a few atoms' derivatives only.
 *
 *  An atom is felt if it or an image of it is nearer than nf_model_cutoff, even where all its derivatives are 0. The sum
 *  over atom is 0. The strain multiplies positions and cell from the right: r -> r (1 + strain), so that
 *  virial = -sum over centres and f of dE/dG_f dG_f/dstrain, and force_j = -sum of dE/dG_f dG_f/dr_j.
 *  Derivatives are multiples of 2^-56/Angstrom, of 2^-44/Angstrom where that would leave the range; the bits depend on
 *  the frame alone. If `each` does not return 0, that ends the call and is its result, with *err left alone.
 *  NF_EDIVERGED if derivatives exceed 2.5e5/Angstrom. */
NF_API int nf_feature_gradients(nf_team *team, nf_calc *calc, const nf_frame *frame,
                                int (*each)(void *ctx, const nf_feature_gradient *of), void *ctx, nf_error *err);

/** What descriptor value `index` of an element is, for people: "G2 O eta=0.5 rs=0 rc=6.35 ...", lengths in Angstrom.
 *  Returns the length of the text, of which size - 1 characters were written, as snprintf does; negative if the model
 *  has no such value. */
NF_API int nf_model_feature_name(const nf_model *model, int atomic_number, size_t index, char *out, size_t size);

/** Symbol of an element ("H"), NULL outside 1..118; atomic number of a symbol, 0 if it is none. */
NF_API const char *nf_element_symbol(int atomic_number);
NF_API int nf_element_number(const char *symbol);

#ifdef __cplusplus
}
#endif
#endif
