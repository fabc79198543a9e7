// From a start-up interrupt (real mode, %cs:0 is the page that this is copied to) to a CpuContext. Copied to a page below 1 MiB,
// with what sipi_starter.cc fills in at its end (Parameters). No stack, no data but its own page.
    .section .rodata, "a"
    .globl Trampoline, TrampolineEnd, TrampolineParameters
    .align 16
    .code16
Trampoline:
    cli
    movw %cs, %ax
    movw %ax, %ds
    movl TrampolineParameters - Trampoline, %eax    // Page tables that also map this page at its own address.
    movl %eax, %cr3
    movl $0x620, %eax
    movl %eax, %cr4
    movl $0xc0000080, %ecx
    xorl %edx, %edx
    movl $0x900, %eax
    wrmsr
    lgdtl TrampolineParameters - Trampoline + 8
    movl $0x80010033, %eax
    movl %eax, %cr0
    ljmpl *(TrampolineParameters - Trampoline + 14)
    .code64
    .globl Trampoline64
Trampoline64:                                       // %ebp is not used: %rip reaches the parameters.
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %ss
    movq TrampolineParameters + 24(%rip), %rbx
    movq TrampolineParameters + 32(%rip), %rsp
    movq TrampolineParameters + 40(%rip), %rdi
    movq TrampolineParameters + 48(%rip), %rcx
    movq TrampolineParameters + 56(%rip), %rax
    jmp *%rax                                       // To TrampolineHigh, which is mapped by both tables.
    .align 8
TrampolineParameters:
    .skip 64 + 16
TrampolineEnd:

    .section .text, "ax"
    .code64
    .globl TrampolineHigh
TrampolineHigh:
    movq %rcx, %cr3
    jmp *%rbx
    .section .note.GNU-stack, "", @progbits
