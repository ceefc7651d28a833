/* SPDX-License-Identifier: Apache-2.0 OR MIT
   A boot sector that uses the keyboard controller (i8042) as old systems do: it closes and opens the gate of address line
   20, and resets the machine. A byte of the battery-backed memory tells the second start from the first. */
.include "real.inc"
.set RESTARTED, 0x70 /* a byte of that memory that no BIOS uses */
.set MARK, 0xa7
.code16
.globl _start
_start:
  boot_sector
  movb $RESTARTED, %al
  outb %al, $0x70
  inb $0x71, %al
  cmpb $MARK, %al
  je restarted
  say starts
  movw $0xffff, %ax
  movw %ax, %fs
  movb $0xdd, %ah /* the output port's lines, without bit 1, the gate */
  call write_output_port
  call is_wrapped
  jne fail
  say closed
  movb $0xdf, %ah
  call write_output_port
  call is_wrapped
  je fail
  say opened
  movb $RESTARTED, %al
  outb %al, $0x70
  movb $MARK, %al
  outb %al, $0x71
  call wait_input
  movb $0xfe, %al /* pulses the line to the processor's reset */
  outb %al, $0x64
stop:
  hlt
  jmp stop
restarted:
  say again
  jmp stop
fail:
  say failed
  jmp stop
/* Whether 1 MiB and 0 are the same memory: the zero flag. */
is_wrapped:
  movw $0x500, %di
  movb $0x11, (%di)
  movb $0x22, %fs:0x10(%di)
  cmpb $0x22, (%di)
  ret
write_output_port: /* of the controller, with AH */
  call wait_input
  movb $0xd1, %al
  outb %al, $0x64
  call wait_input
  movb %ah, %al
  outb %al, $0x60
wait_input: /* until the controller takes another byte */
  inb $0x64, %al
  testb $2, %al
  jnz wait_input
  ret
real_mode_output
starts: .asciz "KEYBOARD-CONTROLLER-STARTS\r\n"
closed: .asciz "A20-CLOSED\r\n"
opened: .asciz "A20-OPENED\r\n"
again: .asciz "RESET-BY-KEYBOARD-CONTROLLER\r\n"
failed: .asciz "A20-FAILED\r\n"
signature
