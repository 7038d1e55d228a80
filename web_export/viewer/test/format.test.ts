import assert from "node:assert/strict";
import test from "node:test";
import { gzipSync } from "node:zlib";
import { AvatarFile } from "../src/avatar_file";
import { ViewerError } from "../src/errors";
import { crc32 } from "../src/format";
import { ARRAYS, type ArrayName } from "../src/generated";
import { unshuffle } from "../src/sections";

const ITEMS: Record<ArrayName, number> = {
  gaussians: 24, // two Gaussians
  rotation_index: 1,
  scale_index: 0,
  color_index: 0,
  rotation_basis: 8,
  scale_basis: 0,
  color_basis: 0,
  node_part: 3,
  node_basis: 18,
  mlp_weights: 2 * 4 * 4,
  mlp_biases: 2 * 4,
  joint_rest: 165,
  inverse_bind: 660,
  joint_parent: 55,
};

function shuffle(raw: Uint8Array, row: number): Uint8Array {
  const rows = raw.length / row;
  return Uint8Array.from({ length: raw.length }, (_, i) => raw[(i % rows) * row + Math.floor(i / rows)]!);
}

/** A whole file of made-up numbers; `edit` may change the header before it is written. */
function file(edit: (header: Record<string, unknown>) => void = () => undefined, version = 1) {
  const raws: Partial<Record<ArrayName, Uint8Array>> = {};
  const parts: Uint8Array[] = [];
  let offset = 0;
  const sections = (Object.keys(ARRAYS) as ArrayName[]).map((name) => {
    const size = ARRAYS[name] === "float16" || ARRAYS[name] === "uint16" ? 2 : 4;
    const raw = Uint8Array.from({ length: size * ITEMS[name] }, (_, i) => (i * 7 + name.length) & 255);
    raws[name] = raw;
    const row = name === "gaussians" ? 48 : size;
    const stored = gzipSync(shuffle(raw, row));
    const entry = {
      name, dtype: ARRAYS[name], shape: [ITEMS[name]], offset, stored_bytes: stored.length, raw_bytes: raw.length,
      shuffle: row, crc32: crc32(stored),
    };
    const padding = -stored.length & 15;
    parts.push(stored, new Uint8Array(padding));
    offset += stored.length + padding;
    return entry;
  });
  const header: Record<string, unknown> = {
    num_gaussians: 2, num_parts: 2, num_head_parts: 1, num_nodes: 3, basis_size: 2, layer_sizes: [3, 4],
    num_pose_inputs: 2, leaky_relu_slope: 0.01, position_low: [0, 0, 0], position_high: [1, 1, 1],
    payload_bytes: offset, meta: {}, sections,
  };
  edit(header);
  let text = JSON.stringify(header);
  text += " ".repeat(-(16 + text.length) & 15);
  const preamble = Buffer.alloc(16);
  preamble.write("MOBAVATR", "ascii");
  preamble.writeUInt32LE(version, 8);
  preamble.writeUInt32LE(text.length, 12);
  return { bytes: new Uint8Array(Buffer.concat([preamble, Buffer.from(text), ...parts])), raws, start: 16 + text.length };
}

type Entry = { name: string; raw_bytes: number; dtype: string };
const entries = (header: Record<string, unknown>) => header.sections as Entry[];

const readAvatar = (bytes: Uint8Array<ArrayBuffer>) => new AvatarFile(bytes.buffer).whole;

async function refused(bytes: Uint8Array<ArrayBuffer>, words: RegExp): Promise<void> {
  await assert.rejects(readAvatar(bytes), (error: Error) => {
    assert.ok(error instanceof ViewerError && error.code !== "internal", String(error));
    assert.match(error.message, words);
    return true;
  });
}

test("crc32 is zlib's", () => {
  assert.equal(crc32(new TextEncoder().encode("123456789")), 0xcbf43926);
});

test("unshuffle undoes the byte planes", () => {
  const raw = Uint8Array.from({ length: 24 }, (_, i) => i * 3);
  for (const row of [1, 2, 4, 12]) assert.deepEqual(unshuffle(shuffle(raw, row), row), raw);
});

test("a whole file gives back the header and every section", async () => {
  const { bytes, raws } = file();
  const { header, sections } = await readAvatar(bytes);
  assert.equal(header.num_gaussians, 2);
  for (const [name, raw] of Object.entries(raws)) assert.deepEqual(sections[name as ArrayName], raw, name);
});

