// Radix sort, first of three dispatches per 4-bit digit: how often each digit occurs in each block of 4096 pairs.
// Reads:  model, sort_digit, pairs
// Writes: histogram [16 digits][blocks]
// One workgroup per block, 16 consecutive pairs per invocation. Twin: histogram in tests/wgsl/twins.py

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

struct SortDigit {
  shift: u32,
  num_groups: u32,
}

const THREADS = 256u;
const ITEMS = 16u;

@group(0) @binding(0) var<uniform> model: Model;
@group(0) @binding(1) var<uniform> sort_digit: SortDigit;
@group(0) @binding(2) var<storage, read> pairs: array<vec2u>;
@group(0) @binding(3) var<storage, read_write> histogram: array<u32>;

var<workgroup> counters: array<u32, 2048>;  // [8 digit pairs][256 threads], two 16-bit counters per word
var<workgroup> partial: array<u32, 256>;  // [8 digit pairs][32 segments of 8 threads]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  // each thread counts in its own column: no atomics
  for (var pair = 0u; pair < 8u; pair++) {
    counters[pair * THREADS + thread] = 0u;
  }
  let first = (group.x * THREADS + thread) * ITEMS;
  let end = min(first + ITEMS, model.num_gaussians);
  for (var i = first; i < end; i++) {
    let digit = (pairs[i].x >> sort_digit.shift) & 15u;
    counters[(digit / 2u) * THREADS + thread] += 1u << (16u * (digit % 2u));
  }
  workgroupBarrier();
  let pair = thread / 32u;
  let column = pair * THREADS + (thread % 32u) * 8u;
  var sum = 0u;
  for (var i = 0u; i < 8u; i++) {
    sum += counters[column + i];
  }
  partial[thread] = sum;
  workgroupBarrier();
  if (thread < 16u) {
    var total = 0u;
    for (var i = 0u; i < 32u; i++) {
      total += (partial[(thread / 2u) * 32u + i] >> (16u * (thread % 2u))) & 0xffffu;
    }
    histogram[thread * sort_digit.num_groups + group.x] = total;
  }
}
