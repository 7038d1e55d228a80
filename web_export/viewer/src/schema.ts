/** What an avatar file holds, from the counts in its header. Twin: schema.py. */
import type { Header } from "./format";
import { ARRAYS, type ArrayName, NUM_JOINTS, RECORD_WORDS } from "./generated";
import type { StreamShape } from "./streams";

export const ATTRIBUTES = ["rotation", "scale", "color"] as const;
const WIDTH = { rotation: 4, scale: 3, color: 3 } as const;

/** [in, out] of each layer of the part networks. */
export function layers(header: Header): (readonly [number, number])[] {
  const sizes = header.layer_sizes;
  return sizes.slice(1).map((fanOut, i) => [sizes[i]!, fanOut]);
}

export const even = (n: number) => n + (n % 2);

/** Name and shape of every stream of a file of version 2. */
export function streamShapes(header: Header): ReadonlyMap<string, StreamShape> {
  const { num_gaussians: n, num_nodes: m, basis_size: k, num_parts: parts, num_skin_sets: sets } = header;
  const rows = parts * layers(header).reduce((sum, [, out]) => sum + out, 0);
  const all: [string, number, number, boolean?][] = [
    ["joint_rest", NUM_JOINTS, 3],
    ["inverse_bind", NUM_JOINTS, 12],
    ["joint_parent", NUM_JOINTS, 1, true],
    ["position", n, 3],
    ["rotation", n, 4, true],
    ["log_scale", n, 3, true],
    ["color", n, 3, true],
    ["opacity", n, 1],
    ["skin_sets", sets ?? 0, 4],
    ["skin_set", n, 1],
    ["skin_weight", n, 3],
    ["part", n, 1],
    ["node_index", n, 3],
    ["node_weight", n, 2],
    ...ATTRIBUTES.map((name, i): [string, number, number] => [`${name}_index`, header.kept[i]!, 1]),
    ...ATTRIBUTES.map((name, i): [string, number, number, boolean] => [`${name}_basis`, header.kept[i]!, WIDTH[name] * k, true]),
    ["node_part", m, 1],
    ["node_basis", m, 3 * k, true],
    ["mlp_scales", rows, 1],
    ["mlp_biases", rows, 1],
    ...layers(header).map(([fan, out], i): [string, number, number, boolean] => [`mlp_weights_${i}`, parts * out, fan, true]),
  ];
  return new Map(all.map(([name, rows, columns, signed = false]) => [name, { rows, columns, signed }]));
}

const ITEM_BYTES: Readonly<Record<(typeof ARRAYS)[ArrayName], number>> = { uint32: 4, float16: 2, uint16: 2, float32: 4, int32: 4 };

/** Bytes of each array that a reader hands out. */
export function arrayBytes(header: Header): Record<ArrayName, number> {
  const { num_gaussians: n, num_nodes: m, basis_size: k, num_parts: parts, kept } = header;
  const items: Record<ArrayName, number> = {
    gaussians: n * RECORD_WORDS,
    joint_rest: NUM_JOINTS * 3,
    inverse_bind: NUM_JOINTS * 12,
    joint_parent: NUM_JOINTS,
    rotation_index: kept[0]!,
    scale_index: kept[1]!,
    color_index: kept[2]!,
    rotation_basis: kept[0]! * 4 * k,
    scale_basis: kept[1]! * 3 * k,
    color_basis: kept[2]! * 3 * k,
    node_part: m,
    node_basis: m * 3 * k,
    mlp_weights: parts * layers(header).reduce((sum, [fan, out]) => sum + out * even(fan), 0),
    mlp_biases: parts * layers(header).reduce((sum, [, out]) => sum + out, 0),
  };
  const names = Object.keys(items) as ArrayName[];
  return Object.fromEntries(names.map((name) => [name, items[name] * ITEM_BYTES[ARRAYS[name]]])) as Record<ArrayName, number>;
}
