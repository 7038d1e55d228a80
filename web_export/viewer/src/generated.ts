// Made by nerfstudio_mobavatar.web_export.gen_ts from bundle.py and layout.py. Do not edit.

/** First bytes of an avatar file. */
export const MAGIC = "MOBAVATR" as const;

/** Newest format version that this page reads. */
export const VERSION = 2 as const;

/** Magic, version and header length. */
export const PREAMBLE_BYTES = 16 as const;

/** Longest header that is believed. */
export const MAX_HEADER_BYTES = 1048576 as const;

/** Largest section that is expanded. */
export const MAX_SECTION_BYTES = 1073741824 as const;

/** Checksum of the header, from version 2 on. */
export const CHECKSUM_BYTES = 4 as const;

/** Deflate cannot expand data further. */
export const MAX_DEFLATE_RATIO = 1032 as const;

/** Counts of every header: the smallest and the largest. */
export const COUNT_LIMITS = {"num_gaussians": [1, 4194304], "num_parts": [1, 65536], "num_head_parts": [0, 65536], "num_nodes": [1, 65536], "basis_size": [1, 1024], "num_pose_inputs": [0, 1024], "payload_bytes": [0, 2147483648]} as const;

/** Widest basis. */
export const MAX_BASIS = 1024 as const;

/** Farthest place of a Gaussian that is believed. */
export const MAX_METRES = 1000000 as const;

/** What is rounded to steps. */
export const STEPS = ["rotation", "log_scale", "color", "rotation_basis", "scale_basis", "color_basis", "node_basis"] as const;

/** What is a share of a whole, in levels that divide this number. */
export const WHOLES = {"opacity": 65535, "node_weight": 65535, "skin_weight": 255} as const;

/** Largest network input that is believed. */
export const MAX_INPUT = 1000000 as const;

/** Lists and objects inside each other. */
export const MAX_DEPTH = 16 as const;

/** Most sections. */
export const MAX_SECTIONS = 1000 as const;

/** Most bytes of a row in version 1. */
export const MAX_SHUFFLE = 64 as const;

/** How the integers of a stream may lie. */
export const CODINGS = ["plain", "zigzag", "delta"] as const;

/** Most bytes of an integer. */
export const MAX_PLANES = 4 as const;

/** First bytes of a motion in binary. */
export const MOTION_MAGIC = "MOBAPOSE" as const;

/** Newest that this page reads. */
export const MOTION_VERSION = 1 as const;

/** Before its numbers. */
export const MOTION_HEADER_BYTES = 28 as const;

/** What its integers count. */
export const MOTION_STEPS = {"pose": 6.103515625e-05, "root": 1.52587890625e-05, "metres": 6.103515625e-05, "expression": 0.0001220703125} as const;

/** Square of a quaternion, in steps. */
export const MOTION_NORM = [4294967296.0, 262144.0] as const;

/** Longest motion. */
export const MAX_FRAMES = 200000 as const;

/** Of a frame. */
export const MAX_EXPRESSIONS = 400 as const;

/** Steps of the box of positions. */
export const GRID = 65535 as const;

/** Largest integer that stands for a real number. */
export const MAX_REACH = 1048576 as const;

/** 32-bit words per Gaussian. */
export const RECORD_WORDS = 12 as const;

/** What readers hand out. */
export const ARRAYS = {
  gaussians: "uint32", // one 48-byte record per Gaussian, in Morton order
  joint_rest: "float32", // [55, 3] joint positions of the rest pose, metres
  inverse_bind: "float32", // [55, 3, 4] inverse joint transforms of the canonical pose
  joint_parent: "int32", // [55] parent of each joint, -1 for the root
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
} as const;

export type ArrayName = keyof typeof ARRAYS;

/** Joints of a pose. */
export const NUM_JOINTS = 55 as const;

/** Most layers of a part network. */
export const MAX_LAYERS = 8 as const;

/** Widest layer of a part network. */
export const MAX_WIDTH = 128 as const;

/** Invocations per workgroup of the per-item passes. */
export const GROUP_SIZE = 256 as const;

/** Keys that one workgroup of the sort handles. */
export const SORT_BLOCK = 2048 as const;

/** Bits per digit of the sort. */
export const DIGIT_BITS = 8 as const;

/** Byte of the buffer `arguments` where the second digit's dispatch sizes stand. */
export const DISPATCH_OFFSET = 32 as const;

/** Most Gaussians of a scene. */
export const MAX_SPLATS = 4194304 as const;

/** Quads per instance. */
export const QUADS_PER_INSTANCE = 128 as const;

/** Metres. */
export const NEAR_PLANE = 0.01 as const;

/** Square pixels added to the diagonal of the projected covariance. */
export const BLUR = 0.3 as const;

/** The same where the picture is much coarser than the training pictures. */
export const PIXEL_FILTER = 0.1 as const;

/** Square metres of the training pictures' blur where their fineness is not known. */
export const UNKNOWN_BLUR = 1e+20 as const;

/** Largest buffer binding that WebGPU promises. */
export const MAX_BINDING_BYTES = 134217728 as const;

/** Most workgroups of a dispatch that WebGPU promises. */
export const MAX_GROUPS = 65535 as const;

/** Sections that share the buffer `bases`. */
export const JOINED = ["rotation_basis", "scale_basis", "color_basis"] as const;

/** Bindings of draw.wgsl. */
export const DRAW_BINDINGS = ["uniform:view", "read:splats", "read:order", "read:frame_state"] as const;

