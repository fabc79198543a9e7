/* What lwIP needs of its surroundings. Everything it takes from libc is named here or in <string.h> (memcpy,
 * memmove, memset, memcmp, strlen, strncmp): a bare-metal platform supplies those few functions. */
#ifndef LIBRETTOS_ARCH_CC_H
#define LIBRETTOS_ARCH_CC_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

typedef long ssize_t;
#ifndef SSIZE_MAX
#define SSIZE_MAX LONG_MAX
#endif

#define LWIP_NO_UNISTD_H 1
#define LWIP_NO_CTYPE_H 1
#define LWIP_NO_INTTYPES_H 1
#define X8_F "x"
#define U16_F "u"
#define S16_F "d"
#define X16_F "x"
#define U32_F "u"
#define S32_F "d"
#define X32_F "x"
#define SZT_F "lu"
#define LWIP_ERRNO_INCLUDE "arch/cc.h" /* No errno. */

#ifdef __cplusplus
extern "C" {
#endif
void librettos_lwip_panic(const char* message); /* Does not return. */
uint32_t librettos_lwip_random(void);
#ifdef __cplusplus
}
#endif

#define mem_clib_malloc malloc
#define mem_clib_calloc calloc
#define mem_clib_free free

#define LWIP_PLATFORM_DIAG(x) \
  do {                        \
  } while (0)
/* Assertions stay on: they cost nothing visible, and a stack with a broken invariant must not go on. */
#define LWIP_PLATFORM_ASSERT(x) librettos_lwip_panic(x)
#define LWIP_RAND() librettos_lwip_random()

#endif
