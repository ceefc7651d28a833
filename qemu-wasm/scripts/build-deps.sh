#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Builds Emscripten's system libraries and the libraries that QEMU needs. Runs inside the toolchain root, with
#   /qemuweb/recipe  this directory        /qemuweb/sources  the unpacked and patched sources
#   /qemuweb/deps    the output: em-cache/ and prefix/; one .done-STEP file for each finished step
set -euo pipefail
. /qemuweb/recipe/scripts/toolchain.env
sources=/qemuweb/sources
work=/qemuweb/deps/work
mkdir -p "$PREFIX/lib/pkgconfig" "$PREFIX/include" "$work"

step() { # step NAME: runs the function build_NAME once
  [[ -e /qemuweb/deps/.done-$1 ]] && return
  printf '[%(%H:%M:%S)T] building %s\n' -1 "$1"
  (cd "$work" && "build_$1")
  touch "/qemuweb/deps/.done-$1"
}

# compile_library NAME CFLAGS FILE...: makes and installs libNAME.a
compile_library() {
  local name=$1 flags=$2 file
  shift 2
  rm -rf "$work/$name" && mkdir "$work/$name"
  # shellcheck disable=SC2086
  printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} sh -c 'emcc $0 -c "$1" -o "$2/$(basename "$1").o"' "$WASM_CFLAGS $flags" {} "$work/$name"
  emar rcs "$PREFIX/lib/lib$name.a" "$work/$name"/*.o
}

pkg_config() { # pkg_config FILE NAME VERSION LIBS
  printf 'Name: %s\nDescription: %s\nVersion: %s\nLibs: -L%s/lib %s\nCflags: -I%s/include\n' \
    "$2" "$2" "$3" "$PREFIX" "$4" "$PREFIX" >"$PREFIX/lib/pkgconfig/$1.pc"
}

# A first link makes emcc build its system libraries for this memory model; later links find them in the cache.
build_system_libraries() {
  printf 'int main(void) { return 0; }\n' >hello.c
  # shellcheck disable=SC2086
  emcc $WASM_CFLAGS hello.c -o hello.js -sPROXY_TO_PTHREAD -sFORCE_FILESYSTEM -sALLOW_MEMORY_GROWTH -lworkerfs.js
}

build_zlib() {
  cd $sources/zlib
  compile_library z -I. adler32.c compress.c crc32.c deflate.c infback.c inffast.c inflate.c inftrees.c trees.c uncompr.c zutil.c
  cp zlib.h zconf.h "$PREFIX/include/"
  pkg_config zlib zlib 1.3.1 -lz
}

# Its decompression only, for images that are compressed so (patches/qemu/0046).
build_zstd() {
  cd $sources/libzstd/lib
  compile_library zstd "-I. -DZSTD_DISABLE_ASM -DZSTD_LEGACY_SUPPORT=0" common/*.c decompress/*.c
  cp zstd.h zstd_errors.h "$PREFIX/include/"
  pkg_config libzstd zstd 1.5.7 -lzstd
}

build_pcre2() {
  cd $sources/pcre2/src
  cp config.h.generic config.h
  cp pcre2.h.generic pcre2.h
  cp pcre2_chartables.c.dist pcre2_chartables.c
  local file files=()
  for file in auto_possess chkdint chartables compile compile_class config context convert dfa_match error extuni find_bracket \
    jit_compile maketables match match_data newline ord2utf pattern_info script_run serialize string_utils study substitute \
    substring tables ucd valid_utf xclass; do
    files+=("pcre2_$file.c")
  done
  compile_library pcre2-8 "-I. -DHAVE_CONFIG_H -DPCRE2_CODE_UNIT_WIDTH=8 -DSUPPORT_UNICODE -DPCRE2_STATIC" "${files[@]}"
  cp pcre2.h "$PREFIX/include/"
  pkg_config libpcre2-8 pcre2 10.46 -lpcre2-8
}

build_libfdt() {
  cd $sources/device-tree-compiler/libfdt
  compile_library fdt -I. fdt.c fdt_addresses.c fdt_check.c fdt_empty_tree.c fdt_overlay.c fdt_ro.c fdt_rw.c fdt_strerror.c fdt_sw.c fdt_wip.c
  cp fdt.h libfdt.h libfdt_env.h "$PREFIX/include/"
  pkg_config libfdt libfdt 1.7.2 -lfdt
}

quoted() { # a meson list of the words given
  printf "'%s', " "$@" | sed 's/, $//'
}

cross_file() {
  # shellcheck disable=SC2086
  sed "s|@CFLAGS@|$(quoted $WASM_CFLAGS)|; s|@LDFLAGS@|$(quoted $WASM_CHECK_LDFLAGS)|" \
    /qemuweb/recipe/scripts/cross.meson >"$work/cross.meson"
}

build_glib() {
  cross_file
  # Linked by name because of a link check only: Emscripten's resolver functions are part of its libc.
  emar rcs "$PREFIX/lib/libresolv.a"
  [[ -e glib-build/build.ninja ]] || meson setup glib-build $sources/glib2.0 --cross-file cross.meson --prefix="$PREFIX" --libdir=lib --buildtype=plain \
    -Dtests=false -Dnls=disabled -Dlibmount=disabled -Dselinux=disabled -Dxattr=false -Dintrospection=disabled \
    -Dlibelf=disabled -Dglib_debug=disabled -Dsysprof=disabled -Dman-pages=disabled
  ninja -C glib-build install
}

build_pixman() {
  cross_file
  [[ -e pixman-build/build.ninja ]] || meson setup pixman-build $sources/pixman --cross-file cross.meson --prefix="$PREFIX" --libdir=lib --buildtype=plain \
    -Dtests=disabled -Ddemos=disabled -Dlibpng=disabled -Dgtk=disabled -Dopenmp=disabled -Dtls=disabled -Dgnu-inline-asm=disabled
  ninja -C pixman-build install
}

for name in system_libraries zlib zstd pcre2 libfdt glib pixman; do
  step $name
done
rm -rf "$work"
