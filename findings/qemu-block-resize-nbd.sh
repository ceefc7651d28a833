#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# QEMU 10.0.2 (Debian): QMP's block_resize answers that a disk over NBD is smaller now, and it is not.
#
# The command passes "not exactly this size" down to the driver, and a driver that cannot shrink then says that all is well: the
# answer is `{"return": {}}` and the disk has the size that it had. The same node, asked to grow, is an error ("Cannot grow NBD
# nodes"); a qcow2 image, asked to shrink, is cut off at once with whatever was there. So three answers that look alike mean three
# things. Who resizes disks should ask `query-named-block-nodes` for the size before and after, and refuse to shrink by himself.
#
# Exits with 0 as long as it is so, with 1 when it has changed. Needs qemu-storage-daemon and qemu-img (Debian's qemu-utils) and
# Python.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
qemu-storage-daemon --version | sed -n 1p
cat >resize.py <<'PYTHON'
import json, subprocess

def daemon(*args):
    process = subprocess.Popen(["qemu-storage-daemon", *args, "--chardev", "stdio,id=qmp", "--monitor", "chardev=qmp"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    def ask(command, **arguments):
        process.stdin.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        process.stdin.flush()
        while "event" in (answer := json.loads(process.stdout.readline())):
            pass
        return answer
    ask("qmp_capabilities")
    return process, ask

with open("disk.raw", "wb") as disk:
    disk.truncate(4 << 20)
subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "disk.qcow2", "4M"], check=True)
server, _ = daemon("--blockdev", "driver=file,node-name=file,filename=disk.raw",
                   "--nbd-server", "addr.type=unix,addr.path=socket",
                   "--export", "type=nbd,id=export,node-name=file,name=disk,writable=on")
client, ask = daemon("--blockdev", "driver=nbd,node-name=nbd,server.type=unix,server.path=socket,export=disk",
                     "--blockdev", "driver=file,node-name=below,filename=disk.qcow2",
                     "--blockdev", "driver=qcow2,node-name=qcow2,file=below")
for node in ("nbd", "qcow2"):
    for mib in (1, 8):
        answer = ask("block_resize", **{"node-name": node, "size": mib << 20})
        nodes = {one["node-name"]: one["image"]["virtual-size"] for one in ask("query-named-block-nodes")["return"]}
        said = "done" if "return" in answer else answer["error"]["desc"]
        print(f"{node} to {mib} MiB: {said}; it has {nodes[node] >> 20}")
client.kill()
server.kill()
PYTHON
seen=$(python3 resize.py)
printf '%s\n' "$seen"
expected='nbd to 1 MiB: done; it has 4
nbd to 8 MiB: Cannot grow NBD nodes; it has 4
qcow2 to 1 MiB: done; it has 1
qcow2 to 8 MiB: done; it has 8'
[[ $seen == "$expected" ]] || {
  printf 'changed; expected:\n%s\n' "$expected" >&2
  exit 1
}
