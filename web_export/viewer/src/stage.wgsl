// Draws the page's backdrop, which the splats are blended over: a light wall, a floor with faint lines, soft shadows
// under the feet; or one colour, which may let the page shine through. Only the page has it; pictures that are compared
// with other renderers are drawn over plain colours.
// Reads:  view, stage
// Writes: the canvas, premultiplied
// One fragment per pixel (one triangle that covers the screen).

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

struct Stage {
  up: vec4f,  // world axis that points up, height of the floor along it
  center: vec4f,  // where the floor is brightest, radius at which it has faded; 0: the colour instead of the room
  shadows: array<vec4f, 3>,  // point that casts a shadow, its radius on the floor
  color: vec4f,  // premultiplied
}

const LINE_SPACING = 0.5;  // metres
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

// Shadow and lines of the floor, each as the share of light that they take. `fwidth` must run for every pixel, so that
// pixels without floor are computed too and masked at the end.
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
  let is_floor = height > 0.0 && fall > 1e-3;  // not from below, not above the horizon
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
  let thinning = clamp(0.35 / footprint, vec2f(0.0), vec2f(1.0));  // lines closer than pixels melt into grey
  let lines = max(cover.x * thinning.x, cover.y * thinning.y);
  let from_center = point - stage.center.xyz;
  let fade = 1.0 - smoothstep(0.25, 1.0, length(from_center - dot(up, from_center) * up) / stage.center.w);
  return select(vec2f(0.0), vec2f(1.0 - clear, LINE_STRENGTH * fade * lines), is_floor);
}

@fragment
fn fragment(@builtin(position) position: vec4f) -> @location(0) vec4f {
  let shade = floor_shade(position.xy);
  // half a step of noise, or the gradient shows its 8-bit steps
  let noise = fract(52.9829189 * fract(dot(position.xy, vec2f(0.06711056, 0.00583715)))) - 0.5;
  let room = vec4f(wall(position.xy) * (1.0 - shade.x) * (1.0 - shade.y) + noise / 255.0, 1.0);
  return select(room, stage.color, stage.center.w == 0.0);
}
