/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char ipi_prefix[] = "/tmp/ipi_"; /* i-PI's and ASE's place of unix sockets */

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

bool nf_address_looks(const char *text)
{
    return starts(text, "unix:") || starts(text, "shm:") || starts(text, "tcp:");
}

static int parse_local(nf_address *out, const char *name, nf_error *err)
{
    int n = snprintf(out->path, sizeof out->path, "%s%s", name[0] == '/' ? "" : ipi_prefix, name);
    if (name[0] == '\0' || n >= (int)sizeof out->path)
        return nf_fail(err, NF_EINVAL,
                       "the address '%.60s' needs a name of 1 to %zu characters: unix:NAME, unix:/path or shm:NAME",
                       out->text, sizeof out->path - sizeof ipi_prefix);
    return 0;
}

static int resolve(nf_address *out, nf_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int rc = getaddrinfo(out->host, out->port, &hints, &list);
    if (rc != 0 || list == NULL)
        return nf_fail(err, NF_EINVAL, "cannot resolve the address '%.100s': %s", out->text, gai_strerror(rc));
    for (const struct addrinfo *a = list; a != NULL && out->nto < NF_ADDRESS_MOST; a = a->ai_next)
        memcpy(&out->to[out->nto++], a->ai_addr, a->ai_addrlen);
    freeaddrinfo(list);
    return 0;
}

/* HOST:PORT, or [IPv6]:PORT. */
static int parse_tcp(nf_address *out, const char *text, nf_error *err)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon == NULL ? 0 : (size_t)(colon - text);
    if (n > 1 && text[0] == '[' && colon[-1] == ']') {
        text++;
        n -= 2;
    }
    char *end;
    long port = colon == NULL ? 0 : strtol(colon + 1, &end, 10);
    if (n == 0 || n >= sizeof out->host || colon[1] == '\0' || *end != '\0' || port < 1 || port > 65535)
        return nf_fail(err, NF_EINVAL, "the address '%.100s' is not tcp:HOST:PORT with a port from 1 to 65535",
                       out->text);
    memcpy(out->host, text, n);
    out->host[n] = '\0';
    snprintf(out->port, sizeof out->port, "%ld", port);
    return resolve(out, err);
}

int nf_address_parse(nf_address *out, const char *text, nf_error *err)
{
    *out = (nf_address){.text = text};
    out->shared = starts(text, "shm:");
    out->local = out->shared || starts(text, "unix:");
    if (out->local)
        return parse_local(out, strchr(text, ':') + 1, err);
    if (starts(text, "tcp:"))
        return parse_tcp(out, text + 4, err);
    return nf_fail(err, NF_EINVAL, "'%.100s' is no address: unix:NAME, unix:/path, shm:NAME or tcp:HOST:PORT", text);
}

void nf_address_ffsocket(const nf_address *a, bool exits, char *out, size_t size)
{
    char place[400];
    const char *local = a->shared ? "shm" : "unix";
    bool prefixed = a->local && starts(a->path, ipi_prefix);
    if (a->local)
        snprintf(place, sizeof place, "  <address>%s</address>\n%s", prefixed ? a->path + strlen(ipi_prefix) : a->path,
                 prefixed ? "" : "  <!-- start i-PI with -S '' so that the address is the whole path -->\n");
    else
        snprintf(place, sizeof place, "  <address>%s</address>\n  <port>%s</port>\n", a->host, a->port);
    snprintf(out, size, "<ffsocket name='nearfar' mode='%s' pbc='false'>\n%s  <latency>1e-4</latency>\n%s</ffsocket>\n",
             a->local ? local : "inet", place, exits ? "  <exit_on_disconnect>True</exit_on_disconnect>\n" : "");
}
