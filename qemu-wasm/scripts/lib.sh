# SPDX-License-Identifier: Apache-2.0 OR MIT
# Shared by the scripts of qemu-wasm/: messages, the cache's layout, downloads pinned by hash, and the Debian root.
# Sourced, not run. Expects `set -euo pipefail` in the caller.

QEMU_WASM_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${QEMUWEB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/qemuweb}
SUITE=trixie
ARCHITECTURES=(x86_64 aarch64)
# An ordinary user's path lacks chroot and mmdebstrap's helpers.
PATH=$PATH:/usr/sbin:/sbin

say() { printf '[%(%H:%M:%S)T] %s\n' -1 "$*" >&2; }

# fail WHAT NEXT-STEP: one line that says what went wrong, one that says what to do.
fail() {
  printf 'error: %s\n  -> %s\n' "$1" "$2" >&2
  exit 1
}

# need_tools "PROGRAM:PACKAGE"...
need_tools() {
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("$pair")
  done
  ((${#missing[@]} == 0)) && return
  fail "missing on this machine: ${missing[*]%%:*}" "install it, on Debian: apt-get install ${missing[*]##*:}"
}

# need_space DIRECTORY MEBIBYTES
need_space() {
  mkdir -p "$1" || fail "cannot create $1" "set QEMUWEB_CACHE to a directory that you may write to"
  local have
  have=$(df --output=avail -m "$1" | tail -1)
  ((have >= $2)) || fail "$1 has $((have)) MiB free, $2 MiB are needed" \
    "free some space, or set QEMUWEB_CACHE to a directory on a larger disk"
}

# One hash over the contents of files (their names relative to qemu-wasm/ count too) and over words given as `=WORD`.
hash_of() {
  local item
  for item in "$@"; do
    case $item in
      =*) printf 'word %s\n' "${item#=}" ;;
      *) printf 'file %s %s\n' "${item#"$QEMU_WASM_DIR"/}" "$(sha256sum <"$item")" ;;
    esac
  done | sha256sum | cut -c1-16
}

# wanted_architectures [ARCHITECTURE]...: sets WANTED to those named, or all
wanted_architectures() {
  local name
  WANTED=("$@")
  (($#)) || WANTED=("${ARCHITECTURES[@]}")
  for name in "${WANTED[@]}"; do
    [[ " ${ARCHITECTURES[*]} " == *" $name "* ]] || fail "unknown argument '$name'" \
      "say: ${0##*/} [--print-output | --plan] [ARCHITECTURE]..., of ${ARCHITECTURES[*]}"
  done
}

# has OUTPUT ARCHITECTURE...: whether a directory of outputs has all of these architectures
has() {
  local output=$1 name
  shift
  for name; do
    [[ -e $output/.complete-$name ]] || return 1
  done
}

# lay_over NEW OUTPUT: moves what NEW has into OUTPUT, file by file, so that whoever reads there meanwhile finds whole files
lay_over() {
  local file
  while IFS= read -r file; do
    mkdir -p "$2/$(dirname "$file")"
    mv "$1/$file" "$2/$file"
  done < <(cd "$1" && find . -type f)
  rm -rf "$1"
}

# step_ahead SECONDS CORE-SECONDS WHAT: a line of a plan, SECONDS<TAB>WHAT: how long a step takes on this machine, about. Of the
# two figures, the former is time that more cores do not shorten.
step_ahead() {
  printf '%d\t%s\n' $(($1 + $2 / $(nproc))) "$3"
}

# root_ahead NAME: the same for a toolchain root, if the cache has none
root_ahead() {
  [[ -e $("$QEMU_WASM_DIR/toolchain.sh" --print-output "$1")/.complete ]] || step_ahead 80 20 "the Debian root of the $1 toolchain"
}

# with_progress WHAT LOG COMMAND...: runs COMMAND, whose output goes to the end of LOG, and tells how far it is: in percent if it
# says so as ninja does, else how long it has been at it. On a terminal in place, else a line every half a minute.
with_progress() {
  local what=$1 log=$2 status=0 teller
  shift 2
  touch "$log"
  tell_progress "$what" "$log" "$(stat -c %s "$log")" &
  teller=$!
  "$@" >>"$log" 2>&1 || status=$?
  kill "$teller" 2>/dev/null || true
  wait "$teller" 2>/dev/null || true
  [[ ! -t 2 ]] || printf '\r\033[K' >&2
  return "$status"
}

tell_progress() { # WHAT LOG BYTES-OF-LOG-BEFORE
  local start=$SECONDS last=0 count text
  # What was started in the background outlives an interrupted script.
  while sleep 2 && kill -0 $$ 2>/dev/null; do
    printf -v text '%d:%02d' $(((SECONDS - start) / 60)) $(((SECONDS - start) % 60))
    count=$(tail -c +"$(($3 + 1))" "$2" | grep -aoE '^\[[0-9]+/[0-9]+\]' | tail -1 | tr -d '[]' || true)
    [[ -z $count ]] || text="$((100 * ${count%/*} / ${count#*/})) % ($count), $text"
    if [[ -t 2 ]]; then
      printf '\r[%(%H:%M:%S)T] %s: %s\033[K' -1 "$1" "$text" >&2
    elif ((SECONDS - start >= last + 30)); then
      last=$((SECONDS - start))
      say "$1: $text"
    fi
  done
}

# Waits until we are the only builder of PATH (two scripts may be started at once).
lock() {
  mkdir -p "$(dirname "$1")"
  exec {LOCK_FD}>"$1.lock"
  flock -n "$LOCK_FD" || { say "waiting for another build of ${1##*/}"; flock "$LOCK_FD"; }
}

# The Debian mirror of this machine's own apt configuration (no host name is written into this repository).
debian_mirror() {
  if [[ -n ${QEMUWEB_DEBIAN_MIRROR:-} ]]; then
    printf '%s\n' "${QEMUWEB_DEBIAN_MIRROR%/}"
    return
  fi
  local site
  site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null | head -1 || true)
  [[ -n $site ]] || fail "this machine's apt configuration names no Debian mirror that it has lists of" \
    "run 'apt-get update', or set QEMUWEB_DEBIAN_MIRROR to a mirror's address"
  printf '%s\n' "${site%/}"
}

# fetch NAME SHA256 POOL-PATH: a file of Debian's archive, into downloads/<sha256>-NAME, whose path is printed.
# A file laid there by hand, or given by QEMUWEB_SOURCES (a directory of files named NAME), is taken when its hash is right.
fetch() {
  local name=$1 sha=$2 pool=$3 got
  local to=$CACHE/downloads/$sha-$name
  if [[ ! -e $to ]]; then
    need_space "$CACHE/downloads" 200
    local part=$to.part.$$
    if [[ -n ${QEMUWEB_SOURCES:-} && -e $QEMUWEB_SOURCES/$name ]]; then
      cp "$QEMUWEB_SOURCES/$name" "$part"
    else
      say "fetching $name"
      /usr/lib/apt/apt-helper -o APT::Sandbox::User=root download-file "$(debian_mirror)/$pool" "$part" >"$part.log" 2>&1 || {
        tail -2 "$part.log" >&2
        rm -f "$part" "$part.log"
        fail "could not fetch $pool from the Debian mirror" \
          "check the network; if the archive dropped the file, lay a copy named $name in a directory and set QEMUWEB_SOURCES to it"
      }
    fi
    rm -f "$part.log"
    got=$(sha256sum "$part" | cut -d' ' -f1)
    if [[ $got != "$sha" ]]; then
      rm -f "$part"
      fail "$name has SHA-256 $got, expected $sha" "the file is not the one this recipe was written for: do not use it; try another mirror"
    fi
    mv "$part" "$to"
  fi
  printf '%s\n' "$to"
}

# Runs a command as root of a mount and process namespace of its own: in truth when we are root, else of a user namespace.
in_namespace() {
  if ((EUID == 0)); then
    unshare --mount --pid --fork --kill-child "$@"
  else
    unshare --user --map-root-user --map-auto --mount --pid --fork --kill-child "$@"
  fi
}

check_namespaces() {
  ((EUID == 0)) && return
  need_tools newuidmap:uidmap
  in_namespace true 2>/dev/null || fail "this user may not make user namespaces with subordinate ids" \
    "run as root, or give $(id -un) a range in /etc/subuid and /etc/subgid and allow unprivileged user namespaces"
}

# in_root ROOT [--bind FROM:TO]... -- COMMAND...: runs COMMAND in the Debian root ROOT with host directories laid into it.
# ROOT `/` means this very system (as in our Dockerfile), where links serve.
in_root() {
  local root=$1 binds=() bind
  shift
  while [[ $1 == --bind ]]; do
    binds+=("$2")
    shift 2
  done
  [[ $1 == -- ]] && shift
  local env=(env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TZ=UTC
    MAKEFLAGS="-j$(nproc)" PYTHONDONTWRITEBYTECODE=1)
  if [[ $root == / ]]; then
    for bind in "${binds[@]}"; do
      mkdir -p "$(dirname "${bind#*:}")"
      ln -sfn "${bind%%:*}" "${bind#*:}"
    done
    "${env[@]}" "$@"
    return
  fi
  in_namespace bash -euc '
    root=$1; shift
    mount --make-rprivate /
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/tmp"
    while [[ $1 != -- ]]; do
      mkdir -p "$root/${1#*:}"
      mount --bind "${1%%:*}" "$root/${1#*:}"
      shift
    done
    shift
    exec chroot "$root" "$@"' in_root "$root" "${binds[@]}" -- "${env[@]}" "$@"
}
