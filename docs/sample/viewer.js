"use strict";(()=>{var Nr={"opened-from-disk":"This page needs a web server","insecure-origin":"This address is not secure","no-webgpu":"This browser has no WebGPU","no-adapter":"No graphics adapter","no-device":"The graphics device could not be opened","broken-gpu":"This graphics driver computes wrongly","out-of-memory":"Not enough graphics memory","device-lost":"The graphics device was lost","not-found":"The avatar could not be loaded",network:"The avatar could not be loaded","not-an-avatar":"The avatar could not be loaded","newer-version":"The avatar could not be loaded",truncated:"The avatar could not be loaded",damaged:"The avatar could not be loaded","bad-motion":"The motion could not be loaded","bad-link":"The pose could not be loaded",internal:"The avatar cannot be drawn"},g=class extends Error{constructor(t,o){super(o);this.code=t;this.title=Nr[t]}code;name="AvatarError";title};function E(r,e){if(r instanceof g)return r;let{code:t,message:o}=r,n=typeof t=="string"&&t in Nr?t:"internal",s=typeof o=="string"?o:String(r),i=new g(n,e?`${e}: ${s}`:s);return i.cause=r,i}var Ue="MOBAVATR";var W={gaussians:"uint32",joint_rest:"float32",inverse_bind:"float32",joint_parent:"int32",rotation_index:"uint32",scale_index:"uint32",color_index:"uint32",rotation_basis:"float16",scale_basis:"float16",color_basis:"float16",node_part:"uint16",node_basis:"float16",mlp_weights:"float16",mlp_biases:"float16"},F=55,jt=8,Kt=128,be=256,Ve=2048,Wt=8,ce=32,qt=4194304,ye=128,Br=.01,Ge=.3,Cr=.1,Ur=1e20,Qt=134217728,Xt=65535,Fe=["rotation_basis","scale_basis","color_basis"],we=["uniform:view","read:splats","read:order","read:frame_state"],Vr={Model:{size:208,fields:{position_low:[0,"f32"],position_step:[16,"f32"],num_gaussians:[32,"u32"],num_nodes:[36,"u32"],num_head_parts:[40,"u32"],num_pose_inputs:[44,"u32"],basis_size:[48,"u32"],num_layers:[52,"u32"],leaky_relu_slope:[56,"f32"],scale_basis:[60,"u32"],color_basis:[64,"u32"],layers:[80,"u32"]}},PoseInput:{size:3152,fields:{joints:[0,"f32"],inputs:[2640,"f32"]}},Instance:{size:64,fields:{model_to_camera:[0,"f32"],first_splat:[48,"u32"],num_splats:[52,"u32"],enlarge:[56,"f32"],training_blur:[60,"f32"]}},View:{size:96,fields:{world_to_camera:[0,"f32"],focal:[48,"f32"],principal:[56,"f32"],viewport:[64,"f32"],near_plane:[72,"f32"],blur:[76,"f32"],pixel_filter:[80,"f32"],num_splats:[84,"u32"]}}},C=[{name:"model",scope:"model",fill:"uniform",stride:208,dimension:"one"},{name:"gaussians",scope:"model",fill:"section",stride:0,dimension:"one"},{name:"node_part",scope:"model",fill:"section",stride:0,dimension:"one"},{name:"node_basis",scope:"model",fill:"section",stride:0,dimension:"one"},{name:"mlp_weights",scope:"model",fill:"section",stride:0,dimension:"one"},{name:"mlp_biases",scope:"model",fill:"section",stride:0,dimension:"one"},{name:"bases",scope:"model",fill:"joined",stride:0,dimension:"one"},{name:"kept",scope:"model",fill:"kept",stride:24,dimension:"kept_groups"},{name:"pose_input",scope:"instance",fill:"uniform",stride:3152,dimension:"one"},{name:"instance",scope:"instance",fill:"uniform",stride:64,dimension:"one"},{name:"features",scope:"instance",fill:"work",stride:4,dimension:"features"},{name:"node_displacement",scope:"instance",fill:"work",stride:16,dimension:"nodes"},{name:"view",scope:"scene",fill:"uniform",stride:96,dimension:"one"},{name:"splats",scope:"scene",fill:"work",stride:32,dimension:"splats"},{name:"depths",scope:"scene",fill:"work",stride:4,dimension:"splats"},{name:"frame_state",scope:"scene",fill:"work",stride:16,dimension:"one"},{name:"arguments",scope:"scene",fill:"work",stride:48,dimension:"one"},{name:"items",scope:"scene",fill:"work",stride:4,dimension:"splats"},{name:"order",scope:"scene",fill:"work",stride:4,dimension:"splats"},{name:"histogram",scope:"scene",fill:"work",stride:4,dimension:"histogram"},{name:"digit_totals",scope:"scene",fill:"work",stride:4,dimension:"digit_values"}],q=[{name:"features",shader:"features.wgsl",bindings:["uniform:model","uniform:pose_input","read:mlp_weights","read:mlp_biases","write:features"],groups:"parts",stage:"pose",digit:-1},{name:"nodes",shader:"nodes.wgsl",bindings:["uniform:model","read:node_part","read:node_basis","read:features","write:node_displacement"],groups:"node_groups",stage:"pose",digit:-1},{name:"project",shader:"project.wgsl",bindings:["uniform:model","uniform:pose_input","uniform:instance","uniform:view","read:gaussians","read:kept","read:bases","read:features","read:node_displacement","write:splats","write:depths","write:frame_state"],groups:"instance_groups",stage:"project",digit:-1},{name:"sort_histogram_0",shader:"sort_histogram.wgsl",bindings:["uniform:view","read:frame_state","read:depths","write:histogram"],groups:"sort_groups",stage:"sort",digit:0},{name:"sort_scan_0",shader:"sort_scan.wgsl",bindings:["uniform:view","read:frame_state","write:histogram","write:digit_totals","write:arguments"],groups:"digit_values",stage:"sort",digit:0},{name:"sort_scatter_0",shader:"sort_scatter.wgsl",bindings:["uniform:view","read:frame_state","read:depths","read:histogram","read:digit_totals","write:items"],groups:"sort_groups",stage:"sort",digit:0},{name:"sort_histogram_1",shader:"sort_histogram.wgsl",bindings:["uniform:view","read:frame_state","read:items","write:histogram"],groups:"",stage:"sort",digit:1},{name:"sort_scan_1",shader:"sort_scan.wgsl",bindings:["uniform:view","read:frame_state","write:histogram","write:digit_totals","write:arguments"],groups:"digit_values",stage:"sort",digit:1},{name:"sort_scatter_1",shader:"sort_scatter.wgsl",bindings:["uniform:view","read:frame_state","read:items","read:histogram","read:digit_totals","write:order"],groups:"",stage:"sort",digit:1}];var xe=(r,e)=>Math.ceil(r/e);function Yt(r){let e=r.num_gaussians;return{one:1,gaussians:e,instance_groups:xe(e,be),parts:r.num_parts,features:r.num_parts*2*r.basis_size,nodes:r.num_nodes,node_groups:xe(4*r.num_nodes,be),kept_groups:xe(e,32)}}function de(r){let e=xe(r,Ve);return{one:1,splats:r,sort_groups:e,histogram:e<<Wt,digit_values:1<<Wt}}function Q(r,e){let{size:t,fields:o}=Vr[r],n=new ArrayBuffer(t);for(let[s,[i,a]]of Object.entries(o)){let l=e[s],u=typeof l=="number"?[l]:l;(a==="u32"?new Uint32Array(n,i):new Float32Array(n,i)).set(u)}return n}function Gr(r){let e=r.layer_sizes,t=[],[o,n]=[0,0];for(let i=0;i+1<e.length;i++){let[a,l]=[e[i],e[i+1]];t.push(a,l,o,n),o+=r.num_parts*l*Math.ceil(a/2),n+=r.num_parts*l}let s=i=>r.sections.find(a=>a.name===i).raw_bytes;return Q("Model",{position_low:r.position_low,position_step:r.position_high.map((i,a)=>(i-r.position_low[a])/65535),num_gaussians:r.num_gaussians,num_nodes:r.num_nodes,num_head_parts:r.num_head_parts,num_pose_inputs:r.num_pose_inputs,basis_size:r.basis_size,num_layers:e.length-1,leaky_relu_slope:r.leaky_relu_slope,scale_basis:s("rotation_basis")/4,color_basis:(s("rotation_basis")+s("scale_basis"))/4,layers:t})}function Fr(r,e){let t=new Uint32Array(xe(r,32)*6);return e.forEach((o,n)=>{let s=0;for(let i=0;i*6<t.length;i++)for(t[i*6+2*n+1]=s;s<o.length&&o[s]<(i+1)*32;s++)t[i*6+2*n]|=1<<(o[s]&31)}),t}function Dr(r,e){let t=r.layer_sizes;if(t.length-1>jt||Math.max(...t)>Kt)throw new Error(`part networks may have ${jt} layers of at most ${Kt} numbers, found ${t}`);if(r.basis_size%2!==0||t.at(-1)!==2*r.basis_size)throw new Error(`the basis size must be even and half of the last layer, found ${r.basis_size}`);Jt(r.num_gaussians);let o=Yt(r),n=Fe.reduce((s,i)=>s+e[i].length,0);for(let s of C){if(s.scope==="scene")continue;let{name:i,fill:a,stride:l,dimension:u}=s,c=a==="section"?e[i].length:a==="joined"?n:l*o[u];if(c>Qt)throw new Error(`buffer '${i}' needs ${c} bytes, WebGPU promises ${Qt}: prune more`)}for(let s of q)if(s.stage!=="sort"&&o[s.groups]>Xt)throw new Error(`pass '${s.name}' needs ${o[s.groups]} workgroups, WebGPU promises ${Xt}`)}function zr(r,e){if(r===void 0)return Ur;let t=Math.hypot(e[0],e[4],e[8]);return Ge*(t/r)**2}function Jt(r){if(r>qt)throw new Error(`one picture shows ${qt} Gaussians at most, found ${r}: show fewer avatars`)}var _e=5e3,Gn=4294967295,Fn={world_to_camera:[],focal:[],principal:[],viewport:[],near_plane:0,blur:0,pixel_filter:0,num_splats:_e};function Dn(){let r=s=>s<2?s*65535:s*7919%3001*21+5,e=s=>s<2||s%3!==0,t=Float32Array.from({length:_e},(s,i)=>i<2?1+i:1+(r(i)+.5)/65535),o=Array.from({length:_e},(s,i)=>i).filter(e),n=new Uint32Array(t.buffer);return n.forEach((s,i)=>{e(i)||(n[i]=Gn)}),{depths:t,order:o.sort((s,i)=>r(s)-r(i))}}function zn(r,e,t){let o=de(_e),n=new Map;for(let l of C){if(l.scope!=="scene"||l.name==="splats")continue;let u=l.name==="order"||l.name==="arguments";n.set(l.name,r.makeBuffer(l,o[l.dimension],0,u?GPUBufferUsage.COPY_SRC:0))}let[s,i]=new Uint32Array(Float32Array.of(1,2).buffer),{queue:a}=r.device;return a.writeBuffer(n.get("view"),0,Q("View",Fn)),a.writeBuffer(n.get("depths"),0,e),a.writeBuffer(n.get("frame_state"),0,Uint32Array.of(t,~s,i)),n}function $n(r,e,t,o){let n=de(_e),s=r.device.createCommandEncoder(),i=s.beginComputePass();for(let a of q){if(a.stage!=="sort")continue;let{pipeline:l,layout:u}=r.compute.get(a.name);i.setPipeline(l),i.setBindGroup(0,r.bind(u,a.bindings,e)),a.groups?i.dispatchWorkgroups(n[a.groups]):i.dispatchWorkgroupsIndirect(e.get("arguments"),ce)}return i.end(),s.copyBufferToBuffer(e.get("arguments"),0,t,0,48),s.copyBufferToBuffer(e.get("order"),0,t,48,4*o),s.finish()}async function $r(r){let{depths:e,order:t}=Dn(),o=t.length,n=zn(r,e,o),s=r.device.createBuffer({size:48+4*o,usage:GPUBufferUsage.MAP_READ|GPUBufferUsage.COPY_DST});try{r.device.queue.submit([$n(r,n,s,o)]),await s.mapAsync(GPUMapMode.READ);let i=new Uint32Array(s.getMappedRange()),a=Math.ceil(o/ye),l=Math.ceil(o/Ve);if(i[1]!==a||i[ce/4]!==l)return`it would draw ${i[1]} groups of splats and sort ${i[ce/4]}, expected ${a} and ${l}`;let u=t.findIndex((c,d)=>i[12+d]!==c);return u<0?void 0:`item ${u} of ${o} sorted ones is ${i[12+u]}, expected ${t[u]}`}finally{s.destroy();for(let i of n.values())i.destroy()}}var Hr=`struct View {
world_to_camera: array<vec4f, 3>,
focal: vec2f,
principal: vec2f,
viewport: vec2f,
near_plane: f32,
blur: f32,
pixel_filter: f32,
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
}`;var jr=`struct Model {
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
const THREADS = 128u;
const LANES = 4u;
const OUTPUTS = THREADS / LANES;
const WIDTH = 128u;
@group(0) @binding(0) var<uniform> model: Model;
@group(0) @binding(1) var<uniform> pose_input: PoseInput;
@group(0) @binding(2) var<storage, read> mlp_weights: array<u32>;
@group(0) @binding(3) var<storage, read> mlp_biases: array<u32>;
@group(0) @binding(4) var<storage, read_write> features: array<f32>;
var<workgroup> activations: array<f32, 256>;
var<workgroup> partial: array<f32, 128>;
fn input_number(part: u32, i: u32) -> f32 {
let is_used = i < model.num_pose_inputs || part < model.num_head_parts;
let value = pose_input.inputs[min(i, WIDTH - 1u) / 4u][i % 4u];
return select(0.0, value, is_used && i < model.layers[0].x);
}
fn bias(index: u32) -> f32 {
let pair = unpack2x16float(mlp_biases[index / 2u]);
return select(pair.x, pair.y, index % 2u == 1u);
}
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
let part = group.x;
let lane = thread % LANES;
activations[thread] = input_number(part, thread);
for (var l = 0u; l < model.num_layers; l++) {
let layer = model.layers[l];
let words = (layer.x + 1u) / 2u;
let is_last = l + 1u == model.num_layers;
let source = (l % 2u) * WIDTH;
let target_ = WIDTH - source;
activations[target_ + thread] = 0.0;
for (var first = 0u; first < layer.y; first += OUTPUTS) {
workgroupBarrier();
let o = first + thread / LANES;
var sum = 0.0;
if (o < layer.y) {
let row = layer.z + (part * layer.y + o) * words;
for (var i = lane; i < words; i += LANES) {
let w = unpack2x16float(mlp_weights[row + i]);
sum += w.x * activations[source + 2u * i] + w.y * activations[source + 2u * i + 1u];
}
}
partial[thread] = sum;
workgroupBarrier();
if (lane == 0u && o < layer.y) {
let total = bias(layer.w + part * layer.y + o)
+ ((partial[thread] + partial[thread + 1u]) + (partial[thread + 2u] + partial[thread + 3u]));
if (is_last) {
features[part * layer.y + o] = total;
} else {
activations[target_ + o] = select(model.leaky_relu_slope * total, total, total > 0.0);
}
}
}
workgroupBarrier();
}
}`;var Kr=`struct Model {
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
}`;var Wr=`struct Model {
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
out.radius = sqrt(2.0 * log(max(out.opacity / MIN_ALPHA, 1.0)));
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
out.quad_area = min(4.0 * out.radius * out.radius * sqrt(larger) * out.minor, view.viewport.x * view.viewport.y);
out.is_visible = is_inside && determinant > 0.0 && out.opacity >= MIN_ALPHA;
return out;
}
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
if (thread == 0u) {
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
}`;var qr=`struct View {
world_to_camera: array<vec4f, 3>,
focal: vec2f,
principal: vec2f,
viewport: vec2f,
near_plane: f32,
blur: f32,
pixel_filter: f32,
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
}`;var Qr=`struct View {
world_to_camera: array<vec4f, 3>,
focal: vec2f,
principal: vec2f,
viewport: vec2f,
near_plane: f32,
blur: f32,
pixel_filter: f32,
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
}`;var Xr=`struct View {
world_to_camera: array<vec4f, 3>,
focal: vec2f,
principal: vec2f,
viewport: vec2f,
near_plane: f32,
blur: f32,
pixel_filter: f32,
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
}`;var Yr=`struct View {
world_to_camera: array<vec4f, 3>,
focal: vec2f,
principal: vec2f,
viewport: vec2f,
near_plane: f32,
blur: f32,
pixel_filter: f32,
num_splats: u32,
}
struct Stage {
up: vec4f,
center: vec4f,
shadows: array<vec4f, 3>,
color: vec4f,
}
const LINE_SPACING = 0.5;
const LINE_STRENGTH = 0.055;
@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var<uniform> stage: Stage;
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
let shade = floor_shade(position.xy);
let noise = fract(52.9829189 * fract(dot(position.xy, vec2f(0.06711056, 0.00583715)))) - 0.5;
let room = vec4f(wall(position.xy) * (1.0 - shade.x) * (1.0 - shade.y) + noise / 255.0, 1.0);
return select(room, stage.color, stage.center.w == 0.0);
}`;var Jr={"draw.wgsl":Hr,"features.wgsl":jr,"nodes.wgsl":Kr,"project.wgsl":Wr,"sort_histogram.wgsl":qr,"sort_scan.wgsl":Qr,"sort_scatter.wgsl":Xr,"stage.wgsl":Yr};var Zt="rgba8unorm",er=["uniform:view","uniform:stage"];function Jn(){let r=[0,1,2,2,1,3];return Uint16Array.from({length:6*ye},(e,t)=>4*Math.floor(t/6)+r[t%6])}var De=class r{constructor(e){this.device=e;this.indices=this.allocate("indices",12*ye,GPUBufferUsage.INDEX),e.queue.writeBuffer(this.indices,0,Jn())}device;indices;compute=new Map;draw;drawOutput;stage;modules=new Map;layouts=new Map;static async create(e,t){let o=await tr(e,"the graphics driver refused the shaders",async()=>{let s=new r(e);return await s.compile(t),s}),n=await $r(o);if(n)throw new g("broken-gpu",`It was asked to sort: ${n}.
Update the graphics driver or try another browser.`);return o}dispose(){this.indices.destroy()}allocate(e,t,o){let n=Math.max(16,Math.ceil(t/16)*16);return this.device.createBuffer({label:e,size:n,usage:o|GPUBufferUsage.COPY_DST})}makeBuffer({name:e,fill:t,stride:o},n,s=0,i=0){let a=t==="uniform"?GPUBufferUsage.UNIFORM:GPUBufferUsage.STORAGE,l=e==="arguments"?GPUBufferUsage.INDIRECT:e==="frame_state"?GPUBufferUsage.COPY_SRC:0;return this.allocate(e,Math.max(s,o*n),a|l|i)}bind(e,t,o){let n=t.map((s,i)=>({binding:i,resource:{buffer:o.get(s.split(":")[1])}}));return this.device.createBindGroup({layout:e,entries:n})}async compile(e){let t=q.map(async n=>{let s=this.bindLayout(n.bindings,GPUShaderStage.COMPUTE),i=await this.device.createComputePipelineAsync({label:n.name,layout:this.device.createPipelineLayout({bindGroupLayouts:[s]}),compute:{module:this.module(n.shader),entryPoint:"main",...n.digit>=0&&{constants:{DIGIT:n.digit}}}});return[n.name,{pipeline:i,layout:s}]}),o=[this.renderPipeline("draw.wgsl",we,e,!0),this.renderPipeline("draw.wgsl",we,Zt,!0),this.renderPipeline("stage.wgsl",er,e,!1)];[this.draw,this.drawOutput,this.stage]=await Promise.all(o);for(let[n,s]of await Promise.all(t))this.compute.set(n,s)}module(e){let t=this.modules.get(e)??this.device.createShaderModule({label:e,code:Jr[e]});return this.modules.set(e,t),t}async renderPipeline(e,t,o,n){let s={srcFactor:"one",dstFactor:"one-minus-src-alpha",operation:"add"},i=n?{format:o,blend:{color:s,alpha:s}}:{format:o},a=this.module(e),l=this.bindLayout(t,GPUShaderStage.VERTEX|GPUShaderStage.FRAGMENT);return{pipeline:await this.device.createRenderPipelineAsync({label:e,layout:this.device.createPipelineLayout({bindGroupLayouts:[l]}),vertex:{module:a,entryPoint:"vertex"},fragment:{module:a,entryPoint:"fragment",targets:[i]},primitive:{topology:"triangle-list"}}),layout:l}}bindLayout(e,t){let o=e.map(l=>l.split(":")[0]),n=`${t}:${o.join()}`,s={uniform:"uniform",read:"read-only-storage",write:"storage"},i=o.map((l,u)=>({binding:u,visibility:t,buffer:{type:s[l]}})),a=this.layouts.get(n)??this.device.createBindGroupLayout({entries:i});return this.layouts.set(n,a),a}};async function tr(r,e,t){r.pushErrorScope("validation"),r.pushErrorScope("out-of-memory");let o=(async()=>t())();o.catch(()=>{});let[n,s]=await Promise.all([r.popErrorScope(),r.popErrorScope()]);if(n)throw new g("out-of-memory",`The driver says: ${n.message}
Close other pages and load this one again.`);if(s)throw new Error(`${e}: ${s.message}`);return o}var Zr="Use a current version of Chrome, Edge, Safari or Firefox.";function Zn(){if(location.protocol==="file:")throw new g("opened-from-disk",`It was opened from disk, where browsers do not let it load its files.
Run \u201Cpython3 -m http.server\u201D in its folder and open http://localhost:8000.`);if(!window.isSecureContext)throw new g("insecure-origin",`Browsers offer WebGPU only over https or on localhost, and this is ${location.origin}. Serve the folder over https, or open it on the machine that serves it.`);let r=navigator.gpu;if(!r)throw new g("no-webgpu",`The avatar is drawn with WebGPU. ${Zr}`);return r}async function ze(){let r=await Zn().requestAdapter({powerPreference:"high-performance"});if(!r)throw new g("no-adapter",`This browser knows WebGPU but found no graphics device that it may use. Turn on hardware acceleration in its settings or update the graphics driver. ${Zr}`);return r}function eo({vendor:r,architecture:e,description:t}){return[r,e,t].filter(Boolean).join(" ")}function to(r,e){if(!Array.isArray(r))return!1;let t={count:0,pixels_per_metre:0};return r.every((o,n)=>{let{count:s,enlarge:i,pixels_per_metre:a}=o??{},l=n>0?r[n-1]:t;return Number.isInteger(s)&&Number.isFinite(i)&&Number.isFinite(a)&&s>l.count&&s<e&&i>0&&i<=16&&a>=l.pixels_per_metre})}function $e({num_gaussians:r,levels:e=[]}){return[...e,{count:r,enlarge:1,pixels_per_metre:Number.POSITIVE_INFINITY}]}function ro(r,e,t,o=0){let n=r.length-1,s=r.findIndex((i,a)=>e*(n-a>t?1.15:1)<=i.pixels_per_metre);return Math.min(n,n-(s<0?n:s)+o)}var oo=(r,e)=>Array.isArray(r)&&r.length===e&&r.every(Number.isFinite);function no(r,e){if(!Array.isArray(r)||r.length>32)return"trained_regions must be a list of at most 32 regions";let t=s=>Number.isInteger(s)&&s>=1&&3*s<=e,o=s=>{let{name:i,joints:a,mean:l,poses:u,radius:c,softness:d}=s??{};return typeof i!="string"||!Array.isArray(a)||a.length===0||!a.every(t)||!Array.isArray(u)||u.length===0||u.length>256?!1:[l,...u].every(h=>oo(h,3*a.length))&&oo([c,d],2)&&c>=0&&d>0},n=r.findIndex(s=>!o(s));return n<0?void 0:`trained_regions[${n}] needs name, joints, mean, poses, radius and softness`}function so(r,{joints:e,poses:t,radius:o}){let n=Number.POSITIVE_INFINITY;for(let s of t){let i=0;for(let a=0;a<e.length;a++){let l=3*(e[a]-1);i=Math.max(i,Math.hypot(r[l]-s[3*a],r[l+1]-s[3*a+1],r[l+2]-s[3*a+2]))}n=Math.min(n,i)}return Math.max(n-o,0)}function io(r,{input_range:e,trained_regions:t}){let o=r.slice();e&&o.forEach((n,s)=>o[s]=Math.min(Math.max(n,e[0][s]),e[1][s]));for(let n of t??[]){let s=so(r,n);if(s===0)continue;let i=Math.exp(-.5*(s/n.softness)**2);n.joints.forEach((a,l)=>{for(let u=0;u<3;u++){let[c,d]=[3*(a-1)+u,n.mean[3*l+u]];o[c]=d+i*(o[c]-d)}})}return o}function ao(r,{input_range:e,trained_regions:t}){let o=s=>e?Math.max(e[0][s]-r[s],r[s]-e[1][s],0):0,n=s=>Math.hypot(...[0,1,2].map(i=>o(3*(s-1)+i)));return new Map((t??[]).map(s=>[s.name,Math.max(so(r,s),...s.joints.map(n))]))}var A=class extends Error{constructor(t,o="damaged"){super(t);this.code=o}code;name="FormatError"},rs={uint32:4,float16:2,uint16:2,float32:4,int32:4},co;function os(r){co??=Uint32Array.from({length:256},(t,o)=>{for(let n=0;n<8;n++)o=o&1?o>>>1^3988292384:o>>>1;return o});let e=4294967295;for(let t=0;t<r.length;t++)e=(co[(e^r[t])&255]^e>>>8)>>>0;return(e^4294967295)>>>0}function ns(r,e){let t=new Uint8Array(r.length),o=r.length/e;for(let n=0,s=0;n<e;n++)for(let i=n,a=0;a<o;a++,i+=e)t[i]=r[s++];return t}async function ss(r,e,t){let o=new Uint8Array(e),n=0,s=a=>new A(`section '${t}' expands to ${a}, expected ${e} bytes; export the file again`),i=new Blob([r]).stream().pipeThrough(new DecompressionStream("gzip")).getReader();try{for(;;){let{done:a,value:l}=await i.read();if(a)break;if(n+l.length>e)throw s(`more than ${e} bytes`);o.set(l,n),n+=l.length}}catch(a){throw i.cancel().catch(()=>{}),a instanceof A?a:new A(`section '${t}' is damaged (not gzip); copy or export the file again`)}if(n!==e)throw s(`${n} bytes`);return o}function is(r){return JSON.stringify(String.fromCharCode(...r.subarray(0,8)))}var as=(r,e)=>new A(`truncated: expected ${r} bytes, found ${e}; copy it again`,"truncated");async function po(r){let e=await r.take(16),t=String.fromCharCode(...e.subarray(0,Ue.length));if(e.length<16||t!==Ue){let l=`it starts with ${is(e)}, expected "${Ue}"`;throw new A(`not an avatar file: ${l}; export it again`,"not-an-avatar")}let o=new DataView(e.buffer),n=o.getUint32(8,!0),s=o.getUint32(12,!0);if(n>1)throw new A(`made by a newer version (format ${n}, this page reads up to ${1}): update the page beside it`,"newer-version");let i=await r.take(Math.min(s,1048576));if(i.length<s){let l=`the header needs ${16+s} bytes, found ${16+i.length}`;throw new A(`truncated: ${l}; copy it again`,"truncated")}let a;try{a=JSON.parse(new TextDecoder("utf-8",{fatal:!0}).decode(i))}catch(l){throw new A(`the header is not JSON (${String(l)}); the file is damaged, copy or export it again`)}return ls(a),a}function ls(r){let e=(u,c)=>{if(!u)throw new A(`the header is damaged: ${c}; copy or export the file again`)},t=u=>Number.isInteger(u)&&u>=0;e(typeof r=="object"&&r!==null,"expected an object");for(let u of["num_gaussians","num_parts","num_head_parts","num_nodes","basis_size","payload_bytes"])e(t(r[u]),`${u} is ${String(r[u])}, expected a count`);e(Array.isArray(r.layer_sizes)&&r.layer_sizes.every(t),"layer_sizes must be counts");for(let u of["position_low","position_high"])e(r[u]?.length===3&&r[u].every(Number.isFinite),`${u} must be three numbers`);let o=r.input_range,n=r.layer_sizes[0];e(o===void 0||o.length===2&&o.every(u=>u.length===n&&u.every(Number.isFinite)),`input_range must be two rows of ${n} numbers`);let s=no(r.trained_regions??[],r.num_pose_inputs);e(s===void 0,s??"");let{levels:i,pixels_per_metre:a,num_gaussians:l}=r;e(i===void 0||to(i,l),`levels must ascend and lie below ${l} Gaussians`),e(a===void 0||a>0&&Number.isFinite(a),"pixels_per_metre must be positive"),e(Array.isArray(r.sections),"sections must be a list"),e(typeof r.meta=="object"&&r.meta!==null,"meta must be an object")}function us(r){let e=r.layer_sizes,t=e.slice(1).map((n,s)=>[e[s],n]),o=t.reduce((n,[s,i])=>n+i*(s+s%2),0);return{gaussians:r.num_gaussians*12,node_part:r.num_nodes,node_basis:r.num_nodes*3*r.basis_size,mlp_weights:r.num_parts*o,mlp_biases:r.num_parts*t.reduce((n,[,s])=>n+s,0),joint_rest:165,inverse_bind:660,joint_parent:55}}async function cs(r,e){let{name:t}=e;if(e.raw_bytes>1073741824)throw new A(`section '${t}' claims ${e.raw_bytes} bytes, more than ${1073741824}`);if(os(r)!==e.crc32)throw new A(`section '${t}' is damaged (checksum differs); copy or export the file again`);return ns(await ss(r,e.raw_bytes,t),e.shuffle)}async function*ho(r,e){let t=r.position,o=us(e),n=new Set;for(let i of[...e.sections].sort((a,l)=>a.offset-l.offset)){let a=i.name;if(!(a in W))continue;let l=t+i.offset-r.position;if(!(l>=0))throw new A(`section '${a}' lies inside another one; export the file again`);await r.take(l);let u=await r.take(i.stored_bytes);if(u.length<i.stored_bytes)throw as(t+e.payload_bytes,r.position);let c=await cs(u,i),d=c.length/rs[W[a]];if(i.dtype!==W[a]||d!==(o[a]??d))throw new A(`section '${a}' has ${d} items of ${i.dtype}, expected ${o[a]??"any number"} of ${W[a]}; export the file again`);n.add(a),yield[a,c]}let s=Object.keys(W).filter(i=>!n.has(i)).sort();if(s.length>0)throw new A(`sections missing: ${s.join(", ")}; export the file again`)}function rr(r){return new Float32Array(r.buffer,r.byteOffset,r.byteLength/4)}function mo(r){return new Int32Array(r.buffer,r.byteOffset,r.byteLength/4)}function je(r,e,t,o,n=0){let s=Math.sqrt(Math.max(r*r+e*e+t*t,1e-12)),[i,a,l]=[r/s,e/s,t/s],u=Math.sin(s),c=1-Math.cos(s);o[n]=1-c*(a*a+l*l),o[n+1]=-u*l+c*i*a,o[n+2]=u*a+c*i*l,o[n+3]=u*l+c*i*a,o[n+4]=1-c*(i*i+l*l),o[n+5]=-u*i+c*a*l,o[n+6]=-u*a+c*i*l,o[n+7]=u*i+c*a*l,o[n+8]=1-c*(i*i+a*a)}function x([r,e,t]){let o=Math.hypot(r,e,t),n=o<1e-9?.5:Math.sin(o/2)/o;return[Math.cos(o/2),r*n,e*n,t*n]}function T(r){let e=r[0]<0?-1:1,t=Math.hypot(r[1],r[2],r[3]),o=t<1e-9?2:2*Math.atan2(t,Math.abs(r[0]))/t;return[r[1]*e*o,r[2]*e*o,r[3]*e*o]}function Se(r){let[e,t,o,n,s,i,a,l,u]=Array.from(r),c=[1+e+s+u,1+e-s-u,1-e+s-u,1-e-s+u],h=[[c[0],l-i,o-a,n-t],[l-i,c[1],n+t,o+a],[o-a,n+t,c[2],l+i],[n-t,o+a,l+i,c[3]]][c.indexOf(Math.max(...c))],m=Math.hypot(...h);return h.map(f=>f/m)}function Ke([r,e,t,o]){return Float32Array.of(1-2*(t*t+o*o),2*(e*t-r*o),2*(e*o+r*t),2*(e*t+r*o),1-2*(e*e+o*o),2*(t*o-r*e),2*(e*o-r*t),2*(t*o+r*e),1-2*(e*e+t*t))}function or(r,e,t){let o=r[0]*e[0]+r[1]*e[1]+r[2]*e[2]+r[3]*e[3],n=Math.acos(Math.min(1,Math.abs(o))),s=Math.sin(n),i=s<1e-6?1-t:Math.sin((1-t)*n)/s,a=(s<1e-6?t:Math.sin(t*n)/s)*(o<0?-1:1),l=[0,1,2,3].map(c=>i*r[c]+a*e[c]),u=Math.hypot(...l);return l.map(c=>c/u)}var ds=1;function fo(r,e,t){if(Math.hypot(r[0]-e[0],r[1]-e[1],r[2]-e[2])<=ds)return[r[0]+t*(e[0]-r[0]),r[1]+t*(e[1]-r[1]),r[2]+t*(e[2]-r[2])];let o=t<.5?r:e,n=T(or(x(r),x(e),t)),s=Math.hypot(...n);if(s<1e-9)return n;let i=(n[0]*o[0]+n[1]*o[1]+n[2]*o[2])/s,a=(s+2*Math.PI*Math.round((i-s)/(2*Math.PI)))/s;return[n[0]*a,n[1]*a,n[2]*a]}function We(r){let{joint_rest:e,inverse_bind:t,joint_parent:o}=r.sections;return{rest:rr(e),inverseBind:rr(t),parent:mo(o)}}function nr(r,e,t,o,n,s){for(let i=0;i<12;i+=4)for(let a=0;a<4;a++){let l=a===3?r[e+i+3]:0;for(let u=0;u<3;u++)l+=r[e+i+u]*t[o+4*u+a];n[s+i+a]=l}}function qe(r,e){let{rest:t,parent:o}=r,n=new Float64Array(F*12),s=new Float64Array(12),i=new Float64Array(12),a=new Float64Array(9);for(let l=0;l<3;l++){for(let u=0;u<3;u++)s[4*l+u]=e.Rh[3*l+u];s[4*l+3]=e.Th[l]}for(let l=0;l<F;l++){let u=o[l];je(e.pose[3*l],e.pose[3*l+1],e.pose[3*l+2],a);for(let c=0;c<3;c++){for(let d=0;d<3;d++)i[4*c+d]=a[3*c+d];i[4*c+3]=t[3*l+c]-(u<0?0:t[3*u+c])}u<0?nr(s,0,i,0,n,12*l):nr(n,12*u,i,0,n,12*l)}return n}function go(r,e){let t=qe(r,e),o=new Float32Array(F*12);for(let n=0;n<F;n++)nr(t,12*n,r.inverseBind,12*n,o,12*n);return o}function sr(r,e,t){let o=new Float32Array(e);return o.set(r.pose.subarray(3,3+t)),o.set(r.expression.subarray(0,e-t),t),o}function vo(r,e,t,o={}){return io(sr(r,e,t),o)}function ps(r){let e=new Uint8Array(r.reduce((o,n)=>o+n.length,0)),t=0;for(let o of r)e.set(o,t),t+=o.length;return e}var Qe=class r{constructor(e,t){this.context=e;this.avatar=t;Dr(t.header,t.sections),this.skeleton=We(t),this.counts=Yt(t.header),this.levels=$e(t.header);for(let o of C)o.scope==="model"&&this.buffers.set(o.name,this.upload(o))}context;avatar;buffers=new Map;skeleton;counts;levels;static upload(e,t){return tr(e.device,"the graphics driver refused the avatar",()=>new r(e,t))}get bytes(){return[...this.buffers.values()].reduce((e,t)=>e+t.size,0)}dispose(){for(let e of this.buffers.values())e.destroy();this.buffers.clear()}upload(e){let t=this.content(e),{queue:o}=this.context.device,n=this.context.makeBuffer(e,this.counts[e.dimension],t.length),s=t.length-t.length%4;if(o.writeBuffer(n,0,t,0,s),s<t.length){let i=new Uint8Array(4);i.set(t.subarray(s)),o.writeBuffer(n,s,i)}return n}content({name:e,fill:t}){let{sections:o,header:n}=this.avatar;if(t==="section")return o[e];if(t==="joined")return ps(Fe.map(u=>o[u]));if(t==="uniform")return new Uint8Array(Gr(n));let{rotation_index:s,scale_index:i,color_index:a}=o,l=[s,i,a].map(u=>new Uint32Array(u.buffer));return new Uint8Array(Fr(n.num_gaussians,l).buffer)}};var bo="timestamp-query",Xe=class r{constructor(e,t,o,n){this.context=e;this.adapter=t;this.format=o;this.lost=n}context;adapter;format;lost;isClosed=!1;uploaded=new Map;static async open(){let e=await ze(),t;try{t=await e.requestDevice({requiredFeatures:e.features.has(bo)?[bo]:[]})}catch(s){throw new g("no-device",`${s.message}
Close other pages and load this one again.`)}let o=t.lost.then(({message:s})=>s),n=navigator.gpu.getPreferredCanvasFormat();return new r(await De.create(t,n),eo(e.info),n,o)}async acquire(e){let t=this.uploaded.get(e)??{model:Qe.upload(this.context,e),users:0};this.uploaded.set(e,t),t.users++;try{return await t.model}catch(o){throw this.release(e),o}}release(e){let t=this.uploaded.get(e);!t||--t.users>0||(this.uploaded.delete(e),t.model.then(o=>o.dispose()).catch(()=>{}))}close(){this.isClosed=!0,this.context.dispose(),this.context.device.destroy()}};var Ye=class{losses=0;lastLoss=Number.NEGATIVE_INFINITY;lost(e){return e-this.lastLoss>3e5&&(this.losses=0),this.lastLoss=e,this.losses++,this.losses<=2?"rebuild":this.losses===3?"lower":"give-up"}reset(){this.losses=0}};var ir=class{users=new Set;policy=new Ye;opened;isLowered=!1;async join(e){this.users.add(e);try{await e.attach(await this.device(),this.isLowered)}catch(t){throw this.leave(e),t}}leave(e){if(this.users.delete(e),this.users.size>0)return;let t=this.opened;this.opened=void 0,t?.then(o=>o.close()).catch(()=>{})}forgive(){this.policy.reset(),this.isLowered=!1}device(){return this.opened??=Xe.open().then(e=>(e.lost.then(t=>this.lost(e,t)),e.context.device.addEventListener("uncapturederror",({error:t})=>this.refused(t)),e),e=>{throw this.opened=void 0,e}),this.opened}refused(e){let t=e instanceof GPUOutOfMemoryError;if(t&&!this.isLowered){this.isLowered=!0;for(let n of this.users)n.lower();return}let o=`The driver says: ${e.message}
Close other pages and load this one again.`;for(let n of[...this.users])n.fail(new g(t?"out-of-memory":"internal",o))}async lost(e,t){if(e.isClosed)return;this.opened=void 0;let o=this.policy.lost(performance.now());o==="lower"&&(this.isLowered=!0);let n=[...this.users];for(let s of n)s.detach(o,t);if(o==="give-up"){let s=`${t||"The driver gave no reason."}
Load the page again; if it comes back, close other pages first.`;for(let i of n)i.fail(new g("device-lost",s));return}await Promise.all(n.map(s=>this.join(s).catch(i=>s.fail(i))))}},yo;function Pe(){return yo??=new ir,yo}var hs="http://www.w3.org/2000/svg";function p(r,e={},...t){let o=document.createElement(r);for(let[n,s]of Object.entries(e))s!==!1&&o.setAttribute(n,s===!0?"":String(s));return o.append(...t),o}function D(r,e={},...t){let o=document.createElementNS(hs,r);for(let[n,s]of Object.entries(e))o.setAttribute(n,String(s));return o.append(...t),o}var wo={play:"M8 5.2v13.6a1 1 0 0 0 1.5.9l11-6.8a1 1 0 0 0 0-1.8l-11-6.8A1 1 0 0 0 8 5.2z",pause:"M7 5h3.5v14H7zM13.5 5H17v14h-3.500z",menu:"M4 7h9v2H4zm13 0h3v2h-3zM13 5h2v6h-2zM4 15h3v2H4zm7 0h9v2h-9zM7 13h2v6H7z",camera:"M9 5 7.500 7H4a1 1 0 0 0-1 1v10a1 1 0 0 0 1 1h16a1 1 0 0 0 1-1V8a1 1 0 0 0-1-1h-3.500L15 5zm3 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8zm0 2a2 2 0 1 0 0 4 2 2 0 0 0 0-4z",open:"M4 5h5.500l2 2H20a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1zm1 4v8h14V9z",expand:"M4 4h6v2H6v4H4zm10 0h6v6h-2V6h-4zM4 14h2v4h4v2H4zm14 0h2v6h-6v-2h4z",reset:"M12 5a7 7 0 1 1-6.700 9h2.100A5 5 0 1 0 12 7c-1.300 0-2.500.5-3.400 1.400L11 11H4V4l3.200 3.100A7 7 0 0 1 12 5z",figure:"M12 2a2.300 2.300 0 1 1 0 4.600A2.300 2.300 0 0 1 12 2zM3 8h18v2h-6.500v12h-2v-6h-1v6h-2V10H3z",undo:"M9 7.500v-4L4 8.500l5 5v-4h4.500a4.250 4.250 0 0 1 0 8.500H8v2h5.500a6.250 6.250 0 0 0 0-12.500z",redo:"M15 7.500v-4l5 5-5 5v-4h-4.500a4.250 4.250 0 0 0 0 8.500H16v2h-5.500a6.250 6.250 0 0 1 0-12.500z",mirror:"M11 3h2v18h-2zM9 7v10H3zm6 0v10h6z",save:"M11 4h2v8h3.500L12 16.500 7.500 12H11zM5 18h14v2H5z",link:"M10 7H7a5 5 0 0 0 0 10h3v-2H7a3 3 0 0 1 0-6h3zm4 0h3a5 5 0 0 1 0 10h-3v-2h3a3 3 0 0 0 0-6h-3zM8 11h8v2H8z"};function Ae(r){return D("svg",{class:"icon",viewBox:"0 0 24 24","aria-hidden":"true"},D("path",{d:wo[r],"fill-rule":"evenodd"}))}function pe(r,e,t){return p("button",{id:r,type:"button",class:"icon","aria-label":t,title:t},Ae(e))}function xo(r,e,t){r.querySelector("path")?.setAttribute("d",wo[e]),r.setAttribute("aria-label",t),r.title=t}function _o(r){let e=Math.floor(r);return`${Math.floor(e/60)}:${String(e%60).padStart(2,"0")}`}var Je=class{constructor(e,t){this.host=e;let o=pe("pose-button","figure","Pose (E)");o.addEventListener("click",t),this.menuButton.setAttribute("aria-haspopup","dialog"),this.menuButton.setAttribute("aria-expanded","false"),this.root.append(this.play,this.scrub,this.clock,o,this.menuButton),this.play.addEventListener("click",()=>e.toggle()),this.scrub.addEventListener("input",()=>{let n=Number(this.scrub.value);e.pause(),e.seek(n)})}host;menuButton=pe("menu-button","menu","Settings");play=pe("play","pause","Pause");scrub=p("input",{id:"scrub",type:"range",min:0,max:0,step:"any",value:0,"aria-label":"Frame"});clock=p("span",{id:"clock"});root=p("div",{id:"controls",role:"group","aria-label":"Player",hidden:!0});show(){let{frame:e,last:t,fps:o,paused:n}=this.host,s=t===0;this.play.hidden=this.scrub.hidden=this.clock.hidden=s,this.root.classList.toggle("still",s),xo(this.play,n?"play":"pause",n?"Play":"Pause"),this.scrub.max=String(t),this.scrub.value=String(e),this.scrub.style.setProperty("--done",`${t>0?100*e/t:0}%`);let i=`${_o(e/o)} / ${_o(t/o)}`;this.clock.textContent!==i&&(this.clock.textContent=i,this.scrub.setAttribute("aria-valuetext",`${i}, frame ${Math.round(e)} of ${t}`))}};var Ze=class{root=p("div",{id:"drop","aria-hidden":"true",hidden:!0},p("p",{},"Drop an avatar (.mobavatar) or a motion (.pose.json)"));constructor(e,t,o){let n=s=>s.dataTransfer?.types.includes("Files")??!1;e.addEventListener("dragover",s=>{n(s)&&(s.preventDefault(),this.root.hidden=!1)},{signal:o}),e.addEventListener("dragleave",s=>{(!(s.relatedTarget instanceof Node)||!e.contains(s.relatedTarget))&&(this.root.hidden=!0)},{signal:o}),e.addEventListener("drop",s=>{this.root.hidden=!0,n(s)&&(s.preventDefault(),t(s.dataTransfer.files))},{signal:o})}};function he(r,e,t,o){let n=p("fieldset",{class:`choice ${r}`},...e===""?[]:[p("legend",{},e)]);for(let[s,i]of t){let a=p("input",{type:"radio",name:r,value:i});a.addEventListener("change",()=>o(i)),n.append(p("label",{title:s},a,p("span",{},s)))}return n}function me(r,e){for(let t of r.querySelectorAll("input"))t.checked=t.value===e}var ke=[.25,.5,1,1.5,2],ar=[["Room","stage"],["White","#ffffff"],["Grey","#808080"],["Black","#000000"],["None","transparent"]],ms="Space play \xB7 \u2190 \u2192 frame \xB7 , . speed \xB7 W A S D turn \xB7 + \u2212 zoom \xB7 R reset \xB7 M motion \xB7 B background \xB7 I statistics \xB7 P picture \xB7 E pose \xB7 F full screen",et=class{constructor(e,t,o){this.host=e;this.opener=t;let n=ke.map(a=>[`${a}\xD7`,String(a)]);this.speeds=he("speed","Speed",n,a=>{e.speed=Number(a)}),this.backgrounds=he("background","Background",ar,a=>{e.background=a}),this.files.addEventListener("change",()=>{e.openFiles(this.files.files??[]),this.files.value=""});let s=p("div",{class:"actions"}),i=(a,l,u,c)=>{let d=p("button",{id:a,type:"button"},Ae(l),u);d.addEventListener("click",c),s.append(d)};i("picture","camera","Picture",()=>e.takePicture()),i("open","open","Open file",()=>this.files.click()),i("reset","reset","First view",()=>e.resetView()),i("fullscreen","expand","Full screen",()=>e.toggleFullscreen()),i("statistics","menu","Statistics",o),this.root.append(this.motions,this.speeds,this.backgrounds,s,this.files,p("p",{class:"keys"},ms)),t.addEventListener("click",()=>this.toggle()),this.root.addEventListener("keydown",a=>{a.key==="Escape"&&(a.stopPropagation(),this.toggle(!1))})}host;opener;root=p("div",{id:"menu",role:"dialog","aria-label":"Settings",tabindex:-1,hidden:!0});motions=p("fieldset");speeds;backgrounds;files=p("input",{type:"file",accept:".mobavatar,.json",multiple:!0,tabindex:-1,hidden:!0});shownMotions="";get isOpen(){return!this.root.hidden}toggle(e=!this.isOpen){e!==this.isOpen&&(this.root.hidden=!e,this.opener.setAttribute("aria-expanded",String(e)),e?(this.show(),this.root.focus()):this.opener.focus())}show(){let{motionList:e,motionIndex:t,speed:o,background:n}=this.host,s=JSON.stringify(e);if(s!==this.shownMotions){this.shownMotions=s;let i=e.map(({name:l},u)=>[l,String(u)]),a=he("motion","Motion",i,l=>this.host.chooseMotion(Number(l)));a.hidden=e.length<2,this.motions.replaceWith(a),this.motions=a}me(this.motions,String(t)),me(this.speeds,String(o)),me(this.backgrounds,n)}};var tt=Math.PI/24,lr=1.12;function fs(r,e,t=1){return r[(r.indexOf(e)+t+r.length)%r.length]}var gs=new Set(["a","d","w","s","+","=","-","r","b","i","p","e","f"]);function vs(r,{menu:e,statistics:t,pose:o}){let n=i=>{r.pause(),r.seek(i)},s=i=>{let a=ke.findIndex(l=>l>=r.speed);r.speed=ke[Math.min(ke.length-1,Math.max(0,a+i))]};return{" ":()=>r.toggle(),k:()=>r.toggle(),arrowright:()=>n(Math.floor(r.frame)+1),arrowleft:()=>n(Math.ceil(r.frame)-1),"shift+arrowright":()=>n(r.frame+r.fps),"shift+arrowleft":()=>n(r.frame-r.fps),home:()=>n(0),end:()=>n(r.last),".":()=>s(1),",":()=>s(-1),a:()=>r.turn(-tt,0),d:()=>r.turn(tt,0),w:()=>r.turn(0,tt),s:()=>r.turn(0,-tt),"+":()=>r.zoom(1/lr),"=":()=>r.zoom(1/lr),"-":()=>r.zoom(lr),r:()=>r.resetView(),m:()=>r.chooseMotion((r.motionIndex+1)%Math.max(1,r.motionList.length)),b:()=>{r.background=fs(ar.map(([,i])=>i),r.background)},i:t,p:()=>r.takePicture(),e:o,f:()=>r.toggleFullscreen(),"?":e,o:e}}function So(r,e,t){let o=vs(r,e);return n=>{if(n.defaultPrevented||n.ctrlKey||n.metaKey||n.altKey)return;let s=n.composedPath()[0],i=s instanceof HTMLButtonElement&&(n.key===" "||n.key==="Enter"),a=s instanceof HTMLInputElement&&(s.type!=="range"||/^(Arrow|Home|End|Page)/.test(n.key));if(i||a&&n.key!=="Escape"&&n.key.length!==1||s instanceof HTMLInputElement&&s.type==="radio"&&n.key===" "||s instanceof HTMLSelectElement)return;let l=n.key.toLowerCase();if(t()&&!gs.has(l))return;let u=(n.shiftKey?o[`shift+${l}`]:void 0)??o[l];u&&(u(),n.preventDefault())}}var te=["pelvis","left_hip","right_hip","spine1","left_knee","right_knee","spine2","left_ankle","right_ankle","spine3","left_foot","right_foot","neck","left_collar","right_collar","head","left_shoulder","right_shoulder","left_elbow","right_elbow","left_wrist","right_wrist","jaw","left_eye","right_eye","left_index1","left_index2","left_index3","left_middle1","left_middle2","left_middle3","left_pinky1","left_pinky2","left_pinky3","left_ring1","left_ring2","left_ring3","left_thumb1","left_thumb2","left_thumb3","right_index1","right_index2","right_index3","right_middle1","right_middle2","right_middle3","right_pinky1","right_pinky2","right_pinky3","right_ring1","right_ring2","right_ring3","right_thumb1","right_thumb2","right_thumb3"],Po=[0,2,1,3,5,4,6,8,7,9,11,10,12,14,13,15,17,16,19,18,21,20,22,24,23,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39],Ao={head:["neck","head"],trunk:["pelvis","spine1","spine2","spine3"],"left arm":["left_collar","left_shoulder","left_elbow","left_wrist"],"right arm":["right_collar","right_shoulder","right_elbow","right_wrist"],"left leg":["left_hip","left_knee","left_ankle","left_foot"],"right leg":["right_hip","right_knee","right_ankle","right_foot"],face:["jaw","left_eye","right_eye"],"left hand":["left_index1","left_index2","left_index3","left_middle1","left_middle2","left_middle3","left_pinky1","left_pinky2","left_pinky3","left_ring1","left_ring2","left_ring3","left_thumb1","left_thumb2","left_thumb3"],"right hand":["right_index1","right_index2","right_index3","right_middle1","right_middle2","right_middle3","right_pinky1","right_pinky2","right_pinky3","right_ring1","right_ring2","right_ring3","right_thumb1","right_thumb2","right_thumb3"]},rt={index:[80,95,60],middle:[80,95,60],pinky:[80,95,60],ring:[80,95,60],thumb:[35,30,60]},ko={18:[0,-1,0],19:[0,1,0],4:[1,0,0],5:[1,0,0]},z={left_hand:{upper:16,lower:18,end:20,kind:"arm"},right_hand:{upper:17,lower:19,end:21,kind:"arm"},left_foot:{upper:1,lower:4,end:7,kind:"leg"},right_foot:{upper:2,lower:5,end:8,kind:"leg"}},L={straight_deg:1,plane_from_deg:5,plane_fully_deg:15,calm_rad:.35,calm_rad_per_length:5,swivel_steps:36,refinements:24,valleys:3},k=[{bone:1,low:[-360,-360,-360],high:[360,360,360]},{bone:1,low:[-125,-45,-30],high:[30,45,60]},{bone:1,low:[-125,-45,-60],high:[30,45,30]},{bone:1,low:[-20,-30,-25],high:[40,30,25]},{bone:1,low:[0,-20,-10],high:[140,20,10]},{bone:1,low:[0,-20,-10],high:[140,20,10]},{bone:1,low:[-20,-30,-25],high:[40,30,25]},{bone:1,low:[-30,-30,-25],high:[55,30,25]},{bone:1,low:[-30,-30,-25],high:[55,30,25]},{bone:1,low:[-20,-30,-25],high:[40,30,25]},{bone:1,low:[-45,-5,-5],high:[30,5,5]},{bone:1,low:[-45,-5,-5],high:[30,5,5]},{bone:1,low:[-35,-45,-30],high:[40,45,30]},{bone:0,low:[-20,-25,-15],high:[20,25,40]},{bone:0,low:[-20,-25,-40],high:[20,25,15]},{bone:1,low:[-30,-45,-25],high:[35,45,25]},{bone:0,low:[-90,-135,-100],high:[90,45,110]},{bone:0,low:[-90,-45,-110],high:[90,135,100]},{bone:0,low:[-90,-150,-25],high:[90,0,25]},{bone:0,low:[-90,0,-25],high:[90,150,25]},{bone:0,low:[-40,-30,-80],high:[40,30,80]},{bone:0,low:[-40,-30,-80],high:[40,30,80]},{bone:1,low:[0,-8,-4],high:[30,8,4]},{bone:1,low:[-30,-35,-1],high:[30,35,1]},{bone:1,low:[-30,-35,-1],high:[30,35,1]},{bone:0,low:[-15,-20,-100],high:[15,20,25]},{bone:0,low:[-15,-20,-100],high:[15,20,25]},{bone:0,low:[-15,-20,-100],high:[15,20,25]},{bone:0,low:[-15,-20,-100],high:[15,20,25]},{bone:0,low:[-15,-20,-100],high:[15,20,25]},{bone:0,low:[-15,-20,-100],high:[15,20,25]},{bone:0,low:[-15,-20,-100],high:[15,20,25]},{bone:0,low:[-15,-20,-100],high:[15,20,25]},{bone:0,low:[-15,-20,-100],high:[15,20,25]},{bone:0,low:[-15,-20,-100],high:[15,20,25]},{bone:0,low:[-15,-20,-100],high:[15,20,25]},{bone:0,low:[-15,-20,-100],high:[15,20,25]},{bone:0,low:[-60,-60,-60],high:[60,60,60]},{bone:0,low:[-60,-60,-60],high:[60,60,60]},{bone:0,low:[-60,-60,-60],high:[60,60,60]},{bone:0,low:[-15,-20,-25],high:[15,20,100]},{bone:0,low:[-15,-20,-25],high:[15,20,100]},{bone:0,low:[-15,-20,-25],high:[15,20,100]},{bone:0,low:[-15,-20,-25],high:[15,20,100]},{bone:0,low:[-15,-20,-25],high:[15,20,100]},{bone:0,low:[-15,-20,-25],high:[15,20,100]},{bone:0,low:[-15,-20,-25],high:[15,20,100]},{bone:0,low:[-15,-20,-25],high:[15,20,100]},{bone:0,low:[-15,-20,-25],high:[15,20,100]},{bone:0,low:[-15,-20,-25],high:[15,20,100]},{bone:0,low:[-15,-20,-25],high:[15,20,100]},{bone:0,low:[-15,-20,-25],high:[15,20,100]},{bone:0,low:[-60,-60,-60],high:[60,60,60]},{bone:0,low:[-60,-60,-60],high:[60,60,60]},{bone:0,low:[-60,-60,-60],high:[60,60,60]}];var Eo=180/Math.PI;var I=(r,e)=>[r[0]+e[0],r[1]+e[1],r[2]+e[2]],v=(r,e)=>[r[0]-e[0],r[1]-e[1],r[2]-e[2]],_=(r,e)=>[r[0]*e,r[1]*e,r[2]*e],M=(r,e)=>r[0]*e[0]+r[1]*e[1]+r[2]*e[2],P=r=>Math.sqrt(M(r,r)),X=(r,e)=>[r[1]*e[2]-r[2]*e[1],r[2]*e[0]-r[0]*e[2],r[0]*e[1]-r[1]*e[0]],R=r=>_(r,1/Math.max(P(r),1e-12));function b([r,e,t,o],[n,s,i,a]){return[r*n-e*s-t*i-o*a,r*s+e*n+t*a-o*i,r*i-e*a+t*n+o*s,r*a+e*i-t*s+o*n]}var U=([r,e,t,o])=>[r,-e,-t,-o];function Y(r,e){let[,t,o,n]=b(b(r,[0,...e]),U(r));return[t,o,n]}function bs(r,e){return x(_(r,e))}var ur=bs;function ys(r,e){let t=r[1+e],o=Math.hypot(r[0],t),n=r[0]<0?-1:1,s=[1,0,0,0];o>=1e-9&&(s[0]=n*r[0]/o,s[1+e]=n*t/o);let i=b(r,U(s));return{swing:i[0]<0?i.map(a=>-a):i,twist:s}}function J(r,e){let{swing:t,twist:o}=ys(r,e),n=[...T(t)];return n[e]=T(o)[e],_(n,Eo)}function Ee(r,e){let t=r.map(n=>n/Eo),o=[0,0,0];return o[e]=t[e],t[e]=0,b(x(t),x(o))}function ot(r,[e,t]){return r.map((o,n)=>Math.min(Math.max(o,e[n]),t[n]))}function cr(r,e,t){let o=J(r,e);return P(v(o,ot(o,t)))}function nt(r,e,t){let o=J(r,e),n=ot(o,t);return o.every((s,i)=>s===n[i])?r:Ee(n,e)}function Z(r,e){let{bone:t,low:o,high:n}=k[r],s=J(e,t),i=(a,l)=>s.map((u,c)=>l(u,a[c]));return[i(o,Math.min),i(n,Math.max)]}function dr(r,e,t){let o=1+M(r,e);if(o<1e-6){let i=v(t,_(r,M(t,r)));return[0,...P(i)>1e-6?R(i):ws(r)]}let n=[o,...X(r,e)],s=Math.hypot(...n);return n.map(i=>i/s)}function ws(r){let e=r.map(Math.abs),t=e.indexOf(Math.min(...e));return R(X(r,[0,1,2].map(o=>+(o===t))))}function re(r,e){let t=T(r),o=P(t);if(o<1e-9){let s=P(e);return s>Math.PI?_(e,2*Math.PI*Math.round(s/(2*Math.PI))/s):t}let n=M(t,e)/o;return _(t,(o+2*Math.PI*Math.round((n-o)/(2*Math.PI)))/o)}function O(r,e){return[r[3*e],r[3*e+1],r[3*e+2]]}function pr(r,e){let t=Se(e.Rh),o=O(r.rest,0),n=Array.from({length:e.pose.length/3},(s,i)=>O(e.pose,i));return n[0]=T(b(t,x(n[0]))),{pose:n,transl:v(I(O(e.Th,0),Y(t,o)),o),expression:Array.from(e.expression)}}function st(r,e){let t=x(e.pose[0]),o=O(r.rest,0),n=Float32Array.from(e.pose.flat());n.fill(0,0,3);let s=Float32Array.from(v(I(e.transl,o),Y(t,o)));return{pose:n,Rh:Ke(t),Th:s,expression:Float32Array.from(e.expression)}}function fe(r,e){return{...r,pose:r.pose.map((t,o)=>e[o]??t)}}function ee(r,e){let t=[],o=[];for(let n=0;n<e.pose.length;n++){let s=r.parent[n],i=x(e.pose[n]),a=O(r.rest,n);t.push(s<0?i:b(t[s],i)),o.push(s<0?I(a,e.transl):I(o[s],Y(t[s],v(a,O(r.rest,s)))))}return{q:t,at:o}}var hr=1,it=7,fr=4096,mr=32767/fr,xs=255,_s="copy the link again";function To(r){let[e,t]=[0,0];for(let o of r)e=(e+o)%255,t=(t+e)%255;return 256*t+e}var Mo=r=>Math.round(Math.min(Math.max(r,-mr),mr)*fr);function Io({pose:r,transl:e,expression:t}){let o=d=>Math.max(...d.map(Math.abs))>mr?T(x(d)):d,n=r.map(d=>o(d).map(Mo)),s=n.flatMap((d,h)=>d.some(m=>m!==0)?[h]:[]),i=t.slice(0,xs),a=new DataView(new ArrayBuffer(1+it+6*s.length+12+1+2*i.length+2)),l=new Uint8Array(a.buffer);l[0]=hr;let u=1+it,c=d=>{a.setInt16(u,d,!0),u+=2};for(let d of s)l[1+(d>>3)]|=1<<(d&7),n[d].forEach(c);for(let d of e)a.setFloat32(u,d,!0),u+=4;return l[u++]=i.length,i.map(Mo).forEach(c),a.setUint16(u,To(l.subarray(0,u)),!0),btoa(String.fromCharCode(...l)).replaceAll("+","-").replaceAll("/","_").replace(/=+$/,"")}function Lo(r){let e=d=>new g("bad-link",`the pose in the address: ${d}; ${_s}`);if(!/^[\w-]+$/.test(r))throw e("expected letters, digits, - and _, found others");let t;try{t=Uint8Array.from(atob(r.replaceAll("-","+").replaceAll("_","/")),d=>d.charCodeAt(0))}catch{throw e(`${r.length} characters are no whole number of bytes`)}if(t[0]!==hr)throw e(`expected version ${hr}, found ${t[0]}`);let o=Array.from({length:F},(d,h)=>((t[1+(h>>3)]??0)&1<<(h&7))!==0),n=1+it+6*o.filter(Boolean).length+12,s=n+1+2*(t[n]??0)+2;if(t.length!==s)throw e(`expected ${s} bytes, found ${t.length}`);let i=new DataView(t.buffer);if(i.getUint16(s-2,!0)!==To(t.subarray(0,-2)))throw e("the checksum is another one");let a=1+it,l=()=>i.getInt16((a+=2)-2,!0)/fr,u=o.map(d=>d?[l(),l(),l()]:[0,0,0]),c=[i.getFloat32(a,!0),i.getFloat32(a+4,!0),i.getFloat32(a+8,!0)];if(!c.every(Number.isFinite))throw e("the place is not finite");return a=n+1,{pose:u,transl:c,expression:Array.from({length:t[n]},l)}}var Ss=10,oe=class extends Error{name="PoseError";code="bad-motion"};function at(r,e,t){let o=Array.isArray(r)?r.flat():[];if(!Array.isArray(r)||!o.every(n=>Number.isFinite(n))||o.length!==(e??o.length)){let n=Array.isArray(r)?`${o.length} values`:String(r);throw new oe(`${t} must be ${e??"a list of"} finite numbers, found ${n}`)}return Float32Array.from(o)}function gr(r){if(typeof r!="object"||r===null)throw new oe("expected an object");let{pose:e,Rh:t,Th:o,expression:n}=r;return{pose:at(e,F*3,"pose"),Rh:at(t,9,"Rh"),Th:at(o,3,"Th"),expression:n?at(n,void 0,"expression"):new Float32Array(Ss)}}function ne({pose:r,Rh:e,Th:t,expression:o}){let n=i=>Array.from(i,a=>Math.round(1e6*a)/1e6),s=n(e);return{pose:n(r),Rh:[0,3,6].map(i=>s.slice(i,i+3)),Th:n(t),expression:n(o)}}function Ro(r){let e;try{e=JSON.parse(r)}catch(t){throw new oe(`not JSON (${String(t)}); export it again`)}return vr(e)}function vr(r){if(!Array.isArray(r)||r.length===0)throw new oe("expected a non-empty JSON array of frames");return r.map((e,t)=>{try{return gr(e)}catch(o){throw new oe(`frame ${t} needs pose[165], Th[3], Rh[3][3]: ${o.message}`)}})}var Me=180/Math.PI,Te=(r,e,t)=>v(O(r.rest,t),O(r.rest,e)),br=r=>ko[r.lower];function lt(r,e,t,o){if(!o.every(Number.isFinite))throw new RangeError(`target: expected three finite numbers, found ${o}`);let n=z[t],{q:s,at:i}=ee(r,e),[a,l,u]=[i[n.upper],i[n.lower],i[n.end]];if(P(v(o,u))<1e-9)return e;let c=s[n.upper],d=s[r.parent[n.upper]],h=v(o,a),m=P(h),f=Ps(r,n,c,s[n.lower],[a,l,u],m),y=I(l,Y(b(c,f),Te(r,n.lower,n.end))),S=R(v(y,a)),H=m<1e-6?S:_(h,1/m),V=b(dr(S,H,Y(c,br(n))),c),le=P(Te(r,n.upper,n.lower))+P(Te(r,n.lower,n.end)),ue=Math.min(L.calm_rad+L.calm_rad_per_length*P(v(o,u))/le,Math.PI),j=ks(n.upper,d,c,V,H,ue),K={[n.upper]:re(j,e.pose[n.upper]),[n.lower]:re(f,e.pose[n.lower])};if(n.kind==="leg"){let w=b(b(d,j),f),G=Z(n.end,x(e.pose[n.end])),Ce=nt(b(U(w),s[n.end]),k[n.end].bone,G);K[n.end]=re(Ce,e.pose[n.end])}return fe(e,K)}function Oo(r,e,t,o){let n=z[t],{q:s,at:i}=ee(r,e),a=i[n.upper],l=R(v(i[n.end],a)),u=y=>{let S=v(y,a);return v(S,_(l,M(S,l)))},[c,d]=[u(i[n.lower]),u(o)];if(Math.min(P(c),P(d))<1e-4)return e;let h=Math.atan2(M(X(c,d),l),M(c,d)),m=b(U(s[r.parent[n.upper]]),b(ur(l,h),s[n.upper])),f=e.pose[n.upper];return cr(m,k[n.upper].bone,Z(n.upper,x(f)))>1e-6?e:fe(e,{[n.upper]:re(m,f)})}function Ps(r,e,t,o,[n,s,i],a){let[l,u]=[P(v(s,n)),P(v(i,s))],c=Math.cos(L.straight_deg/Me),d=Math.cos(As(r,e)/Me),h=Math.min(Math.max((a*a-l*l-u*u)/(2*l*u),d),c),m=_(v(s,n),1/l),f=_(v(i,s),1/u),y=Y(t,br(e)),S=R(v(y,_(m,M(y,m)))),H=X(m,f),V=P(H),le=Math.atan2(V,M(m,f))*Me,ue=Math.min(Math.max((le-L.plane_from_deg)/(L.plane_fully_deg-L.plane_from_deg),0),1),j=I(_(H,ue/Math.max(V,1e-12)),_(S,1-ue)),K=P(j)<.1?S:R(j),w=I(_(m,h),_(X(K,m),Math.sqrt(1-h*h)));return b(U(t),b(dr(f,w,K),o))}function As(r,e){let t=R(Te(r,e.upper,e.lower)),o=R(Te(r,e.lower,e.end)),n=br(e).findIndex(a=>a!==0),{low:s,high:i}=k[e.lower];return Math.acos(Math.min(M(t,o),1))*Me+Math.max(Math.abs(s[n]),Math.abs(i[n]))}function ks(r,e,t,o,n,s){let{bone:i}=k[r],a=U(e),l=b(a,t),u=Z(r,l),c=w=>b(a,b(ur(n,w),o)),d=w=>cr(c(w),i,u),h=d(0);if(h===0)return c(0);let m=L.swivel_steps,f=s/m,y=new Map([[0,h]]);for(let w=1;w<=m;w++)for(let G of[w,-w]){let Ce=d(G*f);if(y.set(G,Ce),Ce===0)return c(Es(d,G*f,(G-Math.sign(G))*f))}let S=w=>y.get(w)??Number.POSITIVE_INFINITY,V=[...y.keys()].filter(w=>S(w)<=Math.min(S(w-1),S(w+1))).sort((w,G)=>S(w)-S(G)).slice(0,L.valleys).map(w=>Ms(d,Math.max(w-1,-m)*f,Math.min(w+1,m)*f)),le=V.map(d),ue=c(V[le.indexOf(Math.min(...le))]),j=J(l,i),K=v(ot(J(ue,i),u),j);return Ee(I(j,_(K,Math.min(s/Math.max(P(K)/Me,1e-12),1))),i)}function Es(r,e,t){for(let o=0;o<L.refinements;o++){let n=.5*(e+t);r(n)===0?e=n:t=n}return e}function Ms(r,e,t){for(let o=0;o<L.refinements;o++){let n=e+.382*(t-e),s=e+.618*(t-e);r(n)<r(s)?t=s:e=n}return .5*(e+t)}var ct=Object.keys(rt),Ts=200,N=r=>te.indexOf(r);function yr(r,e,t,o=!0){if(!t.every(Number.isFinite))throw new RangeError(`${te[e]}: expected three finite numbers, found ${t}`);let n=r.pose[e],s=x(t);return o&&e!==0&&(s=nt(s,k[e].bone,Z(e,x(n)))),fe(r,{[e]:re(s,n)})}function No(r){let e=Po.map((t,o)=>{if(o===0)return r.pose[0];let[n,s,i]=r.pose[t];return[n,-s,-i]});return{...r,pose:e}}function Bo(r,e,t,o=!0){let n={...e,transl:t};if(!o)return n;let{at:s}=ee(r,e);for(let i of["left_foot","right_foot"])n=lt(r,n,i,s[z[i].end]);return n}function Co(r,e,t){let o=i=>O(r.rest,N(`${e}_${i}`)),n=v(o(`${t}3`),o(`${t}1`)),s=t==="thumb"?v(o("pinky1"),o("thumb3")):[0,-1,0];return R(X(n,s))}function Uo(r,e,t,o,n=ct){let s={};for(let i of n){let a=Co(r,t,i);rt[i].forEach((l,u)=>{s[N(`${t}_${i}${u+1}`)]=_(a,l*Math.PI*o/180)})}return fe(e,s)}function Vo(r,e,t,o){let n=Co(r,t,o),[s,i]=[0,0];return rt[o].forEach((a,l)=>{let u=a*Math.PI/180;s+=u*M(e.pose[N(`${t}_${o}${l+1}`)],n),i+=u*u}),Math.min(Math.max(s/i,0),1)}var ut=class{constructor(e){this.now=e}now;past=[];future=[];gesture;record(e,t){(t===void 0||t!==this.gesture)&&(this.past=[...this.past.slice(1-Ts),this.now]),this.now=e,this.future=[],this.gesture=t}get canUndo(){return this.past.length>0}get canRedo(){return this.future.length>0}undo(){return this.step(this.past,this.future)}redo(){return this.step(this.future,this.past)}step(e,t){let o=e.pop();return o?(t.push(this.now),this.now=o,this.gesture=void 0,!0):!1}};var se=0,Go=Object.keys(z),wr=new Map(Go.map(r=>[z[r].end,r])),Fo=new Map(Go.map(r=>[z[r].lower,r])),ge=[...wr.keys(),...Fo.keys(),se],Is=[[-180,-180,-180],[180,180,180]],Ie=r=>wr.has(r)||r===se,dt=class{constructor(e,t,o){this.skeleton=e;this.changed=o;this.start=t,this.history=new ut(t),this.facing=x(t.pose[se])}skeleton;changed;joint=N("head");history;start;facing;get pose(){return this.history.now}set(e,t){e!==this.pose&&(this.history.record(e,t),this.changed(e))}adopt(e){this.history.record(e,this)}undo(){return this.went(this.history.undo())}redo(){return this.went(this.history.redo())}went(e){return e&&this.changed(this.pose),e}mirror(){this.set(No(this.pose))}reset(){this.set(this.start)}joints(){return ee(this.skeleton,this.pose).at}drag(e){let t={},{pose:o,skeleton:n}=this,[s,i]=[wr.get(e),Fo.get(e)],a=this.joints()[se];return l=>{s?this.set(lt(n,this.pose,s,l),t):i?this.set(Oo(n,this.pose,i,l),t):this.set(Bo(n,o,I(o.transl,v(l,a))),t)}}spin(e){let t={},{pose:o,skeleton:n}=this,{q:s}=ee(n,o),i=U(s[n.parent[e]]);return a=>{this.set(yr(o,e,T(b(i,b(x(a),s[e])))),t)}}rotation(e){let t=x(this.pose.pose[e]);return e===se?b(U(this.facing),t):t}degrees(e){return J(this.rotation(e),k[e].bone)}range(e){return e===se?Is:Z(e,this.rotation(e))}rotate(e,t,o){let n=Ee(t,k[e].bone);this.set(yr(this.pose,e,T(e===se?b(this.facing,n):n)),o)}curl(e){return ct.reduce((t,o)=>t+Vo(this.skeleton,this.pose,e,o)/ct.length,0)}setCurl(e,t,o){this.set(Uo(this.skeleton,this.pose,e,t),o)}setExpression(e,t,o){let{expression:n}=this.pose,s=Array.from({length:Math.max(n.length,e+1)},(i,a)=>n[a]??0);s[e]=t,this.set({...this.pose,expression:s},o)}};var Ls=4,Do=Math.PI/360,Rs={true:.05,false:.01},zo=6,Os=[{joints:[22,23,24],from:12,to:15,pixels:60},{joints:Ho(25,40),from:20,to:28,pixels:60},{joints:Ho(40,55),from:21,to:43,pixels:60}],$o=22,Ns={ArrowRight:[1,0,0],ArrowLeft:[-1,0,0],ArrowDown:[0,1,0],ArrowUp:[0,-1,0],PageUp:[0,0,1],PageDown:[0,0,-1]};function Ho(r,e){return Array.from({length:e-r},(t,o)=>r+o)}function pt(r){let e=te[r].replace("_"," ").replace(/(\d)$/," $1");return e[0].toUpperCase()+e.slice(1)}var ht=class{constructor(e,t,o,n){this.editor=e;this.canvas=t;this.projection=o;this.chosen=n;this.dots=te.map((i,a)=>this.dot(a));let s=[...this.dots.keys()].sort((i,a)=>Number(ge.includes(i))-Number(ge.includes(a))||Number(Ie(i))-Number(Ie(a)));this.root.append(this.halo,this.bones,...s.map(i=>this.dots[i])),this.root.addEventListener("pointerdown",i=>this.down(i)),this.root.addEventListener("pointermove",i=>this.move(i)),this.root.addEventListener("pointerleave",()=>this.hover(-1));for(let i of["pointerup","pointercancel"])this.root.addEventListener(i,a=>this.up(a));this.root.addEventListener("wheel",i=>{i.preventDefault(),t.dispatchEvent(new WheelEvent("wheel",i))},{passive:!1})}editor;canvas;projection;chosen;root=D("svg",{id:"skeleton",role:"group","aria-label":"Skeleton"});halo=D("path",{class:"halo"});bones=D("path",{class:"bones"});dots;label=p("div",{id:"joint-label","aria-hidden":"true",hidden:!0});at=[];hovered=-1;dragging;get parts(){return[this.root,this.label]}dot(e){let t=ge.includes(e),o=Ie(e)?"end":t?"middle":"turning",n=D("g",{class:`joint ${o}`},D("circle",{class:"hit"}),D("circle",{class:"dot"}));return n.dataset.joint=te[e],t&&(n.setAttribute("tabindex","0"),n.setAttribute("role","button"),n.setAttribute("aria-label",`${pt(e)}: drag, or arrow keys, page up and page down move it`),n.addEventListener("focus",()=>this.chosen(e)),n.addEventListener("keydown",s=>this.key(s,e))),n}key(e,t){let o=Ns[e.key],n=this.projection();if(!o||!n||e.ctrlKey||e.metaKey||e.altKey)return;e.preventDefault(),e.stopPropagation();let s=n.direction(_(o,Rs[`${e.shiftKey}`])),i=this.editor.joints()[t];this.editor.drag(t)([i[0]+s[0],i[1]+s[1],i[2]+s[2]])}spot(e){let t=this.root.getBoundingClientRect();return[e.clientX-t.left,e.clientY-t.top]}nearest([e,t]){let o=n=>Math.hypot(this.at[n][0]-e,this.at[n][1]-t)-(Ie(n)?zo:ge.includes(n)?zo/2:0);return this.shown().reduce((n,s)=>o(s)<o(n)?s:n)}shown(){return[...this.dots.keys()].filter(e=>!this.dots[e].hasAttribute("hidden"))}down(e){let t=this.projection();if(!t||this.dragging||e.button!==0)return;let[o,n]=this.spot(e),s=this.nearest([o,n]),[i,a,l]=this.at[s];e.preventDefault(),this.dots[s].focus({preventScroll:!0}),this.chosen(s),this.root.setPointerCapture(e.pointerId);let u=ge.includes(s)?this.moving(s,t,[i-o,a-n,l]):this.turning(s,t),c=!0;this.dragging={id:e.pointerId,move:d=>{let[h,m]=this.spot(d);c&&=Math.hypot(h-o,m-n)<Ls,c||u([h-o,m-n],[h,m])}},this.root.classList.add("dragging"),this.hover(s)}moving(e,t,[o,n,s]){let i=this.editor.drag(e);return(a,[l,u])=>i(t.point([l+o,u+n,s]))}turning(e,t){let o=this.editor.spin(e);return([n,s])=>o(t.direction([s*Do,-n*Do,0]))}move(e){this.dragging?.id===e.pointerId?this.dragging.move(e):!this.dragging&&e.pointerType!=="touch"&&this.hover(this.nearest(this.spot(e)))}up(e){this.dragging?.id===e.pointerId&&(this.dragging=void 0,this.root.classList.remove("dragging"),e.pointerType==="touch"&&this.hover(-1))}hover(e){this.dragging&&e<0||(this.dots[this.hovered]?.classList.remove("hover"),this.hovered=e,this.dots[e]?.classList.add("hover"),this.showLabel())}showLabel(){let e=this.at[this.hovered];this.label.hidden=!e||this.canvas.hidden,e&&(this.label.textContent=pt(this.hovered),this.label.style.transform=`translate(${e[0].toFixed(1)}px, ${e[1].toFixed(1)}px) translate(-50%, -210%)`)}show(){let e=this.projection();if(!e)return;this.at=this.editor.joints().map(u=>e.pixel(u));let{at:t,editor:o}=this,n=(u,c)=>Math.hypot(...v(t[u],t[c]).slice(0,2)),s=new Set(Os.filter(({from:u,to:c,pixels:d})=>n(u,c)<d).flatMap(({joints:u})=>u));this.dots.forEach((u,c)=>{let[d,h,m]=t[c],f=m<=0||s.has(c)&&c!==o.joint;u.toggleAttribute("hidden",f),u.classList.toggle("chosen",c===o.joint),f||u.setAttribute("transform",`translate(${d.toFixed(1)} ${h.toFixed(1)})`)});let i=[...this.dots.keys()].filter(u=>u>0&&(u<$o||u>24)&&(u<$o||!s.has(u))),a=([u,c])=>`${u.toFixed(1)} ${c.toFixed(1)}`,l=i.map(u=>`M${a(t[o.skeleton.parent[u]])}L${a(t[u])}`).join("");for(let u of[this.halo,this.bones])u.setAttribute("d",l);this.showLabel()}};var jo=["Joint","Hands","Face","File"],Bs=[["Twist","Forward, back","Up, down"],["Forward, back","Twist","Sideways"],["Forward, back","Sideways","Twist"]],Cs=["Lean","Turn","Tilt"],Ko=[N("left_eye"),N("right_eye")],Us=N("jaw"),Wo=3,mt=class{constructor(e,[t,o],n,s,i){this.text=s;this.input=p("input",{type:"range",min:t,max:o,step:n}),this.root=p("div",{class:"slider"},this.name,this.output,this.input),this.rename(e),this.input.addEventListener("input",()=>i(this.input.valueAsNumber,this.gesture)),this.input.addEventListener("change",()=>this.gesture={})}text;root;name=p("span");input;output=p("output");gesture={};rename(e){this.name.textContent=e,this.input.setAttribute("aria-label",e)}setRange([e,t]){this.input.min=String(Math.floor(e)),this.input.max=String(Math.ceil(t))}show(e){let{input:t}=this,[o,n]=[Number(t.min),Number(t.max)],s=this.text(e);(t.getRootNode()instanceof ShadowRoot&&t.getRootNode().activeElement!==t||Math.abs(t.valueAsNumber-e)>Number(t.step))&&(t.valueAsNumber=e),this.output.textContent=s,t.setAttribute("aria-valuetext",s);let i=l=>`${100*(l-o)/(n-o)}%`,a=Math.min(Math.max(0,o),n);t.style.setProperty("--from",i(Math.min(a,e))),t.style.setProperty("--done",i(Math.max(a,e)))}},qo=r=>`${Math.round(r)||0}\xB0`,Vs=r=>`${Math.round(100*r)} %`,Gs=r=>r.toFixed(1).replace("-0.0","0.0"),ft=class{constructor(e,t,o,n){this.editor=e;for(let[s,i]of Object.entries(Ao)){let a=i.map(l=>p("option",{value:N(l)},pt(N(l))));this.list.append(p("optgroup",{label:s[0].toUpperCase()+s.slice(1)},...a))}this.list.addEventListener("change",()=>n(Number(this.list.value))),this.axes=[0,1,2].map(s=>new mt("",[-180,180],1,qo,(i,a)=>this.rotate(s,i,a))),this.pages={Joint:p("div",{class:"page"},this.list,...this.axes.map(({root:s})=>s)),Hands:p("div",{class:"page"},this.curl("left"),this.curl("right")),Face:p("div",{class:"page"},...this.face(),...Array.from({length:t},(s,i)=>this.expression(i))),File:p("div",{class:"page actions"},...this.buttons(o))},this.root.append(this.tabs,...Object.values(this.pages)),this.openTab(this.tab)}editor;root=p("div",{id:"pose-panel",role:"region","aria-label":"Pose"});tabs=he("pose-tab","",jo.map(e=>[e,e]),e=>this.openTab(e));pages;list=p("select",{"aria-label":"Joint"});axes;values=[];shownJoint=-1;tab="Joint";openTab(e){this.tab=e;for(let t of jo)this.pages[t].hidden=t!==e;me(this.tabs,e)}rotate(e,t,o){let{joint:n}=this.editor,s=[...this.editor.degrees(n)];s[e]=t,this.editor.rotate(n,s,o)}slider(e,t,o,n,s,i){let a=new mt(e,t,o,n,i);return this.values.push([a,s]),a.root}curl(e){let t=e==="left"?"Left fist":"Right fist";return this.slider(t,[0,1],.01,Vs,()=>this.editor.curl(e),(o,n)=>this.editor.setCurl(e,o,n))}angle(e,t,o){let{editor:n}=this,{low:s,high:i}=k[t[0]],a=(l,u)=>{for(let c of t){let d=n.degrees(c).map((h,m)=>m===o?l:h);n.rotate(c,d,u)}};return this.slider(e,[s[o],i[o]],1,qo,()=>n.degrees(t[0])[o],a)}face(){return[this.angle("Jaw",[Us],0),this.angle("Eyes up, down",Ko,0),this.angle("Eyes left, right",Ko,1)]}expression(e){let t=()=>this.editor.pose.expression[e]??0;return this.slider(`Expression ${e+1}`,[-Wo,Wo],.1,Gs,t,(o,n)=>this.editor.setExpression(e,o,n))}buttons({save:e,open:t,copyLink:o}){let n=(a,l,u,c)=>{let d=new Text(u),h=p("button",{id:a,type:"button"},Ae(l),d);return h.addEventListener("click",()=>c(d)),h},s=[n("save-pose","save","Save pose",e),n("open-pose","open","Open pose",t)];if(!o)return s;let i=async a=>{a.data=await o()?"Copied":"In the address bar",setTimeout(()=>a.data="Copy link",2e3)};return[...s,n("copy-link","link","Copy link",a=>{i(a)})]}openJoint(){this.openTab("Joint")}show(){let{joint:e}=this.editor;if(e!==this.shownJoint){this.shownJoint=e,this.list.value=String(e);let[o,n]=this.editor.range(e),s=e===0?Cs:Bs[k[e].bone];this.axes.forEach((i,a)=>{i.rename(s[a]),i.setRange([o[a],n[a]])})}let t=this.editor.degrees(e);this.axes.forEach((o,n)=>o.show(t[n]));for(let[o,n]of this.values)o.show(n())}};var gt=class{constructor(e,t,o,n){this.camera=e;let s=e.T_cam_world;this.T=[0,4,8].flatMap(i=>[0,1,2,3].map(a=>[0,1,2].reduce((l,u)=>l+s[i+u]*t[4*u+a],a===3?s[i+3]:0))),this.scale=Math.min(o/e.width,n/e.height),this.left=(o-this.scale*e.width)/2,this.top=(n-this.scale*e.height)/2}camera;T;scale;left;top;pixel(e){let{T:t,scale:o}=this,n=this.camera.K,[s,i,a]=[0,4,8].map(c=>t[c]*e[0]+t[c+1]*e[1]+t[c+2]*e[2]+t[c+3]),[l,u]=[(n[0]*s+n[1]*i)/a+n[2],n[4]*i/a+n[5]];return[this.left+o*l,this.top+o*u,a]}point([e,t,o]){let{T:n,scale:s}=this,i=this.camera.K,a=((t-this.top)/s-i[5])/i[4],u=[((e-this.left)/s-i[2]-i[1]*a)/i[0]*o-n[3],a*o-n[7],o-n[11]];return[0,1,2].map(c=>n[c]*u[0]+n[4+c]*u[1]+n[8+c]*u[2])}direction([e,t,o]){return[0,1,2].map(n=>this.T[n]*e+this.T[4+n]*t+this.T[8+n]*o)}};var Fs=720,vt=class{constructor(e,t,o){this.host=e;this.canvas=t;this.changed=o;let n=p("button",{id:"pose-done",type:"button"},"Done");n.addEventListener("click",()=>this.toggle(!1)),this.bar.append(this.panelButton,this.undoButton,this.redoButton,this.button("pose-mirror","mirror","Mirror (X)",()=>this.mirror()),this.button("pose-reset","reset","Reset",()=>this.reset()),n,this.file),this.file.addEventListener("change",()=>{let[s]=this.file.files??[];s&&e.openPose(s),this.file.value=""})}host;canvas;changed;bar=p("div",{id:"pose-bar",role:"toolbar","aria-label":"Pose",hidden:!0});file=p("input",{type:"file",accept:".json",tabindex:-1,hidden:!0});panelButton=this.button("pose-sliders","menu","Sliders",()=>this.togglePanel());undoButton=this.button("pose-undo","undo","Undo (Ctrl+Z)",()=>this.undo());redoButton=this.button("pose-redo","redo","Redo (Ctrl+Shift+Z)",()=>this.redo());work;ours;button(e,t,o,n){let s=pe(e,t,o);return s.addEventListener("click",n),s}get isOpen(){return this.work!==void 0}toggle(e=!this.isOpen){e!==this.isOpen&&(e?this.enter():this.leave(),this.changed())}remove(){this.toggle(!1),this.bar.remove()}enter(){let e=this.host.avatar;if(!e)return;let{skeleton:t}=e,o=pr(t,e.person.pose()),n=d=>{this.host.editPose(ne(st(t,d))),this.ours=e.person.pose(),this.show()},s=new dt(t,o,n),i=d=>{s.joint=d,u.openJoint(),this.show()},{layer_sizes:a,num_pose_inputs:l}=e.avatar.header,u=new ft(s,a[0]-l,this.actions(e),i),c=new ht(s,this.canvas,()=>this.projection(e),i);this.work={member:e,editor:s,overlay:c,panel:u},this.host.holdView(!0),this.bar.before(...c.parts,u.root),this.bar.hidden=!1,this.togglePanel(this.canvas.clientWidth>=Fs),this.host.say("Pose: drag hands, feet, elbows, knees and pelvis; choose a joint to turn it. Escape ends."),n(o)}leave(){let{overlay:e,panel:t}=this.work;this.work=void 0;for(let o of[...e.parts,t.root])o.remove();this.bar.hidden=!0,this.host.holdView(!1),this.canvas.focus({preventScroll:!0})}projection(e){let t=this.host.scene?.camera;return t&&new gt(t,e.person.T_world_avatar,this.canvas.clientWidth,this.canvas.clientHeight)}actions(e){return{save:()=>this.host.savePose(e.getPose()),open:()=>this.file.click(),copyLink:this.host.hasPoseLink?()=>this.host.copyLink(Io(this.work.editor.pose)):void 0}}togglePanel(e=this.work?.panel.root.hidden??!1){this.work&&(this.work.panel.root.hidden=!e),this.panelButton.setAttribute("aria-expanded",String(e))}undo(){this.host.say(this.work?.editor.undo()?"Undone":"Nothing to undo")}redo(){this.host.say(this.work?.editor.redo()?"Done again":"Nothing to do again")}mirror(){this.work?.editor.mirror(),this.host.say("Mirrored")}reset(){this.work?.editor.reset(),this.host.say("Reset")}onKey(e){let t=e.key.toLowerCase(),o=e.ctrlKey||e.metaKey;if(o&&t==="z")e.shiftKey?this.redo():this.undo();else if(o&&t==="y")this.redo();else{if(o||e.altKey)return!1;if(t==="escape")this.toggle(!1);else if(t==="x")this.mirror();else return!1}return e.preventDefault(),!0}show(){let{work:e,host:t}=this;if(!e)return;let{member:o,editor:n,overlay:s,panel:i}=e;if(t.avatar!==o||!o.person.isHeld)return this.toggle(!1);let a=o.person.pose();a!==this.ours&&(this.ours=a,n.adopt(pr(o.skeleton,a))),s.show(),i.show(),this.undoButton.setAttribute("aria-disabled",String(!n.history.canUndo)),this.redoButton.setAttribute("aria-disabled",String(!n.history.canRedo))}};var bt=r=>Math.round(r).toLocaleString("en"),Qo=r=>`${(r/1e6).toFixed(1)} MB`,Xo=r=>`${r.toFixed(r<10?2:1)} ms`,Yo=r=>r.toFixed(r<10?1:0),Ds=5;function Jo({poseDistance:r}){return Object.entries(r).filter(([,e])=>e>Ds).sort(([,e],[,t])=>t-e)}function zs(r){let e=Object.entries(r.passMilliseconds).map(([o,n])=>[`\xB7 ${o}`,Xo(n)]),t=`${r.refreshHz} Hz${r.isRefreshCapped&&r.refreshHz<=60?" (limit of iOS)":""}`;return[["Pictures a second",Yo(r.fps)],["Animation frames",t],["GPU",r.gpuMilliseconds===null?"no timestamps":Xo(r.gpuMilliseconds)],...e,["Splats drawn",r.visibleSplats===null?bt(r.splats):`${bt(r.visibleSplats)} of ${bt(r.splats)}`],...r.fragments===null?[]:[["Fragments",`${(r.fragments/1e6).toFixed(2)} M (estimate)`]],["Picture",`${r.width} \xD7 ${r.height}, ratio ${r.pixelRatio.toFixed(2)}`],["Governor",`${r.governor}, ${Math.round(100*r.scale)} %, level ${r.level}`],["Downloaded",Qo(r.downloadedBytes)],["On the GPU",Qo(r.gpuBytes)],...r.avatars>1?[["Avatars",`${r.avatars}, ${r.culledAvatars} out of view`]]:[],...Object.keys(r.poseDistance).length>0?[["Pose",$s(r)]]:[],["Adapter",r.adapter||"hidden by the browser"]]}function $s(r){let e=Jo(r).map(([t,o])=>`${t} ${Math.round(o)}\xB0`);return e.length>0?`outside of training: ${e.join(", ")}`:"as in training"}var yt=class{readout=p("button",{id:"readout",type:"button",title:"Statistics","aria-expanded":"false",hidden:!0});root=p("div",{id:"stats",role:"region","aria-label":"Statistics",hidden:!0});table=p("dl");details=p("p",{class:"keys"});constructor(e){this.root.append(this.table,this.details),this.readout.addEventListener("click",e)}get isOpen(){return!this.root.hidden}set isOpen(e){this.root.hidden=!e,this.readout.setAttribute("aria-expanded",String(e))}show(e,t){let o=`${bt(e.splats)} splats`;this.readout.textContent=e.fps>0?`${Yo(e.fps)} fps \xB7 ${o}`:o;let n=Jo(e).map(([i])=>i),s=n.slice(0,2).join(", ")+(n.length>2?` and ${n.length-2} more`:"");s&&this.readout.append(p("span",{class:"warning"},`pose outside of training: ${s}`)),!this.root.hidden&&(this.table.replaceChildren(...zs(e).flatMap(([i,a])=>[p("dt",{},i),p("dd",{},a)])),this.details.textContent=t)}};var Hs=1e3,wt=class{constructor(e,t,o,n){this.host=e;let{signal:s}=this.end,i=()=>this.openStatistics(!this.statistics.isOpen);this.statistics=new yt(i);let a=()=>this.pose.toggle();this.pose=new vt(e,n,()=>this.arrange()),this.bar=new Je(e,a),this.menu=new et(e,this.bar.menuButton,i),this.drop=new Ze(t,c=>e.openFiles(c),s);let l=So(e,{menu:()=>this.menu.toggle(),statistics:i,pose:a},()=>this.pose.isOpen);this.onKey=c=>{!c.defaultPrevented&&!(this.pose.isOpen&&this.pose.onKey(c))&&l(c)};let u=c=>{this.isShown&&this.onKey(c)};t.addEventListener("keydown",u,{signal:s}),o.append(...this.parts)}host;onKey;bar;menu;statistics;drop;pose;isOn=!1;end=new AbortController;lastReadout=Number.NEGATIVE_INFINITY;get parts(){return[this.statistics.readout,this.statistics.root,this.menu.root,this.bar.root,this.pose.bar,this.drop.root]}remove(){this.end.abort(),this.pose.remove();for(let e of this.parts)e.remove()}get isShown(){return this.isOn}set isShown(e){this.isOn=e,this.arrange(),this.statistics.readout.hidden=!e,!e&&(this.pose.toggle(!1),this.menu.isOpen&&this.menu.toggle(!1),this.statistics.isOpen&&this.openStatistics(!1))}arrange(){this.bar.root.hidden=!this.isOn||this.pose.isOpen,this.pose.isOpen&&this.menu.toggle(!1)}openStatistics(e){this.statistics.isOpen=e,this.host.timePasses(e),this.lastReadout=Number.NEGATIVE_INFINITY,this.show()}show(e=performance.now()){this.isShown&&(this.bar.show(),this.pose.show(),this.menu.isOpen&&this.menu.show(),!(e-this.lastReadout<Hs||!this.host.stats)&&(this.lastReadout=e,this.statistics.show(this.host.stats,this.host.details)))}};var Zo=`:host{--avatar-ink: #33363b;--avatar-quiet: #6b7077;--avatar-panel: rgb(255 255 255 / 78%);--avatar-accent: #3d6db5;position:relative;display:block;height:480px;overflow:hidden;color:var(--avatar-ink);background:#f0f0f0;font:13px/1.45 system-ui,-apple-system,Segoe UI,Roboto,Helvetica Neue,DejaVu Sans,sans-serif;contain:content;container-type:size;-webkit-tap-highlight-color:transparent}:host([hidden]),[hidden]{display:none!important}:host(:state(see-through)){background:none}*{box-sizing:border-box}#canvas,#poster{position:absolute;inset:0;display:block;width:100%;height:100%;object-fit:contain}#canvas{cursor:grab;touch-action:none;outline:none}#canvas:active{cursor:grabbing}#canvas:focus-visible{box-shadow:inset 0 0 0 2px var(--avatar-accent)}#poster{pointer-events:none;transition:opacity .4s}#poster.gone{opacity:0}#progress,#message,#pose-bar,#controls{position:absolute;left:50%;transform:translate(-50%)}#progress{bottom:calc(28px + env(safe-area-inset-bottom));width:min(240px,60cqw);color:var(--avatar-quiet);text-align:center}#progress-track{height:3px;margin-top:6px;overflow:hidden;border-radius:2px;background:#0000001a}#progress-bar{width:0;height:100%;border-radius:2px;background:var(--avatar-ink);transition:width .15s linear}#message{z-index:1;bottom:calc(28px + env(safe-area-inset-bottom));width:min(460px,calc(100cqw - 32px));max-height:calc(100cqh - 56px);padding:16px 20px;overflow:auto;border-radius:14px;background:#ffffffe5;box-shadow:0 6px 30px #1e222824;backdrop-filter:blur(12px)}#message h2{margin:0 0 4px;font-size:15px;font-weight:600}#message p{margin:0;overflow-wrap:anywhere;white-space:pre-line}#message button{margin:12px 8px 0 0}button{display:inline-flex;gap:6px;align-items:center;min-height:32px;padding:4px 12px;border:0;border-radius:16px;color:inherit;background:#0000000f;font:inherit;cursor:pointer}button:hover{background:#0000001c}svg.icon{display:block;flex:none;width:18px;height:18px;fill:currentcolor}button.icon{flex:none;justify-content:center;width:36px;height:36px;padding:0;border-radius:50%;background:transparent}button.icon:hover,button.icon[aria-expanded=true]{background:#00000014}button.icon svg{width:20px;height:20px}#readout,#stats,#menu,#pose-bar,#pose-panel,#controls{background:var(--avatar-panel);box-shadow:0 2px 14px #1e22281a;backdrop-filter:blur(12px)}#readout{position:absolute;top:calc(12px + env(safe-area-inset-top));right:calc(12px + env(safe-area-inset-right));min-height:26px;padding:2px 10px;color:var(--avatar-quiet);font-size:12px;font-variant-numeric:tabular-nums;max-width:calc(100% - 24px);flex-wrap:wrap;justify-content:flex-end}#readout .warning{color:var(--avatar-ink)}#stats{position:absolute;top:calc(46px + env(safe-area-inset-top));right:calc(12px + env(safe-area-inset-right));width:min(300px,calc(100cqw - 24px));max-height:calc(100cqh - 130px);padding:12px 14px;overflow:auto;border-radius:14px;font-size:12px}#stats dl{display:grid;grid-template-columns:auto 1fr;gap:2px 12px;margin:0}#stats dt{color:var(--avatar-quiet)}#stats dd{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums;text-align:right}#controls{bottom:calc(16px + env(safe-area-inset-bottom));display:flex;gap:8px;align-items:center;width:min(460px,calc(100cqw - 24px));padding:5px 6px;border-radius:24px}#controls.still{width:auto}#scrub{flex:1}input[type=range]{min-width:0;height:36px;margin:0;appearance:none;background:transparent;cursor:pointer;--avatar-track: linear-gradient( to right, rgb(0 0 0 / 14%) var(--from, 0%), var(--avatar-ink) var(--from, 0%) var(--done, 0%), rgb(0 0 0 / 14%) var(--done, 0%) )}input::-webkit-slider-runnable-track{height:3px;border-radius:2px;background:var(--avatar-track)}input::-moz-range-track{height:3px;border-radius:2px;background:var(--avatar-track)}input::-webkit-slider-thumb{width:13px;height:13px;margin-top:-5px;appearance:none;border-radius:50%;background:var(--avatar-ink)}input::-moz-range-thumb{width:13px;height:13px;border:0;border-radius:50%;background:var(--avatar-ink)}#clock{flex:none;min-width:70px;color:var(--avatar-quiet);font-variant-numeric:tabular-nums;text-align:right;white-space:nowrap}#menu{position:absolute;bottom:calc(70px + env(safe-area-inset-bottom));left:50%;display:grid;gap:12px;width:min(460px,calc(100cqw - 24px));max-height:calc(100cqh - 90px);padding:14px 16px;overflow:auto;transform:translate(-50%);border-radius:18px;outline:none}fieldset{display:flex;flex-wrap:wrap;gap:4px;min-width:0;margin:0;padding:0;border:0}legend{margin-bottom:4px;padding:0;color:var(--avatar-quiet);font-size:12px}.choice label{position:relative;cursor:pointer}.choice input{position:absolute;inset:0;margin:0;opacity:0;cursor:pointer}.choice span{display:block;max-width:220px;padding:5px 11px;overflow:hidden;border-radius:14px;background:#0000000f;text-overflow:ellipsis;white-space:nowrap}.choice input:checked+span{color:#fff;background:var(--avatar-ink)}.motion{max-height:130px;overflow:auto}.actions{display:flex;flex-wrap:wrap;gap:6px}.keys{margin:0;color:var(--avatar-quiet);font-size:11px;white-space:pre-line}#stats .keys{margin-top:8px}#status{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}#drop{position:absolute;inset:12px;display:grid;place-items:center;border:2px dashed var(--avatar-accent);border-radius:18px;background:#ffffffc7;font-size:15px;pointer-events:none}button:focus-visible,input[type=range]:focus-visible,.choice input:focus-visible+span{outline:2px solid var(--avatar-accent);outline-offset:2px}@media(pointer:coarse){button{min-height:40px}.choice span{padding:11px 14px;border-radius:21px}#menu{bottom:calc(80px + env(safe-area-inset-bottom));max-height:calc(100cqh - 100px)}button.icon{width:44px;height:44px}.keys{display:none}#stats .keys{display:block}}@media(prefers-reduced-motion:reduce){#poster,#progress-bar{transition:none}}
`;var en=`#skeleton{--pose-line: #fff;--pose-edge: rgb(24 28 36 / 55%);--pose-chosen: #f08c2e;position:absolute;inset:0;width:100%;height:100%;overflow:hidden;pointer-events:none;touch-action:none}#skeleton path{fill:none;stroke:var(--pose-line);stroke-width:2;stroke-linecap:round;opacity:.9}#skeleton path.halo{stroke:var(--pose-edge);stroke-width:4.5;opacity:.5}.joint{outline:none;cursor:pointer;pointer-events:all}.joint .hit{r:12px;fill:transparent}.joint .dot{r:4px;fill:var(--pose-line);stroke:var(--pose-edge);stroke-width:1.5;transition:r .12s}.joint.middle,.joint.end{cursor:grab}.joint.middle .dot{r:6px;stroke:var(--avatar-accent);stroke-width:3}.joint.end .dot{r:9px;fill:var(--avatar-accent);stroke:var(--pose-line);stroke-width:2.5}.joint.hover .dot{r:7px}.joint.middle.hover .dot{r:8px}.joint.end.hover .dot{r:11px}.joint.chosen .dot{fill:var(--pose-chosen)}.joint:focus-visible .hit{fill:#3d6db533;stroke:var(--avatar-accent);stroke-width:2}#skeleton.dragging,#skeleton.dragging .joint{cursor:grabbing}#joint-label{position:absolute;top:0;left:0;padding:2px 9px;border-radius:10px;color:#fff;background:#181c24d1;font-size:12px;white-space:nowrap;pointer-events:none}#pose-bar{bottom:calc(16px + env(safe-area-inset-bottom));display:flex;gap:2px;align-items:center;max-width:calc(100cqw - 16px);padding:5px 6px;border-radius:24px}#pose-bar [aria-disabled=true]{opacity:.35}#pose-done{margin-left:4px;min-height:36px;padding:4px 18px;border-radius:18px;color:#fff;background:var(--avatar-ink)}#pose-done:hover{background:#000}#pose-panel{position:absolute;top:calc(50px + env(safe-area-inset-top));right:calc(12px + env(safe-area-inset-right));display:flex;flex-direction:column;gap:12px;width:280px;max-height:calc(100cqh - 130px);padding:12px 14px 14px;border-radius:18px}#pose-panel .choice{flex:none;flex-wrap:nowrap}#pose-panel .choice label{flex:1;text-align:center}#pose-panel .choice span{padding-inline:4px}#pose-panel .page{display:grid;gap:6px;overflow:auto;overscroll-behavior:contain}#pose-panel .actions{grid-template-columns:1fr}#pose-panel .actions button{justify-content:center}select{width:100%;min-height:34px;padding:4px 10px;border:0;border-radius:10px;color:inherit;background:#0000000f;font:inherit}.slider{display:grid;grid-template-columns:1fr auto;align-items:baseline}.slider input{grid-column:1 / -1;width:100%;height:26px}.slider output{color:var(--avatar-quiet);font-variant-numeric:tabular-nums}select:focus-visible{outline:2px solid var(--avatar-accent);outline-offset:2px}@media(pointer:coarse){.joint .hit{r:22px}.slider input{height:40px}.slider input::-webkit-slider-thumb{width:19px;height:19px;margin-top:-8px}.slider input::-moz-range-thumb{width:19px;height:19px}select{min-height:42px}#pose-done{min-height:44px;border-radius:22px}}@container (width < 720px){#pose-panel{top:auto;right:12px;bottom:calc(72px + env(safe-area-inset-bottom));left:12px;width:auto;max-height:36cqh}.slider{grid-template-columns:112px 1fr 44px;align-items:center}.slider input{grid-column:2;grid-row:1}.slider output{text-align:right}}@media(pointer:coarse)and (width<720px){#pose-panel{bottom:calc(80px + env(safe-area-inset-bottom))}}@media(prefers-reduced-motion:reduce){.joint .dot{transition:none}}
`;var Ws="Animated avatar. Drag or use W A S D to turn, wheel, pinch or + \u2212 to zoom, R for the first view, Space to play or pause.",qs={loading:"Loading the avatar",preparing:"Preparing the graphics device",detail:"",done:""},Qs=["network","not-found","truncated","damaged","device-lost","out-of-memory","no-device","bad-motion"],xt=class{canvas=p("canvas",{id:"canvas",role:"img","aria-label":Ws,tabindex:0});poster=p("img",{id:"poster",alt:"",hidden:!0});text=p("div",{id:"progress-text"});bar=p("div",{id:"progress-bar"});progressBox=p("div",{id:"progress",hidden:!0},this.text,p("div",{id:"progress-track"},this.bar));title=p("h2",{id:"message-title"});words=p("p",{id:"message-text"});retry=p("button",{id:"retry",type:"button"},"Try again");back=p("button",{id:"dismiss",type:"button"},"Close");message=p("div",{id:"message",role:"alert",hidden:!0},this.title,this.words,this.retry,this.back);status=p("div",{id:"status",role:"status"});constructor(e,t){this.poster.addEventListener("error",()=>{this.poster.hidden=!0}),this.retry.addEventListener("click",t),this.back.addEventListener("click",()=>this.dismiss()),e.append(this.canvas,this.poster,this.progressBox,this.message,this.status)}setPoster(e){this.poster.hidden=e==="",e!==""?this.poster.src=e:this.poster.removeAttribute("src")}progress({phase:e,loaded:t,total:o}){let n=qs[e];this.progressBox.hidden=n==="",this.text.textContent!==n&&(this.text.textContent=n);let s=e==="loading"?t/o:1;this.bar.style.width=`${Number.isFinite(s)?Math.round(100*Math.min(1,s)):100}%`}reveal(){this.progressBox.hidden=!0,this.message.hidden=!0,this.canvas.hidden=!1,this.poster.classList.add("gone")}cover(){this.message.hidden=!0,this.poster.classList.remove("gone")}fail({title:e,message:t,code:o},n){this.progressBox.hidden=!0,this.title.textContent=e,this.words.textContent=t,this.retry.hidden=n||!Qs.includes(o),this.back.hidden=!n,this.message.hidden=!1,!n&&(this.canvas.hidden=!0,this.poster.classList.remove("gone"))}dismiss(){this.message.hidden=!0,this.canvas.focus()}announce(e){this.status.textContent=e}};function $(r){return r instanceof File?r.name:typeof r!="string"&&!(r instanceof URL)?"the file":decodeURIComponent(new URL(r,location.href).pathname.split("/").pop()||String(r))}async function tn(r,e){if(r instanceof Blob)return{stream:r.stream(),total:r.size};if(r instanceof ArrayBuffer)return tn(new Blob([r]));let t;try{t=await fetch(r,{credentials:"same-origin",signal:e??null})}catch(o){throw e?.aborted?o:new g("network",`${$(r)} could not be fetched (${o.message}): is the server still running?`)}if(!t.ok||!t.body)throw new g("not-found",`${$(r)}: the server answered ${t.status}, expected the file; copy the whole exported folder`);return{stream:t.body,total:Number(t.headers.get("content-length")??Number.NaN)}}var Le=class r{constructor(e,t,o,n){this.reader=e;this.total=t;this.onBytes=o;this.name=n}reader;total;onBytes;name;position=0;loaded=0;chunks=[];waiting=0;static async open(e,t=()=>{},o){let{stream:n,total:s}=await tn(e,o);return new r(n.getReader(),s,t,$(e))}async take(e){for(;this.waiting<e&&await this.pull(););let t=new Uint8Array(Math.min(e,this.waiting)),o=0;for(;o<t.length;){let n=this.chunks[0],s=n.subarray(0,t.length-o);t.set(s,o),o+=s.length,s.length===n.length?this.chunks.shift():this.chunks[0]=n.subarray(s.length)}return this.waiting-=o,this.position+=o,t}async rest(){for(;await this.pull(););return this.take(this.waiting)}cancel(){this.reader.cancel().catch(()=>{})}async pull(){let e;try{e=await this.reader.read()}catch(t){throw t.name==="AbortError"?t:new g("network",`${this.name} was cut off while loading (${t.message}); load the page again`)}return e.done?!1:(this.chunks.push(e.value),this.waiting+=e.value.length,this.loaded+=e.value.length,this.onBytes(this.loaded,this.total),!0)}};async function _t(r,e){let t=await Le.open(r,void 0,e);return new TextDecoder().decode(await t.rest())}var xr=["joint_rest","inverse_bind","joint_parent","gaussians"],Xs=["rotation_index","scale_index","color_index","rotation_basis","scale_basis","color_basis"];function Ys(r,e){let t=n=>{let s=r.sections.find(i=>i.name===n);return new Uint8Array(Xs.includes(n)?0:s?.raw_bytes??0)},o=Object.keys(W).map(n=>[n,xr.includes(n)&&e[n]||t(n)]);return{header:r,sections:Object.fromEntries(o)}}var St=class{neutral;whole;name;loadedBytes=0;constructor(e,t=()=>{},o){this.name=$(e);let n=()=>{},s=new Promise(a=>{n=a}),i=(a,l)=>{this.loadedBytes=a,t(a,l)};this.whole=this.read(e,i,o,a=>n(a)),this.neutral=Promise.race([s,this.whole]);for(let a of[this.whole,this.neutral])a.catch(()=>{})}async read(e,t,o,n){let s;try{s=await Le.open(e,t,o);let i=await po(s),a={};for await(let[l,u]of ho(s,i))a[l]=u,xr.includes(l)&&xr.every(c=>c in a)&&n(Ys(i,a));return{header:i,sections:a}}catch(i){throw s?.cancel(),o?.aborted?o.reason:E(i,this.name)}}};var Re=new Map;function Pt(r,e){let t=typeof r=="string"||r instanceof URL?new URL(r,document.baseURI).href:void 0,o=t===void 0?void 0:Re.get(t);if(!o){let a=new Set,l=new AbortController,u=new St(r,(...c)=>a.forEach(d=>d(...c)),l.signal);o={file:u,listeners:a,abort:l,users:0},t!==void 0&&(Re.set(t,o),u.whole.catch(()=>Re.delete(t)))}let n=o;n.users++,n.listeners.add(e);let s=!0,i=()=>{s&&(s=!1,n.listeners.delete(e),!(--n.users>0)&&(t!==void 0&&Re.get(t)===n&&Re.delete(t),n.abort.abort(new DOMException("the avatar is not wanted any more","AbortError"))))};return{file:n.file,release:i}}var rn=r=>Array.isArray(r);function Js(r){return r.replace(/\.json$/i,"").replace(/\.pose$/i,"").replace(/[_-]+/g," ").trim()||r}async function ie(r,e=0,t,o){let n=rn(r)?"the motion":$(r);try{let s=rn(r)?vr(r):Ro(await _t(r,o));return{name:t??Js(n),frames:s.length,fps:e,poses:s}}catch(s){throw E(s,n)}}var At=class{listeners=new Set;handle=0;add(e){this.listeners.add(e),this.handle===0&&(this.handle=requestAnimationFrame(this.run))}remove(e){this.listeners.delete(e)}run=e=>{this.handle=this.listeners.size>0?requestAnimationFrame(this.run):0;for(let t of[...this.listeners])t(e)}};var kt=class{timing="off";latest={};queries;labels=[];isOpen=!1;arriving;constructor(e){e.features.has("timestamp-query")&&(this.queries={set:e.createQuerySet({type:"timestamp",count:128}),resolved:e.createBuffer({size:1024,usage:GPUBufferUsage.QUERY_RESOLVE|GPUBufferUsage.COPY_SRC}),readable:e.createBuffer({size:1024,usage:GPUBufferUsage.COPY_DST|GPUBufferUsage.MAP_READ})})}get canTime(){return this.queries!==void 0}start(){this.labels=[],this.isOpen=this.timing!=="off"&&this.canTime&&this.arriving===void 0}get isSplit(){return this.isOpen&&this.timing==="passes"}writes(e){if(!this.isOpen||this.labels.length===64)return{};let t=2*this.labels.push(e)-2;return{timestampWrites:{querySet:this.queries.set,beginningOfPassWriteIndex:t,endOfPassWriteIndex:t+1}}}resolve(e){if(!this.isOpen||this.labels.length===0)return;let{set:t,resolved:o,readable:n}=this.queries;e.resolveQuerySet(t,0,2*this.labels.length,o,0),e.copyBufferToBuffer(o,0,n,0,16*this.labels.length)}collect(){if(!this.isOpen||this.labels.length===0)return;this.isOpen=!1;let{labels:e}=this,{readable:t}=this.queries,o=async()=>{await t.mapAsync(GPUMapMode.READ,0,16*e.length);let n=new BigUint64Array(t.getMappedRange(0,16*e.length)),s={};e.forEach((i,a)=>{s[i]=(s[i]??0)+Math.max(0,Number(n[2*a+1]-n[2*a]))/1e6}),this.latest=s,t.unmap(),this.arriving=void 0};this.arriving=o().catch(()=>{})}async settled(){await this.arriving}dispose(){this.queries?.set.destroy(),this.queries?.resolved.destroy(),this.queries?.readable.destroy()}};var _r=24;function on(r,e){return r.length===e.length&&r.every((t,o)=>t===e[o])}function Zs(r,e){let t=(o,n)=>[0,1,2,3].reduce((s,i)=>s+r[4*o+i]*e[4*i+n],0);return Array.from({length:12},(o,n)=>t(n>>2,n&3))}var Et=class{constructor(e){this.context=e;this.stage=e.allocate("stage",_r*4,GPUBufferUsage.UNIFORM),this.timer=new kt(e.device)}context;stage;buffers=new Map;capacity=-1;drawn=[];counts=de(0);sortGroups=new Map;instanceGroups=new WeakMap;sorted;timer;get timing(){return this.timer.timing}set timing(e){this.timer.timing=e}present(e,t,o,n){this.write(this.stage,n);let s=this.setScene(t,o),i=this.context.device.createCommandEncoder();this.timer.start(),s&&this.encodeCompute(i),this.encodeStage(i,e.createView()),this.submit(i)}compute(e,t){this.setScene(e,t);let o=this.context.device.createCommandEncoder();this.timer.start(),this.encodeCompute(o),this.submit(o)}async readPixels(e,t,o){let{width:n,height:s}=t,{device:i}=this.context,a=GPUTextureUsage.RENDER_ATTACHMENT|GPUTextureUsage.COPY_SRC,l=i.createTexture({size:[n,s],format:Zt,usage:a}),u=Math.ceil(4*n/256)*256,c=i.createBuffer({size:u*s,usage:GPUBufferUsage.MAP_READ|GPUBufferUsage.COPY_DST}),d=this.setScene(e,t),h=i.createCommandEncoder();this.timer.start(),d&&this.encodeCompute(h),this.encodePlain(h,l.createView(),o),h.copyTextureToBuffer({texture:l},{buffer:c,bytesPerRow:u},[n,s]),this.submit(h);try{await c.mapAsync(GPUMapMode.READ);let m=new Uint8Array(c.getMappedRange()),f=new Uint8Array(4*n*s);for(let y=0;y<s;y++)f.set(m.subarray(y*u,y*u+4*n),4*n*y);return f}finally{c.destroy(),l.destroy()}}finished(){return this.context.device.queue.onSubmittedWorkDone().catch(()=>{})}async stats(){let e=new Set(this.drawn.map(i=>i.model)),t=[...this.buffers.values(),this.stage].reduce((i,a)=>i+a.size,0),o=[...e,...this.drawn].reduce((i,{bytes:a})=>i+a,0),{visibleSplats:n,fragments:s}=await this.readCounts();return await this.timer.settled(),{splats:this.counts.splats,visibleSplats:n,fragments:s,bytes:t+o,partsMs:this.timer.latest}}dispose(){this.releaseScene(),this.timer.dispose(),this.stage.destroy()}releaseScene(){for(let e of this.buffers.values())e.destroy();this.buffers.clear(),this.sortGroups.clear(),this.instanceGroups=new WeakMap,this.sorted=void 0,this.capacity=-1}write(e,t){this.context.device.queue.writeBuffer(e,0,t)}setScene(e,t){this.drawn=e.filter(({visible:m})=>m);let o=this.drawn.reduce((m,f)=>m+f.numSplats,0);Jt(o),this.counts=de(o),this.reserve();let{T_cam_world:n,K:s,width:i,height:a}=t,l=0;for(let{buffers:m,transform:f,numSplats:y,enlarge:S,model:H}of this.drawn){let V={model_to_camera:Zs(n,f),first_splat:l,num_splats:y,enlarge:S,training_blur:zr(H.avatar.header.pixels_per_metre,f)};l+=y,this.write(m.get("instance"),Q("Instance",V))}let u={world_to_camera:n.slice(0,12),focal:[s[0],s[4]],principal:[s[2],s[5]],viewport:[i,a],near_plane:Br,blur:Ge,pixel_filter:Cr,num_splats:o};this.write(this.buffers.get("view"),Q("View",u));let d=[...this.drawn.flatMap(({poseNumber:m,numSplats:f,enlarge:y,transform:S})=>[m,f,y,...S]),...n,...s,i,a],{sorted:h}=this;return this.sorted={instances:this.drawn,numbers:d},!h||!on(h.instances,this.drawn)||!on(h.numbers,d)}reserve(){if(!(this.counts.splats<=this.capacity)){this.releaseScene(),this.capacity=this.counts.splats;for(let e of C)e.scope==="scene"&&this.buffers.set(e.name,this.context.makeBuffer(e,this.counts[e.dimension]))}}submit(e){this.timer.resolve(e),this.context.device.queue.submit([e.finish()]),this.timer.collect()}encodeCompute(e){e.clearBuffer(this.buffers.get("frame_state"));let t;for(let o of q)this.timer.isSplit&&(t?.end(),t=void 0),t??=e.beginComputePass(this.timer.writes(this.timer.isSplit?o.name:"compute")),this.dispatch(t,o);t.end();for(let o of this.drawn)o.isPosed=!0}dispatch(e,t){if(t.stage==="sort"){this.dispatchSort(e,t);return}for(let o of this.drawn)(t.stage==="project"||!o.isPosed)&&this.dispatchInstance(e,t,o)}encodeStage(e,t){let{pipeline:o,layout:n}=this.context.stage,s=this.beginPicture(e,t,[0,0,0,0]);s.setPipeline(o),s.setBindGroup(0,this.context.bind(n,er,new Map([...this.buffers,["stage",this.stage]]))),s.draw(3),this.drawSplats(s,this.context.draw),s.end()}encodePlain(e,t,o){let n=this.beginPicture(e,t,[...o,1]);this.drawSplats(n,this.context.drawOutput),n.end()}beginPicture(e,t,o){let n=[{view:t,clearValue:o,loadOp:"clear",storeOp:"store"}];return e.beginRenderPass({colorAttachments:n,...this.timer.writes("draw")})}drawSplats(e,{pipeline:t,layout:o}){e.setPipeline(t),e.setBindGroup(0,this.context.bind(o,we,this.buffers)),e.setIndexBuffer(this.context.indices,"uint16"),e.drawIndexedIndirect(this.buffers.get("arguments"),0)}dispatchSort(e,t){let{pipeline:o,layout:n}=this.context.compute.get(t.name),s=this.sortGroups.get(t.name)??this.context.bind(n,t.bindings,this.buffers);this.sortGroups.set(t.name,s),e.setPipeline(o),e.setBindGroup(0,s),t.groups?e.dispatchWorkgroups(this.counts[t.groups]):e.dispatchWorkgroupsIndirect(this.buffers.get("arguments"),ce)}dispatchInstance(e,t,o){let{pipeline:n,layout:s}=this.context.compute.get(t.name),i=this.instanceGroups.get(o)??new Map;this.instanceGroups.set(o,i);let a=()=>new Map([...this.buffers,...o.model.buffers,...o.buffers]),l=i.get(t.name)??this.context.bind(s,t.bindings,a());i.set(t.name,l),e.setPipeline(n),e.setBindGroup(0,l);let{counts:u}=o.model,c=t.groups==="instance_groups";e.dispatchWorkgroups(c?Math.ceil(o.numSplats/be):u[t.groups])}async readCounts(){let e=this.buffers.get("frame_state");if(!e)return{visibleSplats:0,fragments:0};let{device:t}=this.context,o=t.createBuffer({size:16,usage:GPUBufferUsage.MAP_READ|GPUBufferUsage.COPY_DST}),n=t.createCommandEncoder();n.copyBufferToBuffer(e,0,o,0,16),t.queue.submit([n.finish()]);try{await o.mapAsync(GPUMapMode.READ);let[s,,,i]=new Uint32Array(o.getMappedRange());return{visibleSplats:s,fragments:i}}finally{o.destroy()}}};var Sr=[[10,.16],[11,.16],[0,.34]],ei=3,ti=4;function nn(r){if(r==="stage")return;let e=new OffscreenCanvas(1,1).getContext("2d",{willReadFrequently:!0});if(r!=="transparent"&&!CSS.supports("color",r))throw new RangeError(`the background must be "stage", "transparent" or a CSS colour, found "${r}"`);e.fillStyle=r,e.fillRect(0,0,1,1);let[t,o,n,s]=[...e.getImageData(0,0,1,1).data].map(i=>i/255);return[t,o,n,s]}function sn(r,e){let t=new Float32Array(_r);return t.set([...r.up,r.floor,...r.center,e?0:ti]),r.casters.slice(0,ei).forEach(([o,n],s)=>t.set([...o,n],8+4*s)),e&&t.set([e[0]*e[3],e[1]*e[3],e[2]*e[3],e[3]],20),t}var an=(r,e)=>r[0]*e[0]+r[1]*e[1]+r[2]*e[2],It=(r,e)=>[r[1]*e[2]-r[2]*e[1],r[2]*e[0]-r[0]*e[2],r[0]*e[1]-r[1]*e[0]],B=(r,e)=>[r[0]*e,r[1]*e,r[2]*e],ve=(r,e)=>[r[0]+e[0],r[1]+e[1],r[2]+e[2]],Ar=(r,e)=>ve(r,B(e,-1));function Oe(r){let e=Math.hypot(...r);return e<1e-12?[0,0,0]:B(r,1/e)}function kr(r,e){return Ar(r,B(e,an(r,e)))}function ri(r,e,t){let o=Oe(Ar(e,r)),n=Oe(It(o,t)),s=It(o,n);return[n,s,o].flatMap(i=>[...i,-an(i,r)]).concat(0,0,0,1)}var Pr=3.2,oi=1.08,ni=3/4,Mt=85*Math.PI/180,Tt=[.15,4],Lt=class{constructor(e,t,o,n){this.target=e;this.radius=t;this.up=Oe(o);let s=Oe(kr(n,this.up)),i=Math.abs(this.up[0])<.9?[1,0,0]:[0,1,0];this.front=Math.hypot(...s)>.5?s:Oe(It(this.up,i))}target;radius;up;front;yaw=0;pitch=0;zoom=1;pan=[0,0,0];set({yaw:e=this.yaw,pitch:t=this.pitch,zoom:o=this.zoom}){this.yaw=e,this.pitch=Math.min(Mt,Math.max(-Mt,t)),this.zoom=Math.min(Tt[1],Math.max(Tt[0],o))}turn(e,t){this.yaw-=e*Math.PI,this.pitch=Math.min(Mt,Math.max(-Mt,this.pitch+t*Math.PI))}scale(e){this.zoom=Math.min(Tt[1],Math.max(Tt[0],this.zoom*e))}shift(e,t,o,n){let s=this.camera(o,n).T_cam_world,i=n*Pr*this.radius*this.zoom/this.focal(o,n),a=[s[0],s[1],s[2]],l=[s[4],s[5],s[6]],u=Ar(this.pan,ve(B(a,e*i),B(l,t*i))),c=Math.hypot(...u);this.pan=c>2*this.radius?B(u,2*this.radius/c):u}reset(){[this.yaw,this.pitch,this.zoom,this.pan]=[0,0,1,[0,0,0]]}focal(e,t){return .5*Math.min(t,e/ni)*Pr/oi}camera(e,t){let o=It(this.up,this.front),n=ve(B(this.front,Math.cos(this.yaw)),B(o,Math.sin(this.yaw))),s=ve(B(n,Math.cos(this.pitch)),B(this.up,Math.sin(this.pitch))),i=ve(this.target,this.pan),a=ve(i,B(s,Pr*this.radius*this.zoom)),l=this.focal(e,t);return{T_cam_world:ri(a,i,this.up),K:[l,0,e/2,0,l,t/2,0,0,1],width:e,height:t}}};var si=.25,ii=.5,Rt=(r,e,t=1)=>[r[0]+t*e[0],r[1]+t*e[1],r[2]+t*e[2]],ln=r=>r.reduce((e,t)=>Rt(e,t,1/r.length),[0,0,0]),un=(r,e)=>Math.hypot(r[0]-e[0],r[1]-e[1],r[2]-e[2]);function cn(r){let e=r[0],t=new Lt(e.start,e.sphere().radius,e.up,e.facing);return Er(t,r),t}function dn(r){return ln(r.map(e=>e.start))}function Er(r,e){e.length!==0&&(r.target=dn(e),r.radius=Math.max(...e.map(t=>un(t.start,r.target)+t.sphere().radius)))}function pn(r,e,t){if(e.length===0)return!1;let o=kr(ln(e.map(a=>a.walked())),r.up),n=Rt(dn(e),o),s=un(n,r.target);if(s<1e-4)return!1;let i=s>ii?1:1-Math.exp(-t/si);return r.target=Rt(r.target,Rt(n,r.target,-1),i),!0}function hn(r,e,t){let o=r.flat();if(o.length===e&&o.every(Number.isFinite))return o;throw new RangeError(`${t} must be ${e} finite numbers, found ${o.length} values`)}function Mr(r){return!("T_cam_world"in r)}function mn(r){let{width:e,height:t}=r;if(!Number.isInteger(e)||!Number.isInteger(t)||e<1||t<1)throw new RangeError(`width and height must be whole pixels, found ${e} x ${t}`);return{T_cam_world:hn(r.T_cam_world,16,"T_cam_world"),K:hn(r.K,9,"K"),width:e,height:t}}function fn(r,e,t){let o=Math.min(t,Math.sqrt(4096e3/Math.max(1,r*e))),n=s=>Math.max(1,Math.round(s*o));return{width:n(r),height:n(e),ratio:o}}function gn(r,e){let t=r.T_cam_world;return[0,4,8].map(o=>t[o]*e[0]+t[o+1]*e[1]+t[o+2]*e[2]+t[o+3])}function vn(r,{center:e,radius:t}){let[o,n,s]=gn(r,e);if(s<-t)return!1;let[i,a,l,u]=[r.K[0],r.K[4],r.K[2],r.K[5]],c=(d,h,m)=>(d*h-s*m)/Math.hypot(h,m);return c(o,i,r.width-l)<t&&c(-o,i,l)<t&&c(n,a,r.height-u)<t&&c(-n,a,u)<t}function bn(r,{center:e,radius:t}){let o=gn(r,e)[2];return o<=t?Number.POSITIVE_INFINITY:r.K[4]/o}var Ot=class{members=[];orbit;culled=0;isViewHeld=!1;fixedCamera;name="stage";color;floor=0;get people(){return this.members.map(({person:e})=>e)}get background(){return this.name}set background(e){this.color=nn(e),this.name=e}reframe(){let{people:e}=this;e.length!==0&&(this.floor=Math.min(...e.map(t=>t.floorHeight())),this.orbit?Er(this.orbit,e):this.orbit=cn(e))}setCamera(e){this.fixedCamera=e===null||Mr(e)?void 0:mn(e),e===null?this.orbit?.reset():Mr(e)&&this.orbit?.set(e)}follow(e){return this.isViewHeld||this.fixedCamera?!1:this.orbit!==void 0&&pn(this.orbit,this.people,e)}camera(e,t){return this.fixedCamera??this.orbit?.camera(e,t)}compose(e,t,o){let n=this.camera(e,t);if(!n)return;let s=this.members.filter(({visible:a})=>a),i=s.filter(({person:a})=>vn(n,a.sphere()));this.culled=s.length-i.length;for(let a of i)a.level=ro(a.levels,bn(n,a.person.sphere()),a.level,o);return{camera:n,shown:i.map(a=>({member:a,level:a.level,pose:a.person.pose(),T_world_avatar:a.person.T_world_avatar})),stage:this.stage(i.map(({person:a})=>a))}}poseDistance(){let e={};for(let{person:t}of this.members.filter(({visible:o})=>o))for(let[o,n]of t.distance())e[o]=Math.max(e[o]??0,n*180/Math.PI);return e}stage(e){let{up:t,target:o}=this.orbit,[n]=Sr.slice(-1),s=e.length>1?[n]:Sr,i=e.flatMap(a=>s.map(([l,u])=>[a.joint(l),u]));return sn({up:t,floor:this.floor,center:o,casters:i},this.color)}};var Nt=class{constructor(e,t,o){this.person=e;this.lease=t;this.scene=o;this.avatar=e.avatar,this.complete=this.follow(),this.complete.catch(()=>{})}person;lease;scene;level=0;avatar;isDisposed=!1;complete;get file(){return this.lease.file}get levels(){return $e(this.avatar.header)}get isMoving(){return!this.paused&&this.person.player.last>0}async follow(){let e=await this.file.whole;this.isDisposed||e===this.avatar||(this.avatar=e,await this.scene.replaced(this))}get info(){return this.person.info(this.scene.adapter)}get motion(){return this.person.motion}get paused(){return!this.person.player.playing||this.person.isHeld}get frame(){return this.person.player.position}get speed(){return this.person.player.speed}set speed(e){if(!(e>0&&e<=16))throw new RangeError(`the speed must be above 0 and at most 16, found ${e}`);this.person.player.speed=e}get loop(){return this.person.player.loop}set loop(e){this.person.player.loop=e}get visible(){return this.person.visible}set visible(e){this.person.visible=e,this.scene.changed()}play(){this.person.hold(null),this.person.player.play(),this.scene.changed()}pause(){this.person.player.playing=!1,this.scene.changed()}seek(e){if(!Number.isFinite(e))throw new RangeError(`a frame is a number, found ${e}`);this.person.hold(null),this.person.player.seek(e),this.scene.changed()}setPose(e){this.person.hold(e),this.scene.changed()}getPose(){return ne(this.person.pose())}get skeleton(){return this.person.skeleton}async setMotion(e){return this.useMotion(await ie(e))}useMotion(e){return this.person.useMotion(e),this.scene.moved(),this.motion}place(e){this.person.place(e),this.scene.moved()}dispose(){this.isDisposed=!0,this.scene.remove(this),this.lease.release()}};var ae=[{scale:1,level:0},{scale:.84,level:0},{scale:.71,level:0},{scale:.6,level:0},{scale:.5,level:0},{scale:.5,level:1},{scale:.42,level:1},{scale:.35,level:2}],ai=500,li=4,ui=2e3,ci=.85,di=2,xn=4,pi=128,_n=20,hi=1.4,mi=.25,fi=.05,Sn={step:0,intervals:[],gpu:[],bad:0,good:0,settling:1,patience:xn,sinceRaise:Number.POSITIVE_INFINITY,windows:0};function yn(r){let e=[...r].sort((t,o)=>t-o);return e[Math.floor(e.length/2)]}var wn=r=>ae[r].scale**2*.7**ae[r].level;function gi(r,e){let t=r.step===0?1:wn(r.step-1)/wn(r.step);if(2*r.gpu.length>=r.intervals.length){let n=yn(r.gpu)/(ci*e);return{bad:n>1,good:n*t<.9,load:n}}let o=r.intervals.filter(n=>n>hi*e).length/r.intervals.length;return{bad:o>mi,good:o<fi,load:yn(r.intervals)/e}}function vi(r,e){let t=ae.length-1,o=Math.min(t,r.step+(e>1.8?2:1)),s=r.sinceRaise<_n?Math.min(pi,2*r.patience):r.patience;return{...r,step:o,patience:s,bad:0,good:0,settling:1,sinceRaise:Number.POSITIVE_INFINITY}}function bi(r,e){let t=gi(r,e),o=r.sinceRaise+1,n=o===_n?Math.max(xn,r.patience/2):r.patience,s={...r,intervals:[],gpu:[],windows:r.windows+1,sinceRaise:o,patience:n};if(r.settling>0)return{...s,settling:r.settling-1};let i=t.bad?r.bad+1:0,a=t.good?r.good+1:0;return i>=di&&r.step<ae.length-1?vi(s,t.load):a>=n&&r.step>0?{...s,step:r.step-1,bad:0,good:0,settling:1,sinceRaise:0}:{...s,bad:i,good:a}}function Pn(r,e,{period:t}){if(e.interval>ui)return{...r,intervals:[],gpu:[],bad:0,good:0};let o=[...r.intervals,e.interval],n=e.gpu===null?r.gpu:[...r.gpu,e.gpu],s={...r,intervals:o,gpu:n};return o.reduce((a,l)=>a+l,0)>=ai&&o.length>=li?bi(s,t):s}function An(r){return r.windows<2?"measuring":r.step===0?"steady":r.step===ae.length-1?"lowest":"lowered"}var yi=[30,48,50,60,72,75,90,100,120,144,165,240],wi=90,xi=20,Bt=class{intervals=[];last=Number.NaN;tick(e){let t=e-this.last;this.last=e,t>1&&t<1e3&&(this.intervals.push(t),this.intervals.length>wi&&this.intervals.shift())}get hertz(){if(this.intervals.length<xi)return 60;let e=[...this.intervals].sort((o,n)=>o-n),t=1e3/e[Math.floor(.1*e.length)];return yi.reduce((o,n)=>Math.abs(n-t)<Math.abs(o-t)?n:o)}};function kn(r,e){return/iPhone|iPad|iPod/.test(r)||/Macintosh/.test(r)&&e>1}var En=1e3,Ct=class{constructor(e){this.targetFps=e}targetFps;refresh=new Bt;drawn=[];state=Sn;wasMoving=!1;tick(e){for(this.refresh.tick(e);this.drawn.length>0&&e-this.drawn[0]>En;)this.drawn.shift()}picture(e,t,o){let n=this.drawn.at(-1);if(this.drawn.push(e),t&&this.wasMoving&&n!==void 0){let s=En/Math.min(this.targetFps,this.refresh.hertz);this.state=Pn(this.state,{interval:e-n,gpu:o},{period:s})}this.wasMoving=t}interrupt(){this.wasMoving=!1}get step(){return ae[this.state.step]}get figures(){return{fps:this.drawn.length,refreshHz:this.refresh.hertz,isRefreshCapped:kn(navigator.userAgent,navigator.maxTouchPoints),scale:this.step.scale,governor:An(this.state)}}};var _i=[1,0,0,0,0,1,0,0,0,0,1,0,0,0,0,1],Ut=class{constructor(e){this.model=e;this.level=e.levels.length-1;for(let t of C)t.scope==="instance"&&this.buffers.set(t.name,e.context.makeBuffer(t,e.counts[t.dimension]))}model;buffers=new Map;visible=!0;level;isPosed=!1;poseNumber=0;place=_i;get transform(){return this.place}set transform(e){if(e.length!==16||!e.every(Number.isFinite))throw new Error(`transform must be 16 finite numbers row by row, found ${e.length}`);this.place=[...e]}get numSplats(){return this.shown.count}get enlarge(){return this.shown.enlarge}get shown(){let{levels:e}=this.model;return e[Math.min(Math.max(this.level,0),e.length-1)]}setPose(e){let{avatar:t,skeleton:o,context:n}=this.model,{layer_sizes:s,num_pose_inputs:i}=t.header,a={joints:go(o,e),inputs:vo(e,s[0],i,t.header)};n.device.queue.writeBuffer(this.buffers.get("pose_input"),0,Q("PoseInput",a)),this.isPosed=!1,this.poseNumber++}get bytes(){return[...this.buffers.values()].reduce((e,t)=>e+t.size,0)}dispose(){for(let e of this.buffers.values())e.destroy();this.buffers.clear()}};var Tr={gpuMilliseconds:null,passMilliseconds:{},visibleSplats:null,fragments:null,gpuBytes:0},Vt=class{constructor(e,t){this.device=e;this.canvas=t;let o=t.getContext("webgpu");if(!o)throw new g("internal","the canvas gives no WebGPU context; load the page again");o.configure({device:e.context.device,format:e.format,alphaMode:"premultiplied"}),this.canvasContext=o,this.renderer=new Et(e.context),this.timesPasses=!1}device;canvas;cost=Tr;drawn=new Map;canvasContext;renderer;isMeasuring=!1;isDisposed=!1;async set(e,t){let o=await this.device.acquire(t);if(this.isDisposed||e.isDisposed){this.device.release(t);return}this.remove(e),this.drawn.set(e,{instance:new Ut(o),avatar:t})}remove(e){let t=this.drawn.get(e);t&&(this.drawn.delete(e),t.instance.dispose(),this.device.release(t.avatar))}present(e,t,o){this.canvas.width!==e.width&&(this.canvas.width=e.width),this.canvas.height!==e.height&&(this.canvas.height=e.height),this.renderer.present(this.canvasContext.getCurrentTexture(),this.instances(o),e,t)}readPixels(e,t,o){return this.renderer.readPixels(this.instances(o),e,t)}finished(){return this.renderer.finished()}set timesPasses(e){this.renderer.timing=e?"passes":"parts"}measure(){this.isMeasuring||(this.isMeasuring=!0,this.renderer.stats().then(({visibleSplats:e,fragments:t,bytes:o,partsMs:n})=>{let s=Object.values(n),i=s.length>0?s.reduce((a,l)=>a+l,0):null;this.cost={gpuMilliseconds:i,passMilliseconds:n,visibleSplats:e,fragments:t,gpuBytes:o},this.isMeasuring=!1},()=>{}))}dispose(e=!1){if(this.isDisposed=!0,!e){this.renderer.dispose();for(let t of[...this.drawn.keys()])this.remove(t);this.canvasContext.unconfigure()}}instances(e){return e.flatMap(({member:t,pose:o,T_world_avatar:n,level:s})=>{let i=this.drawn.get(t);if(!i)return[];let{instance:a}=i;return i.pose!==o&&a.setPose(o),i.pose=o,a.transform=n,a.level=Math.max(0,a.model.levels.length-1-s),[a]})}};function Mn(r,e,t){return Float32Array.from({length:Math.max(r.length,e.length)},(o,n)=>(1-t)*(r[n]??0)+t*(e[n]??0))}function Si(r,e,t){if(t<=0||r===e)return r;if(t>=1)return e;let o=new Float32Array(r.pose.length);for(let n=0;n<o.length;n+=3){let s=r.pose.subarray(n,n+3),i=e.pose.subarray(n,n+3);o.set(fo(s,i,t),n)}return{pose:o,Rh:Ke(or(Se(r.Rh),Se(e.Rh),t)),Th:Mn(r.Th,e.Th,t),expression:Mn(r.expression,e.expression,t)}}var Pi=.25,Ne=class{constructor(e,t){this.frames=e;this.fps=t}frames;fps;playing=!0;loop=!0;speed=1;time=0;get position(){return this.time}get last(){return this.frames.length-1}seek(e){this.time=Math.min(this.last,Math.max(0,e))}play(){!this.loop&&this.time>=this.last&&(this.time=0),this.playing=!0}advance(e){return!this.playing||this.last===0||(this.time+=Math.min(e,Pi)*this.fps*this.speed,this.time<=this.last)?!1:(this.loop?this.time%=this.last:(this.time=this.last,this.playing=!1),!this.loop)}pose(){let e=Math.floor(this.time);return Si(this.frames[e],this.frames[Math.min(e+1,this.last)],this.time-e)}};var Ai=30,ki=[10,11],Ei=.03,Tn=(r,e)=>r[0]*e[0]+r[1]*e[1]+r[2]*e[2],Gt=(r,e)=>r?.length===3&&r.every(Number.isFinite)?r:e;function In(r,e){return[r[12*e+3],r[12*e+7],r[12*e+11]]}function Mi(r){let e=Float32Array.from(Gt(r.center,[0,0,0]));return{pose:new Float32Array(165),Rh:Float32Array.of(1,0,0,0,1,0,0,0,1),Th:e,expression:new Float32Array(10)}}var Ft=class{constructor(e,t){this.avatar=e;let{meta:o}=e.header;this.skeleton=We(e),this.up=Gt(o.up,[0,1,0]),this.motionInfo=this.infoOf(t),this.player=new Ne(t?.poses??[Mi(o)],this.motionInfo.fps),this.firstPelvis=this.bodyJoint(this.player.frames[0],0),this.home=Gt(o.center,this.firstPelvis),this.radius=o.radius??1}avatar;skeleton;up;visible=!0;player;motionInfo;fixed;at;placement={position:[0,0,0],yaw:0};home;radius;firstPelvis;infoOf(e){let{fps:t}=this.avatar.header.meta,o=t&&t>0?t:Ai;return e?{name:e.name,frames:e.frames,fps:e.fps>0?e.fps:o}:{name:"",frames:1,fps:o}}info(e){let{num_gaussians:t,meta:o}=this.avatar.header;return{numGaussians:t,frames:this.player.frames.length,fps:this.player.fps,adapter:e,body:o.body??"",bodyLicense:o.body_license??"",generator:o.generator??""}}get motion(){return this.motionInfo}useMotion(e){let{playing:t,loop:o,speed:n}=this.player;this.motionInfo=this.infoOf(e),this.player=Object.assign(new Ne(e.poses,this.motionInfo.fps),{playing:t,loop:o,speed:n}),this.fixed=void 0,this.firstPelvis=this.bodyJoint(e.poses[0],0)}hold(e){if(typeof e!="number"){this.fixed=e===null?void 0:gr(e);return}let{frames:t,last:o}=this.player;if(!t[e])throw new RangeError(`there is no frame ${e}; the motion has frames 0..${o}`);this.fixed=t[e]}distance(){let{header:e}=this.avatar;return ao(sr(this.pose(),e.layer_sizes[0],e.num_pose_inputs),e)}get isHeld(){return this.fixed!==void 0}place({position:e,yaw:t}){this.placement={position:e??this.placement.position,yaw:t??this.placement.yaw}}pose(){let{player:e,fixed:t}=this;if(this.at?.player!==e||this.at.position!==e.position||this.at.fixed!==t){let o=t??e.pose();this.at={player:e,position:e.position,fixed:t,pose:o,joints:qe(this.skeleton,o)}}return this.at.pose}get T_world_avatar(){let{position:e,yaw:t}=this.placement,o=new Float64Array(9);return je(this.up[0]*t,this.up[1]*t,this.up[2]*t,o),[...[0,1,2].map(s=>{let i=this.home.reduce((a,l,u)=>a+o[3*s+u]*l,0);return[o[3*s],o[3*s+1],o[3*s+2],this.home[s]-i+e[s]]}).flat(),0,0,0,1]}inScene(e){let t=this.T_world_avatar;return[0,4,8].map(o=>t[o]*e[0]+t[o+1]*e[1]+t[o+2]*e[2]+t[o+3])}joint(e){return this.pose(),this.inScene(In(this.at.joints,e))}bodyJoint(e,t){return In(qe(this.skeleton,e),t)}sphere(){let e=this.walked();return{center:this.start.map((t,o)=>t+e[o]),radius:this.radius}}get start(){return this.home.map((e,t)=>e+this.placement.position[t])}walked(){let e=this.inScene(this.firstPelvis);return this.joint(0).map((t,o)=>t-e[o])}get facing(){let{Rh:e}=this.player.frames[0];return Gt(this.avatar.header.meta.front,[e[2],e[5],e[8]])}floorHeight(){let{frames:e}=this.player,t=Math.max(1,Math.floor(e.length/200)),o=e.filter((n,s)=>s%t===0).map(n=>Math.min(...ki.map(s=>Tn(this.bodyJoint(n,s),this.up)))).sort((n,s)=>n-s);return o[Math.floor(.05*o.length)]-Ei+Tn(this.placement.position,this.up)}};function Dt(r){if(r.length===0)return{x:0,y:0,spread:0};let e=r.reduce((o,n)=>o+n.x,0)/r.length,t=r.reduce((o,n)=>o+n.y,0)/r.length;return{x:e,y:t,spread:r.length<2?0:Math.hypot(r[0].x-r[1].x,r[0].y-r[1].y)}}function Ln(r,e,t){let o=new AbortController,n=(d,h)=>r.addEventListener(d,h,{passive:!1,signal:o.signal}),s=new Map,i=Dt([]),a=!1,l=!1,u=()=>{l=!1;let d=e();if(s.size===0||!d)return;let h=Dt([...s.values()]),m=r.clientHeight,[f,y]=[(h.x-i.x)/m,(h.y-i.y)/m];s.size>1||a?d.shift(f,y,r.clientWidth,m):d.turn(f,y),i.spread>0&&h.spread>0&&d.scale(i.spread/h.spread),i=h,t()};n("pointerdown",d=>{u(),r.setPointerCapture(d.pointerId),s.set(d.pointerId,{x:d.clientX,y:d.clientY}),a=d.button!==0||d.shiftKey,i=Dt([...s.values()])}),n("pointermove",d=>{s.has(d.pointerId)&&(s.set(d.pointerId,{x:d.clientX,y:d.clientY}),l||requestAnimationFrame(u),l=!0)});let c=d=>{u(),s.delete(d.pointerId),i=Dt([...s.values()])};return n("pointerup",c),n("pointercancel",c),n("contextmenu",d=>d.preventDefault()),n("dblclick",()=>{e()?.reset(),t()}),n("wheel",d=>{d.preventDefault();let h=d.deltaMode===WheelEvent.DOM_DELTA_LINE?d.deltaY*16:d.deltaY;e()?.scale(Math.exp(h*.0015*(d.ctrlKey?4:1))),t()}),{disconnect:()=>o.abort()}}var Ti=2,Ii=250,Ir="the scene is not drawing: its graphics device is lost or being replaced, or nobody was added",Li=60,Ri=2,Oi=.5,Lr,zt=class r extends EventTarget{constructor(t,o){super();this.canvas=t;this.composition.background=o.background??"stage",this.meter=new Ct(o.targetFps??Li),this.maxPixelRatio=o.maxPixelRatio??Ri;let n=new ResizeObserver(()=>this.changed());n.observe(t);let s=new IntersectionObserver(i=>{this.isOnScreen=i.at(-1).isIntersecting,this.changed()});s.observe(t),this.observers=[n,s],(o.pointer??!0)&&this.observers.push(Ln(t,()=>this.composition.orbit,()=>this.changed()))}canvas;composition=new Ot;meter;maxPixelRatio;observers;painter;isDirty=!0;isLowered=!1;isOnScreen=!0;inFlight=0;lastTick=Number.NaN;lastMeasure=Number.NEGATIVE_INFINITY;isTimingPasses=!1;size={width:1,height:1,ratio:1};static async open(t,o={}){let n=new r(t,o);try{await Pe().join(n)}catch(s){throw n.dispose(),E(s)}return Lr??=new At,Lr.add(n.tick),n}get avatars(){return this.composition.members}get adapter(){return this.painter?.device.adapter??""}get background(){return this.composition.background}set background(t){this.composition.background=t,this.changed()}async add(t,o={}){let{motion:n,signal:s,onProgress:i=()=>{}}=o,a={phase:"loading",loaded:0,total:Number.NaN},l=c=>i({...Object.assign(a,c)}),u=Pt(t,(c,d)=>l({loaded:c,total:d}));s?.addEventListener("abort",u.release,{once:!0});try{let c=n?ie(n,0,void 0,s):void 0;c?.catch(()=>{});let d=new Ft(await u.file.neutral,await c);Object.assign(d.player,{playing:o.autoplay??!0,loop:o.loop??!0}),d.place(o),l({phase:"preparing"});let h=new Nt(d,u,this);return await this.join(h),s?.throwIfAborted(),l({phase:"detail"}),h.complete.then(()=>l({phase:"done"}),m=>h.isDisposed||this.fail(m)),h}catch(c){throw u.release(),s?.aborted?s.reason:E(c)}}setCamera(t){this.composition.setCamera(t),this.changed()}turn(t,o,n){this.composition.orbit?.turn(-t/Math.PI,o/Math.PI),this.composition.orbit?.scale(n),this.changed()}get camera(){return this.composition.camera(Math.max(1,this.canvas.clientWidth),Math.max(1,this.canvas.clientHeight))}set isViewHeld(t){this.composition.isViewHeld=t}set timesPasses(t){this.isTimingPasses=t,this.painter&&(this.painter.timesPasses=t)}async render(){let t=this.draw();if(!t)throw new Error(Ir);await t}readPixels(t=[0,0,0]){let o=this.compose();return!this.painter||!o?Promise.reject(new Error(Ir)):this.painter.readPixels(o.camera,t,o.shown)}async screenshot({type:t="image/png",width:o,height:n}={}){let s=this.compose(o,n);if(!this.painter||!s)throw new Error(Ir);this.painter.present(s.camera,s.stage,s.shown);let i=await new Promise(a=>this.canvas.toBlob(a,t,.92));if(this.changed(),!i)throw new Error(`the browser cannot write ${t}`);return i}get stats(){let{members:t,culled:o}=this.composition,{gpuMilliseconds:n,passMilliseconds:s,visibleSplats:i,fragments:a,gpuBytes:l}=this.painter?.cost??Tr,u=new Set(t.map(({file:c})=>c));return{...this.meter.figures,gpuMilliseconds:n,passMilliseconds:s,visibleSplats:i,fragments:a,gpuBytes:l,splats:t.reduce((c,{info:d})=>c+d.numGaussians,0),width:this.size.width,height:this.size.height,pixelRatio:this.size.ratio,level:Math.max(0,...t.map(({level:c})=>c)),downloadedBytes:[...u].reduce((c,{loadedBytes:d})=>c+d,0),avatars:t.length,culledAvatars:o,poseDistance:this.composition.poseDistance(),adapter:this.adapter}}dispose(){Lr?.remove(this.tick);for(let t of this.observers)t.disconnect();for(let t of[...this.composition.members])t.dispose();this.painter?.dispose(),this.painter=void 0,Pe().leave(this)}changed(){this.isDirty=!0}moved(){this.composition.reframe(),this.changed()}remove(t){let{members:o}=this.composition;o.includes(t)&&o.splice(o.indexOf(t),1),this.painter?.remove(t),this.moved()}async replaced(t){this.composition.members.includes(t)&&await this.painter?.set(t,t.avatar),this.changed()}async attach(t,o){this.isLowered=o;let n=new Vt(t,this.canvas);for(let s of this.composition.members)await n.set(s,s.avatar);n.timesPasses=this.isTimingPasses,this.painter=n,this.inFlight=0,this.changed()}lower(){this.isLowered=!0,this.changed()}detach(t,o){this.painter?.dispose(!0),this.painter=void 0,this.emit("devicelost",{action:t,reason:o})}fail(t){this.emit("error",{error:E(t)})}emit(t,o){this.dispatchEvent(new CustomEvent(t,{detail:o}))}async join(t){this.composition.members.push(t);try{await this.painter?.set(t,t.avatar)}catch(o){throw this.remove(t),o}this.moved()}tick=t=>{let o=Number.isNaN(this.lastTick)?0:Math.max(0,t-this.lastTick)/1e3;if(this.lastTick=t,this.meter.tick(t),!this.isOnScreen){this.meter.interrupt();return}let{members:n}=this.composition,s=n.filter(a=>a.isMoving);for(let a of s)a.person.player.advance(o)&&this.emit("ended",{avatar:a});if(!this.painter||this.inFlight>=Ti)return;let i=this.composition.follow(o);if(s.length===0&&!i&&!this.isDirty){this.meter.interrupt();return}this.draw()&&(this.meter.picture(t,s.length>0,this.painter.cost.gpuMilliseconds),!(t-this.lastMeasure<Ii)&&(this.lastMeasure=t,this.painter.measure()))};compose(t,o){let{clientWidth:n,clientHeight:s}=this.canvas,i=this.meter.step.scale*(this.isLowered?Oi:1);this.size=fn(n,s,Math.min(devicePixelRatio,this.maxPixelRatio)*i);let a=this.meter.step.level+(this.isLowered?1:0);return this.composition.compose(t??this.size.width,o??this.size.height,a)}draw(){let t=this.compose(),{painter:o}=this;if(!(!o||!t))return this.isDirty=!1,o.present(t.camera,t.stage,t.shown),this.inFlight++,o.finished().then(()=>{o===this.painter&&(this.inFlight=Math.max(0,this.inFlight-1)),this.emit("frame",{frame:this.composition.members[0]?.frame??0})})}};var Rn=r=>typeof r=="number"&&Number.isFinite(r)&&r>=0;function Ni(r,e){if(typeof r!="object"||r===null)return;let{name:t,file:o,frames:n,fps:s}=r;if(!(typeof t!="string"||typeof o!="string"||!Rn(n)||!Rn(s)))return{name:t,frames:n,fps:s,source:new URL(o,e).href}}async function Nn(r){let e=new URL(r,document.baseURI).href,t=n=>new g("bad-motion",`${$(e)}: expected a list of {name, file, frames, fps}, found ${n}; export it again`),o;try{o=JSON.parse(await _t(e))}catch(n){throw n instanceof g?n:t("what is not JSON")}if(!Array.isArray(o)||o.length===0)throw t("no list");return o.map((n,s)=>{let i=Ni(n,e);if(!i)throw t(`row ${s} without them`);return i})}var On=r=>typeof r=="string"||r instanceof URL?new URL(r,document.baseURI).href:r,$t=class{index=-1;choices=[];get all(){return this.choices}fill(e){let t=this.choices[this.index],o=new Set(e.map(({source:n})=>n));this.choices=[...e,...this.choices.filter(({source:n})=>!o.has(n))],this.index=t?this.find(t.source):-1}choose(e,{name:t,frames:o,fps:n}){this.index=this.find(e),!(this.index>=0)&&(this.choices.push({name:t,frames:o,fps:n,source:On(e)}),this.index=this.choices.length-1)}find(e){return this.choices.findIndex(t=>t.source===On(e))}};var Bi=["frame","ended","devicelost","error"],Rr="#pose=",Bn="the avatar is not there yet: await `ready` first";function Cn(r,e){let t=document.createElement("a");t.href=URL.createObjectURL(r),t.download=e,t.click(),setTimeout(()=>URL.revokeObjectURL(t.href),1e4)}var Ht=class{constructor(e,t,o,n){this.element=e;this.canvas=t;this.wishes=o;this.listener=n}element;canvas;wishes;listener;scene;avatar;list=new $t;abort=new AbortController;async open(e,t){let{signal:o}=this.abort;await ze(),o.throwIfAborted();let n=typeof e=="string"||e instanceof URL?Pt(e,()=>{}):void 0;try{let s=this.wishes.motions===""?void 0:Nn(this.wishes.motions);s?.catch(()=>{});let i=await zt.open(this.canvas,this.wishes);o.aborted&&i.dispose(),o.throwIfAborted(),this.scene=i,this.wishes.poseLink&&addEventListener("hashchange",()=>this.goneTo(),{signal:o});for(let u of Bi)i.addEventListener(u,c=>this.heard(c));let a=t??(await s)?.[0]?.source??null;await this.show(e,a,this.wishes.autoplay),this.wishes.pose!==null&&this.setPose(this.wishes.pose);let l=this.wishes.poseLink?this.followLink():void 0;return await i.render(),o.throwIfAborted(),this.listener.shown(this.info),l&&this.listener.failed(l,!0),this.fillList(s),this.info}finally{n?.release()}}dispose(){this.abort.abort(new DOMException("the avatar is not wanted any more","AbortError")),this.scene?.dispose(),this.scene=void 0,this.avatar=void 0}get info(){return this.shownAvatar.info}async setMotion(e){let t=await this.shownAvatar.setMotion(e);return this.list.choose(e,t),this.listener.changed(),t}setPose(e){this.shownAvatar.setPose(e),this.listener.changed()}setCamera(e){this.shownScene.setCamera(e)}screenshot(e){return this.shownScene.screenshot(e)}get shownScene(){if(!this.scene||!this.avatar)throw new Error(Bn);return this.scene}getPose(){return this.shownAvatar.getPose()}get shownAvatar(){if(!this.avatar)throw new Error(Bn);return this.avatar}get paused(){return this.avatar?.paused??!0}get frame(){return this.avatar?.frame??0}get last(){return Math.max(0,(this.avatar?.info.frames??1)-1)}get fps(){return this.avatar?.info.fps??1}get stats(){return this.scene?.stats??null}get motionList(){return this.list.all.map(({name:e,frames:t,fps:o})=>({name:e,frames:t,fps:o}))}get motionIndex(){return this.list.index}get details(){if(!this.avatar)return"";let{body:e,bodyLicense:t,generator:o}=this.avatar.info;return[e&&`Body: ${e}`,t,o].filter(Boolean).join(`
`)}get speed(){return this.avatar?.speed??1}set speed(e){this.shownAvatar.speed=e,this.listener.changed()}get background(){return this.scene?.background??"stage"}set background(e){this.element.setAttribute("background",e),this.listener.changed()}toggle(){this.paused?this.shownAvatar.play():this.shownAvatar.pause(),this.listener.changed()}play(){this.shownAvatar.play(),this.listener.changed()}pause(){this.shownAvatar.pause(),this.listener.changed()}seek(e){this.shownAvatar.seek(e),this.listener.changed()}chooseMotion(e){let t=this.list.all[e];t&&this.attempt(async()=>{let{name:o}=await this.useChoice(t);this.listener.said(`Motion: ${o}`)})}openFiles(e){this.attempt(async()=>{for(let t of e)/\.json$/i.test(t.name)?await this.setMotion(t):await this.exchange(t),this.listener.said(`Opened ${t.name}`)})}takePicture(){this.attempt(async()=>{Cn(await this.screenshot(),"avatar.png"),this.listener.said("Picture saved")})}toggleFullscreen(){this.attempt(()=>document.fullscreenElement?document.exitFullscreen():this.element.requestFullscreen())}timePasses(e){this.scene&&(this.scene.timesPasses=e)}turn(e,t){this.scene?.turn(e,t,1)}zoom(e){this.scene?.turn(0,0,e)}resetView(){this.scene?.setCamera(null)}get hasPoseLink(){return this.wishes.poseLink}editPose(e){this.shownAvatar.setPose(e),this.listener.passOn(new CustomEvent("pose",{detail:{pose:e}}))}holdView(e){this.scene&&(this.scene.isViewHeld=e)}savePose(e){Cn(new Blob([JSON.stringify([{frame_id:0,...e}])],{type:"application/json"}),"pose.pose.json"),this.listener.said("Pose saved")}openPose(e){this.attempt(async()=>{let{poses:t}=await ie(e);this.editPose(ne(t[0])),this.listener.said(`Opened ${e.name}`)})}async copyLink(e){let t=new URL(location.href);t.hash=Rr+e;try{return await navigator.clipboard.writeText(t.href),this.listener.said("Link copied"),!0}catch{return history.replaceState(history.state,"",t),this.listener.said("The link is in the address bar"),!1}}say(e){this.listener.said(e)}goneTo(){let e=this.avatar&&this.followLink();e&&this.listener.failed(e,!0)}followLink(){if(location.hash.startsWith(Rr))try{let{skeleton:e}=this.shownAvatar;this.setPose(ne(st(e,Lo(location.hash.slice(Rr.length)))));return}catch(e){return E(e)}}attempt(e){e().then(()=>this.listener.changed(),t=>this.abort.signal.aborted||this.listener.failed(E(t),!0))}async useChoice(e){return this.shownAvatar.useMotion(await ie(e.source,e.fps,e.name)),this.list.choose(e.source,e),e}async fillList(e){e&&this.attempt(async()=>this.list.fill(await e))}async show(e,t,o){let{loop:n,speed:s}=this.avatar??this.wishes,{signal:i}=this.abort,a={motion:t,autoplay:o,loop:n,signal:i,onProgress:u=>this.listener.progress(u)},l=await this.scene.add(e,a);l.speed=s,this.avatar=l,t!==null&&this.list.choose(t,l.motion)}async exchange(e){let t=this.avatar,o=this.list.all[this.list.index]?.source??null;await this.show(e,o,!this.paused),t?.dispose(),this.listener.shown(this.info)}heard(e){e instanceof CustomEvent&&e.type==="error"?this.listener.failed(e.detail.error,!1):this.listener.passOn(e)}};var Ci=["src","motion","poster","pose","background","speed","loop","controls"],Un="nothing is loaded: set `src` or call `load()` first",Ui=globalThis.HTMLElement??class{},Be=class extends Ui{static observedAttributes=Ci;error=null;ready=this.idle();frame_;controls_;session;isFirstPicture=!1;isWaiting=!1;last;constructor(){super();let e=this.attachShadow({mode:"open"});e.adoptedStyleSheets=[Zo,en].map(t=>{let o=new CSSStyleSheet;return o.replaceSync(t),o}),this.frame_=new xt(e,()=>this.retry())}get src(){return this.text("src")}set src(e){this.setAttribute("src",e)}get motion(){return this.text("motion")}set motion(e){this.setAttribute("motion",e)}get motions(){return this.text("motions")}set motions(e){this.setAttribute("motions",e)}get poster(){return this.text("poster")}set poster(e){this.setAttribute("poster",e)}get pose(){return this.hasAttribute("pose")?this.number("pose",0):null}set pose(e){e===null?this.removeAttribute("pose"):this.setAttribute("pose",String(e))}get background(){return this.text("background")||"stage"}set background(e){this.setAttribute("background",e)}get speed(){return this.number("speed",1)}set speed(e){this.setAttribute("speed",String(e))}get autoplay(){return this.hasAttribute("autoplay")}set autoplay(e){this.toggleAttribute("autoplay",e)}get loop(){return this.hasAttribute("loop")}set loop(e){this.toggleAttribute("loop",e)}get controls(){return this.hasAttribute("controls")}set controls(e){this.toggleAttribute("controls",e)}get complete(){return this.ready.then(()=>this.session?.avatar?.complete)}get info(){return this.session?.avatar?.info??null}get stats(){return this.session?.stats??null}get scene(){return this.session?.scene??null}get paused(){return this.session?.paused??!0}get frame(){return this.session?.frame??0}get motionList(){return this.session?.motionList??[]}load(e=this.src,t=this.motion||null){this.dispose(),this.last={source:e,motion:t},this.error=null,this.isFirstPicture=!0;let o=new Ht(this,this.frame_.canvas,this.wishes(),this.listener(()=>o===this.session));this.session=o,this.frame_.progress({phase:"loading",loaded:0,total:Number.NaN});let n=o.open(e,t).catch(s=>{throw o!==this.session?s:this.fail(E(s))});return n.catch(()=>{}),this.ready=n,n}setMotion(e){return this.opened.setMotion(e)}setPose(e){this.opened.setPose(e)}getPose(){return this.opened.getPose()}play(){this.opened.play()}pause(){this.opened.pause()}seek(e){this.opened.seek(e)}setCamera(e){this.opened.setCamera(e)}screenshot(e){return this.opened.screenshot(e)}dispose(){let{session:e}=this;this.session=void 0,e?.dispose(),this.controls_&&(this.controls_.isShown=!1),this.frame_.cover()}connectedCallback(){this.frame_.setPoster(this.poster),this.session||this.loadSoon()}disconnectedCallback(){queueMicrotask(()=>{this.isConnected||this.dispose()})}attributeChangedCallback(e,t,o){if(!(t===o||!this.isConnected)){if(e==="src")return this.loadSoon();if(e==="poster")return this.frame_.setPoster(this.poster);this.session?.avatar&&this.apply(e,this.session)}}handleKey(e){this.controls_?.isShown&&this.controls_.onKey(e)}apply(e,t){let{avatar:o,scene:n}=t;e==="motion"&&this.motion!==""?t.setMotion(this.motion).catch(s=>this.frame_.fail(E(s),!0)):e==="pose"?t.setPose(this.pose):e==="background"?n.background=this.background:e==="speed"?o.speed=this.speed:e==="loop"?o.loop=this.loop:e==="controls"&&this.showControls()}loadSoon(){this.isWaiting||(this.isWaiting=!0,this.ready=Promise.resolve().then(()=>(this.isWaiting=!1,this.isConnected&&this.src!==""?this.load():this.idle())),this.ready.catch(()=>{}))}retry(){Pe().forgive(),this.last&&this.load(this.last.source,this.last.motion).catch(()=>{})}wishes(){let e=matchMedia("(prefers-reduced-motion: reduce)").matches;return{background:this.background,targetFps:this.number("target-fps",60),maxPixelRatio:this.number("max-pixel-ratio",2),autoplay:this.autoplay&&!e,loop:this.loop,speed:this.speed,pose:this.pose,motions:this.motions,poseLink:this.hasAttribute("pose-link")}}listener(e){let t=o=>(...n)=>{e()&&o(...n)};return{shown:t(o=>this.shown(o)),progress:t(o=>{this.isFirstPicture&&this.frame_.progress(o),this.tell("progress",o)}),failed:t((o,n)=>{n?this.frame_.fail(o,!0):this.fail(o)}),passOn:t(o=>this.passOn(o)),changed:t(()=>this.controls_?.show()),said:t(o=>this.frame_.announce(o))}}shown(e){this.isFirstPicture=!1,this.frame_.reveal(),this.showControls(),this.tell("ready",{info:e})}showControls(){let{session:e}=this;!e||this.isFirstPicture||(this.controls&&this.controls_?.host!==e&&(this.controls_?.remove(),this.controls_=new wt(e,this,this.shadowRoot,this.frame_.canvas)),this.controls_&&(this.controls_.isShown=this.controls,this.controls_.show()))}passOn(e){e.type==="frame"&&this.controls_?.show(),this.tell(e.type,e.type==="ended"?null:e.detail)}fail(e){return console.error(e),this.dispose(),this.error=e,this.ready=Promise.reject(e),this.ready.catch(()=>{}),this.frame_.fail(e,!1),this.tell("error",{error:e}),e}tell(e,t){this.dispatchEvent(new CustomEvent(e,{detail:t}))}get opened(){if(!this.session)throw new Error(Un);return this.session}idle(){let e=Promise.reject(new g("internal",Un));return e.catch(()=>{}),e}text(e){return this.getAttribute(e)??""}number(e,t){let o=Number.parseFloat(this.text(e));return Number.isFinite(o)?o:t}};function Vn(){globalThis.customElements&&!customElements.get("mobile-avatar")&&customElements.define("mobile-avatar",Be)}var Vi="the avatar is not there yet: await mobavatar.ready first";function Or(r){if(r===null)throw new Error(Vi);return r}function Gi(){Vn();let r=document.querySelector("mobile-avatar");if(!(r instanceof Be))throw new Error("index.html has no <mobile-avatar>; it does not belong to this viewer.js");document.addEventListener("keydown",e=>{e.composedPath().includes(r)||r.handleKey(e)}),window.mobavatar={get ready(){return r.complete},setPose:e=>r.setPose(e),setCamera:e=>r.setCamera(e),play:()=>r.play(),renderOnce:async()=>Or(r.scene).render(),readPixels:async e=>Or(r.scene).readPixels(e),get info(){return Or(r.info)}}}Gi();})();
