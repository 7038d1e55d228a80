// Projects every posed Gaussian to a splat, as gsplat 1.5.3 does, and gathers the depth range of what is visible.
// Reads:  model, view, posed
// Writes: splats, two vec4u each: centre xy (px), one-sigma half axis xy (px); one-sigma length of the other axis (px),
//         quad radius in sigmas, rg halves, b half and opacity unorm16. depths: bits of the camera z, 0xffffffff where
//         nothing is to be drawn. frame_state: visible count, complement of the nearest depth bits, farthest depth bits
//         (all by addition or maximum, so the order of invocations does not matter and zero is the start value).
// One invocation per Gaussian. Twin: project in tests/wgsl/twins.py

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

struct View {
  world_to_camera: array<vec4f, 3>,
  background: vec4f,
  focal: vec2f,
  principal: vec2f,
  viewport: vec2f,
  near_plane: f32,
  blur: f32,
}

struct FrameState {
  visible: atomic<u32>,
  nearest_complement: atomic<u32>,
  farthest: atomic<u32>,
}

struct Splat {
  center: vec2f,
  major: vec2f,
  minor: f32,
  radius: f32,
  is_visible: bool,
}

const CULLED = 0xffffffffu;
const MIN_ALPHA = 1.0 / 255.0;

@group(0) @binding(0) var<uniform> model: Model;
@group(0) @binding(1) var<uniform> view: View;
@group(0) @binding(2) var<storage, read> posed: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> splats: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> depths: array<u32>;
@group(0) @binding(5) var<storage, read_write> frame_state: FrameState;

var<workgroup> group_visible: atomic<u32>;
var<workgroup> group_nearest_complement: atomic<u32>;
var<workgroup> group_farthest: atomic<u32>;

// a symmetric 3x3 matrix (xx xy xz, yy yz zz) times a vector
fn symmetric_times(d: vec3f, e: vec3f, v: vec3f) -> vec3f {
  return vec3f(dot(d, v), dot(vec3f(d.y, e.x, e.y), v), dot(vec3f(d.z, e.y, e.z), v));
}

// gsplat clamps the point at which the projection is linearised to 15 % beyond the image edge
fn clamped_slope(slope: vec2f) -> vec2f {
  let margin = 0.15 * view.viewport / view.focal;
  let low = view.principal / view.focal + margin;
  let high = (view.viewport - view.principal) / view.focal + margin;
  return min(high, max(-low, slope));
}

fn project(mean: vec3f, d: vec3f, e: vec3f, opacity: f32) -> Splat {
  var out = Splat(vec2f(0.0), vec2f(0.0), 0.0, 0.0, false);
  let r0 = view.world_to_camera[0];
  let r1 = view.world_to_camera[1];
  let r2 = view.world_to_camera[2];
  let point = vec4f(mean, 1.0);
  let depth = dot(r2, point);
  if (depth < view.near_plane || opacity < MIN_ALPHA) {
    return out;
  }
  let slope = vec2f(dot(r0, point), dot(r1, point)) / depth;
  out.center = view.focal * slope + view.principal;
  let t = clamped_slope(slope);
  let ju = view.focal.x / depth * (r0.xyz - t.x * r2.xyz);
  let jv = view.focal.y / depth * (r1.xyz - t.y * r2.xyz);
  let su = symmetric_times(d, e, ju);
  let sv = symmetric_times(d, e, jv);
  let xx = dot(ju, su) + view.blur;
  let xy = dot(ju, sv);
  let yy = dot(jv, sv) + view.blur;
  let determinant = xx * yy - xy * xy;
  if (determinant <= 0.0) {
    return out;
  }

  // beyond this many sigmas alpha is below 1/255 (Hanson et al., arXiv 2412.00578)
  out.radius = sqrt(2.0 * log(opacity / MIN_ALPHA));
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
  out.minor = sqrt(determinant / larger);
  out.is_visible = is_inside;
  return out;
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (thread == 0u) {  // not left to the implementation: lavapipe under wgpu hands out dirty workgroup memory
    atomicStore(&group_visible, 0u);
    atomicStore(&group_nearest_complement, 0u);
    atomicStore(&group_farthest, 0u);
  }
  workgroupBarrier();
  let n = id.x;
  if (n < model.num_gaussians) {
    let a = posed[3u * n];
    let b = posed[3u * n + 1u];
    let c = posed[3u * n + 2u];
    let mean = bitcast<vec3f>(a.xyz);
    let d = bitcast<vec3f>(vec3u(a.w, b.x, b.y));
    let e = bitcast<vec3f>(vec3u(b.z, b.w, c.x));
    let splat = project(mean, d, e, f32(c.z >> 16u) / 65535.0);
    var key = CULLED;
    if (splat.is_visible) {
      key = bitcast<u32>(dot(view.world_to_camera[2], vec4f(mean, 1.0)));
      atomicAdd(&group_visible, 1u);
      atomicMax(&group_nearest_complement, ~key);
      atomicMax(&group_farthest, key);
    }
    depths[n] = key;
    splats[2u * n] = bitcast<vec4u>(vec4f(splat.center, splat.major));
    splats[2u * n + 1u] = vec4u(bitcast<u32>(splat.minor), bitcast<u32>(splat.radius), c.y, c.z);
  }
  workgroupBarrier();
  if (thread == 0u) {
    atomicAdd(&frame_state.visible, atomicLoad(&group_visible));
    atomicMax(&frame_state.nearest_complement, atomicLoad(&group_nearest_complement));
    atomicMax(&frame_state.farthest, atomicLoad(&group_farthest));
  }
}
