// Entries of the interrupt table, and the only place where interrupts are on. An exception saves a TrapFrame
// (trap.cc) and calls HandleTrap, which does not return.
//
// An interrupt returns to the end of WaitForInterrupt with interrupts off, wherever in there it came: Xen's
// callback vector would come again at once, and the sleep that it ends must not begin after it. The instruction
// after sti runs with interrupts off still, but an emulated processor may lose that across a virtual machine exit.
// It may also deliver an interrupt twice, the second within the first: so the end of the sleep takes the stack from
// %rbp, not from the frame that the last of them was given.
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
    movq $Awake, (%rsp)
    andq $~0x200, 16(%rsp)  // IF in the saved RFLAGS.
    iretq

    .globl SleepUntilInterrupt
    .align 16
SleepUntilInterrupt:
    pushq %rbp
    movq %rsp, %rbp
    sti
    hlt
Awake:
    cli
    movq %rbp, %rsp
    popq %rbp
    ret

    .section .note.GNU-stack, "", @progbits
