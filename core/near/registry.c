/* SPDX-License-Identifier: BSD-3-Clause
 *
 * registry.c - all descriptors and readouts there are.
 */
#include <string.h>

#include "near/descriptor.h"
#include "near/readout.h"

extern const nf_descriptor_class nf_descriptor_acsf, nf_descriptor_null;
extern const nf_readout_class nf_readout_mlp, nf_readout_null;

static const nf_descriptor_class *const descriptors[] = {&nf_descriptor_acsf, &nf_descriptor_null};
static const nf_readout_class *const readouts[] = {&nf_readout_mlp, &nf_readout_null};

const nf_descriptor_class *nf_descriptor_at(size_t i)
{
    return i < sizeof descriptors / sizeof *descriptors ? descriptors[i] : NULL;
}

const nf_readout_class *nf_readout_at(size_t i)
{
    return i < sizeof readouts / sizeof *readouts ? readouts[i] : NULL;
}

const nf_descriptor_class *nf_descriptor_find(const char *name)
{
    for (size_t i = 0; nf_descriptor_at(i) != NULL; i++)
        if (strcmp(nf_descriptor_at(i)->name, name) == 0)
            return nf_descriptor_at(i);
    return NULL;
}

const nf_readout_class *nf_readout_find(const char *name)
{
    for (size_t i = 0; nf_readout_at(i) != NULL; i++)
        if (strcmp(nf_readout_at(i)->name, name) == 0)
            return nf_readout_at(i);
    return NULL;
}
