# SPDX-License-Identifier: Apache-2.0 OR MIT
# How long the steps of build.sh take. Sourced by it for --plan; not part of its key, so that figures can be corrected.

# What is to be done. The figures are those of an idle machine with two cores.
plan() {
  local architecture first=300
  root_ahead qemu
  [[ -e $deps/.complete ]] || step_ahead 20 420 "the libraries that QEMU needs"
  # What the architectures have in common is compiled with the first.
  [[ ! -e $build/qemu-system-x86_64.js && ! -e $build/qemu-system-aarch64.js ]] || first=0
  for architecture in "${WANTED[@]}"; do
    has "$output" "$architecture" && continue
    step_ahead 30 $((first + 120)) "QEMU for $architecture"
    first=0
  done
}
