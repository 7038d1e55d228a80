// Poses every Gaussian: unpack its 48-byte record, add kept correctives and node displacement, skin mean and covariance.
// Reads:  model, pose_input.joints, gaussians, kept (table of bit masks and first rows), the three bases (halves
//         [kept, 4 or 3, K]), features, node_displacement
// Writes: posed, three vec4u per Gaussian: mean xyz, covariance xx xy xz yy yz zz (f32 bits), rg and b as halves,
//         opacity unorm16 in the high half of the b word, 0
// One invocation per Gaussian. Twin: evaluate.posed

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

struct PoseInput {
  joints: array<vec4f, 165>,
  inputs: array<vec4f, 32>,
}

@group(0) @binding(0) var<uniform> model: Model;
@group(0) @binding(1) var<uniform> pose_input: PoseInput;
@group(0) @binding(2) var<storage, read> gaussians: array<vec4u>;
@group(0) @binding(3) var<storage, read> kept: array<vec2u>;
@group(0) @binding(4) var<storage, read> rotation_basis: array<u32>;
@group(0) @binding(5) var<storage, read> scale_basis: array<u32>;
@group(0) @binding(6) var<storage, read> color_basis: array<u32>;
@group(0) @binding(7) var<storage, read> features: array<f32>;
@group(0) @binding(8) var<storage, read> node_displacement: array<vec4f>;
@group(0) @binding(9) var<storage, read_write> posed: array<vec4u>;

const NOT_KEPT = 0xffffffffu;

// slot 0 rotation, 1 scale, 2 colour
fn kept_row(gaussian: u32, slot: u32) -> u32 {
  let entry = kept[(gaussian / 32u) * 3u + slot];
  let bit = 1u << (gaussian % 32u);
  let row = entry.y + countOneBits(entry.x & (bit - 1u));
  return select(NOT_KEPT, row, (entry.x & bit) != 0u);
}

// the same loop three times: WGSL has no way to pass one of several storage buffers that Tint and naga both take
fn rotation_dot(row: u32, feature: u32) -> f32 {
  let words = model.basis_size / 2u;
  var sum = 0.0;
  for (var k = 0u; k < words; k++) {
    let b = unpack2x16float(rotation_basis[row * words + k]);
    sum += b.x * features[feature + 2u * k] + b.y * features[feature + 2u * k + 1u];
  }
  return sum;
}

fn scale_dot(row: u32, feature: u32) -> f32 {
  let words = model.basis_size / 2u;
  var sum = 0.0;
  for (var k = 0u; k < words; k++) {
    let b = unpack2x16float(scale_basis[row * words + k]);
    sum += b.x * features[feature + 2u * k] + b.y * features[feature + 2u * k + 1u];
  }
  return sum;
}

fn color_dot(row: u32, feature: u32) -> f32 {
  let words = model.basis_size / 2u;
  var sum = 0.0;
  for (var k = 0u; k < words; k++) {
    let b = unpack2x16float(color_basis[row * words + k]);
    sum += b.x * features[feature + 2u * k] + b.y * features[feature + 2u * k + 1u];
  }
  return sum;
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let n = id.x;
  if (n >= model.num_gaussians) {
    return;
  }
  let a = gaussians[3u * n];
  let b = gaussians[3u * n + 1u];
  let c = gaussians[3u * n + 2u];

  let steps = vec3f(f32(a.x & 0xffffu), f32(a.x >> 16u), f32(a.y & 0xffffu));
  var position = model.position_low.xyz + steps * model.position_step.xyz;
  let feature = (a.y >> 16u) * 2u * model.basis_size;
  var quaternion = vec4f(unpack2x16float(a.z), unpack2x16float(a.w));
  let scale_z = unpack2x16float(b.y & 0xffffu).x;
  var log_scale = vec3f(unpack2x16float(b.x), scale_z);
  let opacity_bits = b.y & 0xffff0000u;
  var color = vec3f(unpack2x16float(b.z), unpack2x16float(b.w & 0xffffu).x);

  let rotation_row = kept_row(n, 0u);
  if (rotation_row != NOT_KEPT) {
    let row = 4u * rotation_row;
    quaternion += vec4f(
      rotation_dot(row, feature), rotation_dot(row + 1u, feature),
      rotation_dot(row + 2u, feature), rotation_dot(row + 3u, feature),
    );
  }
  let scale_row = kept_row(n, 1u);
  if (scale_row != NOT_KEPT) {
    let row = 3u * scale_row;
    log_scale += vec3f(scale_dot(row, feature), scale_dot(row + 1u, feature), scale_dot(row + 2u, feature));
  }
  let color_row = kept_row(n, 2u);
  if (color_row != NOT_KEPT) {
    let row = 3u * color_row;
    color += vec3f(color_dot(row, feature), color_dot(row + 1u, feature), color_dot(row + 2u, feature));
  }

  let w0 = f32(c.y & 0xffffu) / 65535.0;
  let w1 = f32(c.y >> 16u) / 65535.0;
  let last_node = model.num_nodes - 1u;
  position += w0 * node_displacement[min(b.w >> 16u, last_node)].xyz;
  position += w1 * node_displacement[min(c.x & 0xffffu, last_node)].xyz;
  position += (1.0 - w0 - w1) * node_displacement[min(c.x >> 16u, last_node)].xyz;

  var row0 = vec4f(0.0);
  var row1 = vec4f(0.0);
  var row2 = vec4f(0.0);
  for (var i = 0u; i < 4u; i++) {
    let joint = min((c.z >> (8u * i)) & 0xffu, 54u);
    let weight = f32((c.w >> (8u * i)) & 0xffu) / 255.0;
    row0 += weight * pose_input.joints[3u * joint];
    row1 += weight * pose_input.joints[3u * joint + 1u];
    row2 += weight * pose_input.joints[3u * joint + 2u];
  }
  let point = vec4f(position, 1.0);
  let mean = vec3f(dot(row0, point), dot(row1, point), dot(row2, point));

  let q = normalize(quaternion);  // w x y z stand in q.x q.y q.z q.w
  let w = q.x;
  let x = q.y;
  let y = q.z;
  let z = q.w;
  let s = exp(log_scale);
  let axis0 = s.x * vec3f(1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y));
  let axis1 = s.y * vec3f(2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x));
  let axis2 = s.z * vec3f(2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y));
  let h0 = vec3f(dot(row0.xyz, axis0), dot(row0.xyz, axis1), dot(row0.xyz, axis2));
  let h1 = vec3f(dot(row1.xyz, axis0), dot(row1.xyz, axis1), dot(row1.xyz, axis2));
  let h2 = vec3f(dot(row2.xyz, axis0), dot(row2.xyz, axis1), dot(row2.xyz, axis2));

  let rgb = max(color + 0.5, vec3f(0.0));
  posed[3u * n] = vec4u(bitcast<vec3u>(mean), bitcast<u32>(dot(h0, h0)));
  posed[3u * n + 1u] = bitcast<vec4u>(vec4f(dot(h0, h1), dot(h0, h2), dot(h1, h1), dot(h1, h2)));
  posed[3u * n + 2u] = vec4u(
    bitcast<u32>(dot(h2, h2)),
    pack2x16float(rgb.xy),
    pack2x16float(vec2f(rgb.z, 0.0)) | opacity_bits,
    0u,
  );
}
