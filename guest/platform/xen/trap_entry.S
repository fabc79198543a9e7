// Entries of the interrupt table. An exception saves a TrapFrame (trap.cc) and calls HandleTrap, which does not
// return; an interrupt only returns.
    .section .text, "ax"

    .globl TrapEntries
    .align 16
TrapEntries:
    .irp vector, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    .align 16
    .if ((1 << \vector) & 0x60227d00) == 0   // Vectors 8, 10 to 14, 17, 21, 29 and 30 push an error code.
    pushq $0
    .endif
    pushq $\vector
    jmp SaveFrame
    .endr

SaveFrame:
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi
    andq $-16, %rsp
    call HandleTrap
    ud2

    .globl InterruptEntry
    .align 16
InterruptEntry:
    iretq

    .section .note.GNU-stack, "", @progbits
