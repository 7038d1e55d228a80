/**
 * Reads an avatar file (FORMAT.md) into the header and the arrays that go to the GPU as they are. Twin of `read_sections` in
 * bundle.py; errors use the same words. Arrays come out one by one, as soon as what they are made of has arrived, so that a
 * page can draw the first ones while the last are on their way.
 */
import type { ErrorCode } from "./api";
import { areLevels, type Level } from "./detail";
import {
  type ArrayName,
  CHECKSUM_BYTES,
  CODINGS,
  COUNT_LIMITS,
  MAGIC,
  MAX_BASIS,
  MAX_HEADER_BYTES,
  MAX_METRES,
  MAX_PLANES,
  PREAMBLE_BYTES,
  STEPS,
  VERSION,
  WHOLES,
} from "./generated";
import { ATTRIBUTES, streamShapes } from "./schema";
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
  /** Bytes from the start of the payload. */
  readonly offset: number;
  readonly stored_bytes: number;
  /** Of the stored bytes. */
  readonly crc32: number;
  /** Version 2: how integers lie, and bytes per integer. */
  readonly coding?: string;
  readonly planes?: number;
  /** Version 1: type, size when expanded, and row length in bytes of the byte shuffle. */
  readonly dtype?: string;
  readonly shape?: readonly number[];
  readonly raw_bytes?: number;
  readonly shuffle?: number;
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
  /** Of the format; stands in the preamble. */
  readonly version: number;
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
  /** Gaussians that keep a corrective of rotation, scale, colour. */
  readonly kept: readonly number[];
  /** Version 2: distinct sets of four joints, steps of what is rounded, levels of what is a share of a whole. */
  readonly num_skin_sets?: number;
  readonly steps?: Readonly<Record<string, number>>;
  readonly shares?: Readonly<Record<string, number>>;
  readonly payload_bytes: number;
  readonly meta: Meta;
  readonly sections: readonly SectionEntry[];
}

export interface Avatar {
  readonly header: Header;
  /** Little-endian bytes of each array, as the GPU reads them. */
  readonly sections: Readonly<Record<ArrayName, Uint8Array<ArrayBuffer>>>;
}

let crcTable: Int32Array | undefined;

/** CRC-32 as zlib and gzip have it (reflected polynomial 0xEDB88320); `before`: of the bytes that come before. */
export function crc32(bytes: Uint8Array, before = 0): number {
  crcTable ??= Int32Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
    return n;
  });
  let crc = ~before;
  for (let i = 0; i < bytes.length; i++) crc = crcTable[(crc ^ bytes[i]!) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
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
  const checksum = version > 1 ? await bytes.take(CHECKSUM_BYTES) : undefined;
  const text = await bytes.take(Math.min(length, MAX_HEADER_BYTES));
  if (text.length < length) {
    const start = PREAMBLE_BYTES + (checksum ? CHECKSUM_BYTES : 0);
    throw new FormatError(`truncated: the header needs ${start + length} bytes, found ${start + text.length}; copy it again`, "truncated");
  }
  if (checksum && crc32(text, crc32(preamble)) !== new DataView(checksum.buffer).getUint32(0, true)) {
    throw new FormatError("the header is damaged (checksum differs); copy or export the file again");
  }
  let header: Record<string, unknown>;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text));
  } catch (error) {
    throw new FormatError(`the header is not JSON (${String(error)}); the file is damaged, copy or export it again`);
  }
  checkCounts(header as unknown as Header);
  if (version > 1) {
    checkPrecision(header as unknown as Header);
    return { ...header, version } as unknown as Header;
  }
  const { sections } = header as unknown as Header;
  const kept = ATTRIBUTES.map((name) => sections.find((entry) => entry.name === `${name}_index`)?.shape?.[0] ?? 0);
  need(kept.every((count) => isCount(count)), "a list of kept Gaussians has no length");
  return { ...header, version, kept } as unknown as Header;
}

function need(ok: boolean, what: string): void {
  if (!ok) throw new FormatError(`the header is damaged: ${what}; copy or export the file again`);
}

