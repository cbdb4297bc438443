/* SPDX-License-Identifier: BSD-3-Clause
 *
 * acsf_read.c - one symmetry function of a spec, checked. Lengths in Angstrom, angles in degrees.
 *
 *     {"element": "H", "type": 2, "neighbours": ["O"], ...}
 *
 * "type" is n2p2's number or the string "g4". The other keys:
 *
 *   2, 3, 9, 12, 13, "g4"         "eta", "rs", "rc", "inner", "cutoff": name of the cutoff function
 *   3, 9, 13, "g4" also           "lambda", "zeta"
 *   20 to 25                      "core": "poly1" to "poly4" or "exp", "asymmetric": boolean, "rl", "rc"
 *   21, 22, 24, 25 also           "angle_left", "angle_right"
 *
 * "neighbours" has one element for 2 and 20, two for 3, 9, 21, 22 and "g4"; none, or the key is missing, for 12, 13,
 * 23, 24 and 25, which run over all elements. Sources: Behler, J. Chem. Phys. 134, 074106 (2011); weights: Gastegger
 * et al., J. Chem. Phys. 148, 241709 (2018); compact ones: Bircher, Singraber, Dellago, Mach. Learn.: Sci. Technol. 2,
 * 035026 (2021); the numbers are n2p2's.
 */
#include <math.h>
#include <string.h>

#include "near/acsf.h"
#include "near/cutoff.h"

enum { RADIAL = 0, ANGULAR = 1, EXPONENTIAL = 0, COMPACT = 1, PLAIN = 0, WEIGHTED = 1 };

static const acsf_type types[] = {
    {2, "2", RADIAL, EXPONENTIAL, PLAIN, 0},
    {3, "3", ANGULAR, EXPONENTIAL, PLAIN, K_FACTOR},
    {9, "9", ANGULAR, EXPONENTIAL, PLAIN, K_NOTHING},
    {12, "12", RADIAL, EXPONENTIAL, WEIGHTED, 0},
    {13, "13", ANGULAR, EXPONENTIAL, WEIGHTED, K_FACTOR},
    {20, "20", RADIAL, COMPACT, PLAIN, 0},
    {21, "21", ANGULAR, COMPACT, PLAIN, K_FACTOR},
    {22, "22", ANGULAR, COMPACT, PLAIN, K_NOTHING},
    {23, "23", RADIAL, COMPACT, WEIGHTED, 0},
    {24, "24", ANGULAR, COMPACT, WEIGHTED, K_FACTOR},
    {25, "25", ANGULAR, COMPACT, WEIGHTED, K_NOTHING},
    {0, "g4", ANGULAR, EXPONENTIAL, PLAIN, K_GAUSSIAN},
};

const acsf_type *acsf_type_at(size_t i)
{
    return i < sizeof types / sizeof *types ? &types[i] : NULL;
}

static const char *const cutoff_names[K_NCUTOFFS] = {"hard",  "cos",   "tanhu", "tanh", "exp",
                                                     "poly1", "poly2", "poly3", "poly4"};

const char *nf_cutoff_name(int type)
{
    return type >= 0 && type < K_NCUTOFFS ? cutoff_names[type] : NULL;
}

int nf_cutoff_find(const char *name)
{
    for (int i = 0; i < K_NCUTOFFS; i++)
        if (strcmp(cutoff_names[i], name) == 0)
            return i;
    return -1;
}

/* ---- type and elements ---- */

static int is_type(const acsf_type *type, const json_t *value)
{
    if (type->number > 0)
        return json_is_integer(value) && json_integer_value(value) == type->number;
    return json_is_string(value) && strcmp(json_string_value(value), type->name) == 0;
}

