/**
 * Reads an avatar file (FORMAT.md) into the header and the raw bytes of every section, which go to the GPU as they are.
 * Twin of `read_sections` in bundle.py; errors use the same words. Sections come out one by one, in the order of the file,
 * so that a page can draw the first ones while the last are on their way.
 */
import type { ErrorCode } from "./api";
import { areLevels, type Level } from "./detail";
import {
  MAGIC,
  MAX_HEADER_BYTES,
  MAX_SECTION_BYTES,
  PREAMBLE_BYTES,
  RECORD_WORDS,
  SECTIONS,
  type SectionName,
  VERSION,
} from "./generated";
import { regionsFault, type TrainedRegion } from "./trained_poses";

/** An avatar file that cannot be read; the message says what was expected, what was found and what to do. */
export class FormatError extends Error {
  override name = "FormatError";

  constructor(
    message: string,
    readonly code: ErrorCode = "damaged",
  ) {
    super(message);
  }
}

export interface SectionEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Bytes from the start of the payload. */
  readonly offset: number;
  readonly stored_bytes: number;
  readonly raw_bytes: number;
  /** Row length in bytes of the byte shuffle. */
  readonly shuffle: number;
  /** Of the stored bytes. */
  readonly crc32: number;
}

export interface Meta {
  readonly generator?: string;
  /** World axis that points up. */
  readonly up?: readonly number[];
  /** Direction in the ground plane that the person faces in the first frame. */
  readonly front?: readonly number[];
  readonly fps?: number;
  readonly body?: string;
  readonly body_license?: string;
  /** Sphere that holds the person in the first frame, metres. */
  readonly center?: readonly number[];
  readonly radius?: number;
}

export interface Header {
  readonly num_gaussians: number;
  readonly num_parts: number;
  readonly num_head_parts: number;
  readonly num_nodes: number;
  readonly basis_size: number;
  readonly layer_sizes: readonly number[];
  readonly num_pose_inputs: number;
  readonly leaky_relu_slope: number;
  readonly position_low: readonly number[];
  readonly position_high: readonly number[];
  /** Smallest and largest network inputs in training, to which inputs are clamped; absent: nothing is clamped. */
  readonly input_range?: readonly (readonly number[])[];
  /** What training saw of each region of the body; absent: nothing is softened. */
  readonly trained_regions?: readonly TrainedRegion[];
  /** Prefixes to draw in place of all Gaussians, coarsest first; absent: none. */
  readonly levels?: readonly Level[];
  /** Of the training pictures; absent: not known. */
  readonly pixels_per_metre?: number;
  readonly payload_bytes: number;
  readonly meta: Meta;
  readonly sections: readonly SectionEntry[];
}

export interface Avatar {
  readonly header: Header;
  /** Raw little-endian bytes of each section, as FORMAT.md has them. */
  readonly sections: Readonly<Record<SectionName, Uint8Array<ArrayBuffer>>>;
}

const ITEM_BYTES: Readonly<Record<string, number>> = { uint32: 4, float16: 2, uint16: 2, float32: 4, int32: 4 };

let crcTable: Uint32Array | undefined;

/** CRC-32 as zlib and gzip have it (reflected polynomial 0xEDB88320). */
export function crc32(bytes: Uint8Array): number {
  crcTable ??= Uint32Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
    return n;
  });
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = (crcTable[(crc ^ bytes[i]!) & 255]! ^ (crc >>> 8)) >>> 0;
  return (crc ^ 0xffffffff) >>> 0;
}

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
async function gunzip(stored: Uint8Array<ArrayBuffer>, size: number, name: string): Promise<Uint8Array<ArrayBuffer>> {
  const raw = new Uint8Array(size);
  let filled = 0;
  const wrong = (found: string) =>
    new FormatError(`section '${name}' expands to ${found}, expected ${size} bytes; export the file again`);
  const reader = new Blob([stored]).stream().pipeThrough(new DecompressionStream("gzip")).getReader();
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
    throw new FormatError(`section '${name}' is damaged (not gzip); copy or export the file again`);
  }
  if (filled !== size) throw wrong(`${filled} bytes`);
  return raw;
}

/** First bytes of a file as a person can read them. */
function excerpt(bytes: Uint8Array): string {
  return JSON.stringify(String.fromCharCode(...bytes.subarray(0, 8)));
}

/** What an avatar is read from: `take` gives the next bytes, fewer only at the end. */
export interface Bytes {
  readonly position: number;
  take(size: number): Promise<Uint8Array<ArrayBuffer>>;
}

const truncated = (expected: number, found: number) =>
  new FormatError(`truncated: expected ${expected} bytes, found ${found}; copy it again`, "truncated");

/** Header of an avatar file; leaves the stream at its payload. */
export async function readHeader(bytes: Bytes): Promise<Header> {
  const preamble = await bytes.take(PREAMBLE_BYTES);
  const magic = String.fromCharCode(...preamble.subarray(0, MAGIC.length));
  if (preamble.length < PREAMBLE_BYTES || magic !== MAGIC) {
    const found = `it starts with ${excerpt(preamble)}, expected "${MAGIC}"`;
    throw new FormatError(`not an avatar file: ${found}; export it again`, "not-an-avatar");
  }
  const view = new DataView(preamble.buffer);
  const version = view.getUint32(8, true);
  const length = view.getUint32(12, true);
  if (version > VERSION) {
    throw new FormatError(
      `made by a newer version (format ${version}, this page reads up to ${VERSION}): update the page beside it`,
      "newer-version",
    );
  }
  const text = await bytes.take(Math.min(length, MAX_HEADER_BYTES));
  if (text.length < length) {
    const need = `the header needs ${PREAMBLE_BYTES + length} bytes, found ${PREAMBLE_BYTES + text.length}`;
    throw new FormatError(`truncated: ${need}; copy it again`, "truncated");
  }
  let header: Header;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text));
  } catch (error) {
    throw new FormatError(`the header is not JSON (${String(error)}); the file is damaged, copy or export it again`);
  }
  checkHeader(header);
  return header;
}

