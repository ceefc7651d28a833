# SPDX-License-Identifier: Apache-2.0 OR MIT
# The fastest arguments found for each machine (README.md has the figures), and a native QEMU to run them on.
# Sourced by measure-boot.sh and test.sh.

PATH=$("$(dirname "${BASH_SOURCE[0]}")/../native.sh" | tail -1):$PATH

MACHINES='q35 pc microvm virt'

# machine_architecture MACHINE -> x86_64 or aarch64
machine_architecture() {
  case $1 in virt) echo aarch64 ;; *) echo x86_64 ;; esac
}

# machine_bus MACHINE -> what the names of its virtio devices end in
machine_bus() {
  case $1 in microvm) echo device ;; *) echo pci ;; esac
}

# machine_arguments MACHINE IMAGES-DIRECTORY: sets the array ARGUMENTS and the kernel's command line COMMAND_LINE.
# The directory holds the uncompressed vmlinux or Image and initramfs.cpio.
machine_arguments() {
  local bus
  bus=$(machine_bus "$1")
  case $1 in
    q35) ARGUMENTS=(-machine q35,sata=off,smbus=off,usb=off,hpet=off,vmport=off,i8042=off,smm=off -cpu qemu64 -bios qboot.rom) ;;
    pc) ARGUMENTS=(-machine pc,usb=off,hpet=off,vmport=off,i8042=off,smm=off -cpu qemu64 -bios qboot.rom) ;;
    microvm) ARGUMENTS=(-machine microvm,pit=off,pic=off,rtc=on -cpu qemu64) ;;
    virt) ARGUMENTS=(-machine virt -cpu cortex-a57) ;;
  esac
  case $1 in
    virt) ARGUMENTS+=(-kernel "$2/Image") COMMAND_LINE='console=ttyAMA0 quiet' ;;
    *)
      ARGUMENTS+=(-kernel "$2/vmlinux")
      # No patching of lock prefixes, no test of the interrupt controller's timer, no calibration of clocks.
      COMMAND_LINE="console=ttyS0 quiet noreplace-smp no_timer_check tsc=reliable lapic_timer_khz=1000000 tsc_early_khz=$(tsc_khz)"
      ;;
  esac
  [[ $1 != microvm ]] || COMMAND_LINE+=' reboot=t'
  ARGUMENTS+=(-nodefaults -no-user-config -display none -no-reboot -m 128 -initrd "$2/initramfs.cpio"
    -device "virtio-rng-$bus" -device "virtio-serial-$bus" -device virtserialport,chardev=agent0,name=org.qemuweb.agent.0
    -device virtserialport,chardev=capture0,name=org.qemuweb.capture.0
    -device virtserialport,chardev=capture1,name=org.qemuweb.capture.1)
}

# The rate of the time stamp counter that a guest sees: this processor's in native QEMU; TSC_KHZ overrides it. (In
# WebAssembly, and when QEMU counts instructions, it is 1,000,000.)
tsc_khz() {
  [[ -z ${TSC_KHZ:-} ]] || { echo "$TSC_KHZ"; return; }
  awk '/^cpu MHz/ {printf "%d", $4 * 1000; exit}' /proc/cpuinfo
}

# unpack_images OUTPUT-DIRECTORY-OF-BUILD ARCHITECTURE TO
unpack_images() {
  local file
  mkdir -p "$3"
  for file in "$1/$2"/*.gz; do
    gzip -dc "$file" >"$3/$(basename "$file" .gz)"
  done
}

# vm_start MACHINE DIRECTORY [ARGUMENT...]: starts QEMU on the images in DIRECTORY. Its console, agent port, capture ports and
# QMP monitor are pipes in there; what came out of them is in DIRECTORY/CHANNEL.log, save for the agent's. VM_PID is QEMU's.
vm_start() {
  local machine=$1 directory=$2 channel
  shift 2
  machine_arguments "$machine" "$directory"
  for channel in console agent capture packets qmp; do
    rm -f "$directory/$channel".{in,out}
    mkfifo "$directory/$channel".{in,out}
  done
  "qemu-system-$(machine_architecture "$machine")" "${ARGUMENTS[@]}" -append "$COMMAND_LINE" \
    -chardev "pipe,id=serial0,path=$directory/console" -serial chardev:serial0 \
    -chardev "pipe,id=agent0,path=$directory/agent" \
    -chardev "pipe,id=capture0,path=$directory/capture" -chardev "pipe,id=capture1,path=$directory/packets" \
    -chardev "pipe,id=qmp0,path=$directory/qmp" -mon chardev=qmp0,mode=control "$@" 2>"$directory/qemu.log" &
  VM_PID=$!
  # Both ends of each pipe stay open, so that neither side sees it end.
  exec {VM_CONSOLE}<>"$directory/console.in" {VM_AGENT_IN}<>"$directory/agent.in" {VM_AGENT_OUT}<>"$directory/agent.out" {VM_QMP}<>"$directory/qmp.in" \
    {VM_CAPTURE}<>"$directory/capture.in" {VM_PACKETS}<>"$directory/packets.in"
  for channel in console capture packets qmp; do
    : >"$directory/$channel.log"
    cat "$directory/$channel.out" >"$directory/$channel.log" &
  done
  echo '{"execute":"qmp_capabilities"}' >&"$VM_QMP"
}

# vm_stop: ends the VM if it still runs.
vm_stop() {
  kill "$VM_PID" 2>/dev/null || true
  wait "$VM_PID" 2>/dev/null || true
  exec {VM_CONSOLE}>&- {VM_AGENT_IN}>&- {VM_AGENT_OUT}>&- {VM_QMP}>&- {VM_CAPTURE}>&- {VM_PACKETS}>&-
}

# vm_wait DIRECTORY SECONDS PATTERN: waits until the console has said PATTERN (an extended regular expression).
vm_wait() {
  local end=$((SECONDS + $2))
  until grep -qE -- "$3" "$1/console.log"; do
    ((SECONDS < end)) && kill -0 "$VM_PID" 2>/dev/null || return 1
    sleep 0.02
  done
}
