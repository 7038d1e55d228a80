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

/** Joints of a pose. */
export const NUM_JOINTS = 55 as const;

/** Most layers of a part network. */
export const MAX_LAYERS = 8 as const;

/** Widest layer of a part network. */
export const MAX_WIDTH = 128 as const;

/** Invocations per workgroup of the per-item passes. */
export const GROUP_SIZE = 256 as const;

/** Keys that one workgroup of the sort handles. */
export const SORT_BLOCK = 4096 as const;

/** Bits per sort pass. */
export const DIGIT_BITS = 4 as const;

/** Bits of a sort key. */
export const KEY_BITS = 16 as const;

/** Quads per instance. */
export const QUADS_PER_INSTANCE = 128 as const;

/** Metres. */
export const NEAR_PLANE = 0.01 as const;

/** Square pixels added to the diagonal of the projected covariance. */
export const BLUR = 0.3 as const;

/** Largest buffer binding that WebGPU promises. */
export const MAX_BINDING_BYTES = 134217728 as const;

/** Most workgroups of a dispatch that WebGPU promises. */
export const MAX_GROUPS = 65535 as const;

/** Alignment of uniform buffer offsets. */
export const UNIFORM_ALIGN = 256 as const;

/** Format of the texture that splats are blended in. */
export const ACCUMULATION_FORMAT = "rgba16float" as const;

/** Bindings of draw.wgsl. */
export const DRAW_BINDINGS = ["uniform:view", "read:splats", "read:pairs_a", "read:frame_state"] as const;

/** Bindings of composite.wgsl. */
export const COMPOSITE_BINDINGS = ["uniform:view", "texture:accumulation"] as const;

/** Uniform structs: bytes, and per field its byte offset and kind of number. */
export const STRUCTS = {
  Model: { size: 192, fields: { position_low: [0, "f32"], position_step: [16, "f32"], num_gaussians: [32, "u32"], num_nodes: [36, "u32"], num_head_parts: [40, "u32"], num_pose_inputs: [44, "u32"], basis_size: [48, "u32"], num_layers: [52, "u32"], leaky_relu_slope: [56, "f32"], padding: [60, "u32"], layers: [64, "u32"] } },
  PoseInput: { size: 3152, fields: { joints: [0, "f32"], inputs: [2640, "f32"] } },
  View: { size: 96, fields: { world_to_camera: [0, "f32"], background: [48, "f32"], focal: [64, "f32"], principal: [72, "f32"], viewport: [80, "f32"], near_plane: [88, "f32"], blur: [92, "f32"] } },
  SortDigit: { size: 16, fields: { shift: [0, "u32"], num_groups: [4, "u32"] } },
} as const;

/** GPU buffers of `stride * dimension` bytes, or of a section. */
export const BUFFERS = [
  {"name": "model", "fill": "uniform", "stride": 192, "dimension": "one"},
  {"name": "pose_input", "fill": "uniform", "stride": 3152, "dimension": "one"},
  {"name": "view", "fill": "uniform", "stride": 96, "dimension": "one"},
  {"name": "sort_digit", "fill": "uniform", "stride": 256, "dimension": "digits"},
  {"name": "gaussians", "fill": "section", "stride": 0, "dimension": "one"},
  {"name": "rotation_basis", "fill": "section", "stride": 0, "dimension": "one"},
  {"name": "scale_basis", "fill": "section", "stride": 0, "dimension": "one"},
  {"name": "color_basis", "fill": "section", "stride": 0, "dimension": "one"},
  {"name": "node_part", "fill": "section", "stride": 0, "dimension": "one"},
  {"name": "node_basis", "fill": "section", "stride": 0, "dimension": "one"},
  {"name": "mlp_weights", "fill": "section", "stride": 0, "dimension": "one"},
  {"name": "mlp_biases", "fill": "section", "stride": 0, "dimension": "one"},
  {"name": "kept", "fill": "table", "stride": 24, "dimension": "kept_groups"},
  {"name": "features", "fill": "work", "stride": 4, "dimension": "features"},
  {"name": "node_displacement", "fill": "work", "stride": 16, "dimension": "nodes"},
  {"name": "posed", "fill": "work", "stride": 48, "dimension": "gaussians"},
  {"name": "splats", "fill": "work", "stride": 32, "dimension": "gaussians"},
  {"name": "depths", "fill": "work", "stride": 4, "dimension": "gaussians"},
  {"name": "frame_state", "fill": "work", "stride": 16, "dimension": "one"},
  {"name": "draw_arguments", "fill": "work", "stride": 20, "dimension": "one"},
  {"name": "pairs_a", "fill": "work", "stride": 8, "dimension": "gaussians"},
  {"name": "pairs_b", "fill": "work", "stride": 8, "dimension": "gaussians"},
  {"name": "histogram", "fill": "work", "stride": 4, "dimension": "histogram"},
] as const;

