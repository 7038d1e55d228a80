/** Reads and checks the header of an avatar file; refuses the same ones as header.py, in the same words. */
import { areLevels } from "./detail";
import { crc32, FormatError, type Header, type SectionEntry } from "./format";
import {
  ARRAYS,
  type ArrayName,
  CHECKSUM_BYTES,
  CODINGS,
  COUNT_LIMITS,
  MAGIC,
  MAX_BASIS,
  MAX_DEPTH,
  MAX_HEADER_BYTES,
  MAX_INPUT,
  MAX_METRES,
  MAX_PLANES,
  MAX_SECTIONS,
  MAX_SHUFFLE,
  PREAMBLE_BYTES,
  STEPS,
  VERSION,
  WHOLES,
} from "./generated";
import { ATTRIBUTES, streamShapes } from "./schema";
import { regionsFault } from "./trained_poses";

/** What an avatar is read from: `take` gives the next bytes, fewer only at the end. */
export interface Bytes {
  readonly position: number;
  take(size: number): Promise<Uint8Array<ArrayBuffer>>;
}

/** First bytes of a file as a person can read them. */
function excerpt(bytes: Uint8Array): string {
  return JSON.stringify(String.fromCharCode(...bytes.subarray(0, 8)));
}

/** Header of an avatar file; leaves the stream at its payload. */
export async function readHeader(bytes: Bytes): Promise<Header> {
  const preamble = await bytes.take(PREAMBLE_BYTES);
  const magic = String.fromCharCode(...preamble.subarray(0, MAGIC.length));
  if (preamble.length < PREAMBLE_BYTES || magic !== MAGIC) {
    const found = `it starts with ${excerpt(preamble)}, expected "${MAGIC}"`;
    throw new FormatError(`not an avatar file: ${found}; export it again`, "not-an-avatar");
  }
  const view = new DataView(preamble.buffer, preamble.byteOffset);
  const version = view.getUint32(8, true);
  const length = view.getUint32(12, true);
  need(version >= 1, "there is no format 0");
  if (version > VERSION) {
    throw new FormatError(
      `made by a newer version (format ${version}, this page reads up to ${VERSION}): update the page beside it`,
      "newer-version",
    );
  }
  const checksum = await bytes.take(version > 1 ? CHECKSUM_BYTES : 0);
  const text = await bytes.take(Math.min(length, MAX_HEADER_BYTES));
  const start = PREAMBLE_BYTES + (version > 1 ? CHECKSUM_BYTES : 0) + length;
  if (bytes.position < start) {
    throw new FormatError(`truncated: the header needs ${start} bytes, found ${bytes.position}; copy it again`, "truncated");
  }
  if (version > 1 && crc32(text, crc32(preamble)) !== new DataView(checksum.buffer, checksum.byteOffset).getUint32(0, true)) {
    throw new FormatError("the header is damaged (checksum differs); copy or export the file again");
  }
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(text));
  } catch (error) {
    throw new FormatError(`the header is not JSON (${String(error)}); the file is damaged, copy or export it again`);
  }
  need(isObject(header), "expected an object");
  need(isDepthWithin(header, MAX_DEPTH), `lists lie more than ${MAX_DEPTH} deep in each other`);
  const found = header as unknown as Header;
  checkCounts(found);
  checkOptions(found);
  checkMeta(found.meta);
  checkEntries(found);
  if (version === 1) return { ...found, version, kept: keptOfVersion1(found) };
  checkPrecision(found);
  return { ...found, version };
}

function need(ok: boolean, what: string): void {
  if (!ok) throw new FormatError(`the header is damaged: ${what}; copy or export the file again`);
}

const isCount = (x: unknown, low = 0, high = 2 ** 31): x is number => Number.isInteger(x) && (x as number) >= low && (x as number) <= high;
const isNumber = (x: unknown, low = Number.NEGATIVE_INFINITY, high = Number.POSITIVE_INFINITY): x is number =>
  Number.isFinite(x) && (x as number) >= low && (x as number) <= high;
const isRow = (x: unknown, length: number, most = Number.POSITIVE_INFINITY): x is number[] =>
  Array.isArray(x) && x.length === length && x.every((v) => isNumber(v, -most, most));
const isObject = (x: unknown): x is Record<string, unknown> => typeof x === "object" && x !== null && !Array.isArray(x);

function isDepthWithin(value: unknown, most: number): boolean {
  return typeof value !== "object" || value === null || (most > 0 && Object.values(value).every((v) => isDepthWithin(v, most - 1)));
}

/** What any version's header must say before anything of it sizes a buffer. */
function checkCounts(header: Header): void {
  for (const [key, [low, high]] of Object.entries(COUNT_LIMITS)) {
    const found = header[key as keyof typeof COUNT_LIMITS];
    need(isCount(found, low, high), `${key} is ${String(found)}, expected a count of ${low} to ${high}`);
  }
  const { layer_sizes: sizes, position_low: low, position_high: high, leaky_relu_slope: slope } = header;
  const isSizes = Array.isArray(sizes) && sizes.length >= 2 && sizes.length <= 64 && sizes.every((size) => isCount(size, 1, 2 * MAX_BASIS));
  need(isSizes, "layer_sizes must be two counts or more");
  need(sizes.at(-1) === 2 * header.basis_size, "the last layer is not two bases wide");
  need(header.num_pose_inputs <= sizes[0]!, "more pose inputs than inputs");
  need(header.num_head_parts <= header.num_parts, "more parts on the head than parts");
  for (const [key, corner] of Object.entries({ position_low: low, position_high: high })) {
    need(isRow(corner, 3, MAX_METRES), `${key} must be three numbers of at most ${MAX_METRES} metres`);
  }
  need(low.every((x, i) => x <= high[i]!), "position_low lies beyond position_high");
  need(isNumber(slope, 0, 1), `leaky_relu_slope is ${slope}, expected a number of 0 to 1`);
}

/** What a header may leave out. */
function checkOptions(header: Header): void {
  const { input_range: range, trained_regions = [], levels = [], pixels_per_metre = 1, num_gaussians } = header;
  const inputs = header.layer_sizes[0]!;
  const isRange = Array.isArray(range) && range.length === 2 && range.every((row) => isRow(row, inputs, MAX_INPUT));
  need(range === undefined || (isRange && range[0]!.every((low, i) => low <= range[1]![i]!)), `input_range must be two rows of ${inputs} ascending numbers`);
  const fault = regionsFault(trained_regions, header.num_pose_inputs);
  need(fault === undefined, fault ?? "");
  need(areLevels(levels, num_gaussians), `levels must ascend and lie below ${num_gaussians} Gaussians`);
  need(isNumber(pixels_per_metre) && pixels_per_metre > 0, `pixels_per_metre is ${pixels_per_metre}, expected a number above 0`);
}

/** What hosts draw and show by; the rest of `meta` is anybody's. */
function checkMeta(meta: unknown): void {
  if (!isObject(meta)) return need(false, "meta must be an object");
  const has = (key: string) => Object.hasOwn(meta, key);
  for (const key of ["up", "front", "center"]) need(!has(key) || isRow(meta[key], 3, MAX_METRES), `meta.${key} must be three numbers`);
  for (const key of ["radius", "fps"]) {
    const found = has(key) ? meta[key] : 1;
    need(isNumber(found, 0, MAX_METRES) && found > 0, `meta.${key} is ${String(found)}, expected a number above 0`);
  }
  for (const key of ["generator", "body", "body_license", "license"]) need(!has(key) || typeof meta[key] === "string", `meta.${key} must be text`);
}

/** Sections have names of their own and lie inside the payload. */
function checkEntries({ sections, payload_bytes }: Header): void {
  const isList = Array.isArray(sections) && sections.length <= MAX_SECTIONS && sections.every(isObject);
  need(isList, `sections must be a list of at most ${MAX_SECTIONS} objects`);
  for (const entry of sections) {
    need(typeof entry.name === "string", "a section has no name");
    for (const key of ["offset", "stored_bytes", "crc32"] as const) {
      need(isCount(entry[key], 0, 2 ** 32 - 1), `section '${entry.name}' has the ${key} ${entry[key]}`);
    }
    need(entry.offset + entry.stored_bytes <= payload_bytes, `section '${entry.name}' ends beyond the payload`);
  }
  need(new Set(sections.map((entry) => entry.name)).size === sections.length, "a section comes twice");
}

/** What version 2 adds to the header. */
function checkPrecision(header: Header): void {
  const { kept, steps, shares: levels } = header;
  const isKept = Array.isArray(kept) && kept.length === 3 && kept.every((count) => isCount(count, 0, header.num_gaussians));
  need(isKept, "kept must be 3 counts");
  need(isCount(header.num_skin_sets, 1, COUNT_LIMITS.num_gaussians[1]), "num_skin_sets must be a count");
  for (const name of STEPS) {
    const step = isObject(steps) ? steps[name] : undefined;
    need(isNumber(step) && step > 0, `steps.${name} is ${step}, expected a number above 0`);
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

/** What version 2 writes as `kept`; sections of version 1 say themselves what they are. */
function keptOfVersion1({ sections, num_gaussians }: Header): number[] {
  for (const entry of sections) if (Object.hasOwn(ARRAYS, entry.name)) checkEntryOfVersion1(entry);
  return ATTRIBUTES.map((attribute) => {
    const name = `${attribute}_index`;
    const count = sections.find((entry) => entry.name === name)?.shape?.[0] ?? 0;
    need(count <= num_gaussians, `'${name}' is longer than the list of Gaussians`);
    return count;
  });
}

function checkEntryOfVersion1({ name, dtype, shape, raw_bytes: size, shuffle: row }: SectionEntry): void {
  const expected = ARRAYS[name as ArrayName];
  need(dtype === expected, `section '${name}' holds ${dtype}, expected ${expected}`);
  need(Array.isArray(shape) && shape.length >= 1 && shape.length <= 4 && shape.every((s) => isCount(s)), `section '${name}' has no shape`);
  need(isCount(size), `section '${name}' has the raw_bytes ${size}`);
  need(isCount(row, 1, MAX_SHUFFLE) && size! % row === 0, `section '${name}' of ${size} bytes has rows of ${row}`);
}
