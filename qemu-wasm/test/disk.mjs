// SPDX-License-Identifier: GPL-2.0-or-later
// A disk for the block driver "ring", served from a buffer over the channel that QEMU makes.
import { check } from './report.mjs';

const OPS = ['', 'read', 'write', 'flush', 'discard', 'zeroes', 'info', 'resize'];

/** A disk in a buffer, as the storage Worker serves its own. */
export class Disk {
  /** How often each operation was asked for. */
  count = Object.fromEntries(OPS.map((name) => [name, 0]));
  inFlight = 0;
  mostInFlight = 0;
  mostAreas = 0;
  fua = 0;
  /** What each request waits for, and what it fails with. */
  delay = () => undefined;
  fault = () => 0;

  constructor(bytes, { readonly = false, discards = true } = {}) {
    this.bytes = bytes;
    this.readonly = readonly;
    this.discards = discards;
  }

  /** Serves the channel `name` of `vm` until it ends. */
  async serve(vm, name) {
    const channel = await vm.channel(name, 60_000, 2);
    let begun = Buffer.alloc(0);
    while (!vm.ended) {
      begun = Buffer.concat([begun, await channel.read(500)]);
      while (begun.length >= 4 && begun.length >= begun.readUInt32LE(0)) {
        const entry = begun.subarray(0, begun.readUInt32LE(0));
        begun = begun.subarray(entry.length);
        this.answer(vm, channel, entry);
      }
    }
  }

  async answer(vm, channel, entry) {
    const areas = [];
    for (let at = 32; at < entry.length; at += 8) {
      areas.push(Buffer.from(vm.memory.buffer, entry.readUInt32LE(at), entry.readUInt32LE(at + 4)));
    }
    const request = {
      op: OPS[entry.readUInt32LE(8)], flags: entry.readUInt32LE(12), areas,
      offset: Number(entry.readBigUInt64LE(16)), length: Number(entry.readBigUInt64LE(24)),
    };
    this.count[request.op] += 1;
    this.inFlight += 1;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    this.mostAreas = Math.max(this.mostAreas, areas.length);
    this.fua += request.flags & 1;
    await this.delay(request);
    const status = this.fault(request) || this.perform(request);
    this.inFlight -= 1;
    const completion = Buffer.alloc(8);
    completion.writeUInt32LE(entry.readUInt32LE(4), 0);
    completion.writeInt32LE(status, 4);
    await channel.write(completion);
  }

  perform({ op, offset, length, areas }) {
    const total = areas.reduce((sum, area) => sum + area.length, 0);
    if (op === 'read' || op === 'write') {
      check(total === length, `${total} bytes of areas for ${length}`);
      if (offset + length > this.bytes.length) return -22;
      let at = offset;
      for (const area of areas) {
        if (op === 'read') this.bytes.copy(area, 0, at, at + area.length);
        else area.copy(this.bytes, at);
        at += area.length;
      }
    } else if (op === 'discard' || op === 'zeroes') {
      this.bytes.fill(0, offset, offset + length);
    } else if (op === 'resize') {
      this.bytes = Buffer.concat([this.bytes, Buffer.alloc(offset - this.bytes.length)]);
    } else if (op === 'info') {
      areas[0].fill(0);
      areas[0].writeBigUInt64LE(BigInt(this.bytes.length), 0);
      areas[0].writeUInt32LE(262_144, 8);
      areas[0].writeUInt32LE((this.readonly ? 1 : 0) + (this.discards ? 2 : 0), 12);
    }
    return 0;
  }
}
