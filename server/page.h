/* SPDX-License-Identifier: BSD-3-Clause
 *
 * page.h - the bytes of page.html, which cmake/embed.cmake makes an array of.
 */
#ifndef NF_SERVER_PAGE_H
#define NF_SERVER_PAGE_H

#include <stddef.h>

extern const unsigned char nf_page[];
extern const size_t nf_page_size;

#endif
