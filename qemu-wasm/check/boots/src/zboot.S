/* SPDX-License-Identifier: Apache-2.0 OR MIT
   The outer form of a kernel that EFI firmware starts and that unpacks itself (Linux, drivers/firmware/efi/libstub/zboot-header.S),
   as far as loaders look that unpack it themselves. PAYLOAD is the packed kernel's file, COMPRESSION its kind. */
.text
.globl _start
_start:
  .ascii "MZ\0\0zimg"
  .long payload - _start
  .long payload_end - payload
  .quad 0
compression:
  .asciz COMPRESSION
  .org 56
  .long 0x818223cd        /* Linux's own mark in an EFI program */
  .long header - _start
header:
  .ascii "PE\0\0"
  .word 0xaa64, 0         /* a program for arm64 without sections: nothing here runs it */
  .long 0, 0, 0
  .word 0, 0x206
.balign 512
payload:
  .incbin PAYLOAD
payload_end:
