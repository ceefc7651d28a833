#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Measures the boot of the built images in native QEMU under TCG, from QEMU's start to the banner.
#   measure-boot.sh [--runs N] [MACHINE... [-- QEMU-ARGUMENT...]]
# For each machine: the least and the median wall time and processor time (user and system, of the whole of QEMU) in ms.
# On a busy machine the processor time is the figure to compare. Arguments after -- are added to QEMU's.
set -euo pipefail
. "$(dirname "$0")/machines.sh"
runs=5
if [[ ${1:-} == --runs ]]; then
  runs=$2
  shift 2
fi
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

# summary FILE -> "least median" of a file of numbers
summary() {
  sort -n "$1" | awk '{v[NR] = $1} END {print v[1], v[int((NR + 1) / 2)]}'
}

printf '%-10s %12s %14s %12s %14s\n' machine 'wall min ms' 'wall median ms' 'cpu min ms' 'cpu median ms'
for machine in "${machines[@]}"; do
  directory=$work/$machine
  unpack_images "$output" "$(machine_architecture "$machine")" "$directory"
  for ((run = 0; run < runs; run++)); do
    start=$(date +%s%N)
    vm_start "$machine" "$directory" "$@"
    vm_wait "$directory" 120 'Welcome to QemuWeb' || {
      echo "$machine did not boot: $(tail -n 3 "$directory/qemu.log" "$directory/console.log")" >&2
      exit 1
    }
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
