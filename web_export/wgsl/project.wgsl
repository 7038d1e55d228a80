// Poses every Gaussian of an instance and projects it to a splat, in one reading of its 48-byte record: adds kept
// correctives and node displacement, skins mean and covariance (evaluate.py), projects as gsplat 1.5.3 does, gathers the
// depth range of what is visible.
// Reads:  model, pose_input.joints, instance, view, gaussians, kept (table of bit masks and first rows), bases (halves
//         [kept, 4 or 3, K] of rotation, scale, colour), features, node_displacement
// Writes: splats, two vec4u each: centre xy (px), one-sigma half axis xy (px); one-sigma length of the other axis (px),
//         quad radius in sigmas, rg halves, b half and opacity unorm16; left as they are where nothing is to be drawn.
//         depths: bits of the camera z, 0xffffffff where nothing is to be drawn. frame_state: visible count, complement
//         of the nearest depth bits, farthest depth bits, square pixels of all quads (an estimate of the fragments; modulo
//         2^32). All of it by addition or maximum, so the order of invocations does
//         not matter and zero is the start value.
// A picture that is coarser than the training pictures is those, averaged down (after Mip-Splatting, arXiv 2311.16493): of
// the blur that training added to every splat only its size in this picture stays, and what the pixel's own filter adds
// makes the splat fainter by as much as it makes it wider.
// One invocation per Gaussian. Twins: evaluate.posed, then project in tests/wgsl/twins.py

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

struct PoseInput {
  joints: array<vec4f, 165>,
  inputs: array<vec4f, 32>,
}

struct Instance {
  model_to_camera: array<vec4f, 3>,
  first_splat: u32,
  num_splats: u32,
  enlarge: f32,
  training_blur: f32,
}

struct View {
  world_to_camera: array<vec4f, 3>,
  focal: vec2f,
  principal: vec2f,
  viewport: vec2f,
  near_plane: f32,
  blur: f32,
  pixel_filter: f32,
  num_splats: u32,
}

struct FrameState {
  visible: atomic<u32>,
  nearest_complement: atomic<u32>,
  farthest: atomic<u32>,
  fragments: atomic<u32>,
}

struct Posed {
  mean: vec3f,
  // half of the covariance: H H^T, columns of H are the three axes
  h0: vec3f,
  h1: vec3f,
  h2: vec3f,
}

struct Splat {
  center: vec2f,
  major: vec2f,
  minor: f32,
  radius: f32,
  depth: f32,
  opacity: f32,
  quad_area: f32,
  is_visible: bool,
}

const CULLED = 0xffffffffu;
const MIN_ALPHA = 1.0 / 255.0;
const NOT_KEPT = 0xffffffffu;

@group(0) @binding(0) var<uniform> model: Model;
@group(0) @binding(1) var<uniform> pose_input: PoseInput;
@group(0) @binding(2) var<uniform> instance: Instance;
@group(0) @binding(3) var<uniform> view: View;
@group(0) @binding(4) var<storage, read> gaussians: array<vec4u>;
@group(0) @binding(5) var<storage, read> kept: array<vec2u>;
@group(0) @binding(6) var<storage, read> bases: array<u32>;
@group(0) @binding(7) var<storage, read> features: array<vec2f>;
@group(0) @binding(8) var<storage, read> node_displacement: array<vec4f>;
@group(0) @binding(9) var<storage, read_write> splats: array<vec4u>;
@group(0) @binding(10) var<storage, read_write> depths: array<u32>;
@group(0) @binding(11) var<storage, read_write> frame_state: FrameState;

var<workgroup> group_visible: atomic<u32>;
var<workgroup> group_nearest_complement: atomic<u32>;
var<workgroup> group_farthest: atomic<u32>;
var<workgroup> group_fragments: atomic<u32>;

// slot 0 rotation, 1 scale, 2 colour
fn kept_row(gaussian: u32, slot: u32) -> u32 {
  let entry = kept[(gaussian / 32u) * 3u + slot];
  let bit = 1u << (gaussian % 32u);
  let row = entry.y + countOneBits(entry.x & (bit - 1u));
  return select(NOT_KEPT, row, (entry.x & bit) != 0u);
}

