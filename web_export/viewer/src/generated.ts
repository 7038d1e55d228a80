// Made by nerfstudio_mobavatar.web_export.gen_ts from bundle.py and layout.py. Do not edit.

/** First bytes of an avatar file. */
export const MAGIC = "MOBAVATR" as const;

/** Newest format version that this page reads. */
export const VERSION = 1 as const;

/** Magic, version and header length. */
export const PREAMBLE_BYTES = 16 as const;

/** Longest header that is believed. */
export const MAX_HEADER_BYTES = 1048576 as const;

/** Largest section that is expanded. */
export const MAX_SECTION_BYTES = 1073741824 as const;

/** 32-bit words per Gaussian. */
export const RECORD_WORDS = 12 as const;

export const SECTIONS = {
  gaussians: "uint32", // one 48-byte record per Gaussian, in Morton order
  rotation_index: "uint32", // Gaussians that keep a rotation corrective, ascending
  scale_index: "uint32", // Gaussians that keep a scale corrective, ascending
  color_index: "uint32", // Gaussians that keep a colour corrective, ascending
  rotation_basis: "float16", // [kept, 4, K] added to the quaternion (wxyz) before it is normalised
  scale_basis: "float16", // [kept, 3, K] added to the log scale
  color_basis: "float16", // [kept, 3, K] added to the colour
  node_part: "uint16", // [M] part of each control node
  node_basis: "float16", // [M, 3, K] displacement of each control node, metres
  mlp_weights: "float16", // per layer [P, out, in rounded up to even], layers one after the other
  mlp_biases: "float16", // per layer [P, out], layers one after the other
  joint_rest: "float32", // [55, 3] joint positions of the rest pose, metres
  inverse_bind: "float32", // [55, 3, 4] inverse joint transforms of the canonical pose
  joint_parent: "int32", // [55] parent of each joint, -1 for the root
} as const;

export type SectionName = keyof typeof SECTIONS;
