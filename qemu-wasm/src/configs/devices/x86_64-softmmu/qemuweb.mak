# SPDX-License-Identifier: GPL-2.0-or-later
# QemuWeb's x86 machines: pc (i440FX), q35 and microvm.
include ../qemuweb-common.mak
CONFIG_I440FX=y
CONFIG_Q35=y
CONFIG_MICROVM=y
CONFIG_HPET=y
CONFIG_VIRTIO_VGA=y