// three rows of a basis, from `word` on, times the features of a part, from `pair` on; where a part has fewer features
// than others they are zero, and the bases are not read
fn three_rows(word: u32, pair: u32) -> vec3f {
  let words = model.basis_size / 2u;
  var sum = vec3f(0.0);
  for (var k = 0u; k < words; k++) {
    let f = features[pair + k];
    if (all(f == vec2f(0.0))) { continue; }
    sum += vec3f(
      dot(unpack2x16float(bases[word + k]), f),
      dot(unpack2x16float(bases[word + words + k]), f),
      dot(unpack2x16float(bases[word + 2u * words + k]), f),
    );
  }
  return sum;
}

fn one_row(word: u32, pair: u32) -> f32 {
  var sum = 0.0;
  for (var k = 0u; k < model.basis_size / 2u; k++) {
    let f = features[pair + k];
    if (all(f == vec2f(0.0))) { continue; }
    sum += dot(unpack2x16float(bases[word + k]), f);
  }
  return sum;
}

fn pose(n: u32, a: vec4u, b: vec4u, c: vec4u) -> Posed {
  let words = model.basis_size / 2u;
  let pair = (a.y >> 16u) * 2u * words;
  let steps = vec3f(f32(a.x & 0xffffu), f32(a.x >> 16u), f32(a.y & 0xffffu));
  let w0 = f32(c.y & 0xffffu) / 65535.0;
  let w1 = f32(c.y >> 16u) / 65535.0;
  let last_node = model.num_nodes - 1u;
  var position = model.position_low.xyz + steps * model.position_step.xyz;
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

  var quaternion = vec4f(unpack2x16float(a.z), unpack2x16float(a.w));
  let rotation_row = kept_row(n, 0u);
  if (rotation_row != NOT_KEPT) {
    let word = 4u * words * rotation_row;
    quaternion += vec4f(one_row(word, pair), three_rows(word + words, pair));
  }
  var log_scale = vec3f(unpack2x16float(b.x), unpack2x16float(b.y).x);
  let scale_row = kept_row(n, 1u);
  if (scale_row != NOT_KEPT) {
    log_scale += three_rows(model.scale_basis + 3u * words * scale_row, pair);
  }
  let q = normalize(quaternion);  // w x y z stand in q.x q.y q.z q.w
  let w = q.x;
  let x = q.y;
  let y = q.z;
  let z = q.w;
  let s = exp(log_scale) * instance.enlarge;
  let axis0 = s.x * vec3f(1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y));
  let axis1 = s.y * vec3f(2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x));
  let axis2 = s.z * vec3f(2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y));

  let point = vec4f(position, 1.0);
  return Posed(
    vec3f(dot(row0, point), dot(row1, point), dot(row2, point)),
    vec3f(dot(row0.xyz, axis0), dot(row1.xyz, axis0), dot(row2.xyz, axis0)),
    vec3f(dot(row0.xyz, axis1), dot(row1.xyz, axis1), dot(row2.xyz, axis1)),
    vec3f(dot(row0.xyz, axis2), dot(row1.xyz, axis2), dot(row2.xyz, axis2)),
  );
}

// gsplat clamps the point at which the projection is linearised to 15 % beyond the image edge
fn clamped_slope(slope: vec2f) -> vec2f {
  let margin = 0.15 * view.viewport / view.focal;
  let low = view.principal / view.focal + margin;
  let high = (view.viewport - view.principal) / view.focal + margin;
  return min(high, max(-low, slope));
}

