/* SPDX-License-Identifier: BSD-3-Clause
 *
 * status.h - a running server as those outside see it.
 */
#ifndef NF_SERVER_STATUS_H
#define NF_SERVER_STATUS_H

#include "server/outside.h"
#include "server/server.h"

/** nf_service.elements_in_use of a service whose ctx is the server. */
void nf_status_elements(const nf_service *service, bool element[128]);
/** What a control socket or a page may ask of this server. */
nf_outside nf_status_outside(nf_server *server);

#endif
