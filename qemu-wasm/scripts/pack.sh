# SPDX-License-Identifier: Apache-2.0 OR MIT
# Lays out what an architecture adds to the output directory, and what all have in common: emulators, firmware, licences.
# Sourced by build.sh.

# Firmware that our machines load: SeaBIOS (pc, q35), its microvm build and qboot, the option ROMs that start a kernel given
# with -kernel, and the VGA BIOSes of std and virtio VGA. None is needed by `virt`, which starts a kernel directly.
FIRMWARE=(
  seabios/usr/share/seabios/{bios-256k.bin,bios-microvm.bin,vgabios-stdvga.bin,vgabios-virtio.bin}
  qemu-system-data/usr/share/qemu/{qboot.rom,kvmvapic.bin,linuxboot.bin,linuxboot_dma.bin,multiboot.bin,multiboot_dma.bin,pvh.bin}
)

# UEFI for `pc` and `q35`, and for `virt`: OUTPUT SOURCE, a flash of code and one of variables each. Compressed, as few machines
# need them; the host fetches those. An OUTPUT that ends in .qcow2 is made by flash-image.py.
UEFI=(
  x86_64-code.fd ovmf/usr/share/OVMF/OVMF_CODE_4M.fd
  x86_64-vars.fd ovmf/usr/share/OVMF/OVMF_VARS_4M.fd
  aarch64-code.qcow2 qemu-efi-aarch64/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd
  aarch64-vars.qcow2 qemu-efi-aarch64/usr/share/AAVMF/AAVMF_VARS.fd
)

# pack_uefi FIRMWARE OUT ARCHITECTURE
pack_uefi() {
  local firmware=$1 out=$2 at
  mkdir -p "$out/uefi"
  for ((at = 0; at < ${#UEFI[@]}; at += 2)); do
    [[ ${UEFI[at]} == "$3"-* ]] || continue
    case ${UEFI[at]} in
      *.qcow2) python3 "$QEMU_WASM_DIR/scripts/flash-image.py" "$firmware/${UEFI[at + 1]}" ;;
      *) cat "$firmware/${UEFI[at + 1]}" ;;
    esac | gzip -9 -n >"$out/uefi/${UEFI[at]}.gz"
  done
}

# pack BUILD QEMU-SOURCE FIRMWARE OUT ROOT ARCHITECTURE...
pack() {
  local build=$1 source=$2 firmware=$3 out=$4 root=$5 file arch name sha licences licence
  shift 5
  rm -rf "$out"
  mkdir -p "$out/pc-bios/keymaps" "$out/licences"
  for arch; do
    cp "$build/qemu-system-$arch.js" "$build/qemu-system-$arch.wasm" "$out/"
    pack_uefi "$firmware" "$out" "$arch"
  done
  for file in "${FIRMWARE[@]}"; do
    cp --dereference "$firmware/$file" "$out/pc-bios/"
  done
  cp "$source/pc-bios/keymaps/en-us" "$out/pc-bios/keymaps/"

  while read -r file sha _ licences; do
    name=${file%%_*}
    for licence in ${licences//,/ }; do
      tar --extract --to-stdout --wildcards --no-wildcards-match-slash --file="$CACHE/downloads/$sha-$file" "*/$licence" \
        >"$out/licences/$name-$(basename "$licence")"
    done
  done < <(grep -v '^#' "$QEMU_WASM_DIR/sources.txt")
  for file in "$firmware"/*/usr/share/doc/{seabios,qemu-system-data,ovmf,qemu-efi-aarch64}/copyright; do
    [[ -e $file ]] && cp "$file" "$out/licences/firmware-$(basename "$(dirname "$file")")-copyright"
  done
  cp "${root%/}/usr/share/doc/emscripten/copyright" "$out/licences/emscripten-copyright"
  cp "${root%/}/usr/share/emscripten/system/lib/libc/musl/COPYRIGHT" "$out/licences/musl-COPYRIGHT"
}