fn project(p: Posed, opacity: f32) -> Splat {
  var out = Splat(vec2f(0.0), vec2f(0.0), 0.0, 0.0, 0.0, 0.0, 0.0, false);
  let r0 = instance.model_to_camera[0];
  let r1 = instance.model_to_camera[1];
  let r2 = instance.model_to_camera[2];
  let point = vec4f(p.mean, 1.0);
  out.depth = dot(r2, point);
  if (out.depth < view.near_plane || opacity < MIN_ALPHA) {
    return out;
  }
  let slope = vec2f(dot(r0, point), dot(r1, point)) / out.depth;
  out.center = view.focal * slope + view.principal;
  let t = clamped_slope(slope);
  let ju = view.focal.x / out.depth * (r0.xyz - t.x * r2.xyz);
  let jv = view.focal.y / out.depth * (r1.xyz - t.y * r2.xyz);
  let hu = vec3f(dot(ju, p.h0), dot(ju, p.h1), dot(ju, p.h2));
  let hv = vec3f(dot(jv, p.h0), dot(jv, p.h1), dot(jv, p.h2));
  let pixels_per_metre = view.focal.x / out.depth;
  let own_blur = min(view.blur, instance.training_blur * pixels_per_metre * pixels_per_metre);
  let blur = view.pixel_filter + own_blur * (1.0 - view.pixel_filter / view.blur);
  let own = vec2f(dot(hu, hu), dot(hv, hv)) + own_blur;
  let xy = dot(hu, hv);
  let xx = own.x + (blur - own_blur);
  let yy = own.y + (blur - own_blur);
  let determinant = xx * yy - xy * xy;
  let fainter = sqrt(max(own.x * own.y - xy * xy, 0.0) / max(determinant, 1e-30));
  out.opacity = opacity * select(fainter, 1.0, own_blur >= view.blur);

  // beyond this many sigmas alpha is below 1/255 (Hanson et al., arXiv 2412.00578)
  out.radius = sqrt(2.0 * log(max(out.opacity / MIN_ALPHA, 1.0)));
  let middle = 0.5 * (xx + yy);
  let difference = 0.5 * (xx - yy);
  let deviation = sqrt(difference * difference + xy * xy);
  let reach = ceil(out.radius * sqrt(vec2f(xx, yy)));
  let is_inside = all(out.center + reach > vec2f(0.0)) && all(out.center - reach < view.viewport);

  // eigenvector of the larger eigenvalue, by the formula that does not cancel
  let positive = vec2f(difference + deviation, xy);
  let negative = vec2f(xy, deviation - difference);
  let direction = select(negative, positive, difference >= 0.0);
  let length_ = length(direction);
  let unit = select(vec2f(1.0, 0.0), direction / max(length_, 1e-20), length_ > 1e-20);
  let larger = middle + deviation;
  out.major = sqrt(larger) * unit;
  out.minor = sqrt(max(determinant, 0.0) / larger);
  out.quad_area = min(4.0 * out.radius * out.radius * sqrt(larger) * out.minor, view.viewport.x * view.viewport.y);
  out.is_visible = is_inside && determinant > 0.0 && out.opacity >= MIN_ALPHA;  // no early return: that branch crashes lavapipe 22.3
  return out;
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (thread == 0u) {  // not left to the implementation: lavapipe under wgpu hands out dirty workgroup memory
    atomicStore(&group_visible, 0u);
    atomicStore(&group_nearest_complement, 0u);
    atomicStore(&group_farthest, 0u);
    atomicStore(&group_fragments, 0u);
  }
  workgroupBarrier();
  let n = id.x;
  if (n < instance.num_splats) {
    let a = gaussians[3u * n];
    let b = gaussians[3u * n + 1u];
    let splat = project(pose(n, a, b, gaussians[3u * n + 2u]), f32(b.y >> 16u) / 65535.0);
    let target_ = instance.first_splat + n;
    var key = CULLED;
    if (splat.is_visible) {
      key = bitcast<u32>(splat.depth);
      atomicAdd(&group_visible, 1u);
      atomicMax(&group_nearest_complement, ~key);
      atomicMax(&group_farthest, key);
      atomicAdd(&group_fragments, u32(splat.quad_area + 0.5));

      var color = vec3f(unpack2x16float(b.z), unpack2x16float(b.w).x);
      let color_row = kept_row(n, 2u);
      if (color_row != NOT_KEPT) {
        let words = model.basis_size / 2u;
        color += three_rows(model.color_basis + 3u * words * color_row, (a.y >> 16u) * 2u * words);
      }
      let rgb = max(color + 0.5, vec3f(0.0));
      splats[2u * target_] = bitcast<vec4u>(vec4f(splat.center, splat.major));
      splats[2u * target_ + 1u] = vec4u(
        bitcast<u32>(splat.minor),
        bitcast<u32>(splat.radius),
        pack2x16float(rgb.xy),
        pack2x16float(vec2f(rgb.z, 0.0)) | (u32(round(splat.opacity * 65535.0)) << 16u),
      );
    }
    depths[target_] = key;
  }
  workgroupBarrier();
  if (thread == 0u) {
    atomicAdd(&frame_state.visible, atomicLoad(&group_visible));
    atomicMax(&frame_state.nearest_complement, atomicLoad(&group_nearest_complement));
    atomicMax(&frame_state.farthest, atomicLoad(&group_farthest));
    atomicAdd(&frame_state.fragments, atomicLoad(&group_fragments));
  }
}
