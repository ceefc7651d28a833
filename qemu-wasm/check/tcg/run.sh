#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Runs in a guest: QEMU's TCG tests. For each one line, `ok NAME SECONDS` or `failed NAME WHY`.
#   run.sh TARGET [NAME...]      without names all of the target
# A test passes if it ends with status 0 and, where QEMU has a reference, prints the same.
cd "/check/tcg/$1" || exit 2
shift
[ $# -gt 0 ] || set -- $(ls | grep -v '\.ref$')
mkdir -p /tmp/tcg
for name; do
  start=$(date +%s)
  # In a directory of its own and with an empty standard input, as under make; the test may leave processes and files.
  (cd /tmp/tcg && timeout -s KILL "${LIMIT:-600}" "$OLDPWD/$name" </dev/null >/tmp/tcg.out 2>/tmp/tcg.err)
  status=$?
  if [ $status != 0 ]; then
    echo "failed $name: status $status: $(tail -n 1 /tmp/tcg.err) $(tail -n 1 /tmp/tcg.out)" | cut -c 1-300
  elif [ -e "$name.ref" ] && ! cmp -s "$name.ref" /tmp/tcg.out; then
    echo "failed $name: its output differs from the reference"
  else
    echo "ok $name $(($(date +%s) - start))"
  fi
done
