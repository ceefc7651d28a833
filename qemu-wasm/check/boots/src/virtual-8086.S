/* SPDX-License-Identifier: Apache-2.0 OR MIT
   What memory managers of DOS do: a boot sector with a monitor after it that runs real-mode code in virtual-8086 mode. That code
   calls the BIOS: for text, for the disk it was booted from, for the clock, whose interrupts the monitor passes on. */
.include "real.inc"
.set SECTORS, 7             /* of the monitor, after the boot sector */
.set TSS, 0x10000           /* with a map that allows all ports */
.set TSS_LIMIT, 104 + 8192
.set IDT, 0x14000
.set MONITOR_STACK, 0x20000
.set VECTORS, 48            /* 32 exceptions and 16 interrupts of devices */
.set CODE, 8
.set DATA, 16
.set FRAME_ERROR, 36        /* of what `enter_monitor` leaves on the stack */
.set FRAME_IP, 40
.set FRAME_CS, 44
.set FRAME_FLAGS, 48
.set FRAME_SP, 52
.set FRAME_SS, 56

.code16
.globl _start
_start:
  boot_sector
  movw $0x0200 + SECTORS, %ax
  movw $2, %cx
  movb $0, %dh
  movb drive, %dl
  movw $monitor, %bx
  int $0x13
  jnc monitor
  say not_loaded
1: hlt
  jmp 1b
real_mode_output
not_loaded: .asciz "VIRTUAL-8086-NOT-LOADED\r\n"
signature

monitor:
  say starts
  cli
  /* Interrupts of devices get numbers of their own, apart from exceptions. */
  inb $0x21, %al
  movb %al, %bl
  inb $0xa1, %al
  movb %al, %bh
  movb $0x11, %al
  outb %al, $0x20
  outb %al, $0xa0
  movb $32, %al
  outb %al, $0x21
  movb $40, %al
  outb %al, $0xa1
  movb $4, %al
  outb %al, $0x21
  movb $2, %al
  outb %al, $0xa1
  movb $1, %al
  outb %al, $0x21
  outb %al, $0xa1
  movb %bl, %al
  outb %al, $0x21
  movb %bh, %al
  outb %al, $0xa1
  lgdt gdt_pointer
  lidt idt_pointer
  movl %cr0, %eax
  orb $1, %al
  movl %eax, %cr0
  ljmp $CODE, $protected

.code32
protected:
  movw $DATA, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  movl $MONITOR_STACK, %esp
  cld
  movl $TSS, %edi
  xorl %eax, %eax
  movl $(TSS_LIMIT + 4) / 4, %ecx
  rep stosl
  movl $MONITOR_STACK, TSS + 4
  movw $DATA, TSS + 8
  movw $104, TSS + 102
  movb $0xff, TSS + TSS_LIMIT
  movl $IDT, %edi
  movl $entries, %eax
  movl $VECTORS, %ecx
1: movl %eax, %edx
  andl $0xffff, %edx
  orl $CODE << 16, %edx
  movl %edx, (%edi)
  movl $0x8e00, 4(%edi)
  addl $entries_end - entries_second, %eax
  addl $8, %edi
  loop 1b
  movw $24, %ax
  ltr %ax
  /* Virtual-8086 mode, I/O privilege 3, interrupts allowed. */
  pushl $0
  pushl $0
  pushl $0
  pushl $0
  pushl $0
  pushl $0x7c00
  pushl $0x23202
  pushl $0
  pushl $virtual
  iretl

/* One entry a vector, all of one size: the exceptions 8, 10 to 14 and 17 push an error code of their own. */
.macro entry vector
  .balign 16
  .if (\vector == 8) || (\vector >= 10 && \vector <= 14) || (\vector == 17)
    nop
    nop
  .else
    pushl $0
  .endif
  pushl $\vector
  jmp enter_monitor
.endm
.balign 16
entries:
entry 0
.set number, 1
.rept VECTORS - 2
  entry number
  .set number, number + 1
