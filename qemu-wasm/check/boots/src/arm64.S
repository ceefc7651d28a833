/* SPDX-License-Identifier: Apache-2.0 OR MIT
   An arm64 kernel image (Linux, Documentation/arch/arm64/booting.rst): says on virt's serial port that it runs, and whether it
   got a device tree. */
.text
.globl _start
_start:
  b 1f
  .long 0
  .quad 0x80000           /* where it is loaded */
  .quad end - _start      /* its size in memory */
  .quad 2                 /* little endian, pages of 4 KiB */
  .quad 0, 0, 0
  .ascii "ARM\x64"
  .long 0
1: mov x20, x0
  mov x19, #0x09000000
  adr x1, runs
  bl say
  ldr w2, [x20]
  ldr w3, =0xedfe0dd0     /* the magic number, which is big endian */
  cmp w2, w3
  b.ne 2f
  adr x1, tree
  bl say
2: wfi
  b 2b
say: /* the text at x1, up to a zero byte */
  ldrb w2, [x1], #1
  cbz w2, 3f
  str w2, [x19]
  b say
3: ret
runs: .asciz "ARM64-IMAGE-RUNS\r\n"
tree: .asciz "ARM64-IMAGE-HAS-DEVICE-TREE\r\n"
.balign 8
.ltorg
.balign 65536
end:
