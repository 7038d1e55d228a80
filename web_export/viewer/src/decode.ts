/** Streams of a file of version 2 -> the arrays that go to the GPU, bit for bit as quantise.py makes them. */
import { FormatError, type Header } from "./format";
import { type ArrayName, GRID, MAX_REACH, NUM_JOINTS, RECORD_WORDS, WHOLES } from "./generated";
import { fromHalf, halfBits } from "./half";
import { ATTRIBUTES, even, layers } from "./schema";
import type { Slices } from "./slices";
import { columns, type Integers, type Stream } from "./streams";

export type Streams = ReadonlyMap<string, Stream>;
export type NamedArray = readonly [ArrayName, Uint8Array<ArrayBuffer>];

type Two = [Integers, Integers];
type Three = [Integers, Integers, Integers];
type Four = [Integers, Integers, Integers, Integers];

const wrong = (what: string) => new FormatError(`${what}; export the file again`);
const bytesOf = (array: { readonly buffer: ArrayBuffer }) => new Uint8Array(array.buffer);

/** Streams that the records of the neutral avatar are made of. */
export const NEUTRAL_STREAMS: readonly string[] =
  "joint_rest inverse_bind joint_parent position rotation log_scale color opacity skin_sets skin_set skin_weight".split(" ");

/** Records or rows between two looks at the clock: a millisecond or so. */
const PIECE = 8192;
/** Rows of a table that are turned over at a time: what is written stays in the processor's cache. */
const BLOCK = 256;

function extent(values: Integers): [number, number] {
  let [low, high] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const v = values[i]!;
    if (v < low) low = v;
    else if (v > high) high = v;
  }
  return [low, high];
}

/** Bits of `value * step` for every value from `low` on. */
interface Halves {
  readonly low: number;
  readonly table: Uint16Array;
}

function halvesOf(name: string, low: number, high: number, step: number): Halves {
  const reach = Math.max(high, -low);
  if (reach > MAX_REACH || reach * step >= 65504) throw wrong(`section '${name}' holds numbers beyond half precision`);
  const table = new Uint16Array(high - low + 1);
  for (let i = 0; i < table.length; i++) table[i] = halfBits((low + i) * step);
  return { low, table };
}

/** For all values of a stream; those of one byte are not looked at where every byte would do. */
function halvesOfStream(name: string, { values, planes }: Stream, step: number): Halves {
  const [low, high] = planes === 1 && 128 * step < 65504 ? [-128, 127] : extent(values);
  return halvesOf(name, low, high, step);
}

function below(streams: Streams, name: string, end: number): Stream {
  const stream = streams.get(name)!;
  const { values } = stream;
  if (end > (1 << (8 * Math.min(stream.planes, 2))) - 1 && stream.planes <= 2) return stream; // which no number can reach
  for (let i = 0; i < values.length; i++) {
    if (values[i]! >>> 0 >= end) throw wrong(`section '${name}' holds ${values[i]! >>> 0}, expected 0..${end - 1}`);
  }
  return stream;
}

function shares(streams: Streams, name: string, levels: number): Stream {
  const stream = streams.get(name)!;
  const { values, rows, columns } = stream;
  for (let i = 0; i < rows; i++) {
    let sum = 0;
    for (let c = 0; c < columns; c++) sum += values[c * rows + i]! >>> 0;
    if (sum > levels) throw wrong(`section '${name}' holds weights that sum to more than one`);
  }
  return stream;
}

/** Skeleton and Gaussians without parts and control nodes. */
export async function decodeNeutral(header: Header, streams: Streams, slices: Slices): Promise<NamedArray[]> {
  const rig = decodeRig(streams);
  const records = new Uint32Array(header.num_gaussians * RECORD_WORDS);
  const writers = [surfaceWriter, rotationWriter, skinWriter].map((make) => make(header, streams));
  await writeAll(records, header.num_gaussians, writers, slices);
  return [...rig, ["gaussians", bytesOf(records)]];
}

async function writeAll(records: Uint32Array, count: number, writers: readonly Writer[], slices: Slices): Promise<void> {
  for (let from = 0; from < count; from += PIECE) {
    for (const write of writers) write(records, from, Math.min(from + PIECE, count));
    await slices.breathe();
  }
}

/** Writes what it knows of the records `from` to `end`. */
type Writer = (records: Uint32Array, from: number, end: number) => void;

function decodeRig(streams: Streams): NamedArray[] {
  const floats = ["joint_rest", "inverse_bind"] as const;
  const parents = streams.get("joint_parent")!.values;
  if (parents.some((parent, joint) => parent < -1 || parent >= joint)) throw wrong("a joint's parent does not come before it");
  const rows = floats.map((name): NamedArray => {
    const { values, rows, columns } = streams.get(name)!;
    const table = Int32Array.from(values, (_, i) => values[(i % columns) * rows + Math.floor(i / columns)]!);
    if (!new Float32Array(table.buffer).every(Number.isFinite)) throw wrong("the skeleton has numbers that are not finite");
    return [name, bytesOf(table)];
  });
  return [...rows, ["joint_parent", bytesOf(Int32Array.from(parents))]];
}

/** Position, scale, colour, opacity. */
function surfaceWriter(header: Header, streams: Streams): Writer {
  const [steps, levels] = [header.steps!, header.shares!];
  const [x, y, z] = columns(below(streams, "position", GRID + 1)) as Three;
  const opacity = below(streams, "opacity", levels.opacity! + 1).values;
  const opaque = WHOLES.opacity / levels.opacity!;
  const scale = streams.get("log_scale")!;
  const [sx, sy, sz] = columns(scale) as Three;
  const { low: s, table: scales } = halvesOfStream("log_scale", scale, steps.log_scale!);
  const color = streams.get("color")!;
  const [red, green, blue] = columns(color) as Three;
  const { low: c, table: colors } = halvesOf("color", ...colorExtent(red, green, blue), steps.color!);
  return (records, from, end) => {
    for (let i = from, at = from * RECORD_WORDS; i < end; i++, at += RECORD_WORDS) {
      records[at] = x[i]! | (y[i]! << 16);
      records[at + 1] = z[i]!;
      records[at + 4] = scales[sx[i]! - s]! | (scales[sy[i]! - s]! << 16);
      records[at + 5] = scales[sz[i]! - s]! | ((opacity[i]! * opaque) << 16);
      const g = green[i]! - c;
      records[at + 6] = colors[red[i]! + g]! | (colors[g]! << 16);
      records[at + 7] = colors[blue[i]! + g]!;
    }
  };
}

/** Smallest and largest of what red, green and blue are together with green, at least 0. */
function colorExtent(red: Integers, green: Integers, blue: Integers): [number, number] {
  let [low, high] = [0, 0];
  for (let i = 0; i < green.length; i++) {
    const g = green[i]!;
    const [r, b] = [red[i]! + g, blue[i]! + g];
    low = Math.min(low, r, g, b);
    high = Math.max(high, r, g, b);
  }
  return [low, high];
}

/** The largest number of a unit quaternion is positive and follows from the others. */
function rotationWriter(header: Header, streams: Streams): Writer {
  const step = header.steps!.rotation!;
  const [largest, a, b, c] = columns(streams.get("rotation")!) as Four;
  const { low, table } = halvesOf("rotation", ...extent(streams.get("rotation")!.values.subarray(a.length) as Integers), step);
  const square = step * step;
  const four = new Uint16Array(4);
  return (records, from, end) => {
    for (let i = from, at = from * RECORD_WORDS + 2; i < end; i++, at += RECORD_WORDS) {
      const [first, x, y, z] = [largest[i]!, a[i]!, b[i]!, c[i]!];
      const rest = 1 - (x * x + y * y + z * z) * square;
      if (first >>> 0 > 3) throw wrong("section 'rotation' names a fifth number of a quaternion");
      if (!(rest >= 0)) throw wrong("section 'rotation' holds quaternions longer than 1");
      four[first] = halfBits(Math.sqrt(rest));
      four[(first + 1) & 3] = table[x - low]!;
      four[(first + 2) & 3] = table[y - low]!;
      four[(first + 3) & 3] = table[z - low]!;
      records[at] = four[0]! | (four[1]! << 16);
      records[at + 1] = four[2]! | (four[3]! << 16);
    }
  };
}

function skinWriter(header: Header, streams: Streams): Writer {
  const levels = header.shares!.skin_weight!;
  const factor = WHOLES.skin_weight / levels;
  const [j0, j1, j2, j3] = columns(below(streams, "skin_sets", NUM_JOINTS)) as Four;
  const joints = Int32Array.from(j0, (joint, i) => joint | (j1[i]! << 8) | (j2[i]! << 16) | (j3[i]! << 24));
  const set = below(streams, "skin_set", header.num_skin_sets!).values;
  const [a, b, c] = columns(shares(streams, "skin_weight", levels)) as Three;
  return (records, from, end) => {
    for (let i = from, at = from * RECORD_WORDS + 10; i < end; i++, at += RECORD_WORDS) {
      const [u, v, w] = [a[i]! * factor, b[i]! * factor, c[i]! * factor];
      records[at] = joints[set[i]!]!;
      records[at + 1] = u | (v << 8) | (w << 16) | ((255 - u - v - w) << 24);
    }
  };
}

/** Parts and control nodes, beside what is there. */
function nodeWriter(header: Header, streams: Streams): Writer {
  const levels = header.shares!.node_weight!;
  const part = below(streams, "part", header.num_parts).values;
  const [first, second, third] = columns(below(streams, "node_index", header.num_nodes)) as Three;
  const [u, v] = columns(shares(streams, "node_weight", levels)) as Two;
  const factor = WHOLES.node_weight / levels;
  return (records, from, end) => {
    for (let i = from, at = from * RECORD_WORDS; i < end; i++, at += RECORD_WORDS) {
      records[at + 1]! |= part[i]! << 16;
      records[at + 7]! |= first[i]! << 16;
      records[at + 8] = second[i]! | (third[i]! << 16);
      records[at + 9] = (u[i]! * factor) | ((v[i]! * factor) << 16);
    }
  };
}

