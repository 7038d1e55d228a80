// Bundles src/main.ts and the page around it into dist/, the webcam's page into webcam/ (`npm run build`), or tests and benchmarks into build/, or says how
// large the modules for other pages are (`--sizes`), or writes these modules into package/ for npm (`--package`).
// Output depends on the sources and the locked esbuild only, so that the committed dist/ can be checked byte by byte.
import { copyFile, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { execFileSync } from "node:child_process";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";

/** WGSL as text without comments and indentation (WGSL has neither strings nor block-comment-like operators). */
const wgsl = {
  name: "wgsl",
  setup(build) {
    build.onLoad({ filter: /\.wgsl$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      const bare = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/[^\n]*/g, "");
      const lines = bare.split("\n").map((line) => line.trim()).filter((line) => line !== "");
      return { contents: lines.join("\n"), loader: "text" };
    });
  },
};

/** The element's style sheets as text: they are put into a shadow root by the script. */
const css = {
  name: "css",
  setup(build) {
    build.onLoad({ filter: /ui\/.*\.css$/ }, async ({ path }) => {
      const { code } = await esbuild.transform(await readFile(path, "utf8"), { loader: "css", minify: true });
      return { contents: code, loader: "text" };
    });
  },
};

const common = { bundle: true, target: "es2022", plugins: [wgsl, css], logLevel: "warning", legalComments: "none" };

/** Bytes, minified and gzipped, of what an embedding page loads: scenes alone, and with the element and its controls. */
async function measure() {
  const sizes = {};
  for (const [name, entry] of [["core", "src/core.ts"], ["ui", "src/mobile-avatar.ts"]]) {
    const { outputFiles } = await esbuild.build({ ...common, entryPoints: [entry], format: "esm", minify: true, write: false });
    sizes[name] = gzipSync(outputFiles[0].contents, { level: 9 }).length;
  }
  console.log(JSON.stringify(sizes));
}

async function buildPage() {
  await rm("dist", { recursive: true, force: true });
  await mkdir("dist");
  // A classic script, not a module: a page opened from disk still runs it and can say why it cannot go on.
  await esbuild.build({ ...common, entryPoints: ["src/main.ts"], outfile: "dist/viewer.js", format: "iife", minify: true });
  await esbuild.build({ ...common, entryPoints: ["src/viewer.css"], outfile: "dist/viewer.css", minify: true });
  await copyFile("src/index.html", "dist/index.html");
  // Beside it what `mobavatar webcam` adds to an exported page; no page has it unasked.
  await rm("webcam", { recursive: true, force: true });
  await mkdir("webcam");
  await esbuild.build({ ...common, entryPoints: ["src/webcam/main.ts"], outfile: "webcam/webcam.js", format: "iife", minify: true });
  await esbuild.build({ ...common, plugins: [], entryPoints: ["src/webcam/webcam.css"], outfile: "webcam/webcam.css", minify: true });
  await copyFile("src/webcam/webcam.html", "webcam/webcam.html");
  for (const folder of ["dist", "webcam"]) {
    for (const name of (await readdir(folder)).sort()) {
      const bytes = await readFile(`${folder}/${name}`);
      console.log(`${folder}/${name}: ${bytes.length} bytes, ${gzipSync(bytes, { level: 9 }).length} gzipped`);
    }
  }
}

async function buildTests() {
  const names = (await readdir("test")).filter((name) => name.endsWith(".test.ts")).sort();
  await rm("build", { recursive: true, force: true });
  const entryPoints = names.map((name) => `test/${name}`);
  await esbuild.build({ ...common, entryPoints, outdir: "build", format: "esm", platform: "node", outExtension: { ".js": ".mjs" } });
}

/** Benchmarks that run the page's own sources outside a browser (tests/bench/runtime.py) or beside others (browser.py). */
async function buildBench() {
  const build = (name, options) =>
    esbuild.build({ ...common, ...options, entryPoints: [`../../tests/bench/${name}.ts`], format: "esm" });
  await build("dawn", { outfile: "build/dawn.mjs", platform: "node" });
  await build("ik", { outfile: "build/ik.mjs", platform: "node" });
  await build("ours", { outfile: "build/ours.js" });
}

/** The modules and their types for npm (`npm pack`). Only the entries' declarations are kept: they name nothing but api.ts. */
async function buildPackage() {
  await rm("package", { recursive: true, force: true });
  const entryPoints = ["src/mobile-avatar.ts", "src/core.ts"];
  await esbuild.build({ ...common, entryPoints, outdir: "package", format: "esm", minify: true });
  const options = ["--noEmit", "false", "--declaration", "--emitDeclarationOnly", "--rootDir", "../..", "--outDir", "build/types"];
  execFileSync("node_modules/.bin/tsc", ["-p", ".", ...options], { stdio: "inherit" });
  for (const name of ["mobile-avatar", "core", "api"])
    await copyFile(`build/types/web_export/viewer/src/${name}.d.ts`, `package/${name}.d.ts`);
  await copyFile("../../LICENSE", "package/LICENSE");
}

/** What tests/test_viewer_gpu.py drives in Chromium, as one script of the folder given. */
async function buildHarness() {
  const outfile = `${process.argv[3]}/gpu.js`;
  await esbuild.build({ ...common, entryPoints: ["test/gpu.ts"], outfile, format: "iife", globalName: "gpu" });
}

/** What tests/bench/bundle.py measures in Chromium, as one script of the folder given. */
async function buildLoad() {
  const outfile = `${process.argv[3]}/load.js`;
  await esbuild.build({ ...common, entryPoints: ["../../tests/bench/load.ts"], outfile, format: "iife", globalName: "load" });
}

/** What tests/bench/fuzz_bundle.py runs, as one module of the folder given. */
async function buildFuzz() {
  const outfile = `${process.argv[3]}/fuzz.mjs`;
  await esbuild.build({ ...common, entryPoints: ["../../tests/bench/fuzz.ts"], outfile, format: "esm", platform: "node" });
}

const builds = { "--fuzz": buildFuzz, "--load": buildLoad, "--package": buildPackage, "--tests": buildTests, "--bench": buildBench, "--sizes": measure, "--harness": buildHarness };
await (builds[process.argv[2]] ?? buildPage)();