.endr
.balign 16
entries_second:
entry (VECTORS-1)
.balign 16
entries_end:

enter_monitor:
  pushal
  movw $DATA, %ax
  movw %ax, %ds
  movw %ax, %es
  movl %esp, %ebp
  movl 32(%ebp), %ebx
  cmpl $32, %ebx
  jae device
  cmpl $13, %ebx
  jne unexpected
  /* A general protection fault: the instruction at CS:IP is INT or HLT, which the monitor carries out. */
  movzwl FRAME_CS(%ebp), %esi
  shll $4, %esi
  movzwl FRAME_IP(%ebp), %eax
  addl %eax, %esi
  cmpb $0xf4, (%esi)
  je halt
  cmpb $0xcd, (%esi)
  jne unexpected
  movzbl 1(%esi), %ebx
  addw $2, FRAME_IP(%ebp)
  jmp reflect
halt: /* An interrupt is taken as soon as the code goes on. */
  incw FRAME_IP(%ebp)
  jmp leave_monitor
device: /* where real mode has it */
  subl $32 - 8, %ebx
  cmpl $16, %ebx
  jb reflect
  addl $0x70 - 16, %ebx
reflect: /* Calls the handler of interrupt EBX in virtual-8086 mode. */
  movzwl FRAME_SS(%ebp), %edi
  shll $4, %edi
  movzwl FRAME_SP(%ebp), %eax
  subw $6, %ax
  movw %ax, FRAME_SP(%ebp)
  addl %eax, %edi
  movw FRAME_IP(%ebp), %ax
  movw %ax, (%edi)
  movw FRAME_CS(%ebp), %ax
  movw %ax, 2(%edi)
  movw FRAME_FLAGS(%ebp), %ax
  movw %ax, 4(%edi)
  andw $~0x300, FRAME_FLAGS(%ebp)
  movzwl (,%ebx,4), %eax
  movl %eax, FRAME_IP(%ebp)
  movzwl 2(,%ebx,4), %eax
  movl %eax, FRAME_CS(%ebp)
leave_monitor:
  popal
  addl $8, %esp
  iretl
unexpected:
  movl $fault, %esi
  movw $0x3f8, %dx
1: lodsb
  testb %al, %al
  jz 2f
  outb %al, %dx
  jmp 1b
2: hlt
  jmp 2b

.code16
virtual:
  say runs
  movw $0x3000, %ax
  movw %ax, %es
  movw $0x0201, %ax
  movw $1, %cx
  movb $0, %dh
  movb drive, %dl
  xorw %bx, %bx
  int $0x13
  jc 3f
  cmpw $0xaa55, %es:510
  jne 3f
  say disk
  movb $0, %ah
  int $0x1a
  movw %dx, %bp
1: movb $0, %ah
  int $0x1a
  cmpw %bp, %dx
  je 1b
  say clock
  tell text /* last: the BIOS is slow to write to a serial port, and would be interrupted by our own text */
2: hlt
  jmp 2b
3: say no_disk
  jmp 2b

starts: .asciz "VIRTUAL-8086-STARTS\r\n"
runs: .asciz "VIRTUAL-8086-RUNS\r\n"
text: .asciz "VIRTUAL-8086-CALLS-BIOS\r\n"
disk: .asciz "VIRTUAL-8086-READS-DISK\r\n"
no_disk: .asciz "VIRTUAL-8086-CANNOT-READ-DISK\r\n"
clock: .asciz "VIRTUAL-8086-CLOCK-TICKS\r\n"
fault: .asciz "VIRTUAL-8086-UNEXPECTED-FAULT\r\n"
.balign 8
gdt: .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
  .word TSS_LIMIT, TSS & 0xffff, 0x8900 | TSS >> 16, 0
gdt_pointer: .word . - gdt - 1
  .long gdt
idt_pointer: .word VECTORS * 8 - 1
  .long IDT
.org 512 * (1 + SECTORS)
