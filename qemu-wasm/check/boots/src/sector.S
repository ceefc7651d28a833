/* SPDX-License-Identifier: Apache-2.0 OR MIT
   A boot sector: says on the serial port that it runs, and through the BIOS from which drive it came. */
.include "real.inc"
.code16
.globl _start
_start:
  boot_sector
  say runs
  movb drive, %al
  shrb $4, %al
  call digit
  movb %al, number
  movb drive, %al
  andb $15, %al
  call digit
  movb %al, number + 1
  tell from
1: hlt
  jmp 1b
digit: # the hexadecimal digit of AL
  addb $'0', %al
  cmpb $'9', %al
  jbe 1f
  addb $'a' - '0' - 10, %al
1: ret
real_mode_output
runs: .asciz "BOOT-SECTOR-RUNS\r\n"
from: .ascii "BOOTED-FROM-DRIVE-"
number: .asciz "00\r\n"
signature