/** What follows the pose. Parts and control nodes are written into the records of `decodeNeutral`. */
export async function* decodeCorrectives(
  header: Header, streams: Streams, gaussians: Uint8Array<ArrayBuffer>, slices: Slices,
): AsyncGenerator<NamedArray> {
  const steps = header.steps!;
  await writeAll(new Uint32Array(gaussians.buffer), header.num_gaussians, [nodeWriter(header, streams)], slices);
  for (const name of ATTRIBUTES) {
    const index = below(streams, `${name}_index`, header.num_gaussians).values;
    for (let i = 1; i < index.length; i++) if (index[i]! <= index[i - 1]!) throw wrong(`section '${name}_index' is not ascending`);
    yield [`${name}_index`, bytesOf(Uint32Array.from(index))];
    yield [`${name}_basis`, bytesOf(await basis(streams, `${name}_basis`, steps[`${name}_basis`]!, header.basis_size, slices))];
  }
  yield ["node_part", bytesOf(Uint16Array.from(below(streams, "node_part", header.num_parts).values))];
  yield ["node_basis", bytesOf(await basis(streams, "node_basis", steps.node_basis!, header.basis_size, slices))];
  yield* await networks(header, streams, slices);
}

/** [rows, width, K] halves; stored is the most important of the K first. */
async function basis(streams: Streams, name: string, step: number, size: number, slices: Slices): Promise<Uint16Array<ArrayBuffer>> {
  const stream = streams.get(name)!;
  const { rows, columns: width, values } = stream;
  const { low, table } = halvesOfStream(name, stream, step);
  const out = new Uint16Array(rows * width);
  const places = Int32Array.from({ length: width }, (_, c) => (c % (width / size)) * size + Math.floor(c / (width / size)));
  for (let first = 0; first < rows; first += BLOCK) {
    turnHalves(out, values, rows, places, table, low, first, Math.min(first + BLOCK, rows));
    await slices.breathe();
  }
  return out;
}

/** Columns of integers -> rows of halves, of the rows `first` to `end`. */
function turnHalves(
  out: Uint16Array, values: Integers, rows: number, places: Int32Array, table: Uint16Array, low: number, first: number, end: number,
): void {
  const width = places.length;
  for (let c = 0; c < width; c++) {
    const last = c * rows + end;
    for (let from = c * rows + first, to = first * width + places[c]!; from < last; from++, to += width) out[to] = table[values[from]! - low]!;
  }
}

/** The same for weights `values * scales`, in rows of `width`; false where one leaves half precision. */
function turnWeights(out: Uint16Array, values: Integers, rows: number, fan: number, scales: Float64Array, first: number, end: number): boolean {
  const width = even(fan);
  let isWithin = true;
  for (let c = 0; c < fan; c++) {
    const start = c * rows;
    for (let i = first, to = first * width + c; i < end; i++, to += width) {
      const weight = values[start + i]! * scales[i]!;
      isWithin &&= weight < 65504 && weight > -65504;
      out[to] = halfBits(weight);
    }
  }
  return isWithin;
}

async function networks(header: Header, streams: Streams, slices: Slices): Promise<NamedArray[]> {
  const bits = below(streams, "mlp_scales", 1 << 16).values;
  const scales = new Float64Array(bits.length);
  for (let i = 0; i < bits.length; i++) scales[i] = fromHalf(bits[i]!);
  const biases = Uint16Array.from(below(streams, "mlp_biases", 1 << 16).values);
  if (!scales.every(Number.isFinite) || !biases.every((b) => (b & 0x7c00) !== 0x7c00)) throw wrong("the networks hold numbers that are not finite");
  const shapes = layers(header);
  const out = new Uint16Array(header.num_parts * shapes.reduce((sum, [fan, fanOut]) => sum + fanOut * even(fan), 0));
  let [row, at] = [0, 0];
  for (const [layer, [fan, fanOut]] of shapes.entries()) {
    const { rows, values } = streams.get(`mlp_weights_${layer}`)!;
    const [own, ownScales] = [out.subarray(at), scales.subarray(row)];
    for (let first = 0; first < rows; first += BLOCK) {
      if (!turnWeights(own, values, rows, fan, ownScales, first, Math.min(first + BLOCK, rows))) throw wrong(`section 'mlp_weights_${layer}' holds numbers beyond half precision`);
      await slices.breathe();
    }
    row += header.num_parts * fanOut;
    at += header.num_parts * fanOut * even(fan);
  }
  return [["mlp_weights", bytesOf(out)], ["mlp_biases", bytesOf(biases)]];
}
