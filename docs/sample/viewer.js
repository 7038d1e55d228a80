"use strict";(()=>{var B="MOBAVATR";var A={gaussians:"uint32",rotation_index:"uint32",scale_index:"uint32",color_index:"uint32",rotation_basis:"float16",scale_basis:"float16",color_basis:"float16",node_part:"uint16",node_basis:"float16",mlp_weights:"float16",mlp_biases:"float16",joint_rest:"float32",inverse_bind:"float32",joint_parent:"int32"},b=55,X=8,Q=128,T=256,xe=2048,Y=8,Ae=32,q=4194304,J=128,Pe=.01,Se=.3,Z=134217728,ee=65535,G="rgba16float",C=["rotation_basis","scale_basis","color_basis"],N=["uniform:view","read:splats","read:order","read:frame_state"],M=["uniform:view","texture:accumulation"],Ee={Model:{size:208,fields:{position_low:[0,"f32"],position_step:[16,"f32"],num_gaussians:[32,"u32"],num_nodes:[36,"u32"],num_head_parts:[40,"u32"],num_pose_inputs:[44,"u32"],basis_size:[48,"u32"],num_layers:[52,"u32"],leaky_relu_slope:[56,"f32"],scale_basis:[60,"u32"],color_basis:[64,"u32"],layers:[80,"u32"]}},PoseInput:{size:3152,fields:{joints:[0,"f32"],inputs:[2640,"f32"]}},Instance:{size:64,fields:{model_to_camera:[0,"f32"],first_splat:[48,"u32"],num_splats:[52,"u32"],enlarge:[56,"f32"]}},View:{size:112,fields:{world_to_camera:[0,"f32"],background:[48,"f32"],focal:[64,"f32"],principal:[72,"f32"],viewport:[80,"f32"],near_plane:[88,"f32"],blur:[92,"f32"],num_splats:[96,"u32"]}}},_=[{name:"model",scope:"model",fill:"uniform",stride:208,dimension:"one"},{name:"gaussians",scope:"model",fill:"section",stride:0,dimension:"one"},{name:"node_part",scope:"model",fill:"section",stride:0,dimension:"one"},{name:"node_basis",scope:"model",fill:"section",stride:0,dimension:"one"},{name:"mlp_weights",scope:"model",fill:"section",stride:0,dimension:"one"},{name:"mlp_biases",scope:"model",fill:"section",stride:0,dimension:"one"},{name:"bases",scope:"model",fill:"joined",stride:0,dimension:"one"},{name:"kept",scope:"model",fill:"kept",stride:24,dimension:"kept_groups"},{name:"pose_input",scope:"instance",fill:"uniform",stride:3152,dimension:"one"},{name:"instance",scope:"instance",fill:"uniform",stride:64,dimension:"one"},{name:"features",scope:"instance",fill:"work",stride:4,dimension:"features"},{name:"node_displacement",scope:"instance",fill:"work",stride:16,dimension:"nodes"},{name:"view",scope:"scene",fill:"uniform",stride:112,dimension:"one"},{name:"splats",scope:"scene",fill:"work",stride:32,dimension:"splats"},{name:"depths",scope:"scene",fill:"work",stride:4,dimension:"splats"},{name:"frame_state",scope:"scene",fill:"work",stride:16,dimension:"one"},{name:"arguments",scope:"scene",fill:"work",stride:48,dimension:"one"},{name:"items",scope:"scene",fill:"work",stride:4,dimension:"splats"},{name:"order",scope:"scene",fill:"work",stride:4,dimension:"splats"},{name:"histogram",scope:"scene",fill:"work",stride:4,dimension:"histogram"},{name:"digit_totals",scope:"scene",fill:"work",stride:4,dimension:"digit_values"}],P=[{name:"features",shader:"features.wgsl",bindings:["uniform:model","uniform:pose_input","read:mlp_weights","read:mlp_biases","write:features"],groups:"parts",stage:"pose",digit:-1},{name:"nodes",shader:"nodes.wgsl",bindings:["uniform:model","read:node_part","read:node_basis","read:features","write:node_displacement"],groups:"node_groups",stage:"pose",digit:-1},{name:"project",shader:"project.wgsl",bindings:["uniform:model","uniform:pose_input","uniform:instance","uniform:view","read:gaussians","read:kept","read:bases","read:features","read:node_displacement","write:splats","write:depths","write:frame_state"],groups:"instance_groups",stage:"project",digit:-1},{name:"sort_histogram_0",shader:"sort_histogram.wgsl",bindings:["uniform:view","read:frame_state","read:depths","write:histogram"],groups:"sort_groups",stage:"sort",digit:0},{name:"sort_scan_0",shader:"sort_scan.wgsl",bindings:["uniform:view","read:frame_state","write:histogram","write:digit_totals","write:arguments"],groups:"digit_values",stage:"sort",digit:0},{name:"sort_scatter_0",shader:"sort_scatter.wgsl",bindings:["uniform:view","read:frame_state","read:depths","read:histogram","read:digit_totals","write:items"],groups:"sort_groups",stage:"sort",digit:0},{name:"sort_histogram_1",shader:"sort_histogram.wgsl",bindings:["uniform:view","read:frame_state","read:items","write:histogram"],groups:"",stage:"sort",digit:1},{name:"sort_scan_1",shader:"sort_scan.wgsl",bindings:["uniform:view","read:frame_state","write:histogram","write:digit_totals","write:arguments"],groups:"digit_values",stage:"sort",digit:1},{name:"sort_scatter_1",shader:"sort_scatter.wgsl",bindings:["uniform:view","read:frame_state","read:items","read:histogram","read:digit_totals","write:order"],groups:"",stage:"sort",digit:1}];var ke=`struct View {
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
}`;var Te=`struct View {
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
}`;var Ue=`struct Model {
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
}`;var Be=`struct View {
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
}`;var Re={"composite.wgsl":ke,"draw.wgsl":Te,"features.wgsl":Me,"nodes.wgsl":Ue,"project.wgsl":Ie,"sort_histogram.wgsl":Be,"sort_scan.wgsl":Ge,"sort_scatter.wgsl":Ce,"stage.wgsl":Ne};var te="rgba8unorm",re=[...M,"uniform:stage"];function At(){let t=[0,1,2,2,1,3];return Uint16Array.from({length:6*J},(e,r)=>4*Math.floor(r/6)+t[r%6])}var R=class t{constructor(e){this.device=e;this.indices=this.allocate("indices",12*J,GPUBufferUsage.INDEX),e.queue.writeBuffer(this.indices,0,At())}device;indices;compute=new Map;draw;composite;stage;modules=new Map;layouts=new Map;static async create(e,r){return oe(e,"the graphics driver refused the shaders",async()=>{let o=new t(e);return await o.compile(r),o})}dispose(){this.indices.destroy()}allocate(e,r,o){let n=Math.max(16,Math.ceil(r/16)*16);return this.device.createBuffer({label:e,size:n,usage:o|GPUBufferUsage.COPY_DST})}makeBuffer({name:e,fill:r,stride:o},n,a=0){let s=r==="uniform"?GPUBufferUsage.UNIFORM:GPUBufferUsage.STORAGE,i=e==="arguments"?GPUBufferUsage.INDIRECT:e==="frame_state"?GPUBufferUsage.COPY_SRC:0;return this.allocate(e,Math.max(a,o*n),s|i)}bind(e,r,o,n){let a=r.map((s,i)=>s.startsWith("texture:")?{binding:i,resource:n.createView()}:{binding:i,resource:{buffer:o.get(s.split(":")[1])}});return this.device.createBindGroup({layout:e,entries:a})}async compile(e){let r=P.map(async n=>{let a=this.bindLayout(n.bindings,GPUShaderStage.COMPUTE),s=await this.device.createComputePipelineAsync({label:n.name,layout:this.device.createPipelineLayout({bindGroupLayouts:[a]}),compute:{module:this.module(n.shader),entryPoint:"main",...n.digit>=0&&{constants:{DIGIT:n.digit}}}});return[n.name,{pipeline:s,layout:a}]}),o=[this.renderPipeline("draw.wgsl",N,G,!0),this.renderPipeline("composite.wgsl",M,te,!1),this.renderPipeline("stage.wgsl",re,e,!1)];[this.draw,this.composite,this.stage]=await Promise.all(o);for(let[n,a]of await Promise.all(r))this.compute.set(n,a)}module(e){let r=this.modules.get(e)??this.device.createShaderModule({label:e,code:Re[e]});return this.modules.set(e,r),r}async renderPipeline(e,r,o,n){let a={srcFactor:"one",dstFactor:"one-minus-src-alpha",operation:"add"},s=n?{format:o,blend:{color:a,alpha:a}}:{format:o},i=this.module(e),u=this.bindLayout(r,GPUShaderStage.VERTEX|GPUShaderStage.FRAGMENT);return{pipeline:await this.device.createRenderPipelineAsync({label:e,layout:this.device.createPipelineLayout({bindGroupLayouts:[u]}),vertex:{module:i,entryPoint:"vertex"},fragment:{module:i,entryPoint:"fragment",targets:[s]},primitive:{topology:"triangle-list"}}),layout:u}}bindLayout(e,r){let o=e.map(u=>u.split(":")[0]),n=`${r}:${o.join()}`,a={uniform:"uniform",read:"read-only-storage",write:"storage"},s=o.map((u,l)=>u==="texture"?{binding:l,visibility:r,texture:{sampleType:"unfilterable-float"}}:{binding:l,visibility:r,buffer:{type:a[u]}}),i=this.layouts.get(n)??this.device.createBindGroupLayout({entries:s});return this.layouts.set(n,i),i}};async function oe(t,e,r){t.pushErrorScope("validation"),t.pushErrorScope("out-of-memory");let o=(async()=>r())();o.catch(()=>{});let[n,a]=await Promise.all([t.popErrorScope(),t.popErrorScope()]);if(n)throw new Error(`not enough graphics memory for this avatar (${n.message}); close other pages`);if(a)throw new Error(`${e}: ${a.message}`);return o}var f=class extends Error{name="FormatError"},Et={uint32:4,float16:2,uint16:2,float32:4,int32:4},Oe;function kt(t){Oe??=Uint32Array.from({length:256},(r,o)=>{for(let n=0;n<8;n++)o=o&1?o>>>1^3988292384:o>>>1;return o});let e=4294967295;for(let r=0;r<t.length;r++)e=(Oe[(e^t[r])&255]^e>>>8)>>>0;return(e^4294967295)>>>0}function Tt(t,e){let r=new Uint8Array(t.length),o=t.length/e;for(let n=0,a=0;n<e;n++)for(let s=n,i=0;i<o;i++,s+=e)r[s]=t[a++];return r}async function Mt(t,e,r){let o=new Uint8Array(e),n=0,a=i=>new f(`section '${r}' expands to ${i}, expected ${e} bytes; export the file again`),s=new Blob([t]).stream().pipeThrough(new DecompressionStream("gzip")).getReader();try{for(;;){let{done:i,value:u}=await s.read();if(i)break;if(n+u.length>e)throw a(`more than ${e} bytes`);o.set(u,n),n+=u.length}}catch(i){throw s.cancel().catch(()=>{}),i instanceof f?i:new f(`section '${r}' is damaged (not gzip); copy or export the file again`)}if(n!==e)throw a(`${n} bytes`);return o}function Ut(t){return JSON.stringify(String.fromCharCode(...t.subarray(0,8)))}function It(t){let e=String.fromCharCode(...t.subarray(0,B.length));if(t.length<16||e!==B)throw new f(`not an avatar file: it starts with ${Ut(t)}, expected "${B}"; export it again`);let r=new DataView(t.buffer,t.byteOffset,t.byteLength),o=r.getUint32(8,!0),n=r.getUint32(12,!0);if(o>1)throw new f(`made by a newer version (format ${o}, this page reads up to ${1}): update the page beside it`);let a=16+n;if(n>1048576||a>t.length)throw new f(`truncated: the header needs ${a} bytes, found ${t.length}; copy it again`);let s;try{s=JSON.parse(new TextDecoder("utf-8",{fatal:!0}).decode(t.subarray(16,a)))}catch(i){throw new f(`the header is not JSON (${String(i)}); the file is damaged, copy or export it again`)}if(Bt(s),t.length<a+s.payload_bytes)throw new f(`truncated: expected ${a+s.payload_bytes} bytes, found ${t.length}; copy it again`);return{header:s,start:a}}function Bt(t){let e=(o,n)=>{if(!o)throw new f(`the header is damaged: ${n}; copy or export the file again`)},r=o=>Number.isInteger(o)&&o>=0;e(typeof t=="object"&&t!==null,"expected an object");for(let o of["num_gaussians","num_parts","num_head_parts","num_nodes","basis_size","payload_bytes"])e(r(t[o]),`${o} is ${String(t[o])}, expected a count`);e(Array.isArray(t.layer_sizes)&&t.layer_sizes.every(r),"layer_sizes must be counts");for(let o of["position_low","position_high"])e(t[o]?.length===3&&t[o].every(Number.isFinite),`${o} must be three numbers`);e(Array.isArray(t.sections),"sections must be a list"),e(typeof t.meta=="object"&&t.meta!==null,"meta must be an object")}function Gt(t){let e=t.layer_sizes,r=e.slice(1).map((n,a)=>[e[a],n]),o=r.reduce((n,[a,s])=>n+s*(a+a%2),0);return{gaussians:t.num_gaussians*12,node_part:t.num_nodes,node_basis:t.num_nodes*3*t.basis_size,mlp_weights:t.num_parts*o,mlp_biases:t.num_parts*r.reduce((n,[,a])=>n+a,0),joint_rest:165,inverse_bind:660,joint_parent:55}}async function Ct(t,e){let{name:r}=e;if(e.raw_bytes>1073741824)throw new f(`section '${r}' claims ${e.raw_bytes} bytes, more than ${1073741824}`);let o=t.subarray(e.offset,e.offset+e.stored_bytes);if(kt(o)!==e.crc32)throw new f(`section '${r}' is damaged (checksum differs); copy or export the file again`);return Tt(await Mt(o,e.raw_bytes,r),e.shuffle)}async function ze(t){let{header:e,start:r}=It(t),o=t.subarray(r,r+e.payload_bytes),n={},a=Gt(e);for(let i of e.sections){let u=i.name;if(!(u in A))continue;let l=await Ct(o,i),c=l.length/Et[A[u]];if(i.dtype!==A[u]||c!==(a[u]??c))throw new f(`section '${u}' has ${c} items of ${i.dtype}, expected ${a[u]??"any number"} of ${A[u]}; export the file again`);n[u]=l}let s=Object.keys(A).filter(i=>!(i in n)).sort();if(s.length>0)throw new f(`sections missing: ${s.join(", ")}; export the file again`);return{header:e,sections:n}}function ae(t){return new Float32Array(t.buffer,t.byteOffset,t.byteLength/4)}function Fe(t){return new Int32Array(t.buffer,t.byteOffset,t.byteLength/4)}var g=class extends Error{constructor(r,o){super(o);this.title=r}title;name="GpuError"},Ve="Use a current version of Chrome, Edge, Safari or Firefox.";function Nt(){if(location.protocol==="file:")throw new g("This page needs a web server",`It was opened from disk, where browsers do not let it load its files.
Run \u201Cpython3 -m http.server\u201D in its folder and open http://localhost:8000.`);if(!window.isSecureContext)throw new g("This address is not secure",`Browsers offer WebGPU only over https or on localhost, and this is ${location.origin}. Serve the folder over https, or open it on the machine that serves it.`);let t=navigator.gpu;if(!t)throw new g("This browser has no WebGPU",`The avatar is drawn with WebGPU. ${Ve}`);return t}async function se(){let t=await Nt().requestAdapter({powerPreference:"high-performance"});if(!t)throw new g("No graphics adapter",`This browser knows WebGPU but found no graphics device that it may use. Turn on hardware acceleration in its settings or update the graphics driver. ${Ve}`);return t}async function $e(){let t=await se();try{return{device:await t.requestDevice(),adapter:t.info,format:navigator.gpu.getPreferredCanvasFormat()}}catch(e){throw new g("The graphics device could not be opened",`${e.message}
Close other pages and load this one again.`)}}function He(t,e,r,o,n=0){let a=Math.sqrt(Math.max(t*t+e*e+r*r,1e-12)),[s,i,u]=[t/a,e/a,r/a],l=Math.sin(a),c=1-Math.cos(a);o[n]=1-c*(i*i+u*u),o[n+1]=-l*u+c*s*i,o[n+2]=l*i+c*s*u,o[n+3]=l*u+c*s*i,o[n+4]=1-c*(s*s+u*u),o[n+5]=-l*s+c*i*u,o[n+6]=-l*i+c*s*u,o[n+7]=l*s+c*i*u,o[n+8]=1-c*(s*s+i*i)}function je([t,e,r]){let o=Math.hypot(t,e,r),n=o<1e-9?.5:Math.sin(o/2)/o;return[Math.cos(o/2),t*n,e*n,r*n]}function Rt(t){let e=t[0]<0?-1:1,r=Math.hypot(t[1],t[2],t[3]),o=r<1e-9?2:2*Math.atan2(r,Math.abs(t[0]))/r;return[t[1]*e*o,t[2]*e*o,t[3]*e*o]}function ie(t){let[e,r,o,n,a,s,i,u,l]=Array.from(t),c=[1+e+a+l,1+e-a-l,1-e+a-l,1-e-a+l],m=[[c[0],u-s,o-i,n-r],[u-s,c[1],n+r,o+i],[o-i,n+r,c[2],u+s],[n-r,o+i,u+s,c[3]]][c.indexOf(Math.max(...c))],v=Math.hypot(...m);return m.map(x=>x/v)}function We([t,e,r,o]){return Float32Array.of(1-2*(r*r+o*o),2*(e*r-t*o),2*(e*o+t*r),2*(e*r+t*o),1-2*(e*e+o*o),2*(r*o-t*e),2*(e*o-t*r),2*(r*o+t*e),1-2*(e*e+r*r))}function ue(t,e,r){let o=t[0]*e[0]+t[1]*e[1]+t[2]*e[2]+t[3]*e[3],n=Math.acos(Math.min(1,Math.abs(o))),a=Math.sin(n),s=a<1e-6?1-r:Math.sin((1-r)*n)/a,i=(a<1e-6?r:Math.sin(r*n)/a)*(o<0?-1:1),u=[0,1,2,3].map(c=>s*t[c]+i*e[c]),l=Math.hypot(...u);return u.map(c=>c/l)}var Dt=1;function Ke(t,e,r){if(Math.hypot(t[0]-e[0],t[1]-e[1],t[2]-e[2])<=Dt)return[t[0]+r*(e[0]-t[0]),t[1]+r*(e[1]-t[1]),t[2]+r*(e[2]-t[2])];let o=r<.5?t:e,n=Rt(ue(je(t),je(e),r)),a=Math.hypot(...n);if(a<1e-9)return n;let s=(n[0]*o[0]+n[1]*o[1]+n[2]*o[2])/a,i=(a+2*Math.PI*Math.round((s-a)/(2*Math.PI)))/a;return[n[0]*i,n[1]*i,n[2]*i]}function D(t){let{joint_rest:e,inverse_bind:r,joint_parent:o}=t.sections;return{rest:ae(e),inverseBind:ae(r),parent:Fe(o)}}function ce(t,e,r,o,n,a){for(let s=0;s<12;s+=4)for(let i=0;i<4;i++){let u=i===3?t[e+s+3]:0;for(let l=0;l<3;l++)u+=t[e+s+l]*r[o+4*l+i];n[a+s+i]=u}}function le(t,e){let{rest:r,parent:o}=t,n=new Float64Array(b*12),a=new Float64Array(12),s=new Float64Array(12),i=new Float64Array(9);for(let u=0;u<3;u++){for(let l=0;l<3;l++)a[4*u+l]=e.Rh[3*u+l];a[4*u+3]=e.Th[u]}for(let u=0;u<b;u++){let l=o[u];He(e.pose[3*u],e.pose[3*u+1],e.pose[3*u+2],i);for(let c=0;c<3;c++){for(let d=0;d<3;d++)s[4*c+d]=i[3*c+d];s[4*c+3]=r[3*u+c]-(l<0?0:r[3*l+c])}l<0?ce(a,0,s,0,n,12*u):ce(n,12*l,s,0,n,12*u)}return n}function Xe(t,e){let r=le(t,e),o=new Float32Array(b*12);for(let n=0;n<b;n++)ce(r,12*n,t.inverseBind,12*n,o,12*n);return o}function Qe(t,e,r){let o=new Float32Array(e);return o.set(t.pose.subarray(3,3+r)),o.set(t.expression.subarray(0,e-r),r),o}var U=(t,e)=>Math.ceil(t/e);function de(t){let e=t.num_gaussians;return{one:1,gaussians:e,instance_groups:U(e,T),parts:t.num_parts,features:t.num_parts*2*t.basis_size,nodes:t.num_nodes,node_groups:U(t.num_nodes,T),kept_groups:U(e,32)}}function fe(t){let e=U(t,xe);return{one:1,splats:t,sort_groups:e,histogram:e<<Y,digit_values:1<<Y}}function S(t,e){let{size:r,fields:o}=Ee[t],n=new ArrayBuffer(r);for(let[a,[s,i]]of Object.entries(o)){let u=e[a],l=typeof u=="number"?[u]:u;(i==="u32"?new Uint32Array(n,s):new Float32Array(n,s)).set(l)}return n}function Ye(t){let e=t.layer_sizes,r=[],[o,n]=[0,0];for(let s=0;s+1<e.length;s++){let[i,u]=[e[s],e[s+1]];r.push(i,u,o,n),o+=t.num_parts*u*Math.ceil(i/2),n+=t.num_parts*u}let a=s=>t.sections.find(i=>i.name===s).raw_bytes;return S("Model",{position_low:t.position_low,position_step:t.position_high.map((s,i)=>(s-t.position_low[i])/65535),num_gaussians:t.num_gaussians,num_nodes:t.num_nodes,num_head_parts:t.num_head_parts,num_pose_inputs:t.num_pose_inputs,basis_size:t.basis_size,num_layers:e.length-1,leaky_relu_slope:t.leaky_relu_slope,scale_basis:a("rotation_basis")/4,color_basis:(a("rotation_basis")+a("scale_basis"))/4,layers:r})}function qe(t,e){let r=new Uint32Array(U(t,32)*6);return e.forEach((o,n)=>{let a=0;for(let s=0;s*6<r.length;s++)for(r[s*6+2*n+1]=a;a<o.length&&o[a]<(s+1)*32;a++)r[s*6+2*n]|=1<<(o[a]&31)}),r}function Je(t,e){let r=t.layer_sizes;if(r.length-1>X||Math.max(...r)>Q)throw new Error(`part networks may have ${X} layers of at most ${Q} numbers, found ${r}`);if(t.basis_size%2!==0||r.at(-1)!==2*t.basis_size)throw new Error(`the basis size must be even and half of the last layer, found ${t.basis_size}`);pe(t.num_gaussians);let o=de(t),n=C.reduce((a,s)=>a+e[s].length,0);for(let a of _){if(a.scope==="scene")continue;let{name:s,fill:i,stride:u,dimension:l}=a,c=i==="section"?e[s].length:i==="joined"?n:u*o[l];if(c>Z)throw new Error(`buffer '${s}' needs ${c} bytes, WebGPU promises ${Z}: prune more`)}for(let a of P)if(a.stage!=="sort"&&o[a.groups]>ee)throw new Error(`pass '${a.name}' needs ${o[a.groups]} workgroups, WebGPU promises ${ee}`)}function pe(t){if(t>q)throw new Error(`one picture shows ${q} Gaussians at most, found ${t}: show fewer avatars`)}var Lt=[1,0,0,0,0,1,0,0,0,0,1,0,0,0,0,1],L=class{constructor(e){this.model=e;this.level=e.levels.length-1;for(let r of _)r.scope==="instance"&&this.buffers.set(r.name,e.context.makeBuffer(r,e.counts[r.dimension]))}model;buffers=new Map;visible=!0;level;isPosed=!1;place=Lt;get transform(){return this.place}set transform(e){if(e.length!==16||!e.every(Number.isFinite))throw new Error(`transform must be 16 finite numbers row by row, found ${e.length}`);this.place=[...e]}get numSplats(){let{levels:e}=this.model;return e[Math.min(Math.max(this.level,0),e.length-1)]}setPose(e){let{avatar:r,skeleton:o,context:n}=this.model,{layer_sizes:a,num_pose_inputs:s}=r.header,i={joints:Xe(o,e),inputs:Qe(e,a[0],s)};n.device.queue.writeBuffer(this.buffers.get("pose_input"),0,S("PoseInput",i)),this.isPosed=!1}get bytes(){return[...this.buffers.values()].reduce((e,r)=>e+r.size,0)}dispose(){for(let e of this.buffers.values())e.destroy();this.buffers.clear()}};var w=class extends Error{name="LoadError"};async function Ot(t,e){if(!t.body)return new Uint8Array(await t.arrayBuffer());let r=Number(t.headers.get("content-length")??Number.NaN),o=[],n=0,a=t.body.getReader();for(;;){let{done:u,value:l}=await a.read();if(u)break;o.push(l),n+=l.length,e(Math.min(1,n/r))}let s=new Uint8Array(n),i=0;for(let u of o)s.set(u,i),i+=u.length;return s}async function me(t,e=()=>{}){let r;try{r=await fetch(t,{credentials:"same-origin"})}catch(o){throw new w(`${t} could not be fetched (${o.message}): is the server still running?`)}if(!r.ok)throw new w(`${t}: the server answered ${r.status}, expected the file beside index.html; copy the whole exported folder`);try{return await Ot(r,e)}catch(o){throw new w(`${t} was cut off while loading (${o.message}); load the page again`)}}function zt(t){let e=new Uint8Array(t.reduce((o,n)=>o+n.length,0)),r=0;for(let o of t)e.set(o,r),r+=o.length;return e}var O=class t{constructor(e,r){this.context=e;this.avatar=r;Je(r.header,r.sections),this.skeleton=D(r),this.counts=de(r.header),this.levels=[r.header.num_gaussians];for(let o of _)o.scope==="model"&&this.buffers.set(o.name,this.upload(o))}context;avatar;buffers=new Map;skeleton;counts;levels;static upload(e,r){return oe(e.device,"the graphics driver refused the avatar",()=>new t(e,r))}get bytes(){return[...this.buffers.values()].reduce((e,r)=>e+r.size,0)}dispose(){for(let e of this.buffers.values())e.destroy();this.buffers.clear()}upload(e){let r=this.content(e),{queue:o}=this.context.device,n=this.context.makeBuffer(e,this.counts[e.dimension],r.length),a=r.length-r.length%4;if(o.writeBuffer(n,0,r,0,a),a<r.length){let s=new Uint8Array(4);s.set(r.subarray(a)),o.writeBuffer(n,a,s)}return n}content({name:e,fill:r}){let{sections:o,header:n}=this.avatar;if(r==="section")return o[e];if(r==="joined")return zt(C.map(l=>o[l]));if(r==="uniform")return new Uint8Array(Ye(n));let{rotation_index:a,scale_index:s,color_index:i}=o,u=[a,s,i].map(l=>new Uint32Array(l.buffer));return new Uint8Array(qe(n.num_gaussians,u).buffer)}};var Ft="M8 5v14l11-7z",Vt="M7 5h4v14H7zM13 5h4v14h-4z";function p(t){let e=document.getElementById(t);if(!e)throw new Error(`index.html has no element '${t}'; it does not belong to this viewer.js`);return e}function Ze(t){let e=Math.floor(t);return`${Math.floor(e/60)}:${String(e%60).padStart(2,"0")}`}var z=class{canvas=p("canvas");poster=p("poster");controls=p("controls");scrub=p("scrub");play=p("play");readoutBox=p("readout");constructor(){let e=()=>{this.poster.src.endsWith("poster.jpg")?this.poster.src="poster.png":this.poster.hidden=!0};this.poster.addEventListener("error",e),this.poster.complete&&this.poster.naturalWidth===0&&e()}progress(e,r){p("progress-text").textContent=e,p("progress-bar").style.width=`${Number.isNaN(r)?100:Math.round(100*r)}%`}revealed(e){p("progress").hidden=!0,this.poster.classList.add("gone"),this.readoutBox.hidden=!1,this.controls.hidden=e.last===0,this.scrub.max=String(e.last)}message(e,r){p("progress").hidden=!0,this.controls.hidden=!0,this.readoutBox.hidden=!0,this.canvas.hidden=!0,this.poster.classList.remove("gone"),p("message-title").textContent=e,p("message-text").textContent=r,p("message").hidden=!1}readout(e,r){this.readoutBox.textContent=e,this.readoutBox.title=r}showTime(e){this.scrub.value=String(e.position),this.scrub.style.setProperty("--done",`${e.last>0?100*e.position/e.last:0}%`);let r=`${Ze(e.position/e.fps)} / ${Ze(e.last/e.fps)}`,o=p("clock");o.textContent!==r&&(o.textContent=r)}showPlaying(e){p("play").setAttribute("aria-label",e.playing?"Pause":"Play"),document.getElementById("play-icon")?.setAttribute("d",e.playing?Vt:Ft)}connect(e,r,o){let n=()=>{e.playing=!e.playing,this.showPlaying(e),r()},a=s=>{e.playing=!1,e.seek(s),this.showPlaying(e),r()};this.play.addEventListener("click",n),this.scrub.addEventListener("input",()=>a(Number(this.scrub.value))),window.addEventListener("keydown",s=>{if(!(s.target instanceof HTMLButtonElement||s.ctrlKey||s.metaKey||s.altKey)){if(s.key===" ")n();else if(s.key==="ArrowRight"&&s.target!==this.scrub)a(Math.floor(e.position)+1);else if(s.key==="ArrowLeft"&&s.target!==this.scrub)a(Math.ceil(e.position)-1);else if(s.key==="r")o();else return;s.preventDefault()}}),this.showPlaying(e)}};function et(t,e,r){return Float32Array.from({length:Math.max(t.length,e.length)},(o,n)=>(1-r)*(t[n]??0)+r*(e[n]??0))}function $t(t,e,r){if(r<=0||t===e)return t;if(r>=1)return e;let o=new Float32Array(t.pose.length);for(let n=0;n<o.length;n+=3){let a=t.pose.subarray(n,n+3),s=e.pose.subarray(n,n+3);o.set(Ke(a,s,r),n)}return{pose:o,Rh:We(ue(ie(t.Rh),ie(e.Rh),r)),Th:et(t.Th,e.Th,r),expression:et(t.expression,e.expression,r)}}var F=class{constructor(e,r){this.frames=e;this.fps=r}frames;fps;playing=!0;time=0;get position(){return this.time}get last(){return this.frames.length-1}seek(e){this.time=Math.min(this.last,Math.max(0,e))}advance(e){!this.playing||this.last===0||(this.time+=Math.min(e,.25)*this.fps,this.time>this.last&&(this.time%=this.last))}pose(){let e=Math.floor(this.time);return $t(this.frames[e],this.frames[Math.min(e+1,this.last)],this.time-e)}};var jt=10,y=class extends Error{name="PoseError"};function V(t,e,r){let o=Array.isArray(t)?t.flat():[];if(!Array.isArray(t)||!o.every(n=>Number.isFinite(n))||o.length!==(e??o.length)){let n=Array.isArray(t)?`${o.length} values`:String(t);throw new y(`${r} must be ${e??"a list of"} finite numbers, found ${n}`)}return Float32Array.from(o)}function he(t){if(typeof t!="object"||t===null)throw new y("expected an object");let{pose:e,Rh:r,Th:o,expression:n}=t;return{pose:V(e,b*3,"pose"),Rh:V(r,9,"Rh"),Th:V(o,3,"Th"),expression:n?V(n,void 0,"expression"):new Float32Array(jt)}}function tt(t){let e;try{e=JSON.parse(t)}catch(r){throw new y(`not JSON (${String(r)}); export it again`)}if(!Array.isArray(e)||e.length===0)throw new y("expected a non-empty JSON array of frames");return e.map((r,o)=>{try{return he(r)}catch(n){throw new y(`frame ${o} needs pose[165], Th[3], Rh[3][3]: ${n.message}`)}})}var ge=20;function rt(t){return{view:t,loadOp:"clear",storeOp:"store",clearValue:[0,0,0,0]}}function Ht(t,e){let r=(o,n)=>[0,1,2,3].reduce((a,s)=>a+t[4*o+s]*e[4*s+n],0);return Array.from({length:12},(o,n)=>r(n>>2,n&3))}var $=class{constructor(e){this.context=e;this.stage=e.allocate("stage",ge*4,GPUBufferUsage.UNIFORM)}context;stage;buffers=new Map;capacity=-1;drawn=[];counts=fe(0);sortGroups=new Map;instanceGroups=new WeakMap;target;present(e,r,o,n){this.write(this.stage,n),this.setScene(r,o,[0,0,0]);let{device:a}=this.context,s=a.createCommandEncoder();this.target=this.fitting(this.target,o.width,o.height),this.encodeSplats(s,this.target),this.encodeCover(s,e.createView(),"stage",this.target),a.queue.submit([s.finish()])}async readPixels(e,r,o){let{width:n,height:a}=r,{device:s}=this.context,i=GPUTextureUsage.RENDER_ATTACHMENT|GPUTextureUsage.COPY_SRC,u=s.createTexture({size:[n,a],format:te,usage:i}),l=Math.ceil(4*n/256)*256,c=s.createBuffer({size:l*a,usage:GPUBufferUsage.MAP_READ|GPUBufferUsage.COPY_DST});this.setScene(e,r,o);let d=s.createCommandEncoder(),m=this.fitting(void 0,n,a);this.encodeSplats(d,m),this.encodeCover(d,u.createView(),"composite",m),d.copyTextureToBuffer({texture:u},{buffer:c,bytesPerRow:l},[n,a]),s.queue.submit([d.finish()]);try{await c.mapAsync(GPUMapMode.READ);let v=new Uint8Array(c.getMappedRange()),x=new Uint8Array(4*n*a);for(let k=0;k<a;k++)x.set(v.subarray(k*l,k*l+4*n),4*n*k);return x}finally{c.destroy(),u.destroy(),m.accumulation.destroy()}}finished(){return this.context.device.queue.onSubmittedWorkDone().catch(()=>{})}async stats(){let e=new Set(this.drawn.map(a=>a.model)),r=[...this.buffers.values(),this.stage].reduce((a,s)=>a+s.size,0),o=this.target?8*this.target.width*this.target.height:0,n=[...e,...this.drawn].reduce((a,{bytes:s})=>a+s,0);return{splats:this.counts.splats,visibleSplats:await this.countVisible(),bytes:r+o+n}}dispose(){this.releaseScene(),this.stage.destroy(),this.target?.accumulation.destroy(),this.target=void 0}releaseScene(){for(let e of this.buffers.values())e.destroy();this.buffers.clear(),this.sortGroups.clear(),this.instanceGroups=new WeakMap,this.capacity=-1}write(e,r){this.context.device.queue.writeBuffer(e,0,r)}setScene(e,r,o){this.drawn=e.filter(({visible:d})=>d);let n=this.drawn.reduce((d,m)=>d+m.numSplats,0);pe(n),this.counts=fe(n),this.reserve();let{T_cam_world:a,K:s,width:i,height:u}=r,l=0;for(let{buffers:d,transform:m,numSplats:v}of this.drawn){let x={model_to_camera:Ht(a,m),first_splat:l,num_splats:v,enlarge:1};l+=v,this.write(d.get("instance"),S("Instance",x))}let c={world_to_camera:a.slice(0,12),background:[...o,1],focal:[s[0],s[4]],principal:[s[2],s[5]],viewport:[i,u],near_plane:Pe,blur:Se,num_splats:n};this.write(this.buffers.get("view"),S("View",c))}reserve(){if(!(this.counts.splats<=this.capacity)){this.releaseScene(),this.capacity=this.counts.splats;for(let e of _)e.scope==="scene"&&this.buffers.set(e.name,this.context.makeBuffer(e,this.counts[e.dimension]))}}fitting(e,r,o){if(e?.width===r&&e.height===o)return e;e?.accumulation.destroy();let n=GPUTextureUsage.RENDER_ATTACHMENT|GPUTextureUsage.TEXTURE_BINDING,a=[r,o];return{width:r,height:o,accumulation:this.context.device.createTexture({size:a,format:G,usage:n})}}encodeSplats(e,r){e.clearBuffer(this.buffers.get("frame_state"));let o=e.beginComputePass();for(let i of P){if(i.stage==="sort"){this.dispatchSort(o,i);continue}for(let u of this.drawn)(i.stage==="project"||!u.isPosed)&&this.dispatchInstance(o,i,u)}o.end();for(let i of this.drawn)i.isPosed=!0;let{pipeline:n,layout:a}=this.context.draw,s=e.beginRenderPass({colorAttachments:[rt(r.accumulation.createView())]});s.setPipeline(n),s.setBindGroup(0,this.context.bind(a,N,this.buffers)),s.setIndexBuffer(this.context.indices,"uint16"),s.drawIndexedIndirect(this.buffers.get("arguments"),0),s.end()}dispatchSort(e,r){let{pipeline:o,layout:n}=this.context.compute.get(r.name),a=this.sortGroups.get(r.name)??this.context.bind(n,r.bindings,this.buffers);this.sortGroups.set(r.name,a),e.setPipeline(o),e.setBindGroup(0,a),r.groups?e.dispatchWorkgroups(this.counts[r.groups]):e.dispatchWorkgroupsIndirect(this.buffers.get("arguments"),Ae)}dispatchInstance(e,r,o){let{pipeline:n,layout:a}=this.context.compute.get(r.name),s=this.instanceGroups.get(o)??new Map;this.instanceGroups.set(o,s);let i=()=>new Map([...this.buffers,...o.model.buffers,...o.buffers]),u=s.get(r.name)??this.context.bind(a,r.bindings,i());s.set(r.name,u),e.setPipeline(n),e.setBindGroup(0,u);let{counts:l}=o.model,c=r.groups==="instance_groups";e.dispatchWorkgroups(c?Math.ceil(o.numSplats/T):l[r.groups])}encodeCover(e,r,o,{accumulation:n}){let{pipeline:a,layout:s}=this.context[o],i=o==="stage"?re:M,u=new Map([...this.buffers,["stage",this.stage]]),l=e.beginRenderPass({colorAttachments:[rt(r)]});l.setPipeline(a),l.setBindGroup(0,this.context.bind(s,i,u,n)),l.draw(3),l.end()}async countVisible(){let e=this.buffers.get("frame_state");if(!e)return 0;let{device:r}=this.context,o=r.createBuffer({size:16,usage:GPUBufferUsage.MAP_READ|GPUBufferUsage.COPY_DST}),n=r.createCommandEncoder();n.copyBufferToBuffer(e,0,o,0,16),r.queue.submit([n.finish()]);try{return await o.mapAsync(GPUMapMode.READ),new Uint32Array(o.getMappedRange())[0]}finally{o.destroy()}}};var at=(t,e)=>t[0]*e[0]+t[1]*e[1]+t[2]*e[2],j=(t,e)=>[t[1]*e[2]-t[2]*e[1],t[2]*e[0]-t[0]*e[2],t[0]*e[1]-t[1]*e[0]],h=(t,e)=>[t[0]*e,t[1]*e,t[2]*e],E=(t,e)=>[t[0]+e[0],t[1]+e[1],t[2]+e[2]],ve=(t,e)=>E(t,h(e,-1));function I(t){let e=Math.hypot(...t);return e<1e-12?[0,0,0]:h(t,1/e)}function _e(t,e){return ve(t,h(e,at(t,e)))}function Wt(t,e,r){let o=I(ve(e,t)),n=I(j(o,r)),a=j(o,n);return[n,a,o].flatMap(s=>[...s,-at(s,t)]).concat(0,0,0,1)}var ye=3.2,Kt=1.08,Xt=3/4,ot=85*Math.PI/180,nt=[.15,4],H=class{constructor(e,r,o,n){this.target=e;this.radius=r;this.up=I(o);let a=I(_e(n,this.up)),s=Math.abs(this.up[0])<.9?[1,0,0]:[0,1,0];this.front=Math.hypot(...a)>.5?a:I(j(this.up,s))}target;radius;up;front;yaw=0;pitch=0;zoom=1;pan=[0,0,0];turn(e,r){this.yaw-=e*Math.PI,this.pitch=Math.min(ot,Math.max(-ot,this.pitch+r*Math.PI))}scale(e){this.zoom=Math.min(nt[1],Math.max(nt[0],this.zoom*e))}shift(e,r,o,n){let a=this.camera(o,n).T_cam_world,s=n*ye*this.radius*this.zoom/this.focal(o,n),i=[a[0],a[1],a[2]],u=[a[4],a[5],a[6]],l=ve(this.pan,E(h(i,e*s),h(u,r*s))),c=Math.hypot(...l);this.pan=c>2*this.radius?h(l,2*this.radius/c):l}reset(){[this.yaw,this.pitch,this.zoom,this.pan]=[0,0,1,[0,0,0]]}focal(e,r){return .5*Math.min(r,e/Xt)*ye/Kt}camera(e,r){let o=j(this.up,this.front),n=E(h(this.front,Math.cos(this.yaw)),h(o,Math.sin(this.yaw))),a=E(h(n,Math.cos(this.pitch)),h(this.up,Math.sin(this.pitch))),s=E(this.target,this.pan),i=E(s,h(a,ye*this.radius*this.zoom)),u=this.focal(e,r);return{T_cam_world:Wt(i,s,this.up),K:[u,0,e/2,0,u,r/2,0,0,1],width:e,height:r}}};function W(t){if(t.length===0)return{x:0,y:0,spread:0};let e=t.reduce((o,n)=>o+n.x,0)/t.length,r=t.reduce((o,n)=>o+n.y,0)/t.length;return{x:e,y:r,spread:t.length<2?0:Math.hypot(t[0].x-t[1].x,t[0].y-t[1].y)}}function st(t,e,r){let o=new Map,n=W([]),a=!1,s=!1,i=()=>{if(s=!1,o.size===0)return;let c=W([...o.values()]),d=t.clientHeight,[m,v]=[(c.x-n.x)/d,(c.y-n.y)/d];o.size>1||a?e.shift(m,v,t.clientWidth,d):e.turn(m,v),n.spread>0&&c.spread>0&&e.scale(n.spread/c.spread),n=c,r()};t.addEventListener("pointerdown",c=>{i(),t.setPointerCapture(c.pointerId),o.set(c.pointerId,{x:c.clientX,y:c.clientY}),a=c.button!==0||c.shiftKey,n=W([...o.values()])}),t.addEventListener("pointermove",c=>{o.has(c.pointerId)&&(o.set(c.pointerId,{x:c.clientX,y:c.clientY}),s||requestAnimationFrame(i),s=!0)});let u=c=>{i(),o.delete(c.pointerId),n=W([...o.values()])};t.addEventListener("pointerup",u),t.addEventListener("pointercancel",u),t.addEventListener("contextmenu",c=>c.preventDefault()),t.addEventListener("dblclick",()=>{e.reset(),r()});let l=c=>{c.preventDefault();let d=c.deltaMode===WheelEvent.DOM_DELTA_LINE?c.deltaY*16:c.deltaY;e.scale(Math.exp(d*.0015*(c.ctrlKey?4:1))),r()};t.addEventListener("wheel",l,{passive:!1})}var Qt=2,Yt=2560*1600,it=[10,11],qt=.03,Jt=[.16,.16,.34],Zt=4,er=.25,tr=.5,rr=2,ut="the page is not drawing: its graphics device is lost or being replaced",be=(t,e)=>t?.length===3&&t.every(Number.isFinite)?t:e,or=(t,e)=>t[0]*e[0]+t[1]*e[1]+t[2]*e[2],K=class{constructor(e,r,o){this.page=e;this.avatar=r;this.player=o;let{meta:n}=r.header;this.skeleton=D(r);let a=o.frames[0];this.firstPelvis=this.joint(a,0),this.center=be(n.center,this.firstPelvis);let s=[a.Rh[2],a.Rh[5],a.Rh[8]],i=be(n.up,[0,1,0]);this.orbit=new H(this.center,n.radius??1,i,be(n.front,s)),this.floor=this.floorHeight();let u=()=>{this.fixedPose=void 0,this.isDirty=!0};e.connect(o,u,()=>{this.orbit.reset(),this.isDirty=!0}),st(e.canvas,this.orbit,()=>{this.isDirty=!0}),new ResizeObserver(()=>{this.isDirty=!0}).observe(e.canvas)}page;avatar;player;orbit;pixelScale=1;renderer;instance;context;fixedCamera;fixedPose;shownPose;isDirty=!0;inFlight=0;drawn=0;lastTick=Number.NaN;skeleton;center;firstPelvis;floor;attach(e,r,o,n){let a=this.page.canvas.getContext("webgpu");if(!a)throw new Error("the canvas gives no WebGPU context; load the page again");a.configure({device:o,format:n,alphaMode:"opaque"}),this.context=a,this.renderer=e,this.instance=r,this.shownPose=void 0,this.inFlight=0,this.isDirty=!0}detach(){this.renderer=void 0,this.instance=void 0}showPose(e){this.fixedPose=e,this.isDirty=!0}showCamera(e){this.fixedCamera=e,this.isDirty=!0}tick(e){let r=Number.isNaN(this.lastTick)?0:Math.max(0,e-this.lastTick)/1e3;this.lastTick=e,this.player.playing&&this.player.last>0&&!this.fixedPose&&(this.player.advance(r),this.isDirty=!0),!(!this.renderer||this.inFlight>=rr)&&(this.follow(r)||this.isDirty)&&this.draw()}async draw(){let{renderer:e,instance:r,context:o}=this;if(!e||!r||!o)throw new Error(ut);this.isDirty=!1;let n=this.currentPose(),a=this.currentCamera(),{canvas:s}=this.page;s.width!==a.width&&(s.width=a.width),s.height!==a.height&&(s.height=a.height),this.uploadPose(r,n),e.present(o.getCurrentTexture(),[r],a,this.stage(n)),this.page.showTime(this.player),this.inFlight++,await e.finished(),this.inFlight=Math.max(0,this.inFlight-1),this.drawn++}readPixels(e){if(!this.renderer||!this.instance)throw new Error(ut);return this.uploadPose(this.instance,this.currentPose()),this.renderer.readPixels([this.instance],this.currentCamera(),e)}takeDrawn(){let e=this.drawn;return this.drawn=0,e}currentPose(){return this.fixedPose??this.player.pose()}currentCamera(){if(this.fixedCamera)return this.fixedCamera;let{clientWidth:e,clientHeight:r}=this.page.canvas,o=Math.min(window.devicePixelRatio,Qt)*this.pixelScale,n=Math.min(o,Math.sqrt(Yt/Math.max(1,e*r))),a=s=>Math.max(1,Math.round(s*n));return this.orbit.camera(a(e),a(r))}uploadPose(e,r){r!==this.shownPose&&(e.setPose(r),this.shownPose=r)}joint(e,r){let o=le(this.skeleton,e);return[o[12*r+3],o[12*r+7],o[12*r+11]]}floorHeight(){let{frames:e}=this.player,r=Math.max(1,Math.floor(e.length/200)),o=e.filter((n,a)=>a%r===0).map(n=>Math.min(...it.map(a=>or(this.joint(n,a),this.orbit.up)))).sort((n,a)=>n-a);return o[Math.floor(.05*o.length)]-qt}follow(e){let r=this.joint(this.currentPose(),0),o=_e([0,1,2].map(i=>r[i]-this.firstPelvis[i]),this.orbit.up),n=[0,1,2].map(i=>this.center[i]+o[i]-this.orbit.target[i]),a=Math.hypot(...n);if(a<1e-4)return!1;let s=a>tr?1:1-Math.exp(-e/er);return this.orbit.target=[0,1,2].map(i=>this.orbit.target[i]+s*n[i]),!0}stage(e){let r=new Float32Array(ge);return r.set([...this.orbit.up,this.floor,...this.orbit.target,Zt]),[...it,0].forEach((o,n)=>r.set([...this.joint(e,o),Jt[n]],8+4*n)),r}get numGaussians(){return this.avatar.header.num_gaussians}};var ct="avatar.mobavatar",lt="motion.pose.json",nr=30,dt=2,ar=1e3;async function sr(t){let e=a=>s=>{throw(s instanceof f||s instanceof y)&&(s.message=`${a}: ${s.message}`),s},r=me(lt).then(a=>tt(new TextDecoder().decode(a))).catch(e(lt));r.catch(()=>{});let o=await me(ct,a=>t.progress("Loading the avatar",a));return t.progress("Unpacking",1),{avatar:await ze(o).catch(e(ct)),poses:await r}}function ir(t){return[t.vendor,t.architecture,t.description].filter(Boolean).join(" ")}async function pt(t,e,r,o){let{device:n,adapter:a,format:s}=await $e(),i=await R.create(n,s),u=await O.upload(i,e);return t.pixelScale=r>=dt?.5:1,t.attach(new $(i),new L(u),n,s),n.lost.then(({message:l})=>{t.detach(),r<dt?pt(t,e,r+1,o).catch(o):o(new g("The graphics device was lost",`${l||"The driver gave no reason."}
Load the page again; if it comes back, close other pages first.`))}),ir(a)}function ur(t,e,r){let o=performance.now(),n=`${t.numGaussians.toLocaleString("en")} splats`,a=s=>{if(t.tick(s),s-o>ar){let i=1e3*t.takeDrawn()/(s-o);o=s,e.readout(i>0?`${i.toFixed(i<10?1:0)} fps \xB7 ${n}`:n,r)}requestAnimationFrame(a)};e.readout(n,r),requestAnimationFrame(a)}function cr(t){return e=>{console.error(e);let r=e instanceof f||e instanceof y||e instanceof w,o=e instanceof g?e.title:r?"The avatar could not be loaded":"The avatar cannot be drawn";t.message(o,e instanceof Error?e.message:String(e))}}function ft(t,e,r){let o=t.flat();if(o.length===e&&o.every(Number.isFinite))return o;throw new Error(`${r} must be ${e} finite numbers, found ${o.length} values`)}var we=class{constructor(e){this.ready=e}ready;viewer;adapter="";setPose(e){let{player:r}=this.shown;if(typeof e!="number"){this.shown.showPose(e===null?void 0:he(e));return}let o=r.frames[e];if(!o)throw new Error(`there is no frame ${e}; the motion has frames 0..${r.last}`);this.shown.showPose(o)}setCamera(e){let r=e?{...e,T_cam_world:ft(e.T_cam_world,16,"T_cam_world"),K:ft(e.K,9,"K")}:void 0;this.shown.showCamera(r)}renderOnce(){return this.shown.draw()}readPixels(e=[0,0,0]){return this.shown.readPixels(e)}get info(){let{player:e,numGaussians:r}=this.shown;return{numGaussians:r,frames:e.frames.length,fps:e.fps,adapter:this.adapter}}get shown(){if(!this.viewer)throw new Error("the avatar is not there yet: await mobavatar.ready first");return this.viewer}};async function lr(t,e,r){await se();let{avatar:o,poses:n}=await sr(t),{fps:a,body:s,body_license:i}=o.header.meta,u=new F(n,a&&a>0?a:nr);u.playing=!matchMedia("(prefers-reduced-motion: reduce)").matches;let l=new K(t,o,u);t.progress("Preparing the graphics device",1);let c=await pt(l,o,0,e);await l.draw(),t.revealed(u),r(l,c),ur(l,t,[c,s&&`Body: ${s}`,i].filter(Boolean).join(`
`))}function dr(){let t=new z,e=cr(t),r=lr(t,e,(n,a)=>Object.assign(o,{viewer:n,adapter:a})),o=new we(r);window.mobavatar=o,r.catch(e)}dr();})();
