/* SPDX-License-Identifier: Apache-2.0 OR MIT
   A 32-bit Linux program without a library, which makes its system calls by interrupt 0x80. */
.text
.globl _start
_start:
  movl $4, %eax           /* write */
  movl $1, %ebx
  movl $text, %ecx
  movl $text_end - text, %edx
  int $0x80
  movl $1, %eax           /* exit */
  xorl %ebx, %ebx
  int $0x80
.section .rodata
text: .ascii "SYSTEM-CALLS-BY-INTERRUPT-RUN\n"
text_end:
