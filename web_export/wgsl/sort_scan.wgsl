// Radix sort, second of three dispatches per digit: exclusive prefix sum of the histogram, in place.
// Reads:  sort_digit, histogram
// Writes: histogram: the first target index of each digit of each block
// One workgroup in all; an invocation sums a run of consecutive entries. Twin: scan in tests/wgsl/twins.py

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

@group(0) @binding(0) var<uniform> model: Model;
@group(0) @binding(1) var<uniform> sort_digit: SortDigit;
@group(0) @binding(2) var<storage, read_write> histogram: array<u32>;

var<workgroup> sums: array<u32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
  let count = 16u * sort_digit.num_groups;
  let run = (count + THREADS - 1u) / THREADS;
  let first = min(thread * run, count);
  let end = min(first + run, count);
  var sum = 0u;
  for (var i = first; i < end; i++) {
    sum += histogram[i];
  }
  sums[thread] = sum;
  workgroupBarrier();
  if (thread == 0u) {
    var total = 0u;
    for (var i = 0u; i < THREADS; i++) {
      let value = sums[i];
      sums[i] = total;
      total += value;
    }
  }
  workgroupBarrier();
  var offset = sums[thread];
  for (var i = first; i < end; i++) {
    let value = histogram[i];
    histogram[i] = offset;
    offset += value;
  }
}
