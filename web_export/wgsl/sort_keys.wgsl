// Makes the sort keys: depth over the range of the visible splats, in 16 bits (or the f32 bits when KEY_BITS is 32).
// Culled Gaussians get the largest key and end behind everything that is drawn.
// Reads:  model, depths, frame_state
// Writes: pairs_a (key, Gaussian), draw_arguments (drawIndexedIndirect)
// One invocation per Gaussian. Twin: sort_keys in tests/wgsl/twins.py

struct Model {
  position_low: vec4f,
  position_step: vec4f,
  num_gaussians: u32,
  num_nodes: u32,
  num_head_parts: u32,
  num_pose_inputs: u32,
  basis_size: u32,
  num_layers: u32,
  leaky_relu_slope: f32,
  padding: u32,
  layers: array<vec4u, 8>,
}

override KEY_BITS: u32 = 16u;

const CULLED = 0xffffffffu;
const QUADS_PER_INSTANCE = 128u;

@group(0) @binding(0) var<uniform> model: Model;
@group(0) @binding(1) var<storage, read> depths: array<u32>;
@group(0) @binding(2) var<storage, read> frame_state: vec4u;
@group(0) @binding(3) var<storage, read_write> pairs: array<vec2u>;
@group(0) @binding(4) var<storage, read_write> draw_arguments: array<u32, 5>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let n = id.x;
  if (n == 0u) {
    draw_arguments[0] = 6u * QUADS_PER_INSTANCE;
    draw_arguments[1] = (frame_state.x + QUADS_PER_INSTANCE - 1u) / QUADS_PER_INSTANCE;
    draw_arguments[2] = 0u;
    draw_arguments[3] = 0u;
    draw_arguments[4] = 0u;
  }
  if (n >= model.num_gaussians) {
    return;
  }
  let bits = depths[n];
  var key = bits;
  if (KEY_BITS == 16u) {
    let nearest = bitcast<f32>(~frame_state.y);
    let range = max(bitcast<f32>(frame_state.z) - nearest, 1e-9);
    let step = (bitcast<f32>(bits) - nearest) / range * 65534.0;
    key = select(min(u32(max(step, 0.0)), 65534u), 65535u, bits == CULLED);
  }
  pairs[n] = vec2u(key, n);
}
