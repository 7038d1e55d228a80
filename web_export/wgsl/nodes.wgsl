// Displacement of the control nodes: node_basis[m] @ features[part of m][K:].
// Reads:  model, node_part (16 bits, two per word), node_basis (halves [M, 3, K]), features
// Writes: node_displacement, xyz in metres and 0
// One invocation per number written, four to a node. Twin: evaluate.node_displacements

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
  scale_basis: u32,
  color_basis: u32,
  layers: array<vec4u, 8>,
}

@group(0) @binding(0) var<uniform> model: Model;
@group(0) @binding(1) var<storage, read> node_part: array<u32>;
@group(0) @binding(2) var<storage, read> node_basis: array<u32>;
@group(0) @binding(3) var<storage, read> features: array<f32>;
@group(0) @binding(4) var<storage, read_write> node_displacement: array<f32>;

fn basis_dot(row: u32, feature: u32) -> f32 {
  let words = model.basis_size / 2u;
  var sum = 0.0;
  for (var k = 0u; k < words; k++) {
    let b = unpack2x16float(node_basis[row * words + k]);
    sum += b.x * features[feature + 2u * k] + b.y * features[feature + 2u * k + 1u];
  }
  return sum;
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let node = id.x / 4u;
  let axis = id.x % 4u;
  if (node >= model.num_nodes) {
    return;
  }
  let part = (node_part[node / 2u] >> (16u * (node % 2u))) & 0xffffu;
  let feature = (2u * part + 1u) * model.basis_size;
  var displacement = 0.0;
  if (axis < 3u) {
    displacement = basis_dot(3u * node + axis, feature);
  }
  node_displacement[id.x] = displacement;
}
