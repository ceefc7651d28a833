#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Boots the built images in native QEMU (../native.sh) under TCG and checks what a user, and the host, rely on.
#   test.sh [MACHINE...]      of q35 pc microvm virt; without any: q35 and virt
# Prints a line for each check and `N passed, N failed`; fails when one failed.
set -euo pipefail
. "$(dirname "$0")/machines.sh"
PATH=$PATH:/usr/sbin:/sbin # e2fsck's
output=$("$(dirname "$0")/build.sh" | tail -1)
programs=$("$(dirname "$0")/build-programs.sh" | tail -1)
work=$(mktemp -d)
cargo build --quiet --package qemuweb-agent --example host --package qemuweb-storage --example unpack
examples=${CARGO_TARGET_DIR:-$(dirname "$0")/../../target}/debug/examples
VM_PID=
trap '[[ -z $VM_PID ]] || kill "$VM_PID" 2>/dev/null || true; rm -rf "$work"' EXIT
passed=0 failed=0 step=0

# check NAME COMMAND...: counts whether the command succeeds.
check() {
  local name=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    echo "ok      $name"
  else
    failed=$((failed + 1))
    echo "FAILED  $name"
    tail -n 5 "$work/$machine/console.log" | sed 's/^/        | /'
  fi
}

# guest COMMAND PATTERN: types the command; true if it succeeds and the console then says PATTERN before it is done.
guest() {
  step=$((step + 1))
  # The quotes keep the echo of the typed line from matching.
  printf '%s\n' "echo BEGIN''$step; $1; echo END''$step=\$?" >&"$VM_CONSOLE"
  vm_wait "$work/$machine" 60 "END$step=[0-9]" || return 1
  sed -n "/^BEGIN$step/,/END$step=/p" "$work/$machine/console.log" >"$work/said"
  grep -q "END$step=0" "$work/said" && grep -qE -- "$2" "$work/said"
}

# ended SECONDS: does QEMU end by itself within that time?
ended() {
  local end=$((SECONDS + $1))
  while kill -0 "$VM_PID" 2>/dev/null; do
    ((SECONDS < end)) || return 1
    sleep 0.05
  done
}

boot() {
  vm_start "$machine" "$work/$machine" "$@"
  vm_wait "$work/$machine" 120 '/ # '
}

shell_returns() {
  echo exit >&"$VM_CONSOLE"
  local end=$((SECONDS + 20))
  until (($(grep -c 'built-in shell' "$work/$machine/console.log") == 2)); do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
  sleep 1
  guest 'echo $PPID' '^1'
}

addressed() {
  guest 'for i in 1 2 3 4 5 6 7 8 9; do ip -4 addr show eth0 | grep inet && break; sleep 1; done' 'inet 10\.0\.2\.15/24' &&
    guest 'cat /etc/resolv.conf' '^nameserver 10\.0\.2\.3'
}

# host WORD...: the host's side of the agent's protocol (crates/agent/examples/host.rs); its output is in $work/said.
host() {
  timeout 120 "$examples/host" "$work/$machine/agent" "$@" >"$work/said" </dev/null
}

resized() {
  guest 'stty size' '^24 80' || return 1
  host resize 50 132
  guest 'stty size' '^50 132'
}

commands() {
  host run 'uname -m; pwd; echo "$HOME"' && [[ $(<"$work/said") == "$architecture"$'\n/root\n/root' ]] || return 1
  host run 'exit 7'
  (($? == 7)) || return 1
  host run 'head -c 3000000 /dev/zero' && (($(wc -c <"$work/said") == 3000000)) &&
    timeout 120 "$examples/host" "$work/$machine/agent" run md5sum <"$work/$machine/initramfs.cpio" >"$work/said" &&
    [[ $(<"$work/said") == "$(md5sum <"$work/$machine/initramfs.cpio")" ]]
}