/** Compute passes of a frame in order. */
export const PASSES = [
  {"name": "features", "shader": "features.wgsl", "entry": "main", "bindings": ["uniform:model", "uniform:pose_input", "read:mlp_weights", "read:mlp_biases", "write:features"], "groups": "parts", "rate": "pose", "digit": -1},
  {"name": "nodes", "shader": "nodes.wgsl", "entry": "main", "bindings": ["uniform:model", "read:node_part", "read:node_basis", "read:features", "write:node_displacement"], "groups": "node_groups", "rate": "pose", "digit": -1},
  {"name": "pose", "shader": "pose.wgsl", "entry": "main", "bindings": ["uniform:model", "uniform:pose_input", "read:gaussians", "read:kept", "read:rotation_basis", "read:scale_basis", "read:color_basis", "read:features", "read:node_displacement", "write:posed"], "groups": "gaussian_groups", "rate": "pose", "digit": -1},
  {"name": "project", "shader": "project.wgsl", "entry": "main", "bindings": ["uniform:model", "uniform:view", "read:posed", "write:splats", "write:depths", "write:frame_state"], "groups": "gaussian_groups", "rate": "view", "digit": -1},
  {"name": "sort_keys", "shader": "sort_keys.wgsl", "entry": "main", "bindings": ["uniform:model", "read:depths", "read:frame_state", "write:pairs_a", "write:draw_arguments"], "groups": "gaussian_groups", "rate": "view", "digit": -1},
  {"name": "sort_histogram_0", "shader": "sort_histogram.wgsl", "entry": "main", "bindings": ["uniform:model", "uniform:sort_digit", "read:pairs_a", "write:histogram"], "groups": "sort_groups", "rate": "view", "digit": 0},
  {"name": "sort_scan_0", "shader": "sort_scan.wgsl", "entry": "main", "bindings": ["uniform:model", "uniform:sort_digit", "write:histogram"], "groups": "one", "rate": "view", "digit": 0},
  {"name": "sort_scatter_0", "shader": "sort_scatter.wgsl", "entry": "main", "bindings": ["uniform:model", "uniform:sort_digit", "read:pairs_a", "read:histogram", "write:pairs_b"], "groups": "sort_groups", "rate": "view", "digit": 0},
  {"name": "sort_histogram_1", "shader": "sort_histogram.wgsl", "entry": "main", "bindings": ["uniform:model", "uniform:sort_digit", "read:pairs_b", "write:histogram"], "groups": "sort_groups", "rate": "view", "digit": 1},
  {"name": "sort_scan_1", "shader": "sort_scan.wgsl", "entry": "main", "bindings": ["uniform:model", "uniform:sort_digit", "write:histogram"], "groups": "one", "rate": "view", "digit": 1},
  {"name": "sort_scatter_1", "shader": "sort_scatter.wgsl", "entry": "main", "bindings": ["uniform:model", "uniform:sort_digit", "read:pairs_b", "read:histogram", "write:pairs_a"], "groups": "sort_groups", "rate": "view", "digit": 1},
  {"name": "sort_histogram_2", "shader": "sort_histogram.wgsl", "entry": "main", "bindings": ["uniform:model", "uniform:sort_digit", "read:pairs_a", "write:histogram"], "groups": "sort_groups", "rate": "view", "digit": 2},
  {"name": "sort_scan_2", "shader": "sort_scan.wgsl", "entry": "main", "bindings": ["uniform:model", "uniform:sort_digit", "write:histogram"], "groups": "one", "rate": "view", "digit": 2},
  {"name": "sort_scatter_2", "shader": "sort_scatter.wgsl", "entry": "main", "bindings": ["uniform:model", "uniform:sort_digit", "read:pairs_a", "read:histogram", "write:pairs_b"], "groups": "sort_groups", "rate": "view", "digit": 2},
  {"name": "sort_histogram_3", "shader": "sort_histogram.wgsl", "entry": "main", "bindings": ["uniform:model", "uniform:sort_digit", "read:pairs_b", "write:histogram"], "groups": "sort_groups", "rate": "view", "digit": 3},
  {"name": "sort_scan_3", "shader": "sort_scan.wgsl", "entry": "main", "bindings": ["uniform:model", "uniform:sort_digit", "write:histogram"], "groups": "one", "rate": "view", "digit": 3},
  {"name": "sort_scatter_3", "shader": "sort_scatter.wgsl", "entry": "main", "bindings": ["uniform:model", "uniform:sort_digit", "read:pairs_b", "read:histogram", "write:pairs_a"], "groups": "sort_groups", "rate": "view", "digit": 3},
] as const;
