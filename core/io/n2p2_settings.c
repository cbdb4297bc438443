/* SPDX-License-Identifier: BSD-3-Clause
 *
 * n2p2_settings.c - input.nn: keywords as a table.
 *
 * Keywords fall into four: those that shape the prediction, those of training and bookkeeping (ignored), those that
 * would change numbers and are not supported (an error: never a silently wrong number), and unknown ones (a warning,
 * as n2p2 does).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/n2p2.h"
#include "io/text.h"

typedef struct {
    n2p2_potential *p;
    nf_text *text;
    nf_error *err;
    int nelements; /* as announced; 0: not yet */
} reader;

typedef int handler(reader *r);

/* ---- helpers ---- */

int n2p2_wrong(const nf_text *text, const char *what, nf_error *err)
{
    return nf_fail(err, NF_EFORMAT, "%s:%ld: %s: %s", text->path, text->line, text->word[0], what);
}

static int wrong(reader *r, const char *what)
{
    return n2p2_wrong(r->text, what, r->err);
}

static int number(reader *r, int i, double *out)
{
    return nf_text_number(r->text, i, out, r->err);
}

int n2p2_element_word(const n2p2_potential *p, const nf_text *text, int i, int *index, nf_error *err)
{
    const char *symbol = text->word[i];
    int z = nf_element_number(symbol);
    if (z == 0)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: '%.20s' is not an element", text->path, text->line, symbol);
    *index = nf_elements_find(&p->elements, z);
    if (*index < 0)
        return nf_fail(err, NF_EFORMAT, "%s:%ld: element %s is not in the line 'elements'", text->path, text->line,
                       symbol);
    return 0;
}

/* ---- keywords that shape the prediction ---- */

static int take_nnp_type(reader *r)
{
    TRY(nf_text_require(r->text, 2, "nnp_type 2G-HDNNP", r->err));
    static const char *const second_generation[] = {"2G-HDNNP", "2G", "2"};
    const char *type = r->text->word[1];
    for (size_t i = 0; i < sizeof second_generation / sizeof *second_generation; i++)
        if (strcmp(type, second_generation[i]) == 0)
            return 0;
    return nf_fail(r->err, NF_EUNSUPPORTED, "%s:%ld: %s %.20s is not supported yet (only 2G-HDNNP)", r->text->path,
                   r->text->line, r->text->word[0], type);
}

