// Filled by Xen with one entry of 32 bytes per hypercall; see hypercall.cc. It traps until then.
    .section .text.hypercall, "ax"
    .globl HypercallPage
    .align 4096
HypercallPage:
    .fill 4096, 1, 0xcc

    .section .note.GNU-stack, "", @progbits
