/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The text of INIT as options of a link: both notations, quotes, values that are refused, files, memory that runs out.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "potential.h"
#include "scratch.h"
#include "server/extras.h"
#include "server/link_options.h"
#include "suite.h"

static const int hho[] = {1, 1, 8};
static const nf_place_options place = {.natoms = 3, .species = hho, .extras = NF_EXTRAS_SUMMARY};

static char unknown[512]; /* keys, and what they were meant to be */

static void note_unknown(void *ctx, const char *key, const char *meant)
{
    size_t n = strlen(unknown);
    (void)ctx;
    snprintf(unknown + n, sizeof unknown - n, "[%s>%s]", key, meant == NULL ? "" : meant);
}

static const nf_link_origin here = {.local = true, .unknown = note_unknown};
static const nf_link_origin elsewhere = {.local = false, .unknown = note_unknown};

/* "2 summary OHH" */
static const char *spell(const nf_link_options *o)
{
    static char text[256];
    size_t n = (size_t)snprintf(text, sizeof text, "%d %s ", o->batch, nf_extras_name(o->extras));
    for (size_t i = 0; i < o->natoms && n < sizeof text; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s", nf_element_symbol(o->species[i]));
    return text;
}

static int read_text(nf_link_options **out, const char *text, const nf_link_origin *origin, nf_error *err)
{
    nf_link_options *defaults;
    nf_error ignored = {0};
    unknown[0] = '\0';
    if (nf_link_options_new(&defaults, &place, NULL, err) != 0)
        return NF_ENOMEM;
    int rc = nf_link_options_read(out, defaults, text, origin, err == NULL ? &ignored : err);
    nf_link_options_free(defaults);
    return rc;
}

static void assert_read(const char *text, const nf_link_origin *origin, const char *want)
{
    nf_link_options *o;
    nf_error err = {0};
    int rc = read_text(&o, text, origin, &err);
    ck_assert_msg(rc == 0, "%s: %s", text, err.msg);
    ck_assert_msg(strcmp(spell(o), want) == 0, "%s gave %s", text, spell(o));
    nf_link_options_free(o);
}

static void assert_refused(const char *text, const nf_link_origin *origin, int code, const char *words)
{
    nf_link_options *o;
    nf_error err = {0};
    int rc = read_text(&o, text, origin, &err);
    ck_assert_msg(rc == code && err.code == code, "%s gave %d %s", text, rc, err.msg);
    ck_assert_ptr_null(o);
    ck_assert_msg(strstr(err.msg, words) != NULL, "%s: %s\nhas not: %s", text, err.msg, words);
}

/* ---- what is understood ---- */

static const struct {
    const char *text, *want;
} texts[] = {
    {"", "1 summary HHO"},
    {" ", "1 summary HHO"},
    {"  batch_size:4", "4 summary HHO"},
    {" species : O H H * 2 , extras : none , , batch_size:8", "8 none OHHOHH"},
    {" species : O H*2 * 2; Na; Cl , ", "1 summary OHHOHHNaCl"},
    {" species : 'O H H' , \"extras\" : \"committee\" , ", "1 committee OHH"},
    {" extras : none , extras : summary , ", "1 summary HHO"},
    {" batch_size : x , , batch_size:3", "3 summary HHO"},
    {" charge : 0 , ", "1 summary HHO"},
    {" charge : -0.0 , ", "1 summary HHO"},
    {"{}", "1 summary HHO"},
    {" {\"species\": \"O H H * 2\", \"batch_size\": 5}", "5 summary OHHOHH"},
    {"{\"species\": [\"O\", \"H*2\"], \"extras\": \"none\", \"charge\": 0.0}", "1 none OHH"},
    {"{\"species\": [\"O\", \"H\", \"*\", \"2\"]}", "1 summary OHOH"},
};

START_TEST(understood)
{
    assert_read(texts[_i].text, &here, texts[_i].want);
    assert_read(texts[_i].text, &elsewhere, texts[_i].want);
    ck_assert_str_eq(unknown, "");
}
END_TEST

START_TEST(unknown_keys_are_reported)
{
    assert_read(" Species : O , xtras : none , verbosity : high , flag , : x , extras : none , ", &here, "1 none HHO");
    ck_assert_str_eq(unknown, "[Species>species][xtras>extras][verbosity>][flag>][>]");
    assert_read("{\"batch\": {\"size\": [1]}, \"\\u001b[2J\": null}", &here, "1 summary HHO");
    ck_assert_str_eq(unknown, "[batch>][?[2J>]");
}
END_TEST

/* Any text will do as an INIT. */
START_TEST(broken_json_is_left_aside)
{
    assert_read("{\"species\": \"O\"", &here, "1 summary HHO");
    assert_read("{\"species\": \"O\"} , batch_size:2", &here, "1 summary HHO");
    assert_read("{ species : O }", &here, "1 summary HHO");
    ck_assert_str_eq(unknown, "[{ species : O }>]");
}
END_TEST

/* ---- what is not ---- */
static const struct {
    const char *text;
    int code;
    const char *words;
} bad[] = {
    {" extras : some , ", NF_EFORMAT, "extras : some in the driver's INIT: not none, summary or committee"},
    {" extras , ", NF_EFORMAT, "extras :  in"},
    {" extras : None , ", NF_EFORMAT, "extras : None"},
    {" species : O Xx , ", NF_EFORMAT, "species : O Xx in the driver's INIT: list of elements: 'Xx' is no element"},
    {" species : , ", NF_EFORMAT, "no atoms"},
    {" species : '' , ", NF_EFORMAT, "no atoms"},
    {" species : H * 10000001 , ", NF_ELIMIT, "more than 10000000 atoms, which only --species"},
    {" species : H * 100000001 , ", NF_ELIMIT, "more than 10000000 atoms, which only --species"},
    {" charge : 1 , ", NF_EUNSUPPORTED, "charge : 1 in the driver's INIT: this model has no charges"},
    {" charge : -1e-3 , ", NF_EUNSUPPORTED, "no charges"},
    {" charge : 0 e , ", NF_EFORMAT, "not a number"},
    {" charge : inf , ", NF_EFORMAT, "not a number"},
    {" charge : , ", NF_EFORMAT, "not a number"},
    {" part : all , ", NF_EUNSUPPORTED, "part : all in the driver's INIT: this model has no parts"},
    {" batch_size:0", NF_EFORMAT, "batch_size : 0 in the driver's INIT: not a whole number from 1 to 65536"},
    {" batch_size:65537", NF_EFORMAT, "65536"},
    {" batch_size:99999999999999999999", NF_EFORMAT, "65536"},
    {" batch_size", NF_EFORMAT, "65536"},
    {"{\"batch_size\": 1.0}", NF_EFORMAT, "batch_size : 1.0"},
    {"{\"extras\": null}", NF_EFORMAT, "extras : null"},
    {"{\"species\": [8, 1]}", NF_EFORMAT, "'species' in the driver's INIT has more than words"},
    {"{\"species\": []}", NF_EFORMAT, "no atoms"},
    {"{\"errors\": 1}", NF_EFORMAT, "errors : 1 in the driver's INIT: neither true nor false"},
};

START_TEST(refused)
{
    assert_refused(bad[_i].text, &here, bad[_i].code, bad[_i].words);
    assert_refused(bad[_i].text, &elsewhere, bad[_i].code, bad[_i].words);
}
END_TEST

START_TEST(elements_of_the_model)
{
    nf_service service;
    nf_service_options model = {.name = "oh", .model = potential_load(&potential_plain)}; /* O and H */
    nf_link_origin origin = {.nservices = 1, .services = &service};
    ck_assert_int_eq(nf_service_open(&service, &model, NULL, NULL), 0);
    assert_read(" species : O H H , ", &origin, "1 summary OHH");
    assert_refused(" species : O H Au , model : oh , ", &origin, NF_EINVAL,
                   "species in the driver's INIT: atom 3 is Au, which the model does not know");
    assert_refused(" model : ho , ", &origin, NF_EINVAL, "no model of that name");
    assert_read(" species : O H H , model : oh , ", &origin, "1 summary OHH");
    nf_service_close(&service);
    nf_model_free(model.model);
}
END_TEST

/* ---- files ---- */

START_TEST(files_are_for_drivers_on_this_machine)
{
    scratch s;
    char text[600];
    scratch_begin(&s);
    write_file(s.path, "water.xyz", "3\n\nO 0 0 0\nH 0 0 1\nH 0 1 0\n", WHOLE_STRING);
    snprintf(text, sizeof text, " species : %s/water.xyz , ", s.path);
    assert_read(text, &here, "1 summary OHH");
    assert_refused(text, &elsewhere, NF_EFORMAT, "is no element");
    write_file(s.path, "water.xyz", "3\n\nO 0 0 0\nXx 0 0 1\nH 0 1 0\n", WHOLE_STRING);
    assert_refused(text, &here, NF_EFORMAT, "Xx");
    scratch_end(&s);
}
END_TEST

START_TEST(only_regular_files)
{
    scratch s;
    char path[300], text[600];
    scratch_begin(&s);
    snprintf(path, sizeof path, "%s/pipe", s.path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    snprintf(text, sizeof text, " species : %s , ", path);
    assert_refused(text, &here, NF_EFORMAT, "is no element");
    snprintf(text, sizeof text, " species : %s , ", s.path);
    assert_refused(text, &here, NF_EFORMAT, "is no element");
    assert_refused(" species : /dev/zero , ", &here, NF_EFORMAT, "is no element");
    assert_refused(" species : - , ", &here, NF_EFORMAT, "is no element");
    scratch_end(&s);
}
END_TEST

/* ---- owners ---- */

START_TEST(options_outlive_the_link)
{
    nf_link_options *o;
    ck_assert_int_eq(read_text(&o, " species : O H , ", &here, NULL), 0);
    nf_link_options *held = nf_link_options_ref(o);
    nf_link_options_free(o);
    ck_assert_str_eq(spell(held), "1 summary OH");
    nf_link_options_free(held);
    nf_link_options_free(NULL);
}
END_TEST

START_TEST(survives_no_memory)
{
    static const char *const all[] = {" species : O H H * 400 , extras : none , , batch_size:2",
                                      "{\"species\": [\"O\", \"H\"], \"extras\": \"none\"}"};
    for (long n = 0;; n++) {
        nf_link_options *o = NULL;
        nf_error err = {0};
        nf_mem_fail_after(n);
        int rc = read_text(&o, all[_i], &here, &err);
        int hit = nf_mem_fail_stop();
        nf_link_options_free(o);
        ck_assert_int_eq(rc, hit ? NF_ENOMEM : 0);
        if (!hit)
            break;
    }
}
END_TEST

START_TEST(every_key_has_help)
{
    const char *help, *key;
    size_t n = 0;
    for (; (key = nf_link_options_key(n, &help)) != NULL; n++)
        ck_assert(key[0] != '\0' && help != NULL && help[0] != '\0');
    ck_assert_uint_eq(n, 8);
    ck_assert_ptr_null(help);
}
END_TEST

Suite *suite(void)
{
    Suite *s = suite_create("link options");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, understood, 0, sizeof texts / sizeof *texts);
    tcase_add_test(t, unknown_keys_are_reported);
    tcase_add_test(t, broken_json_is_left_aside);
    tcase_add_loop_test(t, refused, 0, sizeof bad / sizeof *bad);
    tcase_add_test(t, elements_of_the_model);
    tcase_add_test(t, files_are_for_drivers_on_this_machine);
    tcase_add_test(t, only_regular_files);
    tcase_add_test(t, options_outlive_the_link);
    tcase_add_loop_test(t, survives_no_memory, 0, 2);
    tcase_add_test(t, every_key_has_help);
    suite_add_tcase(s, t);
    return s;
}
