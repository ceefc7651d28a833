# SPDX-License-Identifier: GPL-2.0-or-later
# QemuWeb's arm64 machine: virt.
include ../qemuweb-common.mak
CONFIG_ARM_VIRT=y
