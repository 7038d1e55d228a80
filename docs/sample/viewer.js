"use strict";(()=>{var B="MOBAVATR";var A={gaussians:"uint32",rotation_index:"uint32",scale_index:"uint32",color_index:"uint32",rotation_basis:"float16",scale_basis:"float16",color_basis:"float16",node_part:"uint16",node_basis:"float16",mlp_weights:"float16",mlp_biases:"float16",joint_rest:"float32",inverse_bind:"float32",joint_parent:"int32"},b=55,Q=8,Y=128,k=256,Ae=2048,q=8,Pe=32,J=4194304,Z=128,Se=.01,Ee=.3,ee=134217728,te=65535,G="rgba16float",C=["rotation_basis","scale_basis","color_basis"],R=["uniform:view","read:splats","read:order","read:frame_state"],U=["uniform:view","texture:accumulation"],Te={Model:{size:208,fields:{position_low:[0,"f32"],position_step:[16,"f32"],num_gaussians:[32,"u32"],num_nodes:[36,"u32"],num_head_parts:[40,"u32"],num_pose_inputs:[44,"u32"],basis_size:[48,"u32"],num_layers:[52,"u32"],leaky_relu_slope:[56,"f32"],scale_basis:[60,"u32"],color_basis:[64,"u32"],layers:[80,"u32"]}},PoseInput:{size:3152,fields:{joints:[0,"f32"],inputs:[2640,"f32"]}},Instance:{size:64,fields:{model_to_camera:[0,"f32"],first_splat:[48,"u32"],num_splats:[52,"u32"],enlarge:[56,"f32"]}},View:{size:112,fields:{world_to_camera:[0,"f32"],background:[48,"f32"],focal:[64,"f32"],principal:[72,"f32"],viewport:[80,"f32"],near_plane:[88,"f32"],blur:[92,"f32"],num_splats:[96,"u32"]}}},_=[{name:"model",scope:"model",fill:"uniform",stride:208,dimension:"one"},{name:"gaussians",scope:"model",fill:"section",stride:0,dimension:"one"},{name:"node_part",scope:"model",fill:"section",stride:0,dimension:"one"},{name:"node_basis",scope:"model",fill:"section",stride:0,dimension:"one"},{name:"mlp_weights",scope:"model",fill:"section",stride:0,dimension:"one"},{name:"mlp_biases",scope:"model",fill:"section",stride:0,dimension:"one"},{name:"bases",scope:"model",fill:"joined",stride:0,dimension:"one"},{name:"kept",scope:"model",fill:"kept",stride:24,dimension:"kept_groups"},{name:"pose_input",scope:"instance",fill:"uniform",stride:3152,dimension:"one"},{name:"instance",scope:"instance",fill:"uniform",stride:64,dimension:"one"},{name:"features",scope:"instance",fill:"work",stride:4,dimension:"features"},{name:"node_displacement",scope:"instance",fill:"work",stride:16,dimension:"nodes"},{name:"view",scope:"scene",fill:"uniform",stride:112,dimension:"one"},{name:"splats",scope:"scene",fill:"work",stride:32,dimension:"splats"},{name:"depths",scope:"scene",fill:"work",stride:4,dimension:"splats"},{name:"frame_state",scope:"scene",fill:"work",stride:16,dimension:"one"},{name:"arguments",scope:"scene",fill:"work",stride:48,dimension:"one"},{name:"items",scope:"scene",fill:"work",stride:4,dimension:"splats"},{name:"order",scope:"scene",fill:"work",stride:4,dimension:"splats"},{name:"histogram",scope:"scene",fill:"work",stride:4,dimension:"histogram"},{name:"digit_totals",scope:"scene",fill:"work",stride:4,dimension:"digit_values"}],P=[{name:"features",shader:"features.wgsl",bindings:["uniform:model","uniform:pose_input","read:mlp_weights","read:mlp_biases","write:features"],groups:"parts",stage:"pose",digit:-1},{name:"nodes",shader:"nodes.wgsl",bindings:["uniform:model","read:node_part","read:node_basis","read:features","write:node_displacement"],groups:"node_groups",stage:"pose",digit:-1},{name:"project",shader:"project.wgsl",bindings:["uniform:model","uniform:pose_input","uniform:instance","uniform:view","read:gaussians","read:kept","read:bases","read:features","read:node_displacement","write:splats","write:depths","write:frame_state"],groups:"instance_groups",stage:"project",digit:-1},{name:"sort_histogram_0",shader:"sort_histogram.wgsl",bindings:["uniform:view","read:frame_state","read:depths","write:histogram"],groups:"sort_groups",stage:"sort",digit:0},{name:"sort_scan_0",shader:"sort_scan.wgsl",bindings:["uniform:view","read:frame_state","write:histogram","write:digit_totals","write:arguments"],groups:"digit_values",stage:"sort",digit:0},{name:"sort_scatter_0",shader:"sort_scatter.wgsl",bindings:["uniform:view","read:frame_state","read:depths","read:histogram","read:digit_totals","write:items"],groups:"sort_groups",stage:"sort",digit:0},{name:"sort_histogram_1",shader:"sort_histogram.wgsl",bindings:["uniform:view","read:frame_state","read:items","write:histogram"],groups:"",stage:"sort",digit:1},{name:"sort_scan_1",shader:"sort_scan.wgsl",bindings:["uniform:view","read:frame_state","write:histogram","write:digit_totals","write:arguments"],groups:"digit_values",stage:"sort",digit:1},{name:"sort_scatter_1",shader:"sort_scatter.wgsl",bindings:["uniform:view","read:frame_state","read:items","read:histogram","read:digit_totals","write:order"],groups:"",stage:"sort",digit:1}];var ke=`struct View {
world_to_camera: array<vec4f, 3>,
background: vec4f,
focal: vec2f,
principal: vec2f,
viewport: vec2f,
near_plane: f32,
blur: f32,
num_splats: u32,
}
@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var accumulation: texture_2d<f32>;
@vertex
fn vertex(@builtin(vertex_index) index: u32) -> @builtin(position) vec4f {
let corner = vec2f(f32((index << 1u) & 2u), f32(index & 2u));
return vec4f(corner * 2.0 - 1.0, 0.0, 1.0);
}
@fragment
fn fragment(@builtin(position) position: vec4f) -> @location(0) vec4f {
let accumulated = textureLoad(accumulation, vec2i(position.xy), 0);
return vec4f(accumulated.rgb + (1.0 - accumulated.a) * view.background.rgb, 1.0);
}`;var Ue=`struct View {
world_to_camera: array<vec4f, 3>,
background: vec4f,
focal: vec2f,
principal: vec2f,
viewport: vec2f,
near_plane: f32,
blur: f32,
num_splats: u32,
}
struct Corner {
@builtin(position) position: vec4f,
@location(0) @interpolate(flat) color: vec4f,
@location(1) @interpolate(flat) axes: vec4f,
@location(2) @interpolate(flat) center: vec2f,
}
const QUADS_PER_INSTANCE = 128u;
const MAX_ALPHA = 0.999;
const MIN_ALPHA = 1.0 / 255.0;
@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var<storage, read> splats: array<vec4u>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> frame_state: vec4u;
@vertex
fn vertex(@builtin(vertex_index) index: u32, @builtin(instance_index) instance: u32) -> Corner {
let rank = instance * QUADS_PER_INSTANCE + index / 4u;
if (rank >= frame_state.x) {
return Corner(vec4f(2.0, 2.0, 2.0, 1.0), vec4f(0.0), vec4f(0.0), vec2f(0.0));
}
let splat = order[frame_state.x - 1u - rank];
let a = bitcast<vec4f>(splats[2u * splat]);
let b = splats[2u * splat + 1u];
let size = bitcast<vec2f>(b.xy);
let side = vec2f(f32(index % 2u), f32((index / 2u) % 2u)) * 2.0 - 1.0;
let offset = side * size.y;
let minor_axis = normalize(vec2f(-a.w, a.z)) * size.x;
let pixel = a.xy + offset.x * a.zw + offset.y * minor_axis;
let clip = pixel / view.viewport * vec2f(2.0, -2.0) + vec2f(-1.0, 1.0);
let color = vec4f(unpack2x16float(b.z), unpack2x16float(b.w & 0xffffu).x, f32(b.w >> 16u) / 65535.0);
let axes = vec4f(a.zw / dot(a.zw, a.zw), minor_axis / (size.x * size.x));
return Corner(vec4f(clip, 0.0, 1.0), color, axes, a.xy);
}
@fragment
fn fragment(corner: Corner) -> @location(0) vec4f {
let pixel = corner.position.xy - corner.center;
let offset = vec2f(dot(pixel, corner.axes.xy), dot(pixel, corner.axes.zw));
let alpha = min(MAX_ALPHA, corner.color.a * exp(-0.5 * dot(offset, offset)));
if (alpha < MIN_ALPHA) {
discard;
}
return vec4f(corner.color.rgb * alpha, alpha);
}`;var Me=`struct Model {
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
const THREADS = 64u;
const WIDTH = 128u;
@group(0) @binding(0) var<uniform> model: Model;
@group(0) @binding(1) var<uniform> pose_input: PoseInput;
@group(0) @binding(2) var<storage, read> mlp_weights: array<u32>;
@group(0) @binding(3) var<storage, read> mlp_biases: array<u32>;
@group(0) @binding(4) var<storage, read_write> features: array<f32>;
var<workgroup> activations: array<f32, 256>;
fn input_number(part: u32, i: u32) -> f32 {
let is_used = i < model.num_pose_inputs || part < model.num_head_parts;
let value = pose_input.inputs[min(i, WIDTH - 1u) / 4u][i % 4u];
return select(0.0, value, is_used && i < model.layers[0].x);
}
fn bias(index: u32) -> f32 {
let pair = unpack2x16float(mlp_biases[index / 2u]);
return select(pair.x, pair.y, index % 2u == 1u);
}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
let part = group.x;
for (var i = thread; i < WIDTH; i += THREADS) {
activations[i] = input_number(part, i);
}
for (var l = 0u; l < model.num_layers; l++) {
workgroupBarrier();
let layer = model.layers[l];
let words = (layer.x + 1u) / 2u;
let is_last = l + 1u == model.num_layers;
let source = (l % 2u) * WIDTH;
let target_ = WIDTH - source;
for (var o = thread; o < WIDTH; o += THREADS) {
var sum = 0.0;
if (o < layer.y) {
sum = bias(layer.w + part * layer.y + o);
let row = layer.z + (part * layer.y + o) * words;
for (var i = 0u; i < words; i++) {
let w = unpack2x16float(mlp_weights[row + i]);
sum += w.x * activations[source + 2u * i] + w.y * activations[source + 2u * i + 1u];
}
if (is_last) {
features[part * layer.y + o] = sum;
}
}
activations[target_ + o] = select(model.leaky_relu_slope * sum, sum, sum > 0.0);
}
}
}`;var Ie=`struct Model {
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
@group(0) @binding(4) var<storage, read_write> node_displacement: array<vec4f>;
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
let node = id.x;
if (node >= model.num_nodes) {
return;
}
let part = (node_part[node / 2u] >> (16u * (node % 2u))) & 0xffffu;
let feature = (2u * part + 1u) * model.basis_size;
node_displacement[node] = vec4f(
basis_dot(3u * node, feature),
basis_dot(3u * node + 1u, feature),
basis_dot(3u * node + 2u, feature),
0.0,
);
}`;var Be=`struct Model {
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
}
struct View {
world_to_camera: array<vec4f, 3>,
background: vec4f,
focal: vec2f,
principal: vec2f,
viewport: vec2f,
near_plane: f32,
blur: f32,
num_splats: u32,
}
struct FrameState {
visible: atomic<u32>,
nearest_complement: atomic<u32>,
farthest: atomic<u32>,
}
struct Posed {
mean: vec3f,
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
fn kept_row(gaussian: u32, slot: u32) -> u32 {
let entry = kept[(gaussian / 32u) * 3u + slot];
let bit = 1u << (gaussian % 32u);
let row = entry.y + countOneBits(entry.x & (bit - 1u));
return select(NOT_KEPT, row, (entry.x & bit) != 0u);
}
fn three_rows(word: u32, pair: u32) -> vec3f {
let words = model.basis_size / 2u;
var sum = vec3f(0.0);
for (var k = 0u; k < words; k++) {
let f = features[pair + k];
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
sum += dot(unpack2x16float(bases[word + k]), features[pair + k]);
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
let q = normalize(quaternion);
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
fn clamped_slope(slope: vec2f) -> vec2f {
let margin = 0.15 * view.viewport / view.focal;
let low = view.principal / view.focal + margin;
let high = (view.viewport - view.principal) / view.focal + margin;
return min(high, max(-low, slope));
}
fn project(p: Posed, opacity: f32) -> Splat {
var out = Splat(vec2f(0.0), vec2f(0.0), 0.0, 0.0, 0.0, false);
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
let xx = dot(hu, hu) + view.blur;
let xy = dot(hu, hv);
let yy = dot(hv, hv) + view.blur;
let determinant = xx * yy - xy * xy;
out.radius = sqrt(2.0 * log(opacity / MIN_ALPHA));
let middle = 0.5 * (xx + yy);
let difference = 0.5 * (xx - yy);
let deviation = sqrt(difference * difference + xy * xy);
let reach = ceil(out.radius * sqrt(vec2f(xx, yy)));
let is_inside = all(out.center + reach > vec2f(0.0)) && all(out.center - reach < view.viewport);
let positive = vec2f(difference + deviation, xy);
let negative = vec2f(xy, deviation - difference);
let direction = select(negative, positive, difference >= 0.0);
let length_ = length(direction);
let unit = select(vec2f(1.0, 0.0), direction / max(length_, 1e-20), length_ > 1e-20);
let larger = middle + deviation;
out.major = sqrt(larger) * unit;
out.minor = sqrt(max(determinant, 0.0) / larger);
out.is_visible = is_inside && determinant > 0.0;
return out;
}
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
if (thread == 0u) {
atomicStore(&group_visible, 0u);
atomicStore(&group_nearest_complement, 0u);
atomicStore(&group_farthest, 0u);
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
pack2x16float(vec2f(rgb.z, 0.0)) | (b.y & 0xffff0000u),
);
}
depths[target_] = key;
}
workgroupBarrier();
if (thread == 0u) {
atomicAdd(&frame_state.visible, atomicLoad(&group_visible));
atomicMax(&frame_state.nearest_complement, atomicLoad(&group_nearest_complement));
atomicMax(&frame_state.farthest, atomicLoad(&group_farthest));
}
}`;var Ge=`struct View {
world_to_camera: array<vec4f, 3>,
background: vec4f,
focal: vec2f,
principal: vec2f,
viewport: vec2f,
near_plane: f32,
blur: f32,
num_splats: u32,
}
override DIGIT: u32 = 0u;
const THREADS = 128u;
const ITEMS = 16u;
const BLOCK = 2048u;
const CULLED = 0xffffffffu;
@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var<storage, read> frame_state: vec4u;
@group(0) @binding(2) var<storage, read> items: array<u32>;
@group(0) @binding(3) var<storage, read_write> histogram: array<u32>;
var<workgroup> counters: array<atomic<u32>, 256>;
fn sort_key(depth_bits: u32) -> u32 {
let nearest = bitcast<f32>(~frame_state.y);
let range = max(bitcast<f32>(frame_state.z) - nearest, 1e-9);
let step = (bitcast<f32>(depth_bits) - nearest) / range * 65535.0;
return min(u32(max(step, 0.0)), 65535u);
}
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
atomicStore(&counters[thread], 0u);
atomicStore(&counters[thread + THREADS], 0u);
workgroupBarrier();
let count = select(frame_state.x, view.num_splats, DIGIT == 0u);
for (var i = 0u; i < ITEMS; i++) {
let at = group.x * BLOCK + i * THREADS + thread;
if (at < count) {
let item = items[at];
if (DIGIT == 1u) {
atomicAdd(&counters[item >> 24u], 1u);
} else if (item != CULLED) {
atomicAdd(&counters[sort_key(item) & 255u], 1u);
}
}
}
workgroupBarrier();
let blocks = (count + BLOCK - 1u) / BLOCK;
histogram[thread * blocks + group.x] = atomicLoad(&counters[thread]);
histogram[(thread + THREADS) * blocks + group.x] = atomicLoad(&counters[thread + THREADS]);
}`;var Ce=`struct View {
world_to_camera: array<vec4f, 3>,
background: vec4f,
focal: vec2f,
principal: vec2f,
viewport: vec2f,
near_plane: f32,
blur: f32,
num_splats: u32,
}
override DIGIT: u32 = 0u;
const LANES = 64u;
const BLOCK = 2048u;
const QUADS_PER_INSTANCE = 128u;
@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var<storage, read> frame_state: vec4u;
@group(0) @binding(2) var<storage, read_write> histogram: array<u32>;
@group(0) @binding(3) var<storage, read_write> digit_totals: array<u32>;
@group(0) @binding(4) var<storage, read_write> arguments: array<u32, 12>;
var<workgroup> sums: array<u32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
let count = select(frame_state.x, view.num_splats, DIGIT == 0u);
let blocks = (count + BLOCK - 1u) / BLOCK;
let run = (blocks + LANES - 1u) / LANES;
let row = group.x * blocks;
let first = row + min(thread * run, blocks);
let end = row + min((thread + 1u) * run, blocks);
var sum = 0u;
for (var i = first; i < end; i++) {
sum += histogram[i];
}
sums[thread] = sum;
workgroupBarrier();
if (thread == 0u) {
var total = 0u;
for (var i = 0u; i < LANES; i++) {
let value = sums[i];
sums[i] = total;
total += value;
}
digit_totals[group.x] = total;
if (group.x == 0u) {
arguments[0] = 6u * QUADS_PER_INSTANCE;
arguments[1] = (frame_state.x + QUADS_PER_INSTANCE - 1u) / QUADS_PER_INSTANCE;
arguments[2] = 0u;
arguments[3] = 0u;
arguments[4] = 0u;
arguments[8] = (frame_state.x + BLOCK - 1u) / BLOCK;
arguments[9] = 1u;
arguments[10] = 1u;
}
}
workgroupBarrier();
var offset = sums[thread];
for (var i = first; i < end; i++) {
let value = histogram[i];
histogram[i] = offset;
offset += value;
}
}`;var Re=`struct View {
world_to_camera: array<vec4f, 3>,
background: vec4f,
focal: vec2f,
principal: vec2f,
viewport: vec2f,
near_plane: f32,
blur: f32,
num_splats: u32,
}
override DIGIT: u32 = 0u;
const THREADS = 128u;
const ITEMS = 16u;
const BLOCK = 2048u;
const CULLED = 0xffffffffu;
@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var<storage, read> frame_state: vec4u;
@group(0) @binding(2) var<storage, read> items: array<u32>;
@group(0) @binding(3) var<storage, read> histogram: array<u32>;
@group(0) @binding(4) var<storage, read> digit_totals: array<u32>;
@group(0) @binding(5) var<storage, read_write> sorted: array<u32>;
var<workgroup> counters: array<u32, 1024>;
var<workgroup> partial: array<u32, 128>;
var<workgroup> half_start: array<u32, 16>;
var<workgroup> local_items: array<u32, 2048>;
var<workgroup> digit_start: array<u32, 256>;
var<workgroup> sums: array<vec2u, 128>;
var<workgroup> num_local: u32;
fn sort_key(depth_bits: u32) -> u32 {
let nearest = bitcast<f32>(~frame_state.y);
let range = max(bitcast<f32>(frame_state.z) - nearest, 1e-9);
let step = (bitcast<f32>(depth_bits) - nearest) / range * 65535.0;
return min(u32(max(step, 0.0)), 65535u);
}
fn digit_of(local_item: u32) -> u32 {
if (DIGIT == 1u) {
return local_item >> 24u;
}
return (local_item >> 11u) & 255u;
}
fn local_item(at: u32, place: u32) -> u32 {
let item = items[at];
if (DIGIT == 1u || item == CULLED) {
return item;
}
return (sort_key(item) << 11u) | place;
}
fn clear_counters(thread: u32) {
for (var pair = 0u; pair < 8u; pair++) {
counters[pair * THREADS + thread] = 0u;
}
}
fn count_half(half_digit: u32, thread: u32) {
counters[(half_digit / 2u) * THREADS + thread] += 1u << (16u * (half_digit % 2u));
}
fn sum_counters(thread: u32) {
workgroupBarrier();
let column = (thread / 16u) * THREADS + (thread % 16u) * 8u;
var sum = 0u;
for (var i = 0u; i < 8u; i++) {
let value = counters[column + i];
counters[column + i] = sum;
sum += value;
}
partial[thread] = sum;
workgroupBarrier();
if (thread < 8u) {
var total = 0u;
for (var i = 0u; i < 16u; i++) {
let value = partial[thread * 16u + i];
partial[thread * 16u + i] = total;
total += value;
}
half_start[2u * thread] = total & 0xffffu;
half_start[2u * thread + 1u] = total >> 16u;
}
workgroupBarrier();
if (thread == 0u) {
var total = 0u;
for (var i = 0u; i < 16u; i++) {
let value = half_start[i];
half_start[i] = total;
total += value;
}
num_local = total;
}
workgroupBarrier();
}
fn place_of(half_digit: u32, thread: u32) -> u32 {
let column = (half_digit / 2u) * THREADS + thread;
let bit = 16u * (half_digit % 2u);
let before = counters[column] + partial[(half_digit / 2u) * 16u + thread / 8u];
counters[column] += 1u << bit;
return half_start[half_digit] + ((before >> bit) & 0xffffu);
}
fn find_digit_starts(group: u32, blocks: u32, thread: u32) {
var values: array<vec2u, 2>;
for (var i = 0u; i < 2u; i++) {
let digit = 2u * thread + i;
let at = digit * blocks + group;
let total = digit_totals[digit];
var next = total;
if (group + 1u < blocks) {
next = histogram[at + 1u];
}
values[i] = vec2u(total, next - histogram[at]);
}
sums[thread] = values[0] + values[1];
workgroupBarrier();
if (thread < 8u) {
var total = vec2u(0u);
for (var i = 0u; i < 16u; i++) {
let value = sums[thread * 16u + i];
sums[thread * 16u + i] = total;
total += value;
}
digit_start[thread] = total.x;
digit_start[thread + 8u] = total.y;
}
workgroupBarrier();
var before = sums[thread];
for (var i = 0u; i < thread / 16u; i++) {
before += vec2u(digit_start[i], digit_start[i + 8u]);
}
workgroupBarrier();
for (var i = 0u; i < 2u; i++) {
let digit = 2u * thread + i;
digit_start[digit] = before.x + histogram[digit * blocks + group] - before.y;
before += values[i];
}
}
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
let count = select(frame_state.x, view.num_splats, DIGIT == 0u);
find_digit_starts(group.x, (count + BLOCK - 1u) / BLOCK, thread);
clear_counters(thread);
let block = group.x * BLOCK;
let first = thread * ITEMS;
let end = min(first + ITEMS, count - min(count, block));
for (var i = first; i < end; i++) {
let item = local_item(block + i, i);
if (item != CULLED) {
count_half(digit_of(item) & 15u, thread);
}
}
sum_counters(thread);
for (var i = first; i < end; i++) {
let item = local_item(block + i, i);
if (item != CULLED) {
local_items[min(place_of(digit_of(item) & 15u, thread), BLOCK - 1u)] = item;
}
}
workgroupBarrier();
clear_counters(thread);
let local_end = min(first + ITEMS, num_local);
for (var i = first; i < local_end; i++) {
count_half(digit_of(local_items[i]) >> 4u, thread);
}
sum_counters(thread);
for (var i = first; i < local_end; i++) {
let item = local_items[i];
let digit = digit_of(item);
let target_ = digit_start[digit] + place_of(digit >> 4u, thread);
var out = item & 0xffffffu;
if (DIGIT == 0u) {
out = ((item >> 19u) << 24u) | (block + (item & 2047u));
}
sorted[min(target_, view.num_splats - 1u)] = out;
}
}`;var Ne=`struct View {
world_to_camera: array<vec4f, 3>,
background: vec4f,
focal: vec2f,
principal: vec2f,
viewport: vec2f,
near_plane: f32,
blur: f32,
num_splats: u32,
}
struct Stage {
up: vec4f,
center: vec4f,
shadows: array<vec4f, 3>,
}
const LINE_SPACING = 0.5;
const LINE_STRENGTH = 0.055;
@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var accumulation: texture_2d<f32>;
@group(0) @binding(2) var<uniform> stage: Stage;
@vertex
fn vertex(@builtin(vertex_index) index: u32) -> @builtin(position) vec4f {
let corner = vec2f(f32((index << 1u) & 2u), f32(index & 2u));
return vec4f(corner * 2.0 - 1.0, 0.0, 1.0);
}
fn wall(pixel: vec2f) -> vec3f {
let p = (pixel / view.viewport - vec2f(0.5, 0.42)) / vec2f(1.2, 0.9);
let light = vec3f(0.955, 0.957, 0.961);
let dark = vec3f(0.855, 0.863, 0.875);
return mix(light, dark, smoothstep(0.0, 1.0, length(p) * 1.25));
}
fn floor_shade(pixel: vec2f) -> vec2f {
let r0 = view.world_to_camera[0];
let r1 = view.world_to_camera[1];
let r2 = view.world_to_camera[2];
let eye = -(r0.w * r0.xyz + r1.w * r1.xyz + r2.w * r2.xyz);
let slope = (pixel - view.principal) / view.focal;
let ray = slope.x * r0.xyz + slope.y * r1.xyz + r2.xyz;
let up = stage.up.xyz;
let height = dot(up, eye) - stage.up.w;
let fall = -dot(up, ray);
let is_floor = height > 0.0 && fall > 1e-3;
let point = eye + height / max(fall, 1e-3) * ray;
var clear = 1.0;
for (var i = 0u; i < 3u; i++) {
let to_caster = stage.shadows[i].xyz - point;
let above = max(dot(up, to_caster), 0.0);
let along = to_caster - dot(up, to_caster) * up;
let radius = stage.shadows[i].w + 0.5 * above;
let strength = 0.32 * stage.shadows[i].w / radius;
clear *= 1.0 - strength * exp(-dot(along, along) / (radius * radius));
}
let axis = select(vec3f(0.0, 1.0, 0.0), vec3f(1.0, 0.0, 0.0), abs(up.x) < 0.5);
let across = normalize(cross(up, axis));
let cell = vec2f(dot(point, across), dot(point, cross(up, across))) / LINE_SPACING;
let footprint = max(fwidth(cell), vec2f(1e-5));
let cover = clamp(1.25 - abs(fract(cell - 0.5) - 0.5) / footprint, vec2f(0.0), vec2f(1.0));
let thinning = clamp(0.35 / footprint, vec2f(0.0), vec2f(1.0));
let lines = max(cover.x * thinning.x, cover.y * thinning.y);
let from_center = point - stage.center.xyz;
let fade = 1.0 - smoothstep(0.25, 1.0, length(from_center - dot(up, from_center) * up) / stage.center.w);
return select(vec2f(0.0), vec2f(1.0 - clear, LINE_STRENGTH * fade * lines), is_floor);
}
@fragment
fn fragment(@builtin(position) position: vec4f) -> @location(0) vec4f {
let accumulated = textureLoad(accumulation, vec2i(position.xy), 0);
let shade = floor_shade(position.xy);
let noise = fract(52.9829189 * fract(dot(position.xy, vec2f(0.06711056, 0.00583715)))) - 0.5;
let backdrop = wall(position.xy) * (1.0 - shade.x) * (1.0 - shade.y) + noise / 255.0;
return vec4f(accumulated.rgb + (1.0 - accumulated.a) * backdrop, 1.0);
}`;var De={"composite.wgsl":ke,"draw.wgsl":Ue,"features.wgsl":Me,"nodes.wgsl":Ie,"project.wgsl":Be,"sort_histogram.wgsl":Ge,"sort_scan.wgsl":Ce,"sort_scatter.wgsl":Re,"stage.wgsl":Ne};var re="rgba8unorm",oe=[...U,"uniform:stage"];function Pt(){let r=[0,1,2,2,1,3];return Uint16Array.from({length:6*Z},(e,t)=>4*Math.floor(t/6)+r[t%6])}var N=class r{constructor(e){this.device=e;this.indices=this.allocate("indices",12*Z,GPUBufferUsage.INDEX),e.queue.writeBuffer(this.indices,0,Pt())}device;indices;compute=new Map;draw;composite;stage;modules=new Map;layouts=new Map;static async create(e,t){return se(e,"the graphics driver refused the shaders",async()=>{let o=new r(e);return await o.compile(t),o})}dispose(){this.indices.destroy()}allocate(e,t,o){let s=Math.max(16,Math.ceil(t/16)*16);return this.device.createBuffer({label:e,size:s,usage:o|GPUBufferUsage.COPY_DST})}makeBuffer({name:e,fill:t,stride:o},s,n=0){let a=t==="uniform"?GPUBufferUsage.UNIFORM:GPUBufferUsage.STORAGE,i=e==="arguments"?GPUBufferUsage.INDIRECT:e==="frame_state"?GPUBufferUsage.COPY_SRC:0;return this.allocate(e,Math.max(n,o*s),a|i)}bind(e,t,o,s){let n=t.map((a,i)=>a.startsWith("texture:")?{binding:i,resource:s.createView()}:{binding:i,resource:{buffer:o.get(a.split(":")[1])}});return this.device.createBindGroup({layout:e,entries:n})}async compile(e){let t=P.map(async s=>{let n=this.bindLayout(s.bindings,GPUShaderStage.COMPUTE),a=await this.device.createComputePipelineAsync({label:s.name,layout:this.device.createPipelineLayout({bindGroupLayouts:[n]}),compute:{module:this.module(s.shader),entryPoint:"main",...s.digit>=0&&{constants:{DIGIT:s.digit}}}});return[s.name,{pipeline:a,layout:n}]}),o=[this.renderPipeline("draw.wgsl",R,G,!0),this.renderPipeline("composite.wgsl",U,re,!1),this.renderPipeline("stage.wgsl",oe,e,!1)];[this.draw,this.composite,this.stage]=await Promise.all(o);for(let[s,n]of await Promise.all(t))this.compute.set(s,n)}module(e){let t=this.modules.get(e)??this.device.createShaderModule({label:e,code:De[e]});return this.modules.set(e,t),t}async renderPipeline(e,t,o,s){let n={srcFactor:"one",dstFactor:"one-minus-src-alpha",operation:"add"},a=s?{format:o,blend:{color:n,alpha:n}}:{format:o},i=this.module(e),u=this.bindLayout(t,GPUShaderStage.VERTEX|GPUShaderStage.FRAGMENT);return{pipeline:await this.device.createRenderPipelineAsync({label:e,layout:this.device.createPipelineLayout({bindGroupLayouts:[u]}),vertex:{module:i,entryPoint:"vertex"},fragment:{module:i,entryPoint:"fragment",targets:[a]},primitive:{topology:"triangle-list"}}),layout:u}}bindLayout(e,t){let o=e.map(u=>u.split(":")[0]),s=`${t}:${o.join()}`,n={uniform:"uniform",read:"read-only-storage",write:"storage"},a=o.map((u,l)=>u==="texture"?{binding:l,visibility:t,texture:{sampleType:"unfilterable-float"}}:{binding:l,visibility:t,buffer:{type:n[u]}}),i=this.layouts.get(s)??this.device.createBindGroupLayout({entries:a});return this.layouts.set(s,i),i}};async function se(r,e,t){r.pushErrorScope("validation"),r.pushErrorScope("out-of-memory");let o=(async()=>t())();o.catch(()=>{});let[s,n]=await Promise.all([r.popErrorScope(),r.popErrorScope()]);if(s)throw new Error(`not enough graphics memory for this avatar (${s.message}); close other pages`);if(n)throw new Error(`${e}: ${n.message}`);return o}var f=class extends Error{name="FormatError"},Tt={uint32:4,float16:2,uint16:2,float32:4,int32:4},ze;function kt(r){ze??=Uint32Array.from({length:256},(t,o)=>{for(let s=0;s<8;s++)o=o&1?o>>>1^3988292384:o>>>1;return o});let e=4294967295;for(let t=0;t<r.length;t++)e=(ze[(e^r[t])&255]^e>>>8)>>>0;return(e^4294967295)>>>0}function Ut(r,e){let t=new Uint8Array(r.length),o=r.length/e;for(let s=0,n=0;s<e;s++)for(let a=s,i=0;i<o;i++,a+=e)t[a]=r[n++];return t}async function Mt(r,e,t){let o=new Uint8Array(e),s=0,n=i=>new f(`section '${t}' expands to ${i}, expected ${e} bytes; export the file again`),a=new Blob([r]).stream().pipeThrough(new DecompressionStream("gzip")).getReader();try{for(;;){let{done:i,value:u}=await a.read();if(i)break;if(s+u.length>e)throw n(`more than ${e} bytes`);o.set(u,s),s+=u.length}}catch(i){throw a.cancel().catch(()=>{}),i instanceof f?i:new f(`section '${t}' is damaged (not gzip); copy or export the file again`)}if(s!==e)throw n(`${s} bytes`);return o}function It(r){return JSON.stringify(String.fromCharCode(...r.subarray(0,8)))}function Bt(r){let e=String.fromCharCode(...r.subarray(0,B.length));if(r.length<16||e!==B)throw new f(`not an avatar file: it starts with ${It(r)}, expected "${B}"; export it again`);let t=new DataView(r.buffer,r.byteOffset,r.byteLength),o=t.getUint32(8,!0),s=t.getUint32(12,!0);if(o>1)throw new f(`made by a newer version (format ${o}, this page reads up to ${1}): update the page beside it`);let n=16+s;if(s>1048576||n>r.length)throw new f(`truncated: the header needs ${n} bytes, found ${r.length}; copy it again`);let a;try{a=JSON.parse(new TextDecoder("utf-8",{fatal:!0}).decode(r.subarray(16,n)))}catch(i){throw new f(`the header is not JSON (${String(i)}); the file is damaged, copy or export it again`)}if(Gt(a),r.length<n+a.payload_bytes)throw new f(`truncated: expected ${n+a.payload_bytes} bytes, found ${r.length}; copy it again`);return{header:a,start:n}}function Gt(r){let e=(o,s)=>{if(!o)throw new f(`the header is damaged: ${s}; copy or export the file again`)},t=o=>Number.isInteger(o)&&o>=0;e(typeof r=="object"&&r!==null,"expected an object");for(let o of["num_gaussians","num_parts","num_head_parts","num_nodes","basis_size","payload_bytes"])e(t(r[o]),`${o} is ${String(r[o])}, expected a count`);e(Array.isArray(r.layer_sizes)&&r.layer_sizes.every(t),"layer_sizes must be counts");for(let o of["position_low","position_high"])e(r[o]?.length===3&&r[o].every(Number.isFinite),`${o} must be three numbers`);e(Array.isArray(r.sections),"sections must be a list"),e(typeof r.meta=="object"&&r.meta!==null,"meta must be an object")}function Ct(r){let e=r.layer_sizes,t=e.slice(1).map((s,n)=>[e[n],s]),o=t.reduce((s,[n,a])=>s+a*(n+n%2),0);return{gaussians:r.num_gaussians*12,node_part:r.num_nodes,node_basis:r.num_nodes*3*r.basis_size,mlp_weights:r.num_parts*o,mlp_biases:r.num_parts*t.reduce((s,[,n])=>s+n,0),joint_rest:165,inverse_bind:660,joint_parent:55}}async function Rt(r,e){let{name:t}=e;if(e.raw_bytes>1073741824)throw new f(`section '${t}' claims ${e.raw_bytes} bytes, more than ${1073741824}`);let o=r.subarray(e.offset,e.offset+e.stored_bytes);if(kt(o)!==e.crc32)throw new f(`section '${t}' is damaged (checksum differs); copy or export the file again`);return Ut(await Mt(o,e.raw_bytes,t),e.shuffle)}async function Fe(r){let{header:e,start:t}=Bt(r),o=r.subarray(t,t+e.payload_bytes),s={},n=Ct(e);for(let i of e.sections){let u=i.name;if(!(u in A))continue;let l=await Rt(o,i),c=l.length/Tt[A[u]];if(i.dtype!==A[u]||c!==(n[u]??c))throw new f(`section '${u}' has ${c} items of ${i.dtype}, expected ${n[u]??"any number"} of ${A[u]}; export the file again`);s[u]=l}let a=Object.keys(A).filter(i=>!(i in s)).sort();if(a.length>0)throw new f(`sections missing: ${a.join(", ")}; export the file again`);return{header:e,sections:s}}function ae(r){return new Float32Array(r.buffer,r.byteOffset,r.byteLength/4)}function Ve(r){return new Int32Array(r.buffer,r.byteOffset,r.byteLength/4)}var g=class extends Error{constructor(t,o){super(o);this.title=t}title;name="GpuError"},$e="Use a current version of Chrome, Edge, Safari or Firefox.";function Nt(){if(location.protocol==="file:")throw new g("This page needs a web server",`It was opened from disk, where browsers do not let it load its files.
Run \u201Cpython3 -m http.server\u201D in its folder and open http://localhost:8000.`);if(!window.isSecureContext)throw new g("This address is not secure",`Browsers offer WebGPU only over https or on localhost, and this is ${location.origin}. Serve the folder over https, or open it on the machine that serves it.`);let r=navigator.gpu;if(!r)throw new g("This browser has no WebGPU",`The avatar is drawn with WebGPU. ${$e}`);return r}async function ie(){let r=await Nt().requestAdapter({powerPreference:"high-performance"});if(!r)throw new g("No graphics adapter",`This browser knows WebGPU but found no graphics device that it may use. Turn on hardware acceleration in its settings or update the graphics driver. ${$e}`);return r}async function je(){let r=await ie();try{return{device:await r.requestDevice(),adapter:r.info,format:navigator.gpu.getPreferredCanvasFormat()}}catch(e){throw new g("The graphics device could not be opened",`${e.message}
Close other pages and load this one again.`)}}function We(r,e,t,o,s=0){let n=Math.sqrt(Math.max(r*r+e*e+t*t,1e-12)),[a,i,u]=[r/n,e/n,t/n],l=Math.sin(n),c=1-Math.cos(n);o[s]=1-c*(i*i+u*u),o[s+1]=-l*u+c*a*i,o[s+2]=l*i+c*a*u,o[s+3]=l*u+c*a*i,o[s+4]=1-c*(a*a+u*u),o[s+5]=-l*a+c*i*u,o[s+6]=-l*i+c*a*u,o[s+7]=l*a+c*i*u,o[s+8]=1-c*(a*a+i*i)}function He([r,e,t]){let o=Math.hypot(r,e,t),s=o<1e-9?.5:Math.sin(o/2)/o;return[Math.cos(o/2),r*s,e*s,t*s]}function Dt(r){let e=r[0]<0?-1:1,t=Math.hypot(r[1],r[2],r[3]),o=t<1e-9?2:2*Math.atan2(t,Math.abs(r[0]))/t;return[r[1]*e*o,r[2]*e*o,r[3]*e*o]}function ue(r){let[e,t,o,s,n,a,i,u,l]=Array.from(r),c=[1+e+n+l,1+e-n-l,1-e+n-l,1-e-n+l],m=[[c[0],u-a,o-i,s-t],[u-a,c[1],s+t,o+i],[o-i,s+t,c[2],u+a],[s-t,o+i,u+a,c[3]]][c.indexOf(Math.max(...c))],v=Math.hypot(...m);return m.map(x=>x/v)}function Ke([r,e,t,o]){return Float32Array.of(1-2*(t*t+o*o),2*(e*t-r*o),2*(e*o+r*t),2*(e*t+r*o),1-2*(e*e+o*o),2*(t*o-r*e),2*(e*o-r*t),2*(t*o+r*e),1-2*(e*e+t*t))}function ce(r,e,t){let o=r[0]*e[0]+r[1]*e[1]+r[2]*e[2]+r[3]*e[3],s=Math.acos(Math.min(1,Math.abs(o))),n=Math.sin(s),a=n<1e-6?1-t:Math.sin((1-t)*s)/n,i=(n<1e-6?t:Math.sin(t*s)/n)*(o<0?-1:1),u=[0,1,2,3].map(c=>a*r[c]+i*e[c]),l=Math.hypot(...u);return u.map(c=>c/l)}var Ot=1;function Xe(r,e,t){if(Math.hypot(r[0]-e[0],r[1]-e[1],r[2]-e[2])<=Ot)return[r[0]+t*(e[0]-r[0]),r[1]+t*(e[1]-r[1]),r[2]+t*(e[2]-r[2])];let o=t<.5?r:e,s=Dt(ce(He(r),He(e),t)),n=Math.hypot(...s);if(n<1e-9)return s;let a=(s[0]*o[0]+s[1]*o[1]+s[2]*o[2])/n,i=(n+2*Math.PI*Math.round((a-n)/(2*Math.PI)))/n;return[s[0]*i,s[1]*i,s[2]*i]}function D(r){let{joint_rest:e,inverse_bind:t,joint_parent:o}=r.sections;return{rest:ae(e),inverseBind:ae(t),parent:Ve(o)}}function le(r,e,t,o,s,n){for(let a=0;a<12;a+=4)for(let i=0;i<4;i++){let u=i===3?r[e+a+3]:0;for(let l=0;l<3;l++)u+=r[e+a+l]*t[o+4*l+i];s[n+a+i]=u}}function de(r,e){let{rest:t,parent:o}=r,s=new Float64Array(b*12),n=new Float64Array(12),a=new Float64Array(12),i=new Float64Array(9);for(let u=0;u<3;u++){for(let l=0;l<3;l++)n[4*u+l]=e.Rh[3*u+l];n[4*u+3]=e.Th[u]}for(let u=0;u<b;u++){let l=o[u];We(e.pose[3*u],e.pose[3*u+1],e.pose[3*u+2],i);for(let c=0;c<3;c++){for(let d=0;d<3;d++)a[4*c+d]=i[3*c+d];a[4*c+3]=t[3*u+c]-(l<0?0:t[3*l+c])}l<0?le(n,0,a,0,s,12*u):le(s,12*l,a,0,s,12*u)}return s}function Qe(r,e){let t=de(r,e),o=new Float32Array(b*12);for(let s=0;s<b;s++)le(t,12*s,r.inverseBind,12*s,o,12*s);return o}function Ye(r,e,t){let o=new Float32Array(e);return o.set(r.pose.subarray(3,3+t)),o.set(r.expression.subarray(0,e-t),t),o}var M=(r,e)=>Math.ceil(r/e);function fe(r){let e=r.num_gaussians;return{one:1,gaussians:e,instance_groups:M(e,k),parts:r.num_parts,features:r.num_parts*2*r.basis_size,nodes:r.num_nodes,node_groups:M(r.num_nodes,k),kept_groups:M(e,32)}}function pe(r){let e=M(r,Ae);return{one:1,splats:r,sort_groups:e,histogram:e<<q,digit_values:1<<q}}function S(r,e){let{size:t,fields:o}=Te[r],s=new ArrayBuffer(t);for(let[n,[a,i]]of Object.entries(o)){let u=e[n],l=typeof u=="number"?[u]:u;(i==="u32"?new Uint32Array(s,a):new Float32Array(s,a)).set(l)}return s}function qe(r){let e=r.layer_sizes,t=[],[o,s]=[0,0];for(let a=0;a+1<e.length;a++){let[i,u]=[e[a],e[a+1]];t.push(i,u,o,s),o+=r.num_parts*u*Math.ceil(i/2),s+=r.num_parts*u}let n=a=>r.sections.find(i=>i.name===a).raw_bytes;return S("Model",{position_low:r.position_low,position_step:r.position_high.map((a,i)=>(a-r.position_low[i])/65535),num_gaussians:r.num_gaussians,num_nodes:r.num_nodes,num_head_parts:r.num_head_parts,num_pose_inputs:r.num_pose_inputs,basis_size:r.basis_size,num_layers:e.length-1,leaky_relu_slope:r.leaky_relu_slope,scale_basis:n("rotation_basis")/4,color_basis:(n("rotation_basis")+n("scale_basis"))/4,layers:t})}function Je(r,e){let t=new Uint32Array(M(r,32)*6);return e.forEach((o,s)=>{let n=0;for(let a=0;a*6<t.length;a++)for(t[a*6+2*s+1]=n;n<o.length&&o[n]<(a+1)*32;n++)t[a*6+2*s]|=1<<(o[n]&31)}),t}function Ze(r,e){let t=r.layer_sizes;if(t.length-1>Q||Math.max(...t)>Y)throw new Error(`part networks may have ${Q} layers of at most ${Y} numbers, found ${t}`);if(r.basis_size%2!==0||t.at(-1)!==2*r.basis_size)throw new Error(`the basis size must be even and half of the last layer, found ${r.basis_size}`);me(r.num_gaussians);let o=fe(r),s=C.reduce((n,a)=>n+e[a].length,0);for(let n of _){if(n.scope==="scene")continue;let{name:a,fill:i,stride:u,dimension:l}=n,c=i==="section"?e[a].length:i==="joined"?s:u*o[l];if(c>ee)throw new Error(`buffer '${a}' needs ${c} bytes, WebGPU promises ${ee}: prune more`)}for(let n of P)if(n.stage!=="sort"&&o[n.groups]>te)throw new Error(`pass '${n.name}' needs ${o[n.groups]} workgroups, WebGPU promises ${te}`)}function me(r){if(r>J)throw new Error(`one picture shows ${J} Gaussians at most, found ${r}: show fewer avatars`)}var Lt=[1,0,0,0,0,1,0,0,0,0,1,0,0,0,0,1],O=class{constructor(e){this.model=e;this.level=e.levels.length-1;for(let t of _)t.scope==="instance"&&this.buffers.set(t.name,e.context.makeBuffer(t,e.counts[t.dimension]))}model;buffers=new Map;visible=!0;level;isPosed=!1;place=Lt;get transform(){return this.place}set transform(e){if(e.length!==16||!e.every(Number.isFinite))throw new Error(`transform must be 16 finite numbers row by row, found ${e.length}`);this.place=[...e]}get numSplats(){let{levels:e}=this.model;return e[Math.min(Math.max(this.level,0),e.length-1)]}setPose(e){let{avatar:t,skeleton:o,context:s}=this.model,{layer_sizes:n,num_pose_inputs:a}=t.header,i={joints:Qe(o,e),inputs:Ye(e,n[0],a)};s.device.queue.writeBuffer(this.buffers.get("pose_input"),0,S("PoseInput",i)),this.isPosed=!1}get bytes(){return[...this.buffers.values()].reduce((e,t)=>e+t.size,0)}dispose(){for(let e of this.buffers.values())e.destroy();this.buffers.clear()}};var w=class extends Error{name="LoadError"};async function zt(r,e){if(!r.body)return new Uint8Array(await r.arrayBuffer());let t=Number(r.headers.get("content-length")??Number.NaN),o=[],s=0,n=r.body.getReader();for(;;){let{done:u,value:l}=await n.read();if(u)break;o.push(l),s+=l.length,e(Math.min(1,s/t))}let a=new Uint8Array(s),i=0;for(let u of o)a.set(u,i),i+=u.length;return a}async function he(r,e=()=>{}){let t;try{t=await fetch(r,{credentials:"same-origin"})}catch(o){throw new w(`${r} could not be fetched (${o.message}): is the server still running?`)}if(!t.ok)throw new w(`${r}: the server answered ${t.status}, expected the file beside index.html; copy the whole exported folder`);try{return await zt(t,e)}catch(o){throw new w(`${r} was cut off while loading (${o.message}); load the page again`)}}function Ft(r){let e=new Uint8Array(r.reduce((o,s)=>o+s.length,0)),t=0;for(let o of r)e.set(o,t),t+=o.length;return e}var L=class r{constructor(e,t){this.context=e;this.avatar=t;Ze(t.header,t.sections),this.skeleton=D(t),this.counts=fe(t.header),this.levels=[t.header.num_gaussians];for(let o of _)o.scope==="model"&&this.buffers.set(o.name,this.upload(o))}context;avatar;buffers=new Map;skeleton;counts;levels;static upload(e,t){return se(e.device,"the graphics driver refused the avatar",()=>new r(e,t))}get bytes(){return[...this.buffers.values()].reduce((e,t)=>e+t.size,0)}dispose(){for(let e of this.buffers.values())e.destroy();this.buffers.clear()}upload(e){let t=this.content(e),{queue:o}=this.context.device,s=this.context.makeBuffer(e,this.counts[e.dimension],t.length),n=t.length-t.length%4;if(o.writeBuffer(s,0,t,0,n),n<t.length){let a=new Uint8Array(4);a.set(t.subarray(n)),o.writeBuffer(s,n,a)}return s}content({name:e,fill:t}){let{sections:o,header:s}=this.avatar;if(t==="section")return o[e];if(t==="joined")return Ft(C.map(l=>o[l]));if(t==="uniform")return new Uint8Array(qe(s));let{rotation_index:n,scale_index:a,color_index:i}=o,u=[n,a,i].map(l=>new Uint32Array(l.buffer));return new Uint8Array(Je(s.num_gaussians,u).buffer)}};var Vt="M8 5v14l11-7z",$t="M7 5h4v14H7zM13 5h4v14h-4z";function p(r){let e=document.getElementById(r);if(!e)throw new Error(`index.html has no element '${r}'; it does not belong to this viewer.js`);return e}function et(r){let e=Math.floor(r);return`${Math.floor(e/60)}:${String(e%60).padStart(2,"0")}`}var z=class{canvas=p("canvas");poster=p("poster");controls=p("controls");scrub=p("scrub");play=p("play");readoutBox=p("readout");constructor(){let e=()=>{this.poster.src.endsWith("poster.jpg")?this.poster.src="poster.png":this.poster.hidden=!0};this.poster.addEventListener("error",e),this.poster.complete&&this.poster.naturalWidth===0&&e()}progress(e,t){p("progress-text").textContent=e,p("progress-bar").style.width=`${Number.isNaN(t)?100:Math.round(100*t)}%`}revealed(e){p("progress").hidden=!0,this.poster.classList.add("gone"),this.readoutBox.hidden=!1,this.controls.hidden=e.last===0,this.scrub.max=String(e.last)}message(e,t){p("progress").hidden=!0,this.controls.hidden=!0,this.readoutBox.hidden=!0,this.canvas.hidden=!0,this.poster.classList.remove("gone"),p("message-title").textContent=e,p("message-text").textContent=t,p("message").hidden=!1}readout(e,t){this.readoutBox.textContent=e,this.readoutBox.title=t}showTime(e){this.scrub.value=String(e.position),this.scrub.style.setProperty("--done",`${e.last>0?100*e.position/e.last:0}%`);let t=`${et(e.position/e.fps)} / ${et(e.last/e.fps)}`,o=p("clock");o.textContent!==t&&(o.textContent=t)}showPlaying(e){p("play").setAttribute("aria-label",e.playing?"Pause":"Play"),document.getElementById("play-icon")?.setAttribute("d",e.playing?$t:Vt)}connect(e,t,o){let s=()=>{e.playing=!e.playing,this.showPlaying(e),t()},n=a=>{e.playing=!1,e.seek(a),this.showPlaying(e),t()};this.play.addEventListener("click",s),this.scrub.addEventListener("input",()=>n(Number(this.scrub.value))),window.addEventListener("keydown",a=>{if(!(a.target instanceof HTMLButtonElement||a.ctrlKey||a.metaKey||a.altKey)){if(a.key===" ")s();else if(a.key==="ArrowRight"&&a.target!==this.scrub)n(Math.floor(e.position)+1);else if(a.key==="ArrowLeft"&&a.target!==this.scrub)n(Math.ceil(e.position)-1);else if(a.key==="r")o();else return;a.preventDefault()}}),this.showPlaying(e)}};function tt(r,e,t){return Float32Array.from({length:Math.max(r.length,e.length)},(o,s)=>(1-t)*(r[s]??0)+t*(e[s]??0))}function jt(r,e,t){if(t<=0||r===e)return r;if(t>=1)return e;let o=new Float32Array(r.pose.length);for(let s=0;s<o.length;s+=3){let n=r.pose.subarray(s,s+3),a=e.pose.subarray(s,s+3);o.set(Xe(n,a,t),s)}return{pose:o,Rh:Ke(ce(ue(r.Rh),ue(e.Rh),t)),Th:tt(r.Th,e.Th,t),expression:tt(r.expression,e.expression,t)}}var F=class{constructor(e,t){this.frames=e;this.fps=t}frames;fps;playing=!0;time=0;get position(){return this.time}get last(){return this.frames.length-1}seek(e){this.time=Math.min(this.last,Math.max(0,e))}advance(e){!this.playing||this.last===0||(this.time+=Math.min(e,.25)*this.fps,this.time>this.last&&(this.time%=this.last))}pose(){let e=Math.floor(this.time);return jt(this.frames[e],this.frames[Math.min(e+1,this.last)],this.time-e)}};var Ht=10,y=class extends Error{name="PoseError"};function V(r,e,t){let o=Array.isArray(r)?r.flat():[];if(!Array.isArray(r)||!o.every(s=>Number.isFinite(s))||o.length!==(e??o.length)){let s=Array.isArray(r)?`${o.length} values`:String(r);throw new y(`${t} must be ${e??"a list of"} finite numbers, found ${s}`)}return Float32Array.from(o)}function ge(r){if(typeof r!="object"||r===null)throw new y("expected an object");let{pose:e,Rh:t,Th:o,expression:s}=r;return{pose:V(e,b*3,"pose"),Rh:V(t,9,"Rh"),Th:V(o,3,"Th"),expression:s?V(s,void 0,"expression"):new Float32Array(Ht)}}function rt(r){let e;try{e=JSON.parse(r)}catch(t){throw new y(`not JSON (${String(t)}); export it again`)}if(!Array.isArray(e)||e.length===0)throw new y("expected a non-empty JSON array of frames");return e.map((t,o)=>{try{return ge(t)}catch(s){throw new y(`frame ${o} needs pose[165], Th[3], Rh[3][3]: ${s.message}`)}})}var $=class{timing="off";latest={};queries;labels=[];isOpen=!1;arriving;constructor(e){e.features.has("timestamp-query")&&(this.queries={set:e.createQuerySet({type:"timestamp",count:128}),resolved:e.createBuffer({size:1024,usage:GPUBufferUsage.QUERY_RESOLVE|GPUBufferUsage.COPY_SRC}),readable:e.createBuffer({size:1024,usage:GPUBufferUsage.COPY_DST|GPUBufferUsage.MAP_READ})})}get canTime(){return this.queries!==void 0}start(){this.labels=[],this.isOpen=this.timing!=="off"&&this.canTime&&this.arriving===void 0}get isSplit(){return this.isOpen&&this.timing==="passes"}writes(e){if(!this.isOpen||this.labels.length===64)return{};let t=2*this.labels.push(e)-2;return{timestampWrites:{querySet:this.queries.set,beginningOfPassWriteIndex:t,endOfPassWriteIndex:t+1}}}resolve(e){if(!this.isOpen||this.labels.length===0)return;let{set:t,resolved:o,readable:s}=this.queries;e.resolveQuerySet(t,0,2*this.labels.length,o,0),e.copyBufferToBuffer(o,0,s,0,16*this.labels.length)}collect(){if(!this.isOpen||this.labels.length===0)return;this.isOpen=!1;let{labels:e}=this,{readable:t}=this.queries,o=async()=>{await t.mapAsync(GPUMapMode.READ,0,16*e.length);let s=new BigUint64Array(t.getMappedRange(0,16*e.length)),n={};e.forEach((a,i)=>{n[a]=(n[a]??0)+Math.max(0,Number(s[2*i+1]-s[2*i]))/1e6}),this.latest=n,t.unmap(),this.arriving=void 0};this.arriving=o().catch(()=>{})}async settled(){await this.arriving}dispose(){this.queries?.set.destroy(),this.queries?.resolved.destroy(),this.queries?.readable.destroy()}};var ye=20;function ot(r){return{view:r,loadOp:"clear",storeOp:"store",clearValue:[0,0,0,0]}}function Wt(r,e){let t=(o,s)=>[0,1,2,3].reduce((n,a)=>n+r[4*o+a]*e[4*a+s],0);return Array.from({length:12},(o,s)=>t(s>>2,s&3))}var j=class{constructor(e){this.context=e;this.stage=e.allocate("stage",ye*4,GPUBufferUsage.UNIFORM),this.timer=new $(e.device)}context;stage;buffers=new Map;capacity=-1;drawn=[];counts=pe(0);sortGroups=new Map;instanceGroups=new WeakMap;target;timer;get timing(){return this.timer.timing}set timing(e){this.timer.timing=e}present(e,t,o,s){this.write(this.stage,s),this.setScene(t,o,[0,0,0]);let{device:n}=this.context,a=n.createCommandEncoder();this.target=this.fitting(this.target,o.width,o.height),this.timer.start(),this.encodeCompute(a),this.encodeDraw(a,this.target),this.encodeCover(a,e.createView(),"stage",this.target),this.submit(a)}compute(e,t){this.setScene(e,t,[0,0,0]);let o=this.context.device.createCommandEncoder();this.timer.start(),this.encodeCompute(o),this.submit(o)}async readPixels(e,t,o){let{width:s,height:n}=t,{device:a}=this.context,i=GPUTextureUsage.RENDER_ATTACHMENT|GPUTextureUsage.COPY_SRC,u=a.createTexture({size:[s,n],format:re,usage:i}),l=Math.ceil(4*s/256)*256,c=a.createBuffer({size:l*n,usage:GPUBufferUsage.MAP_READ|GPUBufferUsage.COPY_DST});this.setScene(e,t,o);let d=a.createCommandEncoder(),m=this.fitting(void 0,s,n);this.timer.start(),this.encodeCompute(d),this.encodeDraw(d,m),this.encodeCover(d,u.createView(),"composite",m),d.copyTextureToBuffer({texture:u},{buffer:c,bytesPerRow:l},[s,n]),this.submit(d);try{await c.mapAsync(GPUMapMode.READ);let v=new Uint8Array(c.getMappedRange()),x=new Uint8Array(4*s*n);for(let T=0;T<n;T++)x.set(v.subarray(T*l,T*l+4*s),4*s*T);return x}finally{c.destroy(),u.destroy(),m.accumulation.destroy()}}finished(){return this.context.device.queue.onSubmittedWorkDone().catch(()=>{})}async stats(){let e=new Set(this.drawn.map(a=>a.model)),t=[...this.buffers.values(),this.stage].reduce((a,i)=>a+i.size,0),o=this.target?8*this.target.width*this.target.height:0,s=[...e,...this.drawn].reduce((a,{bytes:i})=>a+i,0),n=await this.countVisible();return await this.timer.settled(),{splats:this.counts.splats,visibleSplats:n,bytes:t+o+s,partsMs:this.timer.latest}}dispose(){this.releaseScene(),this.timer.dispose(),this.stage.destroy(),this.target?.accumulation.destroy(),this.target=void 0}releaseScene(){for(let e of this.buffers.values())e.destroy();this.buffers.clear(),this.sortGroups.clear(),this.instanceGroups=new WeakMap,this.capacity=-1}write(e,t){this.context.device.queue.writeBuffer(e,0,t)}setScene(e,t,o){this.drawn=e.filter(({visible:d})=>d);let s=this.drawn.reduce((d,m)=>d+m.numSplats,0);me(s),this.counts=pe(s),this.reserve();let{T_cam_world:n,K:a,width:i,height:u}=t,l=0;for(let{buffers:d,transform:m,numSplats:v}of this.drawn){let x={model_to_camera:Wt(n,m),first_splat:l,num_splats:v,enlarge:1};l+=v,this.write(d.get("instance"),S("Instance",x))}let c={world_to_camera:n.slice(0,12),background:[...o,1],focal:[a[0],a[4]],principal:[a[2],a[5]],viewport:[i,u],near_plane:Se,blur:Ee,num_splats:s};this.write(this.buffers.get("view"),S("View",c))}reserve(){if(!(this.counts.splats<=this.capacity)){this.releaseScene(),this.capacity=this.counts.splats;for(let e of _)e.scope==="scene"&&this.buffers.set(e.name,this.context.makeBuffer(e,this.counts[e.dimension]))}}fitting(e,t,o){if(e?.width===t&&e.height===o)return e;e?.accumulation.destroy();let s=GPUTextureUsage.RENDER_ATTACHMENT|GPUTextureUsage.TEXTURE_BINDING,n=[t,o];return{width:t,height:o,accumulation:this.context.device.createTexture({size:n,format:G,usage:s})}}submit(e){this.timer.resolve(e),this.context.device.queue.submit([e.finish()]),this.timer.collect()}encodeCompute(e){e.clearBuffer(this.buffers.get("frame_state"));let t;for(let o of P)this.timer.isSplit&&(t?.end(),t=void 0),t??=e.beginComputePass(this.timer.writes(this.timer.isSplit?o.name:"compute")),this.dispatch(t,o);t.end();for(let o of this.drawn)o.isPosed=!0}dispatch(e,t){if(t.stage==="sort"){this.dispatchSort(e,t);return}for(let o of this.drawn)(t.stage==="project"||!o.isPosed)&&this.dispatchInstance(e,t,o)}encodeDraw(e,t){let{pipeline:o,layout:s}=this.context.draw,n=[ot(t.accumulation.createView())],a=e.beginRenderPass({colorAttachments:n,...this.timer.writes("draw")});a.setPipeline(o),a.setBindGroup(0,this.context.bind(s,R,this.buffers)),a.setIndexBuffer(this.context.indices,"uint16"),a.drawIndexedIndirect(this.buffers.get("arguments"),0),a.end()}dispatchSort(e,t){let{pipeline:o,layout:s}=this.context.compute.get(t.name),n=this.sortGroups.get(t.name)??this.context.bind(s,t.bindings,this.buffers);this.sortGroups.set(t.name,n),e.setPipeline(o),e.setBindGroup(0,n),t.groups?e.dispatchWorkgroups(this.counts[t.groups]):e.dispatchWorkgroupsIndirect(this.buffers.get("arguments"),Pe)}dispatchInstance(e,t,o){let{pipeline:s,layout:n}=this.context.compute.get(t.name),a=this.instanceGroups.get(o)??new Map;this.instanceGroups.set(o,a);let i=()=>new Map([...this.buffers,...o.model.buffers,...o.buffers]),u=a.get(t.name)??this.context.bind(n,t.bindings,i());a.set(t.name,u),e.setPipeline(s),e.setBindGroup(0,u);let{counts:l}=o.model,c=t.groups==="instance_groups";e.dispatchWorkgroups(c?Math.ceil(o.numSplats/k):l[t.groups])}encodeCover(e,t,o,{accumulation:s}){let{pipeline:n,layout:a}=this.context[o],i=o==="stage"?oe:U,u=new Map([...this.buffers,["stage",this.stage]]),l=e.beginRenderPass({colorAttachments:[ot(t)],...this.timer.writes("composite")});l.setPipeline(n),l.setBindGroup(0,this.context.bind(a,i,u,s)),l.draw(3),l.end()}async countVisible(){let e=this.buffers.get("frame_state");if(!e)return 0;let{device:t}=this.context,o=t.createBuffer({size:16,usage:GPUBufferUsage.MAP_READ|GPUBufferUsage.COPY_DST}),s=t.createCommandEncoder();s.copyBufferToBuffer(e,0,o,0,16),t.queue.submit([s.finish()]);try{return await o.mapAsync(GPUMapMode.READ),new Uint32Array(o.getMappedRange())[0]}finally{o.destroy()}}};var at=(r,e)=>r[0]*e[0]+r[1]*e[1]+r[2]*e[2],H=(r,e)=>[r[1]*e[2]-r[2]*e[1],r[2]*e[0]-r[0]*e[2],r[0]*e[1]-r[1]*e[0]],h=(r,e)=>[r[0]*e,r[1]*e,r[2]*e],E=(r,e)=>[r[0]+e[0],r[1]+e[1],r[2]+e[2]],_e=(r,e)=>E(r,h(e,-1));function I(r){let e=Math.hypot(...r);return e<1e-12?[0,0,0]:h(r,1/e)}function be(r,e){return _e(r,h(e,at(r,e)))}function Kt(r,e,t){let o=I(_e(e,r)),s=I(H(o,t)),n=H(o,s);return[s,n,o].flatMap(a=>[...a,-at(a,r)]).concat(0,0,0,1)}var ve=3.2,Xt=1.08,Qt=3/4,st=85*Math.PI/180,nt=[.15,4],W=class{constructor(e,t,o,s){this.target=e;this.radius=t;this.up=I(o);let n=I(be(s,this.up)),a=Math.abs(this.up[0])<.9?[1,0,0]:[0,1,0];this.front=Math.hypot(...n)>.5?n:I(H(this.up,a))}target;radius;up;front;yaw=0;pitch=0;zoom=1;pan=[0,0,0];turn(e,t){this.yaw-=e*Math.PI,this.pitch=Math.min(st,Math.max(-st,this.pitch+t*Math.PI))}scale(e){this.zoom=Math.min(nt[1],Math.max(nt[0],this.zoom*e))}shift(e,t,o,s){let n=this.camera(o,s).T_cam_world,a=s*ve*this.radius*this.zoom/this.focal(o,s),i=[n[0],n[1],n[2]],u=[n[4],n[5],n[6]],l=_e(this.pan,E(h(i,e*a),h(u,t*a))),c=Math.hypot(...l);this.pan=c>2*this.radius?h(l,2*this.radius/c):l}reset(){[this.yaw,this.pitch,this.zoom,this.pan]=[0,0,1,[0,0,0]]}focal(e,t){return .5*Math.min(t,e/Qt)*ve/Xt}camera(e,t){let o=H(this.up,this.front),s=E(h(this.front,Math.cos(this.yaw)),h(o,Math.sin(this.yaw))),n=E(h(s,Math.cos(this.pitch)),h(this.up,Math.sin(this.pitch))),a=E(this.target,this.pan),i=E(a,h(n,ve*this.radius*this.zoom)),u=this.focal(e,t);return{T_cam_world:Kt(i,a,this.up),K:[u,0,e/2,0,u,t/2,0,0,1],width:e,height:t}}};function K(r){if(r.length===0)return{x:0,y:0,spread:0};let e=r.reduce((o,s)=>o+s.x,0)/r.length,t=r.reduce((o,s)=>o+s.y,0)/r.length;return{x:e,y:t,spread:r.length<2?0:Math.hypot(r[0].x-r[1].x,r[0].y-r[1].y)}}function it(r,e,t){let o=new Map,s=K([]),n=!1,a=!1,i=()=>{if(a=!1,o.size===0)return;let c=K([...o.values()]),d=r.clientHeight,[m,v]=[(c.x-s.x)/d,(c.y-s.y)/d];o.size>1||n?e.shift(m,v,r.clientWidth,d):e.turn(m,v),s.spread>0&&c.spread>0&&e.scale(s.spread/c.spread),s=c,t()};r.addEventListener("pointerdown",c=>{i(),r.setPointerCapture(c.pointerId),o.set(c.pointerId,{x:c.clientX,y:c.clientY}),n=c.button!==0||c.shiftKey,s=K([...o.values()])}),r.addEventListener("pointermove",c=>{o.has(c.pointerId)&&(o.set(c.pointerId,{x:c.clientX,y:c.clientY}),a||requestAnimationFrame(i),a=!0)});let u=c=>{i(),o.delete(c.pointerId),s=K([...o.values()])};r.addEventListener("pointerup",u),r.addEventListener("pointercancel",u),r.addEventListener("contextmenu",c=>c.preventDefault()),r.addEventListener("dblclick",()=>{e.reset(),t()});let l=c=>{c.preventDefault();let d=c.deltaMode===WheelEvent.DOM_DELTA_LINE?c.deltaY*16:c.deltaY;e.scale(Math.exp(d*.0015*(c.ctrlKey?4:1))),t()};r.addEventListener("wheel",l,{passive:!1})}var Yt=2,qt=2560*1600,ut=[10,11],Jt=.03,Zt=[.16,.16,.34],er=4,tr=.25,rr=.5,or=2,ct="the page is not drawing: its graphics device is lost or being replaced",we=(r,e)=>r?.length===3&&r.every(Number.isFinite)?r:e,sr=(r,e)=>r[0]*e[0]+r[1]*e[1]+r[2]*e[2],X=class{constructor(e,t,o){this.page=e;this.avatar=t;this.player=o;let{meta:s}=t.header;this.skeleton=D(t);let n=o.frames[0];this.firstPelvis=this.joint(n,0),this.center=we(s.center,this.firstPelvis);let a=[n.Rh[2],n.Rh[5],n.Rh[8]],i=we(s.up,[0,1,0]);this.orbit=new W(this.center,s.radius??1,i,we(s.front,a)),this.floor=this.floorHeight();let u=()=>{this.fixedPose=void 0,this.isDirty=!0};e.connect(o,u,()=>{this.orbit.reset(),this.isDirty=!0}),it(e.canvas,this.orbit,()=>{this.isDirty=!0}),new ResizeObserver(()=>{this.isDirty=!0}).observe(e.canvas)}page;avatar;player;orbit;pixelScale=1;renderer;instance;context;fixedCamera;fixedPose;shownPose;isDirty=!0;inFlight=0;drawn=0;lastTick=Number.NaN;skeleton;center;firstPelvis;floor;attach(e,t,o,s){let n=this.page.canvas.getContext("webgpu");if(!n)throw new Error("the canvas gives no WebGPU context; load the page again");n.configure({device:o,format:s,alphaMode:"opaque"}),this.context=n,this.renderer=e,this.instance=t,this.shownPose=void 0,this.inFlight=0,this.isDirty=!0}detach(){this.renderer=void 0,this.instance=void 0}showPose(e){this.fixedPose=e,this.isDirty=!0}showCamera(e){this.fixedCamera=e,this.isDirty=!0}tick(e){let t=Number.isNaN(this.lastTick)?0:Math.max(0,e-this.lastTick)/1e3;this.lastTick=e,this.player.playing&&this.player.last>0&&!this.fixedPose&&(this.player.advance(t),this.isDirty=!0),!(!this.renderer||this.inFlight>=or)&&(this.follow(t)||this.isDirty)&&this.draw()}async draw(){let{renderer:e,instance:t,context:o}=this;if(!e||!t||!o)throw new Error(ct);this.isDirty=!1;let s=this.currentPose(),n=this.currentCamera(),{canvas:a}=this.page;a.width!==n.width&&(a.width=n.width),a.height!==n.height&&(a.height=n.height),this.uploadPose(t,s),e.present(o.getCurrentTexture(),[t],n,this.stage(s)),this.page.showTime(this.player),this.inFlight++,await e.finished(),this.inFlight=Math.max(0,this.inFlight-1),this.drawn++}readPixels(e){if(!this.renderer||!this.instance)throw new Error(ct);return this.uploadPose(this.instance,this.currentPose()),this.renderer.readPixels([this.instance],this.currentCamera(),e)}takeDrawn(){let e=this.drawn;return this.drawn=0,e}currentPose(){return this.fixedPose??this.player.pose()}currentCamera(){if(this.fixedCamera)return this.fixedCamera;let{clientWidth:e,clientHeight:t}=this.page.canvas,o=Math.min(window.devicePixelRatio,Yt)*this.pixelScale,s=Math.min(o,Math.sqrt(qt/Math.max(1,e*t))),n=a=>Math.max(1,Math.round(a*s));return this.orbit.camera(n(e),n(t))}uploadPose(e,t){t!==this.shownPose&&(e.setPose(t),this.shownPose=t)}joint(e,t){let o=de(this.skeleton,e);return[o[12*t+3],o[12*t+7],o[12*t+11]]}floorHeight(){let{frames:e}=this.player,t=Math.max(1,Math.floor(e.length/200)),o=e.filter((s,n)=>n%t===0).map(s=>Math.min(...ut.map(n=>sr(this.joint(s,n),this.orbit.up)))).sort((s,n)=>s-n);return o[Math.floor(.05*o.length)]-Jt}follow(e){let t=this.joint(this.currentPose(),0),o=be([0,1,2].map(i=>t[i]-this.firstPelvis[i]),this.orbit.up),s=[0,1,2].map(i=>this.center[i]+o[i]-this.orbit.target[i]),n=Math.hypot(...s);if(n<1e-4)return!1;let a=n>rr?1:1-Math.exp(-e/tr);return this.orbit.target=[0,1,2].map(i=>this.orbit.target[i]+a*s[i]),!0}stage(e){let t=new Float32Array(ye);return t.set([...this.orbit.up,this.floor,...this.orbit.target,er]),[...ut,0].forEach((o,s)=>t.set([...this.joint(e,o),Zt[s]],8+4*s)),t}get numGaussians(){return this.avatar.header.num_gaussians}};var lt="avatar.mobavatar",dt="motion.pose.json",nr=30,ft=2,ar=1e3;async function ir(r){let e=n=>a=>{throw(a instanceof f||a instanceof y)&&(a.message=`${n}: ${a.message}`),a},t=he(dt).then(n=>rt(new TextDecoder().decode(n))).catch(e(dt));t.catch(()=>{});let o=await he(lt,n=>r.progress("Loading the avatar",n));return r.progress("Unpacking",1),{avatar:await Fe(o).catch(e(lt)),poses:await t}}function ur(r){return[r.vendor,r.architecture,r.description].filter(Boolean).join(" ")}async function mt(r,e,t,o){let{device:s,adapter:n,format:a}=await je(),i=await N.create(s,a),u=await L.upload(i,e);return r.pixelScale=t>=ft?.5:1,r.attach(new j(i),new O(u),s,a),s.lost.then(({message:l})=>{r.detach(),t<ft?mt(r,e,t+1,o).catch(o):o(new g("The graphics device was lost",`${l||"The driver gave no reason."}
Load the page again; if it comes back, close other pages first.`))}),ur(n)}function cr(r,e,t){let o=performance.now(),s=`${r.numGaussians.toLocaleString("en")} splats`,n=a=>{if(r.tick(a),a-o>ar){let i=1e3*r.takeDrawn()/(a-o);o=a,e.readout(i>0?`${i.toFixed(i<10?1:0)} fps \xB7 ${s}`:s,t)}requestAnimationFrame(n)};e.readout(s,t),requestAnimationFrame(n)}function lr(r){return e=>{console.error(e);let t=e instanceof f||e instanceof y||e instanceof w,o=e instanceof g?e.title:t?"The avatar could not be loaded":"The avatar cannot be drawn";r.message(o,e instanceof Error?e.message:String(e))}}function pt(r,e,t){let o=r.flat();if(o.length===e&&o.every(Number.isFinite))return o;throw new Error(`${t} must be ${e} finite numbers, found ${o.length} values`)}var xe=class{constructor(e){this.ready=e}ready;viewer;adapter="";setPose(e){let{player:t}=this.shown;if(typeof e!="number"){this.shown.showPose(e===null?void 0:ge(e));return}let o=t.frames[e];if(!o)throw new Error(`there is no frame ${e}; the motion has frames 0..${t.last}`);this.shown.showPose(o)}setCamera(e){let t=e?{...e,T_cam_world:pt(e.T_cam_world,16,"T_cam_world"),K:pt(e.K,9,"K")}:void 0;this.shown.showCamera(t)}renderOnce(){return this.shown.draw()}readPixels(e=[0,0,0]){return this.shown.readPixels(e)}get info(){let{player:e,numGaussians:t}=this.shown;return{numGaussians:t,frames:e.frames.length,fps:e.fps,adapter:this.adapter}}get shown(){if(!this.viewer)throw new Error("the avatar is not there yet: await mobavatar.ready first");return this.viewer}};async function dr(r,e,t){await ie();let{avatar:o,poses:s}=await ir(r),{fps:n,body:a,body_license:i}=o.header.meta,u=new F(s,n&&n>0?n:nr);u.playing=!matchMedia("(prefers-reduced-motion: reduce)").matches;let l=new X(r,o,u);r.progress("Preparing the graphics device",1);let c=await mt(l,o,0,e);await l.draw(),r.revealed(u),t(l,c),cr(l,r,[c,a&&`Body: ${a}`,i].filter(Boolean).join(`
`))}function fr(){let r=new z,e=lr(r),t=dr(r,e,(s,n)=>Object.assign(o,{viewer:s,adapter:n})),o=new xe(t);window.mobavatar=o,t.catch(e)}fr();})();
