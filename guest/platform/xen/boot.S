// From the PVH entry (32-bit protected mode, paging off, %ebx = hvm_start_info) to KernelMain in 64-bit mode.
//
// The tables built here serve only until InitMemory: the first 4 GiB at 0, at kDirectMap and, the first 2 of them,
// at kImageOffset. Constants: AMD64 Architecture Programmer's Manual, volume 2, sections 3.1 and 5.3.
#define OFFSET 0xffffffff80000000
#define PHYSICAL(symbol) (symbol - OFFSET)

#define CR0 0x80010033          // PG, WP, NE, ET, MP, PE: the FPU is on.
#define CR4 0x620               // OSXMMEXCPT, OSFXSR, PAE: so is SSE.
#define EFER 0xc0000080
#define EFER_NXE_LME 0x900

    .section .note.Xen, "a", @note
    .align 4
    .long 4, 8, 18              // XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad PHYSICAL(BootEntry)

    .section .text.boot, "ax"
    .code32
    .globl BootEntry
BootEntry:
    cld
    cli
    movl $(PHYSICAL(pdpt_low) + 3), PHYSICAL(pml4)
    movl $(PHYSICAL(pdpt_low) + 3), PHYSICAL(pml4) + 256 * 8
    movl $(PHYSICAL(pdpt_high) + 3), PHYSICAL(pml4) + 511 * 8
    movl $(PHYSICAL(directories) + 0x0003), PHYSICAL(pdpt_low)
    movl $(PHYSICAL(directories) + 0x1003), PHYSICAL(pdpt_low) + 8
    movl $(PHYSICAL(directories) + 0x2003), PHYSICAL(pdpt_low) + 16
    movl $(PHYSICAL(directories) + 0x3003), PHYSICAL(pdpt_low) + 24
    movl $(PHYSICAL(directories) + 0x0003), PHYSICAL(pdpt_high) + 510 * 8
    movl $(PHYSICAL(directories) + 0x1003), PHYSICAL(pdpt_high) + 511 * 8
    movl $PHYSICAL(directories), %edi
    movl $0x83, %eax            // Present, writable, 2 MiB.
    movl $2048, %ecx
1:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 1b

    movl $PHYSICAL(pml4), %eax
    movl %eax, %cr3
    movl $CR4, %eax
    movl %eax, %cr4
    movl $EFER, %ecx
    rdmsr
    orl $EFER_NXE_LME, %eax
    wrmsr
    movl $CR0, %eax
    movl %eax, %cr0
    lgdt PHYSICAL(gdt_pointer)
    ljmp $8, $PHYSICAL(1f)

    .code64
1:  movabsq $2f, %rax
    jmp *%rax
2:  xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    movq $BootStackEnd, %rsp
    fninit

    // The stack protector's canary, before any function that has one: RDRAND, else the time-stamp counter. Its
    // lowest byte is 0, so that no string overrun can write it.
    movl %ebx, %edi
    movl $1, %eax
    xorl %ecx, %ecx
    cpuid
    movl $16, %r8d
    btl $30, %ecx
    jnc 4f
3:  rdrand %rax
    jc 5f
    decl %r8d
    jnz 3b
4:  rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    movabsq $0x9e3779b97f4a7c15, %rdx
    imulq %rdx, %rax
5:  xorb %al, %al
    movq %rax, __stack_chk_guard

    xorl %ebp, %ebp             // Ends backtraces.
    call KernelMain             // %rdi: address of hvm_start_info.
    ud2

    // A further CPU, started with CpuContext: %rdi = its Cpu, %rsp = its stack.
    .section .text, "ax"
    .globl CpuEntry
CpuEntry:
    cld
    fninit
    xorl %ebp, %ebp
    call CpuMain
    ud2

    .section .rodata, "a"
    .align 8
gdt:
    .quad 0
    .quad 0x00af9a000000ffff    // 64-bit code.
gdt_pointer:
    .word . - gdt - 1
    .long PHYSICAL(gdt)

    .section .boot_tables, "aw", @nobits
    .align 4096
pml4: .skip 4096
pdpt_low: .skip 4096
pdpt_high: .skip 4096
directories: .skip 4 * 4096

    .section .boot_stack, "aw", @nobits
    .align 4096
    .skip 64 * 1024

    .section .note.GNU-stack, "", @progbits
