/* SPDX-License-Identifier: Apache-2.0 OR MIT
   A kernel after the Multiboot Specification 0.6.96, a 32-bit ELF file: says on the serial port its command line, and the
   name and content of each module. */
.set MAGIC, 0x1badb002
.set LOADED_BY_BOOT_LOADER, 0x2badb002
.set WANTS_ALIGNED_MODULES_AND_MEMORY, 3
.set HAS_COMMAND_LINE, 4
.set HAS_MODULES, 8
.section .multiboot, "a"
.balign 4
.long MAGIC, WANTS_ALIGNED_MODULES_AND_MEMORY, -(MAGIC + WANTS_ALIGNED_MODULES_AND_MEMORY)
.text
.globl _start
_start:
  movl $stack, %esp
  cld
  cmpl $LOADED_BY_BOOT_LOADER, %eax
  jne 4f
  movl $runs, %esi
  call say
  testl $HAS_COMMAND_LINE, (%ebx)
  jz 1f
  movl 16(%ebx), %esi
  call say
1: movl $line_end, %esi
  call say
  testl $HAS_MODULES, (%ebx)
  jz 3f
  movl 20(%ebx), %ebp /* how many */
  movl 24(%ebx), %edi /* begin, end, name, reserved of each */
2: testl %ebp, %ebp
  jz 3f
  movl $module, %esi
  call say
  movl 8(%edi), %esi
  call say
  movl $has, %esi
  call say
  movl (%edi), %esi
  movl 4(%edi), %ecx
  subl %esi, %ecx
  call say_bytes
  movl $line_end, %esi
  call say
  addl $16, %edi
  decl %ebp
  jmp 2b
3: movl $done, %esi
  call say
  jmp stop
4: movl $not_multiboot, %esi
  call say
stop:
  hlt
  jmp stop
say: /* the text at ESI, up to a zero byte */
  lodsb
  testb %al, %al
  jz 2f
  movw $0x3f8, %dx
  outb %al, %dx
  jmp say
say_bytes: /* ECX bytes at ESI */
  jecxz 2f
  lodsb
  movw $0x3f8, %dx
  outb %al, %dx
  decl %ecx
  jmp say_bytes
2: ret
.section .rodata
runs: .asciz "MULTIBOOT-KERNEL-RUNS: "
module: .asciz "MODULE "
has: .asciz " HAS: "
line_end: .asciz "\r\n"
done: .asciz "MULTIBOOT-KERNEL-DONE\r\n"
not_multiboot: .asciz "NOT-A-MULTIBOOT-LOADER\r\n"
.bss
.balign 16
.skip 4096
stack:
