/* SPDX-License-Identifier: Apache-2.0 */
/* What a node may have of a page: all that the core and its tables need to agree on. */
#ifndef SSIHV_DSM_COPY_H
#define SSIHV_DSM_COPY_H

enum dsm_copy { DSM_NONE, DSM_SHARED, DSM_OWNED }; /* OWNED: writable */

#endif
