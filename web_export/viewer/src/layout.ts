/** Sizes and uniform structs of an avatar on the GPU. Twin of the functions of the same names in layout.py. */
import type { Avatar, Header } from "./format";
import {
  BUFFERS,
  DIGIT_BITS,
  GROUP_SIZE,
  KEY_BITS,
  MAX_BINDING_BYTES,
  MAX_GROUPS,
  MAX_LAYERS,
  MAX_WIDTH,
  PASSES,
  SORT_BLOCK,
  STRUCTS,
} from "./generated";

export type Dimension = (typeof BUFFERS)[number]["dimension"] | (typeof PASSES)[number]["groups"];
export type StructName = keyof typeof STRUCTS;
type Values<S extends StructName> = Readonly<Record<keyof (typeof STRUCTS)[S]["fields"], number | ArrayLike<number>>>;

const groups = (count: number, size: number) => Math.ceil(count / size);

/** Counts that buffer sizes and dispatches are made of. */
export function dimensions(header: Header): Record<Dimension, number> {
  const n = header.num_gaussians;
  const sortGroups = groups(n, SORT_BLOCK);
  return {
    one: 1,
    gaussians: n,
    gaussian_groups: groups(n, GROUP_SIZE),
    parts: header.num_parts,
    features: header.num_parts * 2 * header.basis_size,
    nodes: header.num_nodes,
    node_groups: groups(header.num_nodes, GROUP_SIZE),
    kept_groups: groups(n, 32),
    sort_groups: sortGroups,
    histogram: sortGroups << DIGIT_BITS,
    digits: KEY_BITS / DIGIT_BITS,
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
    padding: 0,
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
export function checkHeader(header: Header, sections: Avatar["sections"]): void {
  const sizes = header.layer_sizes;
  if (sizes.length - 1 > MAX_LAYERS || Math.max(...sizes) > MAX_WIDTH) {
    throw new Error(`part networks may have ${MAX_LAYERS} layers of at most ${MAX_WIDTH} numbers, found ${sizes}`);
  }
  if (header.basis_size % 2 !== 0 || sizes.at(-1) !== 2 * header.basis_size) {
    throw new Error(`the basis size must be even and half of the last layer, found ${header.basis_size}`);
  }
  const counts = dimensions(header);
  for (const { name, fill, stride, dimension } of BUFFERS) {
    const size = fill === "section" ? sections[name].length : stride * counts[dimension];
    if (size > MAX_BINDING_BYTES) {
      throw new Error(`buffer '${name}' needs ${size} bytes, WebGPU promises ${MAX_BINDING_BYTES}: prune more`);
    }
  }
  for (const { name, groups } of PASSES) {
    if (counts[groups] > MAX_GROUPS) {
      throw new Error(`pass '${name}' needs ${counts[groups]} workgroups, WebGPU promises ${MAX_GROUPS}`);
    }
  }
}
