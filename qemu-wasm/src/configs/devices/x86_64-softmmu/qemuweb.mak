# SPDX-License-Identifier: GPL-2.0-or-later
# QemuWeb's x86 machines: pc (i440FX), q35 and microvm. What is not named here, of what a PC has, comes with them: IDE or
# AHCI, keyboard controller, interval timer, clock, serial ports, speaker, flash.
include ../qemuweb-common.mak
CONFIG_I440FX=y
CONFIG_Q35=y
CONFIG_MICROVM=y
CONFIG_HPET=y
CONFIG_FDC_ISA=y
CONFIG_PARALLEL=y
CONFIG_ISA_DEBUG=y
CONFIG_VIRTIO_VGA=y