static int take_number_of_elements(reader *r)
{
    TRY(nf_text_require(r->text, 2, "number_of_elements N", r->err));
    TRY(nf_text_integer(r->text, 1, &r->nelements, r->err));
    return r->nelements >= 1 && r->nelements <= 118 ? 0 : wrong(r, "not between 1 and 118");
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static int take_elements(reader *r)
{
    nf_elements *e = &r->p->elements;
    TRY(nf_text_require(r->text, 2, "elements El1 El2 ...", r->err));
    if (r->text->nwords - 1 > 118)
        return wrong(r, "too many elements");
    for (int i = 1; i < r->text->nwords; i++) {
        int z = nf_element_number(r->text->word[i]);
        if (z == 0)
            return wrong(r, "an unknown element symbol");
        if (nf_elements_find(e, z) >= 0)
            return wrong(r, "an element twice");
        e->number[e->n++] = z;
    }
    qsort(e->number, (size_t)e->n, sizeof *e->number, by_number);
    return 0;
}

static int take_atom_energy(reader *r)
{
    int e;
    TRY(nf_text_require(r->text, 3, "atom_energy El E", r->err));
    TRY(n2p2_element_word(r->p, r->text, 1, &e, r->err));
    if (r->p->of[e].has_atom_energy)
        nf_log_write(&r->p->log, NF_LOG_WARNING, "%s:%ld: atom_energy of %.20s again: the last one counts, as in n2p2",
                     r->text->path, r->text->line, r->text->word[1]);
    r->p->of[e].has_atom_energy = true;
    return number(r, 2, &r->p->of[e].atom_energy);
}

static int take_cutoff_type(reader *r)
{
    TRY(nf_text_require(r->text, 2, "cutoff_type N [alpha]", r->err));
    TRY(nf_text_integer(r->text, 1, &r->p->cutoff_type, r->err));
    if (r->p->cutoff_type < 0 || r->p->cutoff_type > 8)
        return wrong(r, "not between 0 and 8");
    if (r->text->nwords > 2)
        TRY(number(r, 2, &r->p->alpha));
    return r->p->alpha >= 0 && r->p->alpha < 1 ? 0 : wrong(r, "alpha is not in [0, 1)");
}

static int take_scale(reader *r)
{
    r->p->scale = true;
    return 0;
}

static int take_center(reader *r)
{
    r->p->center = true;
    return 0;
}

static int take_sigma(reader *r)
{
    r->p->sigma = true;
    return 0;
}

static int take_scale_min(reader *r)
{
    TRY(nf_text_require(r->text, 2, "scale_min_short S", r->err));
    return number(r, 1, &r->p->scale_min);
}

static int take_scale_max(reader *r)
{
    TRY(nf_text_require(r->text, 2, "scale_max_short S", r->err));
    return number(r, 1, &r->p->scale_max);
}

static int take_mean_energy(reader *r)
{
    TRY(nf_text_require(r->text, 2, "mean_energy E", r->err));
    return number(r, 1, &r->p->mean_energy);
}

static int take_conv_energy(reader *r)
{
    TRY(nf_text_require(r->text, 2, "conv_energy C", r->err));
    TRY(number(r, 1, &r->p->conv_energy));
    return fabs(r->p->conv_energy) > 1e-100 ? 0 : wrong(r, "must not be 0");
}

static int take_conv_length(reader *r)
{
    TRY(nf_text_require(r->text, 2, "conv_length C", r->err));
    TRY(number(r, 1, &r->p->conv_length));
    return r->p->conv_length > 1e-100 ? 0 : wrong(r, "must be positive");
}

static int take_normalize_nodes(reader *r)
{
    r->p->normalize_nodes = true;
    return 0;
}

static int take_global_layers(reader *r)
{
    return n2p2_take_global_layers(r->p, r->text, r->err);
}

static int take_global_nodes(reader *r)
{
    return n2p2_take_global_nodes(r->p, r->text, r->err);
}

static int take_global_activations(reader *r)
{
    return n2p2_take_global_activations(r->p, r->text, r->err);
}

static int take_element_layers(reader *r)
{
    return n2p2_take_element_layers(r->p, r->text, r->err);
}

static int take_element_nodes(reader *r)
{
    return n2p2_take_element_nodes(r->p, r->text, r->err);
}

static int take_element_activations(reader *r)
{
    return n2p2_take_element_activations(r->p, r->text, r->err);
}

static int take_function(reader *r)
{
    return n2p2_take_function(r->p, r->text, r->err);
}

/* ---- keywords that are not supported ---- */

static int refuse(reader *r)
{
    return nf_fail(r->err, NF_EUNSUPPORTED,
                   "%s:%ld: the keyword %.40s would change the numbers and is not supported yet", r->text->path,
                   r->text->line, r->text->word[0]);
}

/* Lines of an electrostatic part, which RuNNer computes if the file says use_electrostatics and nearfar not at all. */
static int leave_electrostatics(reader *r)
{
    nf_log_write(&r->p->log, NF_LOG_WARNING, "%s:%ld: %.40s has no effect without use_electrostatics", r->text->path,
                 r->text->line, r->text->word[0]);
    return 0;
}

/* RuNNer: 1 is one network an element, 2 is pair networks. */
static int take_nn_type(reader *r)
{
    return r->text->nwords > 1 && strcmp(r->text->word[1], "1") == 0 ? 0 : refuse(r);
}

/* ---- the table ---- */

enum { ONCE = 1, AFTER_ELEMENTS = 2 };

static const struct {
    const char *name;
    handler *take; /* NULL: does not change a prediction */
    int flags;
} keywords[] = {
    {"nnp_type", take_nnp_type, ONCE},
    {"nnp_generation", take_nnp_type, ONCE},
    {"nnp_type_gen", take_nnp_type, ONCE},
    {"nnp_gen", take_nnp_type, ONCE},
    {"number_of_elements", take_number_of_elements, ONCE},
    {"elements", take_elements, ONCE},
    {"atom_energy", take_atom_energy, AFTER_ELEMENTS},
    {"cutoff_type", take_cutoff_type, ONCE},
    {"scale_symmetry_functions", take_scale, 0},
    {"center_symmetry_functions", take_center, 0},
    {"scale_symmetry_functions_sigma", take_sigma, 0},
    {"scale_min_short", take_scale_min, ONCE},
    {"scale_max_short", take_scale_max, ONCE},
    {"scale_min_short_atomic", take_scale_min, ONCE}, /* RuNNer's names */
    {"scale_max_short_atomic", take_scale_max, ONCE},
    {"mean_energy", take_mean_energy, ONCE},
    {"conv_energy", take_conv_energy, ONCE},
    {"conv_length", take_conv_length, ONCE},
    {"normalize_nodes", take_normalize_nodes, 0},
    {"global_hidden_layers_short", take_global_layers, ONCE},
    {"global_nodes_short", take_global_nodes, ONCE},
    {"global_nodes_short_atomic", take_global_nodes, ONCE},
    {"global_activation_short", take_global_activations, ONCE},
    {"element_hidden_layers_short", take_element_layers, AFTER_ELEMENTS},
    {"element_nodes_short", take_element_nodes, AFTER_ELEMENTS},
    {"element_activation_short", take_element_activations, AFTER_ELEMENTS},
    {"symfunction_short", take_function, AFTER_ELEMENTS},
    {"symfunction", take_function, AFTER_ELEMENTS},
    {"nn_type_short", take_nn_type, 0},
    /* would change numbers */
    {"global_symfunction_short", refuse, 0},
    {"element_symfunction_short", refuse, 0},
    {"element_pairsymfunction_short", refuse, 0},
    {"global_pairsymfunction_short", refuse, 0},
    {"pairsymfunction_short", refuse, 0},
    {"cutoff_alpha", refuse, 0},
    {"inner_cutoff_ratio", refuse, 0},
    {"use_electrostatics", refuse, 0},
    {"use_electrostatic_nn", refuse, 0},
    {"use_gaussian_charges", refuse, 0},
    {"use_hamiltonian", refuse, 0},
    {"use_vdw", refuse, 0},
    {"vdw_type", refuse, 0},
    /* nothing without electrostatics */
    {"electrostatic_type", leave_electrostatics, 0},
    {"nn_type_elec", leave_electrostatics, 0},
    {"fixed_charge", leave_electrostatics, 0},
    {"symfunction_electrostatic", leave_electrostatics, 0},
    {"symfunction_elec", leave_electrostatics, 0},
    {"element_symfunction_electrostatic", leave_electrostatics, 0},
    {"global_symfunction_electrostatic", leave_electrostatics, 0},
    /* training, data and output */
    {"conv_charge", NULL, 0}, /* charges only */
    {"random_seed", NULL, 0},
    {"random_number_type", NULL, 0},
    {"test_fraction", NULL, 0},
    {"epochs", NULL, 0},
    {"updater_type", NULL, 0},
    {"parallel_mode", NULL, 0},
    {"jacobian_mode", NULL, 0},
    {"update_strategy", NULL, 0},
    {"decoupling_type", NULL, 0},
    {"memorize_symfunc_results", NULL, 0},
    {"use_short_forces", NULL, 0},
    {"use_short_nn", NULL, 0},
    {"force_weight", NULL, 0},
    {"force_energy_ratio", NULL, 0},
    {"short_energy_fraction", NULL, 0},
    {"energy_fraction", NULL, 0},
    {"short_force_fraction", NULL, 0},
    {"force_fraction", NULL, 0},
    {"charge_fraction", NULL, 0},
    {"short_energy_error_threshold", NULL, 0},
    {"short_force_error_threshold", NULL, 0},
    {"weights_min", NULL, 0},
    {"weights_max", NULL, 0},
    {"nguyen_widrow_weights_short", NULL, 0},
    {"nguyen_widrow_weights_charge", NULL, 0},
    {"precondition_weights", NULL, 0},
    {"main_error_metric", NULL, 0},
    {"repeated_energy_update", NULL, 0},
    {"use_old_weights_short", NULL, 0},
    {"use_old_weights_charge", NULL, 0},
    {"normalize_data_set", NULL, 0},
    {"remove_atom_energies", NULL, 0},
    {"calculate_forces", NULL, 0},
    {"calculate_stress", NULL, 0},
    {"runner_mode", NULL, 0},
    {"parallel_run", NULL, 0},
    {"bond_threshold", NULL, 0},
    {"max_energy", NULL, 0},
    {"max_force", NULL, 0},
    {"points_in_memory", NULL, 0},
    {"mix_all_points", NULL, 0},
    {"optmode_short_energy", NULL, 0},
    {"optmode_short_force", NULL, 0},
    {"detect_saturation", NULL, 0},
    {"analyze_error", NULL, 0},
    {"debug_mode", NULL, 0},
    {"initial_hardness", NULL, 0},
    {"global_hidden_layers_electrostatic", NULL, 0},
    {"global_nodes_electrostatic", NULL, 0},
    {"global_activation_electrostatic", NULL, 0},
    {"element_hidden_layers_electrostatic", NULL, 0},
    {"element_nodes_electrostatic", NULL, 0},
    {"element_activation_electrostatic", NULL, 0},
    {"global_hidden_layers_pair", NULL, 0},
    {"global_nodes_pair", NULL, 0},
    {"global_activation_pair", NULL, 0},
};

enum { NKEYWORDS = sizeof keywords / sizeof *keywords };

/* Families of keywords that do not shape a short-range prediction, by their beginning. */
static const char *const harmless_families[] = {"kalman_",          "write_",          "gradient_",
                                                "print_",           "rmse_threshold",  "ewald_",
                                                "selection_mode",   "task_batch_size", "joint_energy_force",
                                                "fixed_gausswidth", "four_pi_epsilon", "screen_electrostatics"};

static bool harmless(const char *word)
{
    for (size_t i = 0; i < sizeof harmless_families / sizeof *harmless_families; i++)
        if (strncmp(word, harmless_families[i], strlen(harmless_families[i])) == 0)
            return true;
    return false;
}

static int find_keyword(const char *word)
{
    for (int k = 0; k < NKEYWORDS; k++)
        if (strcmp(keywords[k].name, word) == 0)
            return k;
    return -1;
}

/* Line of an earlier keyword, under this name or an alias, 0 if there was none. */
static long seen_before(const long seen[NKEYWORDS], int keyword)
{
    for (int k = 0; k < NKEYWORDS; k++)
        if (keywords[k].take == keywords[keyword].take && seen[k] > 0)
            return seen[k];
    return 0;
}

/* Takes the line if its turn has come: lines that name elements wait for the line 'elements', which may be below. */
static int take_line(reader *r, long seen[NKEYWORDS], int pass)
{
    const char *word = r->text->word[0];
    int k = find_keyword(word);
    if (k < 0) {
        if (pass == 0 && !harmless(word))
            nf_log_write(&r->p->log, NF_LOG_WARNING, "%s:%ld: unknown keyword %.40s is ignored", r->text->path,
                         r->text->line, word);
        return 0;
    }
    if (keywords[k].take == NULL || ((keywords[k].flags & AFTER_ELEMENTS) != 0) != pass)
        return 0;
    long before = (keywords[k].flags & ONCE) ? seen_before(seen, k) : 0;
    if (before > 0)
        return nf_fail(r->err, NF_EFORMAT, "%s:%ld: %s again (first in line %ld)", r->text->path, r->text->line, word,
                       before);
    seen[k] = r->text->line;
    return keywords[k].take(r);
}

static int read_pass(reader *r, long seen[NKEYWORDS], int pass)
{
    int rc;
    while ((rc = nf_text_next(r->text, "#!", r->err)) > 0)
        TRY(take_line(r, seen, pass));
    return rc;
}

/* ---- completeness ---- */

static bool seen_word(const long seen[NKEYWORDS], const char *word)
{
    return seen[find_keyword(word)] > 0;
}

static int missing(reader *r, const char *word)
{
    return nf_fail(r->err, NF_EFORMAT, "%s: the keyword %s is missing", r->text->path, word);
}

static int check_elements(reader *r, const long seen[NKEYWORDS])
{
    if (!seen_word(seen, "elements"))
        return missing(r, "elements");
    if (r->nelements != 0 && r->nelements != r->p->elements.n)
        return nf_fail(r->err, NF_EFORMAT, "%s: number_of_elements is %d, but elements lists %d", r->text->path,
                       r->nelements, r->p->elements.n);
    return 0;
}

static int check_normalisation(reader *r, const long seen[NKEYWORDS])
{
    bool mean = seen_word(seen, "mean_energy"), energy = seen_word(seen, "conv_energy"),
         length = seen_word(seen, "conv_length");
    if (mean == energy && energy == length)
        return 0;
    return nf_fail(r->err, NF_EFORMAT, "%s: mean_energy, conv_energy and conv_length go together: %s is missing",
                   r->text->path,
                   !mean     ? "mean_energy"
                   : !energy ? "conv_energy"
                             : "conv_length");
}

/* Compact functions have no cutoff function. */
static int check_cutoff_type(reader *r)
{
    for (int e = 0; e < r->p->elements.n; e++)
        for (size_t k = 0; k < r->p->of[e].nfunctions; k++)
            if (!n2p2_is_compact(r->p->of[e].functions[k].type) && r->p->cutoff_type < 0)
                return missing(r, "cutoff_type");
    return 0;
}

static int read_both(reader *r, const char *path)
{
    long seen[NKEYWORDS] = {0};
    TRY(nf_text_keep(r->text, r->err));
    TRY(read_pass(r, seen, 0));
    TRY(check_elements(r, seen));
    TRY(check_normalisation(r, seen));
    nf_text_rewind(r->text);
    TRY(read_pass(r, seen, 1));
    TRY(check_cutoff_type(r));
    TRY(n2p2_check_networks(r->p, path, r->err));
    return n2p2_sort_functions(r->p, path, r->err);
}

int n2p2_read_settings(n2p2_potential *p, nf_error *err)
{
    char path[4096];
    nf_text *text = nf_calloc(1, sizeof *text);
    if (text == NULL)
        return nf_fail_memory(err, "input.nn");
    snprintf(path, sizeof path, "%s/input.nn", p->folder);
    p->conv_energy = p->conv_length = p->scale_max = 1;
    p->cutoff_type = -1;
    reader r = {p, text, err, 0};
    int rc = nf_text_open(text, path, p->hash, err);
    if (rc == 0)
        rc = read_both(&r, path);
    nf_text_close(text);
    nf_free(text);
    return rc;
}
