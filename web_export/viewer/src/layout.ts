/** Sizes and uniform structs of an avatar on the GPU. Twin of the functions of the same names in layout.py. */
import type { Header } from "./format";
import {
  BLUR,
  BUFFERS,
  DIGIT_BITS,
  GROUP_SIZE,
  JOINED,
  MAX_BINDING_BYTES,
  MAX_GROUPS,
  MAX_LAYERS,
  MAX_SPLATS,
  MAX_WIDTH,
  PASSES,
  SORT_BLOCK,
  STRUCTS,
  UNKNOWN_BLUR,
} from "./generated";
import { arrayBytes } from "./schema";

type Scope = (typeof BUFFERS)[number]["scope"];
type DimensionOf<S extends Scope> = Extract<(typeof BUFFERS)[number], { scope: S }>["dimension"];
type GroupsOf<S extends "pose" | "project" | "sort"> = Exclude<Extract<(typeof PASSES)[number], { stage: S }>["groups"], "">;
export type Dimension = DimensionOf<"model" | "instance"> | GroupsOf<"pose" | "project"> | "gaussians";
export type SceneDimension = DimensionOf<"scene"> | GroupsOf<"sort">;
export type StructName = keyof typeof STRUCTS;
type Values<S extends StructName> = Readonly<Record<keyof (typeof STRUCTS)[S]["fields"], number | ArrayLike<number>>>;

const groups = (count: number, size: number) => Math.ceil(count / size);

/** Counts that sizes and dispatches of a model and its instances are made of. */
export function dimensions(header: Header): Record<Dimension, number> {
  const n = header.num_gaussians;
  return {
    one: 1,
    gaussians: n,
    instance_groups: groups(n, GROUP_SIZE),
    parts: header.num_parts,
    features: header.num_parts * 2 * header.basis_size,
    nodes: header.num_nodes,
    node_groups: groups(4 * header.num_nodes, GROUP_SIZE),
    kept_groups: groups(n, 32),
  };
}

/** Counts that sizes and dispatches of a scene are made of, from the Gaussians of all its instances. */
export function sceneDimensions(numSplats: number): Record<SceneDimension, number> {
  const sortGroups = groups(numSplats, SORT_BLOCK);
  return {
    one: 1,
    splats: numSplats,
    sort_groups: sortGroups,
    histogram: sortGroups << DIGIT_BITS,
    digit_values: 1 << DIGIT_BITS,
  };
}

/** Packs a uniform struct; arrays may be shorter than declared, the rest is zero. */
export function structBytes<S extends StructName>(name: S, values: Values<S>): ArrayBuffer {
  const { size, fields } = STRUCTS[name];
  const out = new ArrayBuffer(size);
  for (const [key, [offset, kind]] of Object.entries(fields) as [keyof Values<S>, readonly [number, string]][]) {
    const value: number | ArrayLike<number> = values[key];
    const numbers = typeof value === "number" ? [value] : value;
    const target = kind === "u32" ? new Uint32Array(out, offset) : new Float32Array(out, offset);
    target.set(numbers);
  }
  return out;
}

/** Values of the `Model` uniform. */
export function modelStruct(header: Header): ArrayBuffer {
  const sizes = header.layer_sizes;
  const layers: number[] = [];
  let [word, bias] = [0, 0];
  for (let i = 0; i + 1 < sizes.length; i++) {
    const [fanIn, fanOut] = [sizes[i]!, sizes[i + 1]!];
    layers.push(fanIn, fanOut, word, bias);
    word += header.num_parts * fanOut * Math.ceil(fanIn / 2);
    bias += header.num_parts * fanOut;
  }
  const stored = arrayBytes(header);
  return structBytes("Model", {
    position_low: header.position_low,
    position_step: header.position_high.map((high, i) => (high - header.position_low[i]!) / 65535),
    num_gaussians: header.num_gaussians,
    num_nodes: header.num_nodes,
    num_head_parts: header.num_head_parts,
    num_pose_inputs: header.num_pose_inputs,
    basis_size: header.basis_size,
    num_layers: sizes.length - 1,
    leaky_relu_slope: header.leaky_relu_slope,
    scale_basis: stored.rotation_basis / 4,
    color_basis: (stored.rotation_basis + stored.scale_basis) / 4,
    layers,
  });
}

/** [ceil(N / 32), 6]: for each of three kept lists a bit mask of 32 Gaussians and the row of the first kept. */
export function keptTable(numGaussians: number, lists: readonly Uint32Array[]): Uint32Array<ArrayBuffer> {
  const table = new Uint32Array(groups(numGaussians, 32) * 6);
  lists.forEach((list, slot) => {
    let row = 0;
    for (let group = 0; group * 6 < table.length; group++) {
      table[group * 6 + 2 * slot + 1] = row;
      for (; row < list.length && list[row]! < (group + 1) * 32; row++) {
        table[group * 6 + 2 * slot]! |= 1 << (list[row]! & 31);
      }
    }
  });
  return table;
}

/** Throws where an avatar does not fit the shaders or WebGPU's promised limits. */
export function checkHeader(header: Header): void {
  const sizes = header.layer_sizes;
  if (sizes.length - 1 > MAX_LAYERS || Math.max(...sizes) > MAX_WIDTH) {
    throw new Error(`part networks may have ${MAX_LAYERS} layers of at most ${MAX_WIDTH} numbers, found ${sizes}`);
  }
  if (header.basis_size % 2 !== 0 || sizes.at(-1) !== 2 * header.basis_size) {
    throw new Error(`the basis size must be even and half of the last layer, found ${header.basis_size}`);
  }
  checkScene(header.num_gaussians);
  const counts = dimensions(header);
  const bytes = arrayBytes(header);
  const joined = JOINED.reduce((sum, name) => sum + bytes[name], 0);
  for (const buffer of BUFFERS) {
    if (buffer.scope === "scene") continue;
    const { name, fill, stride, dimension } = buffer;
    const size = fill === "section" ? bytes[name] : fill === "joined" ? joined : stride * counts[dimension];
    if (size > MAX_BINDING_BYTES) {
      throw new Error(`buffer '${name}' needs ${size} bytes, WebGPU promises ${MAX_BINDING_BYTES}: prune more`);
    }
  }
  for (const pass of PASSES) {
    if (pass.stage !== "sort" && counts[pass.groups] > MAX_GROUPS) {
      throw new Error(`pass '${pass.name}' needs ${counts[pass.groups]} workgroups, WebGPU promises ${MAX_GROUPS}`);
    }
  }
}

/** What BLUR was in the training pictures, square metres of the scene, of an instance that stands at `T_world_avatar`. */
export function trainingBlur(pixelsPerMetre: number | undefined, T_world_avatar: readonly number[]): number {
  if (pixelsPerMetre === undefined) return UNKNOWN_BLUR;
  const scale = Math.hypot(T_world_avatar[0]!, T_world_avatar[4]!, T_world_avatar[8]!);
  return BLUR * (scale / pixelsPerMetre) ** 2;
}

/** Throws where a scene holds more Gaussians than one picture can show. */
export function checkScene(numSplats: number): void {
  if (numSplats > MAX_SPLATS) {
    throw new Error(`one picture shows ${MAX_SPLATS} Gaussians at most, found ${numSplats}: show fewer avatars`);
  }
}
