/* SPDX-License-Identifier: BSD-3-Clause
 *
 * link_inside.h - what the two halves of a link share: link.c reads and writes, link_states.c decides.
 */
#ifndef NF_SERVER_LINK_INSIDE_H
#define NF_SERVER_LINK_INSIDE_H

#include "server/link.h"

/** Answers STATUS. */
void nf_link_say(nf_link *link, ipi_word word);
/** Sends the reply of the request, at once what the socket takes. */
void nf_link_send_forces(nf_link *link);
/** The request is complete, or has failed: tells the driver as far as it has asked. */
void nf_link_take_result(nf_link *link);
/** Begins to take the structures of a POSDATA. */
void nf_link_begin(nf_link *link, uint32_t nstructures);
/** Does what the event asks for in the state the link is in. */
void nf_link_act(nf_link *link, const ipi_event *ev);

#endif
