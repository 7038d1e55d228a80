/** Streams of a file of version 2 -> the arrays that go to the GPU, bit for bit as quantise.py makes them. */
import { FormatError, type Header } from "./format";
import { type ArrayName, GRID, MAX_REACH, NUM_JOINTS, WHOLES } from "./generated";
import { fromHalf, halfBits } from "./half";
import { ATTRIBUTES, even, layers } from "./schema";
import type { Slices } from "./slices";
import { column, type Stream } from "./streams";

export type Streams = ReadonlyMap<string, Stream>;
export type NamedArray = readonly [ArrayName, Uint8Array<ArrayBuffer>];

/** Half precision numbers and shorts of a record, see the table in FORMAT.md. */
const HALVES = 24;

const wrong = (what: string) => new FormatError(`${what}; export the file again`);
const bytesOf = (array: { readonly buffer: ArrayBuffer }) => new Uint8Array(array.buffer);

/** Streams that the records of the neutral avatar are made of. */
export const NEUTRAL_STREAMS: readonly string[] =
  "joint_rest inverse_bind joint_parent position rotation log_scale color opacity skin_sets skin_set skin_weight".split(" ");

function extent(values: Int32Array): [number, number] {
  let [low, high] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const v = values[i]!;
    if (v < low) low = v;
    else if (v > high) high = v;
  }
  return [low, high];
}

/** Bits of `value * step` for every value there is, from `low` on. */
function halvesOf(name: string, values: readonly Int32Array[], step: number): { low: number; table: Uint16Array } {
  const extents = values.map(extent);
  const low = Math.min(0, ...extents.map(([low]) => low));
  const high = Math.max(0, ...extents.map(([, high]) => high));
  const reach = Math.max(high, -low);
  if (reach > MAX_REACH || reach * step >= 65504) throw wrong(`section '${name}' holds numbers beyond half precision`);
  return { low, table: Uint16Array.from({ length: high - low + 1 }, (_, i) => halfBits((low + i) * step)) };
}

function below(streams: Streams, name: string, end: number): Stream {
  const stream = streams.get(name)!;
  const { values } = stream;
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

/** Puts numbers into the records, at the `place`-th short. */
function scatter(records: Uint16Array, place: number, values: ArrayLike<number>, factor = 1): void {
  for (let i = 0, to = place; i < values.length; i++, to += HALVES) records[to] = values[i]! * factor;
}

function scatterHalves(records: Uint16Array, place: number, values: Int32Array, { low, table }: { low: number; table: Uint16Array }): void {
  for (let i = 0, to = place; i < values.length; i++, to += HALVES) records[to] = table[values[i]! - low]!;
}

/** Skeleton and Gaussians without parts and control nodes. */
export async function decodeNeutral(header: Header, streams: Streams, slices: Slices): Promise<NamedArray[]> {
  const rig = decodeRig(streams);
  const [steps, levels] = [header.steps!, header.shares!];
  const records = new Uint16Array(header.num_gaussians * HALVES);
  const position = below(streams, "position", GRID + 1);
  for (let axis = 0; axis < 3; axis++) scatter(records, axis, column(position, axis));
  await slices.breathe();
  scatterRotations(records, streams.get("rotation")!, steps.rotation!);
  await slices.breathe();
  const scale = streams.get("log_scale")!;
  const scales = halvesOf("log_scale", [scale.values], steps.log_scale!);
  for (let axis = 0; axis < 3; axis++) scatterHalves(records, 8 + axis, column(scale, axis), scales);
  await slices.breathe();
  const color = streams.get("color")!;
  const green = column(color, 1);
  const channels = [0, 1, 2].map((c) => (c === 1 ? green : column(color, c).map((v, i) => v + green[i]!)));
  const colors = halvesOf("color", channels, steps.color!);
  channels.forEach((channel, c) => scatterHalves(records, 12 + c, channel, colors));
  await slices.breathe();
  scatter(records, 11, below(streams, "opacity", levels.opacity! + 1).values, WHOLES.opacity / levels.opacity!);
  await slices.breathe();
  scatterSkin(new Uint8Array(records.buffer), header, streams);
  await slices.breathe();
  return [...rig, ["gaussians", bytesOf(records)]];
}

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
  return [...rows, ["joint_parent", bytesOf(parents.slice())]];
}

/** The largest number of a unit quaternion is positive and follows from the others. */
function scatterRotations(records: Uint16Array, rotation: Stream, step: number): void {
  const [largest, a, b, c] = [0, 1, 2, 3].map((i) => column(rotation, i)) as [Int32Array, Int32Array, Int32Array, Int32Array];
  const { low, table } = halvesOf("rotation", [a, b, c], step);
  const square = step * step;
  for (let i = 0, record = 4; i < largest.length; i++, record += HALVES) {
    const [first, x, y, z] = [largest[i]!, a[i]!, b[i]!, c[i]!];
    const rest = 1 - (x * x + y * y + z * z) * square;
    if (first >>> 0 > 3) throw wrong("section 'rotation' names a fifth number of a quaternion");
    if (!(rest >= 0)) throw wrong("section 'rotation' holds quaternions longer than 1");
    records[record + first] = halfBits(Math.sqrt(rest));
    records[record + ((first + 1) & 3)] = table[x - low]!;
    records[record + ((first + 2) & 3)] = table[y - low]!;
    records[record + ((first + 3) & 3)] = table[z - low]!;
  }
}

function scatterSkin(records: Uint8Array, header: Header, streams: Streams): void {
  const levels = header.shares!.skin_weight!;
  const factor = WHOLES.skin_weight / levels;
  const sets = below(streams, "skin_sets", NUM_JOINTS);
  const joints = Array.from({ length: sets.rows }, (_, row) => [0, 1, 2, 3].map((c) => sets.values[c * sets.rows + row]!));
  const set = below(streams, "skin_set", header.num_skin_sets!).values;
  const weight = shares(streams, "skin_weight", levels);
  const [a, b, c] = [0, 1, 2].map((i) => column(weight, i)) as [Int32Array, Int32Array, Int32Array];
  for (let i = 0, at = 40; i < set.length; i++, at += 2 * HALVES) {
    const four = joints[set[i]!]!;
    for (let j = 0; j < 4; j++) records[at + j] = four[j]!;
    const [u, v, w] = [a[i]! * factor, b[i]! * factor, c[i]! * factor];
    records[at + 4] = u;
    records[at + 5] = v;
    records[at + 6] = w;
    records[at + 7] = 255 - u - v - w;
  }
}

/** What follows the pose. Parts and control nodes are written into the records of `decodeNeutral`. */
export async function* decodeCorrectives(
  header: Header, streams: Streams, gaussians: Uint8Array<ArrayBuffer>, slices: Slices,
): AsyncGenerator<NamedArray> {
  const [steps, levels] = [header.steps!, header.shares!];
  const records = new Uint16Array(gaussians.buffer);
  scatter(records, 3, below(streams, "part", header.num_parts).values);
  const nodes = below(streams, "node_index", header.num_nodes);
  const weights = shares(streams, "node_weight", levels.node_weight!);
  for (let i = 0; i < 3; i++) scatter(records, 15 + i, column(nodes, i));
  await slices.breathe();
  for (let i = 0; i < 2; i++) scatter(records, 18 + i, column(weights, i), WHOLES.node_weight / levels.node_weight!);
  await slices.breathe();
  for (const name of ATTRIBUTES) {
    const index = below(streams, `${name}_index`, header.num_gaussians).values;
    for (let i = 1; i < index.length; i++) if (index[i]! <= index[i - 1]!) throw wrong(`section '${name}_index' is not ascending`);
    yield [`${name}_index`, bytesOf(index)];
    yield [`${name}_basis`, bytesOf(await basis(streams, `${name}_basis`, steps[`${name}_basis`]!, header.basis_size, slices))];
  }
  yield ["node_part", bytesOf(Uint16Array.from(below(streams, "node_part", header.num_parts).values))];
  yield ["node_basis", bytesOf(await basis(streams, "node_basis", steps.node_basis!, header.basis_size, slices))];
  yield* await networks(header, streams, slices);
}

/** [rows, width, K] halves; stored is the most important of the K first. */
async function basis(streams: Streams, name: string, step: number, size: number, slices: Slices): Promise<Uint16Array<ArrayBuffer>> {
  const stream = streams.get(name)!;
  const { rows, columns, values } = stream;
  const { low, table } = halvesOf(name, [values], step);
  const width = columns / size;
  const out = new Uint16Array(rows * columns);
  for (let from = 0; from < columns; from++) {
    const source = column(stream, from);
    for (let i = 0, to = (from % width) * size + Math.floor(from / width); i < rows; i++, to += columns) out[to] = table[source[i]! - low]!;
    await slices.breathe();
  }
  return out;
}

async function networks(header: Header, streams: Streams, slices: Slices): Promise<NamedArray[]> {
  const scales = Float64Array.from(below(streams, "mlp_scales", 1 << 16).values, fromHalf);
  const biases = Uint16Array.from(below(streams, "mlp_biases", 1 << 16).values);
  if (!scales.every(Number.isFinite) || !biases.every((b) => (b & 0x7c00) !== 0x7c00)) throw wrong("the networks hold numbers that are not finite");
  const shapes = layers(header);
  const out = new Uint16Array(header.num_parts * shapes.reduce((sum, [fan, fanOut]) => sum + fanOut * even(fan), 0));
  let [row, at] = [0, 0];
  for (const [layer, [fan, fanOut]] of shapes.entries()) {
    const stream = streams.get(`mlp_weights_${layer}`)!;
    for (let input = 0; input < fan; input++) {
      const source = column(stream, input);
      for (let i = 0, to = at + input; i < source.length; i++, to += even(fan)) {
        const weight = source[i]! * scales[row + i]!;
        if (Math.abs(weight) >= 65504) throw wrong(`section 'mlp_weights_${layer}' holds numbers beyond half precision`);
        out[to] = halfBits(weight);
      }
      await slices.breathe();
    }
    row += header.num_parts * fanOut;
    at += header.num_parts * fanOut * even(fan);
  }
  return [["mlp_weights", bytesOf(out)], ["mlp_biases", bytesOf(biases)]];
}