const isCount = (x: unknown, low = 0, high = 2 ** 31): x is number => Number.isInteger(x) && (x as number) >= low && (x as number) <= high;
const isRow = (x: unknown, length: number): x is number[] => Array.isArray(x) && x.length === length && x.every(Number.isFinite);
const isObject = (x: unknown): x is Record<string, unknown> => typeof x === "object" && x !== null && !Array.isArray(x);

/** What any version's header must say before anything of it sizes a buffer. */
function checkCounts(header: Header): void {
  need(isObject(header), "expected an object");
  for (const [key, high] of Object.entries(COUNT_LIMITS) as [keyof typeof COUNT_LIMITS, number][]) {
    need(isCount(header[key], 0, high), `${key} is ${String(header[key])}, expected a count up to ${high}`);
  }
  const sizes = header.layer_sizes;
  const isSizes = Array.isArray(sizes) && sizes.length >= 2 && sizes.length <= 64 && sizes.every((size) => isCount(size, 1, 2 * MAX_BASIS));
  need(isSizes, "layer_sizes must be two counts or more");
  for (const key of ["position_low", "position_high"] as const) {
    const isPlace = isRow(header[key], 3) && header[key].every((x) => Math.abs(x) <= MAX_METRES);
    need(isPlace, `${key} must be three numbers of at most ${MAX_METRES} metres`);
  }
  need(Number.isFinite(header.leaky_relu_slope), `leaky_relu_slope is ${header.leaky_relu_slope}, expected a number`);
  const range = header.input_range;
  const inputs = sizes[0]!;
  const isRange = Array.isArray(range) && range.length === 2 && range.every((row) => isRow(row, inputs));
  need(range === undefined || (isRange && range[0]!.every((low, i) => low <= range[1]![i]!)), `input_range must be two rows of ${inputs} ascending numbers`);
  const fault = regionsFault(header.trained_regions ?? [], header.num_pose_inputs);
  need(fault === undefined, fault ?? "");
  const { levels, pixels_per_metre, num_gaussians } = header;
  need(levels === undefined || areLevels(levels, num_gaussians), `levels must ascend and lie below ${num_gaussians} Gaussians`);
  need(pixels_per_metre === undefined || (pixels_per_metre > 0 && Number.isFinite(pixels_per_metre)), "pixels_per_metre must be positive");
  need(isObject(header.meta), "meta must be an object");
  need(Array.isArray(header.sections) && header.sections.every(isObject), "sections must be a list of objects");
  for (const entry of header.sections) {
    need(typeof entry.name === "string", "a section has no name");
    for (const key of ["offset", "stored_bytes"] as const) need(isCount(entry[key]), `section '${entry.name}' has the ${key} ${entry[key]}`);
  }
  need(new Set(header.sections.map((entry) => entry.name)).size === header.sections.length, "a section comes twice");
}

/** What version 2 adds to the header. */
function checkPrecision(header: Header): void {
  const { kept, steps, shares: levels } = header;
  const isKept = Array.isArray(kept) && kept.length === 3 && kept.every((count) => isCount(count, 0, header.num_gaussians));
  need(isKept, "kept must be 3 counts");
  need(isCount(header.num_skin_sets, 0, COUNT_LIMITS.num_gaussians), "num_skin_sets must be a count");
  for (const name of STEPS) {
    const step = isObject(steps) ? steps[name] : undefined;
    need(Number.isFinite(step) && step! > 0, `steps.${name} is ${step}, expected a number above 0`);
  }
  for (const [name, whole] of Object.entries(WHOLES)) {
    const count = isObject(levels) ? levels[name] : undefined;
    need(isCount(count, 1, whole) && whole % count === 0, `shares.${name} is ${count}, no divisor of ${whole}`);
  }
  const known = streamShapes(header);
  for (const { name, coding, planes } of header.sections) {
    const isKnown = CODINGS.some((c) => c === coding) && isCount(planes, 1, MAX_PLANES);
    need(!known.has(name) || isKnown, `section '${name}' has the coding ${coding} of ${planes} bytes`);
  }
}

/** A section of 32-bit numbers as a typed array. */
export function floats(section: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  return new Float32Array(section.buffer, section.byteOffset, section.byteLength / 4);
}

export function ints(section: Uint8Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  return new Int32Array(section.buffer, section.byteOffset, section.byteLength / 4);
}
