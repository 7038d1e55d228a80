/** What an avatar file (FORMAT.md) says and holds, its checksums, and the error of one that cannot be read. */
import type { ErrorCode } from "./api";
import type { Level } from "./detail";
import type { ArrayName } from "./generated";
import type { TrainedRegion } from "./trained_poses";

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

let crcTables: Int32Array[] | undefined;

/** What a byte does to the checksum, and what it does when one, two and three more bytes have passed. */
function makeCrcTables(): Int32Array[] {
  const first = Int32Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
    return n;
  });
  const tables = [first];
  for (let k = 1; k < 4; k++) tables.push(tables[k - 1]!.map((n) => first[n & 255]! ^ (n >>> 8)));
  return tables;
}

/** CRC-32 as zlib and gzip have it (reflected polynomial 0xEDB88320); `before`: of the bytes that come before. */
export function crc32(bytes: Uint8Array, before = 0): number {
  const [t0, t1, t2, t3] = (crcTables ??= makeCrcTables()) as [Int32Array, Int32Array, Int32Array, Int32Array];
  const fours = bytes.length & ~3;
  let crc = ~before;
  let i = 0;
  for (; i < fours; i += 4) {
    const x = crc ^ (bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24));
    crc = t3[x & 255]! ^ t2[(x >>> 8) & 255]! ^ t1[(x >>> 16) & 255]! ^ t0[x >>> 24]!;
  }
  for (; i < bytes.length; i++) crc = t0[(crc ^ bytes[i]!) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** A section of 32-bit numbers as a typed array. */
export function floats(section: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  return new Float32Array(section.buffer, section.byteOffset, section.byteLength / 4);
}

export function ints(section: Uint8Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  return new Int32Array(section.buffer, section.byteOffset, section.byteLength / 4);
}