static int read_type(const json_t *tree, const acsf_type **out, nf_error *err)
{
    const json_t *value = json_object_get(tree, "type");
    for (size_t i = 0; (*out = acsf_type_at(i)) != NULL; i++)
        if (is_type(*out, value))
            return 0;
    if (json_is_integer(value))
        return nf_fail(err, NF_EUNSUPPORTED, "unknown type %" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (json_is_string(value))
        return nf_fail(err, NF_EUNSUPPORTED, "unknown type '%s'", json_string_value(value));
    return nf_fail(err, NF_EFORMAT, "key 'type' is missing or is no number or name");
}

static int find_element(const json_t *value, const nf_elements *elements, int *out, nf_error *err)
{
    const char *symbol = json_string_value(value);
    *out = symbol == NULL ? -1 : nf_elements_find(elements, nf_element_number(symbol));
    if (*out < 0)
        return nf_fail(err, NF_EFORMAT, "'%s' is not an element of this model", symbol == NULL ? "?" : symbol);
    return 0;
}

int acsf_read_element(const json_t *tree, const nf_elements *elements, int *element, nf_error *err)
{
    return find_element(json_object_get(tree, "element"), elements, element, err);
}

static int read_neighbours(const json_t *tree, const nf_elements *elements, acsf_function *out, nf_error *err)
{
    const json_t *list = json_object_get(tree, "neighbours");
    size_t wanted = out->type->weighted ? 0 : out->type->angular ? 2 : 1;
    if (json_array_size(list) != wanted || (list != NULL && !json_is_array(list)))
        return nf_fail(err, NF_EFORMAT, "'neighbours' is a list of %zu elements for this type", wanted);
    for (size_t i = 0; i < wanted; i++)
        TRY(find_element(json_array_get(list, i), elements, &out->neighbour[i], err));
    if (wanted == 2 && out->neighbour[0] > out->neighbour[1]) {
        int first = out->neighbour[0];
        out->neighbour[0] = out->neighbour[1];
        out->neighbour[1] = first;
    }
    return 0;
}

/* ---- exponential functions ---- */

static int read_cutoff(const json_t *tree, const char *key, int *out, nf_error *err)
{
    const char *name = nf_spec_string(tree, key, err);
    if (name == NULL)
        return NF_EFORMAT;
    *out = nf_cutoff_find(name);
    return *out >= 0 ? 0 : nf_fail(err, NF_EUNSUPPORTED, "unknown %s function '%s'", key, name);
}

static int read_exponential(const json_t *tree, const acsf_type *type, struct k_radial *out, nf_error *err)
{
    out->form = K_EXPONENTIAL;
    TRY(read_cutoff(tree, "cutoff", &out->cutoff, err));
    TRY(nf_spec_number(tree, "eta", &out->eta, err));
    TRY(nf_spec_number(tree, "rs", &out->rs, err));
    TRY(nf_spec_number(tree, "rc", &out->rc, err));
    TRY(nf_spec_number(tree, "inner", &out->inner, err));
    if (!(out->rc > 0) || !(out->inner >= 0) || !(out->inner < out->rc) || !isfinite(out->rc))
        return nf_fail(err, NF_EFORMAT, "cutoff rc %g and inner cutoff %g: 0 <= inner < rc is needed", out->rc,
                       out->inner);
    if (!isfinite(out->eta) || !isfinite(out->rs))
        return nf_fail(err, NF_EFORMAT, "eta %g and rs %g must be finite", out->eta, out->rs);
    if (type->between == K_GAUSSIAN && out->rs != 0)
        return nf_fail(err, NF_EFORMAT, "rs is %g, but %s has no shift: rs must be 0", out->rs, type->name);
    return 0;
}

static int read_power(const json_t *tree, acsf_function *out, nf_error *err)
{
    TRY(nf_spec_number(tree, "lambda", &out->lambda, err));
    TRY(nf_spec_number(tree, "zeta", &out->zeta, err));
    if (!isfinite(out->lambda) || !(out->zeta > 0) || !isfinite(out->zeta))
        return nf_fail(err, NF_EFORMAT, "lambda %g and zeta %g: both finite and zeta > 0 are needed", out->lambda,
                       out->zeta);
    return 0;
}

/* ---- compact functions ---- */

static int read_asymmetric(const json_t *tree, struct k_radial *out, nf_error *err)
{
    const json_t *value = json_object_get(tree, "asymmetric");
    if (!json_is_boolean(value))
        return nf_fail(err, NF_EFORMAT, "key 'asymmetric' is missing or is neither true nor false");
    out->form = json_is_true(value) ? K_ASYMMETRIC : K_COMPACT;
    if (out->form == K_ASYMMETRIC && out->cutoff == K_CUT_EXP)
        return nf_fail(err, NF_EUNSUPPORTED, "core exp has no asymmetric form, only poly1 to poly4 have");
    return 0;
}

static int read_compact(const json_t *tree, struct k_radial *out, nf_error *err)
{
    TRY(read_cutoff(tree, "core", &out->cutoff, err));
    if (out->cutoff < K_CUT_EXP)
        return nf_fail(err, NF_EUNSUPPORTED, "core function '%s': poly1 to poly4 and exp can be one",
                       nf_cutoff_name(out->cutoff));
    TRY(read_asymmetric(tree, out, err));
    TRY(nf_spec_number(tree, "rl", &out->rl, err));
    TRY(nf_spec_number(tree, "rc", &out->rc, err));
    if (!isfinite(out->rl) || !isfinite(out->rc) || !(out->rc > 0) || !(out->rl < out->rc))
        return nf_fail(err, NF_EFORMAT, "radial range rl %g to rc %g: rl < rc and rc > 0 are needed", out->rl, out->rc);
    return 0;
}

/* A window that goes on behind 0 or 180 degrees is smooth there only if that is its centre. */
static int read_window(const json_t *tree, acsf_function *out, nf_error *err)
{
    const double degree = 3.14159265358979324 / 180, pi = 3.14159265358979324, tiny = 1e-9;
    double left, right;
    TRY(nf_spec_number(tree, "angle_left", &left, err));
    TRY(nf_spec_number(tree, "angle_right", &right, err));
    if (!isfinite(left) || !isfinite(right) || !(left < right) || right - left > 360)
        return nf_fail(err, NF_EFORMAT, "angles %g to %g degrees: finite, ascending and at most 360 apart are needed",
                       left, right);
    int at_zero = fabs(left + right) < tiny, at_pi = fabs(left + right - 360) < tiny;
    if (!at_zero && !at_pi && (left < 0 || right > 180))
        return nf_fail(err, NF_EFORMAT, "angles %g to %g degrees: only a range centred at 0 or at 180 may go beyond it",
                       left, right);
    out->window = (struct k_window){at_zero ? 0
                                    : at_pi ? pi
                                            : 0.5 * (left + right) * degree,
                                    0.5 * (right - left) * degree, out->radial.cutoff};
    return 0;
}

int acsf_read_function(const json_t *tree, const nf_elements *elements, acsf_function *out, nf_error *err)
{
    TRY(read_type(tree, &out->type, err));
    TRY(read_neighbours(tree, elements, out, err));
    if (out->type->compact)
        TRY(read_compact(tree, &out->radial, err));
    else
        TRY(read_exponential(tree, out->type, &out->radial, err));
    if (!out->type->angular)
        return 0;
    return out->type->compact ? read_window(tree, out, err) : read_power(tree, out, err);
}
