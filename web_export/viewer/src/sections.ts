/** Sections of an avatar file -> arrays for the GPU, as they arrive. Twin: container.py and bundle.py. */
import { decodeCorrectives, decodeNeutral, type NamedArray, NEUTRAL_STREAMS } from "./decode";
import { crc32, FormatError, type Header, type SectionEntry } from "./format";
import { ARRAYS, type ArrayName, MAX_DEFLATE_RATIO, MAX_SECTION_BYTES } from "./generated";
import type { Bytes } from "./header";
import { streamOf } from "./load";
import { arrayBytes, streamShapes } from "./schema";
import { Slices } from "./slices";
import { decodeStream, type Stream } from "./streams";

/** Of an empty stream: header, end of deflate, checksum and size. */
const MIN_GZIP_BYTES = 20;

/** Undoes the byte shuffle: stored are byte 0 of every row of `row` bytes, then byte 1 of every row, and so on. */
export function unshuffle(stored: Uint8Array, row: number): Uint8Array<ArrayBuffer> {
  const raw = new Uint8Array(stored.length);
  const rows = stored.length / row;
  for (let byte = 0, from = 0; byte < row; byte++) {
    for (let to = byte, i = 0; i < rows; i++, to += row) raw[to] = stored[from++]!;
  }
  return raw;
}

/** Expands a gzip stream into exactly `size` bytes; stops early at data that would grow beyond it. */
export async function gunzip(stored: Uint8Array<ArrayBuffer>, size: number, name: string): Promise<Uint8Array<ArrayBuffer>> {
  const wrong = (found: string) =>
    new FormatError(`section '${name}' expands to ${found}, expected ${size} bytes; export the file again`);
  if (size > Math.min(MAX_SECTION_BYTES, MAX_DEFLATE_RATIO * stored.length)) {
    throw new FormatError(`section '${name}' claims ${size} bytes, more than ${stored.length} stored bytes can hold`);
  }
  const damaged = new FormatError(`section '${name}' is damaged (not one whole gzip stream); copy or export the file again`);
  if (stored.length < MIN_GZIP_BYTES) throw damaged;
  const raw = new Uint8Array(size);
  let filled = 0;
  const reader = streamOf(stored).pipeThrough(new DecompressionStream("gzip")).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (filled + value.length > size) {
        throw wrong(`more than ${size} bytes`);
      }
      raw.set(value, filled);
      filled += value.length;
    }
  } catch (error) {
    reader.cancel().catch(() => undefined);
    if (error instanceof FormatError) throw error;
    throw damaged;
  }
  if (filled !== size) throw wrong(`${filled} bytes`);
  // not every host minds what follows the end of a gzip stream, the size of what it holds
  if (new DataView(stored.buffer, stored.byteOffset + stored.length - 4).getUint32(0, true) !== size) throw damaged;
  return raw;
}

/** (entry, raw bytes) of each section in the order of the file; `rawBytes` gives undefined for those to leave out. */
async function* expanded(
  bytes: Bytes, header: Header, slices: Slices, rawBytes: (entry: SectionEntry) => number | undefined,
): AsyncGenerator<readonly [SectionEntry, Uint8Array<ArrayBuffer>]> {
  const start = bytes.position;
  for (const entry of [...header.sections].sort((a, b) => a.offset - b.offset)) {
    const { name } = entry;
    const size = rawBytes(entry);
    if (size === undefined) continue; // a later writer may add sections that this reader can do without
    const skipped = start + entry.offset - bytes.position;
    if (skipped < 0) throw new FormatError(`section '${name}' lies inside another one; export the file again`);
    await bytes.take(skipped);
    const stored = await bytes.take(entry.stored_bytes);
    if (stored.length < entry.stored_bytes) throw truncated(start + header.payload_bytes, bytes.position);
    if (crc32(stored) !== entry.crc32) {
      throw new FormatError(`section '${name}' is damaged (checksum differs); copy or export the file again`);
    }
    await slices.breathe();
    const raw = await gunzip(stored, size, name);
    await slices.breathe();
    yield [entry, raw];
  }
  const end = start + header.payload_bytes;
  await bytes.take(end - bytes.position);
  if (bytes.position < end) throw truncated(end, bytes.position);
  if ((await bytes.take(1)).length > 0) throw new FormatError(`damaged: expected ${end} bytes, found more; copy or export the file again`);
}

const truncated = (expected: number, found: number) =>
  new FormatError(`truncated: expected ${expected} bytes, found ${found}; copy it again`, "truncated");

function noneMissing(expected: Iterable<string>, found: ReadonlySet<string>): void {
  const missing = [...expected].filter((name) => !found.has(name)).sort();
  if (missing.length > 0) throw new FormatError(`sections missing: ${missing.join(", ")}; export the file again`);
}

/** The arrays of a file whose header was read, as soon as each can be made. Throws FormatError on anything not whole. */
export function readSections(bytes: Bytes, header: Header): AsyncGenerator<NamedArray> {
  return header.version > 1 ? readStreams(bytes, header) : readArrays(bytes, header);
}

async function* readStreams(bytes: Bytes, header: Header): AsyncGenerator<NamedArray> {
  const slices = new Slices();
  const shapes = streamShapes(header);
  const streams = new Map<string, Stream>();
  let gaussians: Uint8Array<ArrayBuffer> | undefined;
  const rawBytes = ({ name, planes }: SectionEntry) => {
    const shape = shapes.get(name);
    return shape && shape.rows * shape.columns * planes!;
  };
  for await (const [{ name, coding, planes }, raw] of expanded(bytes, header, slices, rawBytes)) {
    streams.set(name, await decodeStream(raw, shapes.get(name)!, coding!, planes!, slices));
    if (gaussians || !NEUTRAL_STREAMS.every((needed) => streams.has(needed))) continue;
    for (const array of await decodeNeutral(header, streams, slices)) {
      if (array[0] === "gaussians") gaussians = array[1];
      yield array;
    }
  }
  noneMissing(shapes.keys(), new Set(streams.keys()));
  yield* decodeCorrectives(header, streams, gaussians!, slices);
}

/** Sections of version 1 are the arrays themselves, their bytes shuffled. */
async function* readArrays(bytes: Bytes, header: Header): AsyncGenerator<NamedArray> {
  const sizes = arrayBytes(header);
  const found = new Set<string>();
  const rawBytes = ({ name, raw_bytes }: SectionEntry) => (Object.hasOwn(ARRAYS, name) ? raw_bytes : undefined);
  for await (const [entry, raw] of expanded(bytes, header, new Slices(), rawBytes)) {
    const name = entry.name as ArrayName;
    if (raw.length !== sizes[name]) {
      throw new FormatError(`section '${name}' has ${raw.length} bytes, expected ${sizes[name]} of ${ARRAYS[name]}; export the file again`);
    }
    found.add(name);
    yield [name, unshuffle(raw, entry.shuffle!)];
  }
  noneMissing(Object.keys(ARRAYS), found);
}