files() {
  head -c 2000000 "$work/$machine/initramfs.cpio" >"$work/file"
  host put "$work/file" there && host run 'stat -c "%s %a" there; ls -a' && grep -q '^2000000 755' "$work/said" &&
    ! grep -q part "$work/said" && host get there "$work/came" && cmp "$work/file" "$work/came"
}

reports() {
  host clock 2000000000 && host report && grep -q 'unix_micros: 20000000[0-9]' "$work/said" && ! grep -q 'memory_total: 0' "$work/said"
}

agent_returns() {
  host run 'kill -9 $PPID' 2>/dev/null && return 1
  host run 'echo there' && grep -q there "$work/said"
}

# As `curl --compressed` asks for it, and as pages' requests are typed into a console.
unpacked() {
  guest '{ printf "HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n"; echo "this was packed" | gzip; } >/tmp/answer
    nc -l -p 8080 </tmp/answer >/dev/null & sleep 1; curl -sS --compressed http://127.0.0.1:8080/' '^this was packed'
}

# The page's traffic: one exchange as a line, an empty capture of packets, and what the guest says about the former.
captured() {
  printf '%s\n' '{"torn' '{"v":1,"type":"exchange","capture":"c1","number":7,"startedDateTime":"2026-01-31T12:00:00Z","time":12.5,"request":{"method":"GET","url":"http://site.test/hello","httpVersion":"http/1.1","headers":[]},"response":{"status":200,"statusText":"OK","httpVersion":"http/1.1","headers":[],"body":{"mimeType":"text/plain","size":5,"text":"h\u001bllo"}},"timings":{},"redacted":true}' \
    '{"v":1,"type":"exchange","capture":"c1","number":8,"startedDateTime":"2026-01-31T12:00:00Z","time":1,"request":{"method":"HEAD","url":"http://site.test/hello","httpVersion":"http/1.1","headers":[]},"response":{"status":200,"statusText":"OK","httpVersion":"http/1.1","headers":[]},"timings":{},"redacted":true}' >&"$VM_CAPTURE"
  printf '\n\r\r\n\x1c\0\0\0\x4d\x3c\x2b\x1a\1\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0\1\0\0\0\x14\0\0\0\1\0\0\0\0\0\0\0\x14\0\0\0' >&"$VM_PACKETS"
  guest 'page-capture list' '^ +7 GET +200 +5 +12 ms - +http://site.test/hello' &&
    guest 'page-capture show 7' '^h.*llo' && ! grep -q $'\x1b.*llo' "$work/said" &&
    guest 'page-capture body 7 | hexdump -C' '68 1b 6c 6c 6f' &&
    guest 'page-capture curl 7' "^curl 'http://site.test/hello'" &&
    guest 'page-capture curl 8' "^curl 'http://site.test/hello' --head" &&
    guest 'page-capture save har /tmp/x.har && jq -c .log.entries[0].response.content /tmp/x.har' 'text/plain' &&
    guest 'page-capture save pcap /tmp/x.pcapng && tcpdump -r /tmp/x.pcapng 2>&1' 'link-type EN10MB' &&
    guest 'page-capture annotate 7 look here && page-capture flag 7' BEGIN && sleep 1 &&
    grep -q '^{"type":"note","capture":"c1","number":7,"text":"look here"}' "$work/$machine/capture.log" &&
    grep -q '^{"type":"flag","capture":"c1","number":7,"on":true}' "$work/$machine/capture.log" &&
    guest 'page-capture stop; timeout 1 cat /dev/virtio-ports/org.qemuweb.capture.0 || true' BEGIN && ! grep -q busy "$work/said"
}

# The package's image, read as the extension reads it (crates/storage), is what mke2fs made: what the recipe makes of that again is
# the same file, whose hash it pins.
home_image() {
  gzip -dc "$output/shared/home.sparse.gz" >"$work/home.sparse" && "$examples/unpack" "$work/home.sparse" "$work/home" &&
    python3 "$(dirname "$0")/write-sparse.py" "$work/home" "$work/home.again" && cmp "$work/home.sparse" "$work/home.again" &&
    (($(stat -c %s "$work/home") == 8 << 30 && $(wc -c <"$output/shared/home.sparse.gz") < 10000)) && home_clean
}

