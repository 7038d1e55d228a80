import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import test from "node:test";
import golden from "../../../tests/goldens/bundle.json";
import { AvatarFile } from "../src/avatar_file";
import { crc32 } from "../src/format";
import type { ArrayName } from "../src/generated";
import { fromHalf, halfBits } from "../src/half";

const GOLDENS = "../../tests/goldens/"; // tests run in the viewer's folder
const bytesOf = (name: string) => new Uint8Array(readFileSync(GOLDENS + name));
const readAvatar = (bytes: Uint8Array<ArrayBuffer>) => new AvatarFile(bytes.buffer).whole;

for (const [name, sums] of Object.entries(golden)) {
  test(`every array equals what bundle.py reads, bit for bit: ${name}`, async () => {
    const { sections } = await readAvatar(bytesOf(name));
    for (const [array, sum] of Object.entries(sums)) {
      assert.equal(createHash("sha256").update(sections[array as ArrayName]).digest("hex"), sum, array);
    }
  });
}

test("halves round to nearest even, as numpy's", () => {
  const cases: [number, number][] = [
    [0, 0], [-0, 0x8000], [1, 0x3c00], [-2, 0xc000], [65504, 0x7bff], [65519.996, 0x7bff], [65520, 0x7c00], [-1e9, 0xfc00],
    [2 ** -24, 1], [2 ** -25, 0], [1.5 * 2 ** -24, 2], [2.5 * 2 ** -24, 2], [2 ** -14, 0x400], [1023.5 * 2 ** -24, 0x400],
    [1 + 2 ** -11, 0x3c00], [1 + 3 * 2 ** -11, 0x3c02], [Number.NaN, 0x7e00],
  ];
  for (const [x, bits] of cases) assert.equal(halfBits(x), bits, String(x));
  for (let bits = 0; bits < 0x7c00; bits++) assert.equal(halfBits(fromHalf(bits)), bits);
});

test("a changed byte anywhere in the file is an error", async () => {
  const bytes = bytesOf("avatar_v2_small.mobavatar");
  const { header } = await readAvatar(bytes);
  const start = bytes.length - header.payload_bytes;
  const places = [9, 13, 17, 60, start - 1, ...header.sections.map(({ offset, stored_bytes }) => start + offset + (stored_bytes >> 1))];
  for (const place of places) {
    const damaged = bytes.slice();
    damaged[place]! ^= 4;
    await assert.rejects(readAvatar(damaged), /./, `byte ${place}`);
  }
});

type Json = Record<string, any>;

/** The file with another header, its checksum right. */
function withHeader(bytes: Uint8Array, change: (header: Json) => void): Uint8Array<ArrayBuffer> {
  const length = new DataView(bytes.buffer).getUint32(12, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(20, 20 + length)));
  change(header);
  const text = new TextEncoder().encode(JSON.stringify(header));
  const out = new Uint8Array(20 + text.length + bytes.length - 20 - length);
  out.set(bytes.subarray(0, 16));
  out.set(text, 20);
  out.set(bytes.subarray(20 + length), 20 + text.length);
  const view = new DataView(out.buffer);
  view.setUint32(12, text.length, true);
  view.setUint32(16, crc32(text, crc32(out.subarray(0, 16))), true);
  return out;
}

test("headers that lie are refused although their checksum is right", async () => {
  const bytes = bytesOf("avatar_v2_small.mobavatar");
  const lies: [RegExp, (header: Json) => void][] = [
    [/claims .* bytes, more than/, (h) => { h.num_gaussians = 4_000_000; }],
    [/expands to .* bytes, expected/, (h) => { h.num_nodes++; }],
    [/'opacity' holds \d+, expected 0..17/, (h) => { h.shares.opacity = 17; }],
    [/steps.color is 0/, (h) => { h.steps.color = 0; }],
    [/holds numbers beyond half precision/, (h) => { h.steps.log_scale = 1e9; }],
    [/quaternions longer than 1/, (h) => { h.steps.rotation = 1; }],
    [/shares.opacity is 52, no divisor/, (h) => { h.shares.opacity = 52; }],
    [/weights that sum to more than one/, (h) => { h.shares.skin_weight = 5; }],
    [/a section comes twice/, (h) => { h.sections.push(h.sections[0]); }],
    [/has the coding none of 1 bytes/, (h) => { h.sections.at(-1).coding = "none"; }],
    [/lies inside another one/, (h) => { h.sections[4].offset = h.sections[3].offset + 1; }],
    [/sections missing: mlp_biases, part/, (h) => { h.sections = h.sections.filter((s: Json) => s.name !== "part" && s.name !== "mlp_biases"); }],
  ];
  for (const [words, lie] of lies) await assert.rejects(readAvatar(withHeader(bytes, lie)), words);
  await readAvatar(withHeader(bytes, () => undefined));
});