test("a section of a later writer is left alone", async () => {
  const { bytes } = file((h) => entries(h).push({ ...entries(h)[0]!, name: "from_the_future" }));
  assert.equal((await readAvatar(bytes)).header.num_gaussians, 2);
});

test("truncated anywhere is refused", async () => {
  const { bytes, start } = file();
  for (const length of [bytes.length - 16, start + 1, start]) await refused(bytes.slice(0, length), /truncated: expected \d+ bytes, found/);
  await refused(bytes.slice(0, start - 1), /truncated: the header needs/);
  await refused(bytes.slice(0, 15), /not an avatar file/);
  await refused(new Uint8Array(), /not an avatar file/);
});

test("another kind of file is refused", async () => {
  await refused(new TextEncoder().encode("<!doctype html><title>404</title>"), /starts with "<!doctyp", expected "MOBAVATR"/);
});

test("a newer version is refused", async () => {
  await refused(file(undefined, 3).bytes, /made by a newer version \(format 3, this page reads up to 2\)/);
});

test("a flipped byte is found", async () => {
  const { bytes, start } = file();
  bytes[start + 20]! ^= 1;
  await refused(bytes, /section 'gaussians' is damaged \(checksum differs\)/);
});

test("a header that is not JSON is refused", async () => {
  const { bytes } = file();
  bytes[16] = 0x5d;
  await refused(bytes, /header is not JSON/);
});

test("a section that expands to another size is refused", async () => {
  await refused(file((h) => { entries(h)[0]!.raw_bytes = 48; }).bytes, /'gaussians' expands to more than 48 bytes, expected 48/);
  await refused(file((h) => { entries(h)[0]!.raw_bytes = 144; }).bytes, /'gaussians' expands to 96 bytes, expected 144/);
  await refused(file((h) => { entries(h)[0]!.raw_bytes = 48 * 2 ** 25; }).bytes, /claims 1610612736 bytes/);
});

test("counts that do not fit the sections are refused", async () => {
  await refused(file((h) => { h.num_gaussians = 3; }).bytes, /'gaussians' has 96 bytes, expected 144 of uint32/);
  await refused(file((h) => { h.num_nodes = -1; }).bytes, /num_nodes is -1/);
  await refused(file((h) => { h.layer_sizes = null; }).bytes, /layer_sizes/);
  await refused(file((h) => { entries(h)[0]!.dtype = "float32"; }).bytes, /'gaussians' holds float32, expected uint32/);
});

test("levels of detail and the training pictures' fineness are read, and refused where they make no sense", async () => {
  const levels = [{ count: 1, enlarge: 1.5, pixels_per_metre: 100 }];
  const { header } = await readAvatar(file((h) => Object.assign(h, { levels, pixels_per_metre: 512.5 })).bytes);
  assert.deepEqual([header.levels, header.pixels_per_metre], [levels, 512.5]);
  await refused(file((h) => { h.levels = [{ ...levels[0], count: 2 }]; }).bytes, /levels must ascend and lie below 2 Gaussians/);
  await refused(file((h) => { h.pixels_per_metre = 0; }).bytes, /pixels_per_metre is 0, expected a number above 0/);
});

test("a missing section is named", async () => {
  await refused(file((h) => { entries(h).splice(entries(h).findIndex(({ name }) => name === "node_part"), 1); }).bytes, /sections missing: node_part/);
});

test("the neutral avatar is there before the correctives have arrived", async () => {
  const { bytes, raws, start } = file();
  let push: (chunk: Uint8Array<ArrayBuffer>) => void = () => undefined;
  let close: () => void = () => undefined;
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => {
      push = (chunk) => controller.enqueue(chunk);
      close = () => controller.close();
    },
  });
  const blob = Object.assign(new Blob(), { stream: () => stream });
  const avatar = new AvatarFile(blob);
  const size = JSON.parse(new TextDecoder().decode(bytes.subarray(16, start))).sections as { name: string; offset: number }[];
  const cut = start + size.find(({ name }) => name === "rotation_index")!.offset;
  push(bytes.slice(0, cut));
  const neutral = await avatar.neutral;
  assert.deepEqual(neutral.sections.gaussians, raws.gaussians);
  assert.equal(neutral.sections.rotation_index.length, 0, "nothing keeps a corrective");
  assert.ok(neutral.sections.mlp_weights.every((x) => x === 0) && neutral.sections.mlp_weights.length === raws.mlp_weights!.length);
  assert.equal(avatar.loadedBytes, cut);
  push(bytes.slice(cut));
  close();
  assert.deepEqual((await avatar.whole).sections.mlp_weights, raws.mlp_weights);
});
