/* No operating system below lwIP: only sys_now() (guest/net/hooks.cc). */
#ifndef LIBRETTOS_ARCH_SYS_ARCH_H
#define LIBRETTOS_ARCH_SYS_ARCH_H
#endif