# home_clean: is the disk's file system without a fault, and was it unmounted?
home_clean() {
  e2fsck -fn "$work/home" >"$work/fsck" 2>&1 && ! grep -q 'journal recovery' "$work/fsck"
}

# boot_with_disk SERIAL [OPTION-OF-DRIVE]
boot_with_disk() {
  boot -drive "if=none,id=disk,file=$work/home,format=raw,discard=unmap${2:+,$2}" -device "virtio-blk-$(machine_bus "$machine"),drive=disk,serial=$1"
}

home_lasts() {
  guest 'grep " /root " /proc/mounts' ' ext4 rw,noatime' && guest 'stat -c "%a %u" /root' '^700 0' &&
    guest 'echo "echo lasting" >/root/script && chmod +x /root/script; echo $?' '^0'
  # Who works there and will not go does not keep the file system from being unmounted.
  guest '(cd /root; trap "" TERM HUP; while :; do echo x >>busy; done) & echo $?' '^0' || return 1
  echo poweroff >&"$VM_CONSOLE"
  ended 10 && home_clean || return 1
  vm_stop
  boot_with_disk home && guest /root/script '^lasting' && host run 'pwd; ./script' && [[ $(<"$work/said") == $'/root\nlasting' ]]
}

# What was flushed is there after a sudden end, and the file system by its journal.
home_survives() {
  guest 'disk-ledger write /root/ledger 7 --size 8 --batches 20 | tail -n 1; echo there >/root/flushed; sync; echo $?' '^flushed 20' || return 1
  kill -9 "$VM_PID"
  vm_stop
  home_clean && return 1
  boot_with_disk home && guest 'cat /root/flushed' '^there' &&
    guest 'disk-ledger check /root/ledger 7 20' ' 0 faulty; batch 20 was flushed' && ! grep -q 'cannot be mounted' "$work/$machine/console.log"
}

# root_size PATTERN: how many MiB does /root have?
root_size() {
  guest 'df -m /root | tail -n 1' "^/dev/vda +$1 "
}

# A disk that has grown, while the guest runs and before it starts, is all used.
home_grows() {
  root_size '80[0-9]{2}' || return 1
  echo '{"execute":"block_resize","arguments":{"device":"disk","size":12884901888}}' >&"$VM_QMP"
  guest 'for i in 1 2 3 4 5 6 7 8 9; do sleep 0.3; df -m /root | grep -q " 12[0-9][0-9][0-9] " && break; done; echo $?' '^0' || return 1
  echo poweroff >&"$VM_CONSOLE"
  ended 10 && home_clean || return 1
  vm_stop
  truncate -s 20G "$work/home"
  boot_with_disk home && root_size '20[0-9]{3}' && guest 'cat /root/flushed' '^there' || return 1
  echo poweroff >&"$VM_CONSOLE"
  ended 20 && home_clean
}

# A disk that has no file system is left as it is, and said to be so.
home_missing() {
  grep -q '^The disk for /root, /dev/vda, cannot be mounted (error 22) and stays as it is' "$work/$machine/console.log" &&
    guest 'echo here >/root/file; cat /root/file; grep " /root " /proc/mounts || true' '^here' && ! grep -q ext4 "$work/said" &&
    [[ -z $(tr -d '\0' <"$work/home" | head -c 1) ]]
}

# A disk of any other name is nobody's home.
other_disk() {
  guest 'grep " /root " /proc/mounts || echo none' '^none' &&
    guest 'disk-bench /dev/vda --seconds 0 --overwrite 1 | jq -Mc "[.direct, .bytes]"' '^\[true,16777216\]'
}