/** Uniform structs: bytes, and per field its byte offset and kind of number. */
export const STRUCTS = {
  Model: { size: 208, fields: { position_low: [0, "f32"], position_step: [16, "f32"], num_gaussians: [32, "u32"], num_nodes: [36, "u32"], num_head_parts: [40, "u32"], num_pose_inputs: [44, "u32"], basis_size: [48, "u32"], num_layers: [52, "u32"], leaky_relu_slope: [56, "f32"], scale_basis: [60, "u32"], color_basis: [64, "u32"], layers: [80, "u32"] } },
  PoseInput: { size: 3152, fields: { joints: [0, "f32"], inputs: [2640, "f32"] } },
  Instance: { size: 64, fields: { model_to_camera: [0, "f32"], first_splat: [48, "u32"], num_splats: [52, "u32"], enlarge: [56, "f32"], training_blur: [60, "f32"] } },
  View: { size: 96, fields: { world_to_camera: [0, "f32"], focal: [48, "f32"], principal: [56, "f32"], viewport: [64, "f32"], near_plane: [72, "f32"], blur: [76, "f32"], pixel_filter: [80, "f32"], num_splats: [84, "u32"] } },
} as const;

/** GPU buffers of `stride * dimension` bytes, or of a section. */
export const BUFFERS = [
  {"name": "model", "scope": "model", "fill": "uniform", "stride": 208, "dimension": "one"},
  {"name": "gaussians", "scope": "model", "fill": "section", "stride": 0, "dimension": "one"},
  {"name": "node_part", "scope": "model", "fill": "section", "stride": 0, "dimension": "one"},
  {"name": "node_basis", "scope": "model", "fill": "section", "stride": 0, "dimension": "one"},
  {"name": "mlp_weights", "scope": "model", "fill": "section", "stride": 0, "dimension": "one"},
  {"name": "mlp_biases", "scope": "model", "fill": "section", "stride": 0, "dimension": "one"},
  {"name": "bases", "scope": "model", "fill": "joined", "stride": 0, "dimension": "one"},
  {"name": "kept", "scope": "model", "fill": "kept", "stride": 24, "dimension": "kept_groups"},
  {"name": "pose_input", "scope": "instance", "fill": "uniform", "stride": 3152, "dimension": "one"},
  {"name": "instance", "scope": "instance", "fill": "uniform", "stride": 64, "dimension": "one"},
  {"name": "features", "scope": "instance", "fill": "work", "stride": 4, "dimension": "features"},
  {"name": "node_displacement", "scope": "instance", "fill": "work", "stride": 16, "dimension": "nodes"},
  {"name": "view", "scope": "scene", "fill": "uniform", "stride": 96, "dimension": "one"},
  {"name": "splats", "scope": "scene", "fill": "work", "stride": 32, "dimension": "splats"},
  {"name": "depths", "scope": "scene", "fill": "work", "stride": 4, "dimension": "splats"},
  {"name": "frame_state", "scope": "scene", "fill": "work", "stride": 16, "dimension": "one"},
  {"name": "arguments", "scope": "scene", "fill": "work", "stride": 48, "dimension": "one"},
  {"name": "items", "scope": "scene", "fill": "work", "stride": 4, "dimension": "splats"},
  {"name": "order", "scope": "scene", "fill": "work", "stride": 4, "dimension": "splats"},
  {"name": "histogram", "scope": "scene", "fill": "work", "stride": 4, "dimension": "histogram"},
  {"name": "digit_totals", "scope": "scene", "fill": "work", "stride": 4, "dimension": "digit_values"},
] as const;

/** Compute passes of a frame in order. */
export const PASSES = [
  {"name": "features", "shader": "features.wgsl", "bindings": ["uniform:model", "uniform:pose_input", "read:mlp_weights", "read:mlp_biases", "write:features"], "groups": "parts", "stage": "pose", "digit": -1},
  {"name": "nodes", "shader": "nodes.wgsl", "bindings": ["uniform:model", "read:node_part", "read:node_basis", "read:features", "write:node_displacement"], "groups": "node_groups", "stage": "pose", "digit": -1},
  {"name": "project", "shader": "project.wgsl", "bindings": ["uniform:model", "uniform:pose_input", "uniform:instance", "uniform:view", "read:gaussians", "read:kept", "read:bases", "read:features", "read:node_displacement", "write:splats", "write:depths", "write:frame_state"], "groups": "instance_groups", "stage": "project", "digit": -1},
  {"name": "sort_histogram_0", "shader": "sort_histogram.wgsl", "bindings": ["uniform:view", "read:frame_state", "read:depths", "write:histogram"], "groups": "sort_groups", "stage": "sort", "digit": 0},
  {"name": "sort_scan_0", "shader": "sort_scan.wgsl", "bindings": ["uniform:view", "read:frame_state", "write:histogram", "write:digit_totals", "write:arguments"], "groups": "digit_values", "stage": "sort", "digit": 0},
  {"name": "sort_scatter_0", "shader": "sort_scatter.wgsl", "bindings": ["uniform:view", "read:frame_state", "read:depths", "read:histogram", "read:digit_totals", "write:items"], "groups": "sort_groups", "stage": "sort", "digit": 0},
  {"name": "sort_histogram_1", "shader": "sort_histogram.wgsl", "bindings": ["uniform:view", "read:frame_state", "read:items", "write:histogram"], "groups": "", "stage": "sort", "digit": 1},
  {"name": "sort_scan_1", "shader": "sort_scan.wgsl", "bindings": ["uniform:view", "read:frame_state", "write:histogram", "write:digit_totals", "write:arguments"], "groups": "digit_values", "stage": "sort", "digit": 1},
  {"name": "sort_scatter_1", "shader": "sort_scatter.wgsl", "bindings": ["uniform:view", "read:frame_state", "read:items", "read:histogram", "read:digit_totals", "write:order"], "groups": "", "stage": "sort", "digit": 1},
] as const;
