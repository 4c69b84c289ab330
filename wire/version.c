/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/msg.h"
#include "wire_version.h" /* made by the build */

uint32_t wire_version(void)
{
	return WIRE_VERSION;
}