/** What the header says must be usable before any of it sizes a buffer. */
function checkHeader(header: Header): void {
  const need = (ok: boolean, what: string) => {
    if (!ok) throw new FormatError(`the header is damaged: ${what}; copy or export the file again`);
  };
  const isCount = (x: unknown) => Number.isInteger(x) && (x as number) >= 0;
  need(typeof header === "object" && header !== null, "expected an object");
  for (const key of ["num_gaussians", "num_parts", "num_head_parts", "num_nodes", "basis_size", "payload_bytes"] as const) {
    need(isCount(header[key]), `${key} is ${String(header[key])}, expected a count`);
  }
  need(Array.isArray(header.layer_sizes) && header.layer_sizes.every(isCount), "layer_sizes must be counts");
  for (const key of ["position_low", "position_high"] as const) {
    need(header[key]?.length === 3 && header[key].every(Number.isFinite), `${key} must be three numbers`);
  }
  const range = header.input_range;
  const inputs = header.layer_sizes[0];
  need(
    range === undefined || (range.length === 2 && range.every((row) => row.length === inputs && row.every(Number.isFinite))),
    `input_range must be two rows of ${inputs} numbers`,
  );
  const fault = regionsFault(header.trained_regions ?? [], header.num_pose_inputs);
  need(fault === undefined, fault ?? "");
  const { levels, pixels_per_metre, num_gaussians } = header;
  need(levels === undefined || areLevels(levels, num_gaussians), `levels must ascend and lie below ${num_gaussians} Gaussians`);
  need(pixels_per_metre === undefined || (pixels_per_metre > 0 && Number.isFinite(pixels_per_metre)), "pixels_per_metre must be positive");
  need(Array.isArray(header.sections), "sections must be a list");
  need(typeof header.meta === "object" && header.meta !== null, "meta must be an object");
}

/** Number of items that a section must have by the header's counts (undefined where it is free: the kept lists). */
function expectedItems(header: Header): Partial<Record<SectionName, number>> {
  const sizes = header.layer_sizes;
  const layers = sizes.slice(1).map((fanOut, i) => [sizes[i]!, fanOut] as const);
  const perPart = layers.reduce((sum, [fanIn, fanOut]) => sum + fanOut * (fanIn + (fanIn % 2)), 0);
  return {
    gaussians: header.num_gaussians * RECORD_WORDS,
    node_part: header.num_nodes,
    node_basis: header.num_nodes * 3 * header.basis_size,
    mlp_weights: header.num_parts * perPart,
    mlp_biases: header.num_parts * layers.reduce((sum, [, fanOut]) => sum + fanOut, 0),
    joint_rest: 55 * 3,
    inverse_bind: 55 * 12,
    joint_parent: 55,
  };
}

/** One section: checksum, expansion, byte order. */
async function unpack(stored: Uint8Array<ArrayBuffer>, entry: SectionEntry): Promise<Uint8Array<ArrayBuffer>> {
  const { name } = entry;
  if (entry.raw_bytes > MAX_SECTION_BYTES) {
    throw new FormatError(`section '${name}' claims ${entry.raw_bytes} bytes, more than ${MAX_SECTION_BYTES}`);
  }
  if (crc32(stored) !== entry.crc32) {
    throw new FormatError(`section '${name}' is damaged (checksum differs); copy or export the file again`);
  }
  return unshuffle(await gunzip(stored, entry.raw_bytes, name), entry.shuffle);
}

export type Section = readonly [SectionName, Uint8Array<ArrayBuffer>];

/** The sections of a file whose header was read, in the order of the file. Throws FormatError on anything that is not whole. */
export async function* readSections(bytes: Bytes, header: Header): AsyncGenerator<Section> {
  const start = bytes.position;
  const expected = expectedItems(header);
  const found = new Set<string>();
  for (const entry of [...header.sections].sort((a, b) => a.offset - b.offset)) {
    const name = entry.name as SectionName;
    if (!(name in SECTIONS)) continue; // a later writer may add sections that this reader can do without
    const skipped = start + entry.offset - bytes.position;
    if (!(skipped >= 0)) throw new FormatError(`section '${name}' lies inside another one; export the file again`);
    await bytes.take(skipped);
    const stored = await bytes.take(entry.stored_bytes);
    if (stored.length < entry.stored_bytes) throw truncated(start + header.payload_bytes, bytes.position);
    const raw = await unpack(stored, entry);
    const items = raw.length / ITEM_BYTES[SECTIONS[name]]!;
    if (entry.dtype !== SECTIONS[name] || items !== (expected[name] ?? items)) {
      throw new FormatError(
        `section '${name}' has ${items} items of ${entry.dtype}, ` +
          `expected ${expected[name] ?? "any number"} of ${SECTIONS[name]}; export the file again`,
      );
    }
    found.add(name);
    yield [name, raw];
  }
  const missing = Object.keys(SECTIONS).filter((name) => !found.has(name)).sort();
  if (missing.length > 0) throw new FormatError(`sections missing: ${missing.join(", ")}; export the file again`);
}

/** A section of 32-bit numbers as a typed array. */
export function floats(section: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  return new Float32Array(section.buffer, section.byteOffset, section.byteLength / 4);
}

export function ints(section: Uint8Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  return new Int32Array(section.buffer, section.byteOffset, section.byteLength / 4);
}
