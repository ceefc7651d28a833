#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Runs in the toolchain root (called by build.sh): builds curl and tcpdump from Debian's sources, as small as they go.
#   build-tools.sh ARCHITECTURE TOOLS-DIRECTORY
# Debian's own packages of the two would bring Kerberos, LDAP, GnuTLS, OpenSSL and D-Bus along: 18 MB against 3.
# Reads TOOLS-DIRECTORY/sources/*.tar.* and ARCHITECTURE/debs/*.deb (mbed TLS, zlib); writes ARCHITECTURE/{curl,tcpdump}.
set -euo pipefail
architecture=$1 tools=$2
case $architecture in
  x86_64) host=x86_64-linux-gnu cc=gcc strip=strip ;;
  aarch64) host=aarch64-linux-gnu cc=aarch64-linux-gnu-gcc strip=aarch64-linux-gnu-strip ;;
esac
work=$tools/$architecture/work
rm -rf "$work"
mkdir -p "$work"
export CC=$cc CFLAGS='-Os -ffunction-sections -fdata-sections' LDFLAGS='-Wl,--gc-sections'

# unpack NAME: the source of that name, into $work/NAME
unpack() {
  mkdir "$work/$1"
  tar -xf "$tools/sources/$1".tar.* --strip-components=1 -C "$work/$1"
  cd "$work/$1"
}

if [[ ! -e $tools/$architecture/tcpdump ]]; then
  unpack libpcap
  ./configure -q --host=$host --build=x86_64-linux-gnu --disable-shared --disable-usb --disable-bluetooth --disable-dbus \
    --disable-rdma --without-libnl --with-pcap=linux
  make -s
  unpack tcpdump
  ./configure -q --host=$host --build=x86_64-linux-gnu --without-crypto --disable-smb
  make -s
  $strip -o "$tools/$architecture/tcpdump" tcpdump
fi

if [[ ! -e $tools/$architecture/curl ]]; then
  for deb in "$tools/$architecture"/debs/*.deb; do dpkg-deb --extract "$deb" "$work/linked"; done
  # Only the static libraries are linked.
  rm -f "$work"/linked/usr/lib/$host/*.so*
  unpack curl
  CPPFLAGS="-I$work/linked/usr/include -I$work/linked/usr/include/$host" LDFLAGS="$LDFLAGS -L$work/linked/usr/lib/$host" \
    ./configure -q --host=$host --build=x86_64-linux-gnu --disable-shared --enable-static --with-mbedtls --with-zlib \
    --with-ca-bundle=/etc/ssl/certs/ca-certificates.crt --without-ca-path --without-libpsl --without-zstd \
    --without-brotli --without-libidn2 --without-nghttp2 --without-libssh2 --without-librtmp --disable-ldap --disable-ldaps \
    --disable-rtsp --disable-dict --disable-telnet --disable-pop3 --disable-imap --disable-smb --disable-smtp --disable-gopher \
    --disable-mqtt --disable-manual --disable-docs --disable-ntlm --disable-libcurl-option --disable-threaded-resolver
  # Not `make all`: it compiles the library a second time, for its unit tests.
  make -s -C lib libcurl.la
  make -s -C src curl
  $strip -o "$tools/$architecture/curl" src/curl
fi
rm -rf "$work"
