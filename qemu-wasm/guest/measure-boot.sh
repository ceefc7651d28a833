#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Measures the boot of the built images in native QEMU under TCG, from QEMU's start to the banner.
#   measure-boot.sh [--runs N | --instructions] [MACHINE... [-- QEMU-ARGUMENT...]]
# For each machine: the least and the median wall time and processor time (user and system, of the whole of QEMU) in ms.
# With --instructions: millions of guest instructions, and milliseconds of waiting, from the kernel's first time stamp to
# process 1. QEMU then counts (-icount), so the figure is the same on every machine and under any load: tune by it.
# Arguments after -- are added to QEMU's.
set -euo pipefail
. "$(dirname "$0")/machines.sh"
runs=5 count=
case ${1:-} in
  --runs) runs=$2 && shift 2 ;;
  --instructions) count=1 && shift ;;
esac
machines=()
while (($#)) && [[ $1 != -- ]]; do
  machines+=("$1")
  shift
done
(($# == 0)) || shift
((${#machines[@]})) || machines=($MACHINES)
output=$("$(dirname "$0")/build.sh" | tail -1)
work=$(mktemp -d)
VM_PID=
trap '[[ -z $VM_PID ]] || kill "$VM_PID" 2>/dev/null || true; rm -rf "$work"' EXIT

fail_boot() {
  echo "$machine did not boot: $(tail -n 3 "$directory/qemu.log" "$directory/console.log")" >&2
  exit 1
}

# summary FILE -> "least median" of a file of numbers
summary() {
  sort -n "$1" | awk '{v[NR] = $1} END {print v[1], v[int((NR + 1) / 2)]}'
}

if [[ $count ]]; then
  export TSC_KHZ=1000000
  for machine in "${machines[@]}"; do
    directory=$work/$machine
    unpack_images "$output" "$(machine_architecture "$machine")" "$directory"
    vm_start "$machine" "$directory" -icount shift=0,sleep=off "$@"
    vm_wait "$directory" 120 '/ # ' || fail_boot
    echo 'dmesg | grep "Run /init"' >&"$VM_CONSOLE"
    vm_wait "$directory" 60 '^\[.*Run /init' || fail_boot
    sed -n "s/^\[ *\([0-9.]*\)\] Run .init.*/$machine \1/p" "$directory/console.log" | awk '{printf "%-10s %6.1f\n", $1, $2 * 1000}'
    vm_stop
  done
  exit
fi

printf '%-10s %12s %14s %12s %14s\n' machine 'wall min ms' 'wall median ms' 'cpu min ms' 'cpu median ms'
for machine in "${machines[@]}"; do
  directory=$work/$machine
  unpack_images "$output" "$(machine_architecture "$machine")" "$directory"
  for ((run = 0; run < runs; run++)); do
    start=$(date +%s%N)
    vm_start "$machine" "$directory" "$@"
    vm_wait "$directory" 120 'Welcome to QemuWeb' || fail_boot
    end=$(date +%s%N)
    read -r -a stat <"/proc/$VM_PID/stat"
    echo $(((end - start) / 1000000)) >>"$directory/wall"
    echo $(((stat[13] + stat[14]) * 1000 / $(getconf CLK_TCK))) >>"$directory/cpu"
    vm_stop
  done
  read -r wall_least wall_median <<<"$(summary "$directory/wall")"
  read -r cpu_least cpu_median <<<"$(summary "$directory/cpu")"
  printf '%-10s %12d %14d %12d %14d\n' "$machine" "$wall_least" "$wall_median" "$cpu_least" "$cpu_median"
done
