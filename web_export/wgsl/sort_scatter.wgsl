// Radix sort, third of three dispatches per digit: every pair goes to its place, equal digits keep their order.
// Reads:  model, sort_digit, pairs, histogram (after the scan)
// Writes: sorted
// One workgroup per block, 16 consecutive pairs per invocation. Twin: scatter in tests/wgsl/twins.py

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
@group(0) @binding(3) var<storage, read> histogram: array<u32>;
@group(0) @binding(4) var<storage, read_write> sorted: array<vec2u>;

var<workgroup> counters: array<u32, 2048>;  // [8 digit pairs][256 threads], two 16-bit counters per word
var<workgroup> partial: array<u32, 256>;  // [8 digit pairs][32 segments of 8 threads]
var<workgroup> first_target: array<u32, 16>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  for (var pair = 0u; pair < 8u; pair++) {
    counters[pair * THREADS + thread] = 0u;
  }
  if (thread < 16u) {
    first_target[thread] = histogram[thread * sort_digit.num_groups + group.x];
  }
  let first = (group.x * THREADS + thread) * ITEMS;
  let end = min(first + ITEMS, model.num_gaussians);
  for (var i = first; i < end; i++) {
    let digit = (pairs[i].x >> sort_digit.shift) & 15u;
    counters[(digit / 2u) * THREADS + thread] += 1u << (16u * (digit % 2u));
  }
  workgroupBarrier();

  // exclusive prefix over the threads, both counters of a word at once (a block has 4096 pairs: no overflow)
  let column = (thread / 32u) * THREADS + (thread % 32u) * 8u;
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
    for (var i = 0u; i < 32u; i++) {
      let value = partial[thread * 32u + i];
      partial[thread * 32u + i] = total;
      total += value;
    }
  }
  workgroupBarrier();

  for (var i = first; i < end; i++) {
    let item = pairs[i];
    let digit = (item.x >> sort_digit.shift) & 15u;
    let place = (digit / 2u) * THREADS + thread;
    let bit = 16u * (digit % 2u);
    let rank = ((counters[place] + partial[(digit / 2u) * 32u + thread / 8u]) >> bit) & 0xffffu;
    counters[place] += 1u << bit;
    sorted[min(first_target[digit] + rank, model.num_gaussians - 1u)] = item;
  }
}