# flushed LAST: does the disk have what its guest was told to last? Read from outside, after a sudden end.
flushed() {
  kill -9 "$VM_PID"
  vm_stop
  "$programs/x86_64/qemuweb-guest" disk-ledger check "$work/home" 9 "$1" >"$work/said"
}

# A disk that keeps its word, and one that does not: QEMU forgets what was written to a snapshot.
word_is_kept() {
  guest 'disk-ledger write /dev/vda 9 --batches 30' '^flushed 30' && grep -q '^ledger of 32768 sectors, from batch 1, directly' "$work/said" &&
    guest 'disk-ledger check /dev/vda 9 30' ' 0 faulty; batch 30 was flushed' && flushed 30 || return 1
  boot_with_disk data snapshot=on && guest 'disk-ledger write /dev/vda 9 --from 31 --batches 2' '^flushed 32' || return 1
  ! flushed 32 && grep -q 'is lost' "$work/said"
}

(($#)) || set -- q35 virt
machine=image
mkdir -p "$work/image" && : >"$work/image/console.log"
check "the home disk's image" home_image
for machine; do
  architecture=$(machine_architecture "$machine")
  unpack_images "$output" "$architecture" "$work/$machine"
  check "$machine: boots to a prompt" boot
  check "$machine: greets" grep -q '^Welcome to QemuWeb' "$work/$machine/console.log"
  check "$machine: uname -m" guest 'uname -m' "^$architecture"
  check "$machine: curl" guest 'curl --version' '^Protocols:.* https'
  check "$machine: curl unpacks an answer" unpacked
  check "$machine: jq" guest "echo '{\"a\":[1,2]}' | jq -Mc .a" '^\[1,2\]'
  check "$machine: tcpdump" guest 'tcpdump --version' '^libpcap version'
  check "$machine: strace" guest 'strace true 2>&1' 'exit_group\(0\)'
  check "$machine: nano" guest 'nano --version' 'GNU nano'
  check "$machine: ip" guest 'ip a' 'inet 127.0.0.1/8'
  check "$machine: ping" guest 'ping -c1 127.0.0.1' ' 0% packet loss'
  check "$machine: file system" guest 'dd if=/dev/urandom of=/tmp/f bs=64k count=4 2>/dev/null; stat -c %s /tmp/f' '^262144'
  check "$machine: agent resizes the console" resized
  check "$machine: agent runs commands" commands
  check "$machine: agent moves files" files
  check "$machine: agent reports, and sets the clock" reports
  check "$machine: the agent comes back" agent_returns
  check "$machine: page-capture" captured
  check "$machine: the shell comes back" shell_returns
  echo '{"execute":"system_powerdown"}' >&"$VM_QMP"
  check "$machine: power button" ended 10
  vm_stop
  boot -netdev user,id=net0 -device "virtio-net-$(machine_bus "$machine"),netdev=net0" || true
  check "$machine: DHCP" addressed
  echo reboot >&"$VM_CONSOLE"
  check "$machine: reboot" ended 10
  vm_stop
  boot || true
  echo poweroff >&"$VM_CONSOLE"
  check "$machine: poweroff" ended 10
  vm_stop
  gzip -dc "$output/shared/home.sparse.gz" >"$work/home.sparse" && "$examples/unpack" "$work/home.sparse" "$work/home"
  boot_with_disk home || true
  check "$machine: what is in /root lasts" home_lasts
  check "$machine: what is in /root survives a sudden end" home_survives
  check "$machine: /root grows with its disk" home_grows
  vm_stop
  truncate -s 0 "$work/home" && truncate -s 16M "$work/home"
  boot_with_disk home || true
  check "$machine: a home disk that cannot be mounted" home_missing
  vm_stop
  boot_with_disk data || true
  check "$machine: a disk keeps its word" word_is_kept
  vm_stop
  boot_with_disk data || true
  check "$machine: another disk" other_disk
  vm_stop
done
echo "$passed passed, $failed failed"
((failed == 0))
