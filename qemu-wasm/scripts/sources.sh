# SPDX-License-Identifier: Apache-2.0 OR MIT
# Unpacking of what sources.txt and firmware.txt list. Sourced after lib.sh.

# source_line NAME: the line "FILE SHA256 DIRECTORY LICENCES" of the source package NAME
source_line() {
  grep "^$1_" "$QEMU_WASM_DIR/sources.txt" || fail "sources.txt has no source $1" "restore the file"
}

# unpack_source NAME DIRECTORY: into DIRECTORY/NAME (device-tree-compiler, glib2.0 ...), with patches/NAME/*.patch applied
unpack_source() {
  local name=$1 to=$2/$1 file sha dir rest archive patch
  [[ -e $to/.unpacked ]] && return
  read -r file sha dir rest < <(source_line "$name")
  archive=$(fetch "$file" "$sha" "$dir/$file")
  rm -rf "$to"
  mkdir -p "$to"
  tar --extract --no-same-owner --strip-components=1 --directory="$to" --file="$archive" ||
    fail "could not unpack $file" "check the free space; if it is damaged, remove $archive"
  for patch in "$QEMU_WASM_DIR/patches/${name%2.0}"/*.patch; do
    [[ -e $patch ]] || continue
    patch --directory="$to" --strip=1 --forward --silent --fuzz=0 <"$patch" ||
      fail "${patch#"$QEMU_WASM_DIR/"} does not apply to $file" "bring the patch up to date"
  done
  touch "$to/.unpacked"
}

# overlay_new_files FROM TO: lays our own files over a source tree; a file that did not change keeps its time
overlay_new_files() {
  local file
  (cd "$QEMU_WASM_DIR/$1" && find . -type f -print) | while read -r file; do
    cmp --silent "$QEMU_WASM_DIR/$1/$file" "$2/$file" && continue
    mkdir -p "$(dirname "$2/$file")"
    cp "$QEMU_WASM_DIR/$1/$file" "$2/$file"
  done
}

# unpack_firmware DIRECTORY: each package of firmware.txt into DIRECTORY/PACKAGE
unpack_firmware() {
  local package sha dir file archive
  while read -r file sha dir; do
    archive=$(fetch "$file" "$sha" "$dir/$file")
    package=$1/${file%%_*}
    rm -rf "$package"
    mkdir -p "$package"
    dpkg-deb --extract "$archive" "$package"
  done < <(grep -v '^#' "$QEMU_WASM_DIR/firmware.txt")
}
