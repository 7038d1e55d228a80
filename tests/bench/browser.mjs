/**
 * CPU time per frame of a whole browser, for our page's renderer and for other viewers; driven by browser.py.
 * `node browser.mjs JOB.json`: serves the job's folder, opens every viewer in a headless Chromium of its own, lets the
 * camera go around the person at every size, and prints one line of JSON. Linux: CPU time is read from /proc.
 */
import { execFileSync } from "node:child_process";
import { createReadStream } from "node:fs";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { gzipSync } from "node:zlib";

const PEERS = path.join(import.meta.dirname, "peers");
const require = createRequire(path.join(PEERS, "package.json"));
const { chromium } = require("playwright-core");
const esbuild = require("esbuild");

/** Package, module and its function that opens the viewer. */
const VIEWERS = {
  ours: [null, null, "open"],
  "PlayCanvas WebGL2": ["playcanvas", "playcanvas.js", "openWebgl2"],
  "PlayCanvas WebGPU": ["playcanvas", "playcanvas.js", "openWebgpu"],
  Spark: ["@sparkjsdev/spark", "spark.js", "open"],
  GaussianSplats3D: ["@mkkellogg/gaussian-splats-3d", "gaussian_splats_3d.js", "open"],
  "gsplat.js": ["gsplat", "gsplat.js", "open"],
};
const TYPES = { ".html": "text/html", ".js": "text/javascript" };
/** With these headers a page may use SharedArrayBuffer: one peer's sorting is faster with it. */
const HEADERS = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
const OPEN_SECONDS = 60;
const PAGE = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<style>body{margin:0}canvas{display:block}</style><div><canvas id="canvas"></canvas></div><script type="module" src="page.js"></script>`;

/** Runs in the page: the camera goes around the person until the time is over; one picture at a time. */
function pageSource(module, open) {
  return `import { ${open} as open } from ${JSON.stringify(module)};
const canvas = document.getElementById("canvas");
let subject, turn = 0;
window.bench = {
  async open(view, pixels) {
    canvas.width = canvas.height = pixels;
    canvas.style.width = canvas.style.height = pixels + "px";
    subject = await open(canvas, view);
    subject.setSize(pixels);
  },
  setSize(pixels) {
    canvas.style.width = canvas.style.height = pixels + "px";
    subject.setSize(pixels);
  },
  async run(view, seconds, least) {
    const started = performance.now();
    let frames = 0;
    while (frames < least || performance.now() - started < 1000 * seconds) {
      turn += view.step;
      await new Promise((done) => requestAnimationFrame(done));
      await subject.frame([view.target[0] + view.distance * Math.sin(turn), view.target[1] + view.height, view.target[2] + view.distance * Math.cos(turn)]);
      frames++;
    }
    return frames;
  },
};`;
}

function serve(folder, page) {
  const files = { "/": [".html", PAGE], "/page.js": [".js", page] };
  const server = createServer(async (request, response) => {
    const known = files[request.url];
    if (known) return response.writeHead(200, { ...HEADERS, "Content-Type": TYPES[known[0]] }).end(known[1]);
    const file = path.join(folder, path.basename(request.url));
    const found = await stat(file).catch(() => undefined);
    if (!found?.isFile()) return response.writeHead(404).end();
    response.writeHead(200, { ...HEADERS, "Content-Type": "application/octet-stream", "Content-Length": found.size });
    createReadStream(file).pipe(response);
  });
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done({ server, url: `http://localhost:${server.address().port}/` })));
}

const TICKS = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** CPU milliseconds that the process and all that descend from it have used so far. */
async function cpuMs(root) {
  const parents = new Map();
  const used = new Map();
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const text = await readFile(`/proc/${name}/stat`, "utf8").catch(() => ""); // it may have ended meanwhile
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    if (fields.length < 15) continue;
    parents.set(Number(name), Number(fields[1]));
    used.set(Number(name), Number(fields[11]) + Number(fields[12]));
  }
  let ticks = 0;
  for (const [pid, own] of used) {
    let at = pid;
    while (at && at !== root) at = parents.get(at);
    if (at === root) ticks += own;
  }
  return (1000 * ticks) / TICKS;
}

function within(seconds, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took more than ${seconds} s`)), 1000 * seconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function measureSizes(tab, job, pid, name) {
  const cpu = {};
  const frames = {};
  for (const size of job.sizes) {
    await tab.setViewportSize({ width: size, height: size });
    await tab.evaluate((pixels) => window.bench.setSize(pixels), size);
    const run = (seconds, least) =>
      within(OPEN_SECONDS, tab.evaluate(([view, s, n]) => window.bench.run(view, s, n), [job.view, seconds, least]), `${name} at ${size} px`);
    await run(job.warm_seconds, 2);
    const before = await cpuMs(pid);
    const drawn = await run(job.seconds, 2);
    cpu[size] = Math.round((10 * ((await cpuMs(pid)) - before)) / drawn) / 10;
    frames[size] = drawn;
    if (job.shots) {
      const drawing = run(2, 2); // a page that stands still gives Chromium nothing to capture
      await tab.screenshot({ path: path.join(job.shots, `${name.replaceAll(" ", "_")}_${size}.png`) });
      await drawing;
    }
  }
  return { cpu_ms_per_frame: cpu, frames };
}

async function measure(name, page, job) {
  const { server, url } = await serve(job.folder, page);
  const browser = await chromium.launchServer({ executablePath: job.chromium, args: job.flags, timeout: 1000 * OPEN_SECONDS });
  try {
    const opened = await chromium.connect(browser.wsEndpoint());
    const tab = await opened.newPage();
    const problems = [];
    tab.on("pageerror", (error) => problems.push(error.message));
    tab.on("console", (line) => line.type() === "error" && problems.push(line.text()));
    await tab.goto(url);
    await tab.waitForFunction(() => "bench" in window, null, { timeout: 1000 * OPEN_SECONDS });
    await within(OPEN_SECONDS, tab.evaluate(([view, pixels]) => window.bench.open(view, pixels), [job.view, job.sizes[0]]), `opening ${name}`);
    const result = await measureSizes(tab, job, browser.process().pid, name);
    if (problems.length > 0) throw new Error(problems.join("; "));
    return { ...result, chromium: opened.version() };
  } finally {
    await browser.kill();
    server.close();
  }
}

async function buildPage(job, [, file, open]) {
  const module = file ? path.join(PEERS, file) : job.ours;
  const built = await esbuild.build({
    stdin: { contents: pageSource(module, open), resolveDir: PEERS },
    bundle: true,
    format: "esm",
    minify: true,
    write: false,
    logLevel: "error",
  });
  return built.outputFiles[0].text;
}

async function main(job) {
  const results = {};
  for (const [name, viewer] of Object.entries(VIEWERS)) {
    const version = viewer[0] ? require(path.join(PEERS, "node_modules", viewer[0], "package.json")).version : undefined;
    const started = Date.now();
    const page = await buildPage(job, viewer);
    const measured = await measure(name, page, job).catch((error) => ({ failed: error.message }));
    results[name] = { ...(version && { version }), kb_gzip: Math.round(gzipSync(page, { level: 9 }).length / 100) / 10, ...measured };
    console.error(`${name}: ${JSON.stringify(results[name])} (${Math.round((Date.now() - started) / 1000)} s)`);
  }
  await writeFile(job.out, JSON.stringify(results));
}

const job = process.argv[2];
if (job === undefined) throw new Error("usage: node browser.mjs JOB.json");
await main(JSON.parse(await readFile(job, "utf8")));
