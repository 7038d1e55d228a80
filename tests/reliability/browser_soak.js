// What browser_soak.py does to the page, run before the page's own script: counts what is made and given back, takes the
// graphics device away, calls the element's API at random.
(() => {
  const faults = [];
  addEventListener("error", (event) => faults.push(`uncaught: ${event.error?.stack ?? event.message}`));
  addEventListener("unhandledrejection", ({ reason }) => faults.push(`unhandled: ${reason?.stack ?? reason}`));

  // what is on the graphics device and on window and document

  const living = new Map(); // device -> (buffer or texture -> bytes)
  const owner = new WeakMap();
  let lastDevice;
  /** Milliseconds after its creation in which the next device is lost; undefined where it is not. */
  let loseNext;
  const request = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (...options) {
    const device = await request.apply(this, options);
    living.set(device, new Map());
    device.lost.then(() => living.delete(device));
    lastDevice = device;
    if (loseNext !== undefined) setTimeout(() => device.destroy(), loseNext);
    loseNext = undefined;
    return device;
  };
  for (const [name, sizeOf] of [
    ["createBuffer", ({ size }) => size],
    ["createTexture", ({ size }) => 4 * size[0] * size[1]],
    ["createQuerySet", ({ count }) => 8 * count],
  ]) {
    const create = GPUDevice.prototype[name];
    GPUDevice.prototype[name] = function (descriptor) {
      const made = create.call(this, descriptor);
      living.get(this)?.set(made, sizeOf(descriptor));
      owner.set(made, this);
      return made;
    };
  }
  for (const { prototype } of [GPUBuffer, GPUTexture, GPUQuerySet]) {
    const { destroy } = prototype;
    prototype.destroy = function () {
      living.get(owner.get(this))?.delete(this);
      return destroy.call(this);
    };
  }
  let listeners = 0;
  const { addEventListener: add, removeEventListener: remove } = EventTarget.prototype;
  const isKept = (target) => target === window || target === document;
  EventTarget.prototype.addEventListener = function (type, listener, options) {
    if (isKept(this ?? window)) {
      listeners++;
      if (options?.signal) add.call(options.signal, "abort", () => listeners--, { once: true });
    }
    return add.call(this ?? window, type, listener, options);
  };
  EventTarget.prototype.removeEventListener = function (type, listener, options) {
    if (isKept(this ?? window)) listeners--;
    return remove.call(this ?? window, type, listener, options);
  };

  // time

  let ahead = 0;
  const now = performance.now.bind(performance);
  performance.now = () => now() + ahead;
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

  /** Whole numbers below a bound, and choices, the same for the same seed (mulberry32). */
  function dice(seed) {
    const below = (bound) => {
      seed = (seed + 0x6d2b79f5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * bound);
    };
    return { below, pick: (list) => list[below(list.length)] };
  }

  function element(attributes = {}) {
    const made = document.createElement("mobile-avatar");
    const all = { src: "avatar.mobavatar", motion: "motion.pose.json", motions: "motions.json", controls: "", loop: "", "target-fps": "1", ...attributes };
    for (const [name, value] of Object.entries(all)) made.setAttribute(name, value);
    document.body.append(made);
    return made;
  }

  const CAMERA = { T_cam_world: [1, 0, 0, 0, 0, -1, 0, 0.9, 0, 0, -1, 3, 0, 0, 0, 1], K: [100, 0, 48, 0, 100, 64, 0, 0, 1], width: 96, height: 128 };

  /** The person alone, with all correctives. */
  async function picture(shown, pose) {
    await shown.ready;
    await shown.complete;
    shown.setPose(pose);
    shown.setCamera(CAMERA);
    return shown.scene.readPixels([0.2, 0.4, 0.6]);
  }

  const isSame = (a, b) => a.length === b.length && a.every((value, i) => value === b[i]);

  // 1. loads and disposals

  async function cycle(kind) {
    const shown = element();
    await shown.ready;
    await shown.complete;
    shown.seek(1.5);
    await shown.scene.render();
    if (kind % 3 === 1) {
      shown.handleKey(new KeyboardEvent("keydown", { key: "e" })); // poses by hand
      await shown.load();
      await shown.complete;
    }
    if (kind % 3 === 2) shown.dispose();
    shown.remove();
    await sleep(0);
  }

  async function cycles(first, count) {
    for (let i = first; i < first + count; i++) await cycle(i);
    for (let i = 0; i < 40 && document.querySelector("mobile-avatar") === null && living.size > 0; i++) await sleep(50); // the device closes
    // what is read back is given back a moment later: the least of some looks is what stays
    const looks = [];
    for (let i = 0; i < 5; i++) {
      await sleep(30);
      const bytes = [...living.values()].flatMap((made) => [...made.values()]);
      looks.push({ gpuBytes: bytes.reduce((sum, size) => sum + size, 0), gpuObjects: bytes.length });
    }
    const [least] = looks.sort((a, b) => a.gpuObjects - b.gpuObjects);
    return { ...least, devices: living.size, windowListeners: listeners };
  }

  // 2. losses of the device

  const MOMENTS = {
    rebuilding(_, { pick }) {
      loseNext = pick([0, 1, 5, 20, 60]); // its successor goes too, while it is being set up
      lastDevice.destroy();
    },
    async adding(shown, { below }) {
      const added = shown.scene.add("avatar.mobavatar");
      await sleep(below(30));
      lastDevice.destroy();
      (await added.catch(() => undefined))?.dispose();
    },
    async loading(shown, { below }) {
      shown.load().catch(() => undefined);
      await sleep(below(150));
      lastDevice.destroy();
    },
    async opening(shown, { pick }) {
      shown.dispose();
      loseNext = pick([0, 1, 5, 20, 60]);
      shown.load().catch(() => undefined);
      await sleep(100);
    },
    idle: () => lastDevice.destroy(),
    async drawing(shown) {
      const drawn = shown.scene.render();
      lastDevice.destroy();
      await drawn.catch(() => undefined);
    },
    async reading(shown) {
      const read = shown.scene.readPixels();
      lastDevice.destroy();
      await read.catch(() => undefined);
    },
  };

  async function losses(seed, count) {
    const { below, pick } = dice(seed);
    document.querySelector("mobile-avatar")?.remove();
    const shown = element();
    const expected = await picture(shown, 1);
    const tally = { survived: 0, askedForAnotherTry: 0, moments: {}, missed: [] };
    for (let i = 0; i < count; i++) {
      const moment = i < Object.keys(MOMENTS).length ? Object.keys(MOMENTS)[i] : pick(Object.keys(MOMENTS));
      if (below(2) === 0) ahead += 6 * 60_000; // the page forgets losses that lie far apart
      await MOMENTS[moment](shown, { below, pick });
      tally.moments[moment] = (tally.moments[moment] ?? 0) + 1;
      let found, trouble;
      const end = now() + 60_000;
      while (now() < end && !found) {
        await sleep(30);
        const again = shown.shadowRoot.querySelector("#message:not([hidden]) #retry:not([hidden])");
        if (again) {
          if (shown.error?.code !== "device-lost") trouble = `${shown.error?.code}: ${shown.error?.message}`;
          tally.askedForAnotherTry++;
          again.click();
        }
        try {
          found = await picture(shown, 1);
        } catch (error) {
          if (!["device-lost", "internal", undefined].includes(error.code) && error.name !== "AbortError") trouble ??= String(error.stack);
        }
      }
      if (found && isSame(found, expected) && !trouble) tally.survived++;
      else {
        tally.missed.push(`${i} ${moment}: ${trouble ?? (found ? "another picture" : `no picture (${shown.error?.message})`)}`);
        await shown.load().catch(() => undefined);
      }
    }
    return tally;
  }

  // 3. calls at random

  const wrong = [undefined, Number.NaN, Number.POSITIVE_INFINITY, -1, 1e9, "", "seven", {}, [], null, true];
  const CALLS = {
    load: (shown, { pick }, files) => shown.load(pick([undefined, "avatar.mobavatar", "small.mobavatar", new URL("small.mobavatar", document.baseURI), files.blob, files.buffer]), pick([undefined, null, "wave.pose.json"])),
    loadWrong: (shown, { pick }, files) => shown.load(pick(["absent.mobavatar", "http://[", files.broken, files.cut, "motion.pose.json"])),
    setMotion: (shown, { pick }) => shown.setMotion(pick(["motion.pose.json", "wave.pose.json", new URL("wave.pose.json", document.baseURI)])),
    setMotionWrong: (shown, { pick }) => shown.setMotion(pick(["absent.json", "http://[", new Blob(["[{}]"]), [], [{}], "avatar.mobavatar"])),
    setPose: (shown, { pick }) => shown.setPose(pick([0, 2, 10, null, shown.getPose()])),
    setPoseWrong: (shown, { pick }) => shown.setPose(pick([...wrong, { pose: [1] }, { pose: Array(165).fill(Number.NaN), Rh: [[1, 0, 0], [0, 1, 0], [0, 0, 1]], Th: [0, 0, 0] }])),
    getPose: (shown) => shown.getPose(),
    play: (shown) => shown.play(),
    pause: (shown) => shown.pause(),
    seek: (shown, { pick }) => shown.seek(pick([0, 1.5, 10, 99, ...wrong])),
    speed: (shown, { pick }) => (shown.speed = pick([0.25, 1, 16, ...wrong])),
    loop: (shown, { pick }) => (shown.loop = pick([true, false])),
    autoplay: (shown, { pick }) => (shown.autoplay = pick([true, false])),
    controls: (shown, { pick }) => (shown.controls = pick([true, false])),
    pose: (shown, { pick }) => (shown.pose = pick([0, 3, null, 1e6, -1, 1.5])),
    poster: (shown, { pick }) => (shown.poster = pick(["poster.jpg", "absent.jpg", "", "http://["])),
    background: (shown, { pick }) => (shown.background = pick(["stage", "transparent", "#123", "#123456", "rebeccapurple", "no colour", ""])),
    motion: (shown, { pick }) => (shown.motion = pick(["motion.pose.json", "wave.pose.json", "absent.json", ""])),
    src: (shown, { pick }) => (shown.src = pick(["avatar.mobavatar", "small.mobavatar", "absent.mobavatar", "", "http://["])),
    setCamera: (shown, { pick }) => shown.setCamera(pick([CAMERA, null, { yaw: 1 }, { pitch: -2, zoom: 0.5 }])),
    setCameraWrong: (shown, { pick }) => shown.setCamera(pick([...wrong, { yaw: Number.NaN }, { zoom: 0 }, { zoom: "x" }, { ...CAMERA, width: 0 }, { ...CAMERA, height: 1e6 }, { ...CAMERA, K: [1] }, { T_cam_world: 3 }])),
    screenshot: (shown, { pick }) => shown.screenshot(pick([undefined, { width: 20, height: 30 }, { type: "image/jpeg" }])),
    screenshotWrong: (shown, { pick }) => shown.screenshot(pick([{ width: 0 }, { width: 1e6, height: 10 }, { height: Number.NaN }, { width: 1.5 }, { type: "text/html" }, null])),
    render: (shown) => shown.scene?.render(),
    readPixels: (shown, { pick }) => shown.scene?.readPixels(pick([undefined, [1, 1, 1], [], [Number.NaN, 0, 0]])),
    add: async (shown, { pick }) => (await shown.scene?.add(pick(["avatar.mobavatar", "small.mobavatar", "absent.mobavatar"]), { position: [0.5, 0, 0] }))?.dispose(),
    addAndLeave: (shown) => (shown.scene?.avatars.length < 3 ? shown.scene.add("small.mobavatar", { motion: "wave.pose.json" }) : undefined),
    place: (shown, { pick }) => shown.scene?.avatars[0]?.place(pick([{ position: [0.1, 0, 0] }, { yaw: 1 }, {}, { yaw: Number.NaN }])),
    visible: (shown, { pick }) => shown.scene?.avatars[0] && (shown.scene.avatars[0].visible = pick([true, false])),
    read: (shown) => [shown.info, shown.stats, shown.frame, shown.paused, shown.motionList, shown.error, shown.scene?.stats],
    key: (shown, { pick }) => shown.handleKey(new KeyboardEvent("keydown", { key: pick([..."eimbprxf?+-wasd.,", " ", "Escape", "ArrowLeft", "End"]), bubbles: true })),
    move: (shown) => {
      const parent = shown.parentNode ?? document.body;
      shown.remove();
      parent.append(shown);
    },
    leave: async (shown) => {
      shown.remove();
      await sleep(0);
      document.body.append(shown);
    },
    size: (shown, { pick }) => (shown.style.width = pick(["", "0px", "50px", "33.3px"])),
    link: (_, { pick }) => (location.hash = pick(["#pose=", "#pose=%%%", "#pose=AAAA", ""])),
    drop: (shown, { pick }, files) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([pick([files.blob, files.broken, "[]"])], pick(["a.mobavatar", "b.pose.json"])));
      shown.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
    },
    lose: () => lastDevice?.destroy(),
    dispose: (shown) => shown.dispose(),
  };
  /** Words of what may be refused: everything else that is thrown is a mistake of ours. */
  const REFUSALS = ["AvatarError", "PoseError", "RangeError", "AbortError"];

  async function random(seed, count) {
    const rolled = dice(seed);
    const file = async (name) => (await fetch(name)).arrayBuffer();
    const buffer = await file("small.mobavatar");
    const files = { buffer, blob: new Blob([buffer]), broken: new Blob(["no avatar"]), cut: buffer.slice(0, buffer.byteLength / 2) };
    document.querySelector("mobile-avatar")?.remove();
    const shown = element({ "pose-link": "" });
    await shown.complete;
    const names = Object.keys(CALLS);
    const tally = { calls: 0, refused: 0, kinds: {}, mistakes: [] };
    const refuse = (name, error) => {
      const isKnown = REFUSALS.includes(error?.name) || /is not there yet|nothing is loaded|is not drawing|cannot write/.test(error?.message);
      if (isKnown && error.code !== "internal") tally.refused++;
      else tally.mistakes.push(`${name}: ${error?.stack ?? error}`);
    };
    let pending = [];
    for (let i = 0; i < count; i++) {
      const name = rolled.pick(names);
      tally.kinds[name] = (tally.kinds[name] ?? 0) + 1;
      tally.calls++;
      if (name === "lose") ahead += 6 * 60_000;
      try {
        const result = CALLS[name](shown, rolled, files);
        if (result instanceof Promise) pending.push(result.catch((error) => refuse(name, error)));
      } catch (error) {
        refuse(name, error);
      }
      if (rolled.below(3) === 0) await sleep(rolled.below(40));
      if (rolled.below(10) === 0) {
        await Promise.all(pending);
        pending = [];
      }
    }
    await Promise.all(pending);
    await sleep(500);
    tally.isSame = await agrees(shown).catch((error) => `${error?.stack ?? error}; the element: ${shown.error?.code} ${shown.error?.message}, ${shown.outerHTML}`);
    return tally;
  }

  /** Whether the element shows what a fresh one shows that is told the same. */
  async function agrees(shown) {
    location.hash = "";
    shown.style.width = "";
    for (const name of ["pose", "speed", "background", "pose-link"]) shown.removeAttribute(name);
    shown.handleKey(new KeyboardEvent("keydown", { key: "Escape" }));
    if (shown.src !== "small.mobavatar") shown.src = "avatar.mobavatar";
    await sleep(100); // what the attributes ask for has begun
    await shown.ready.catch(() => shown.load(shown.src, "motion.pose.json"));
    await shown.complete;
    await shown.setMotion("motion.pose.json");
    shown.pause();
    shown.seek(1.25);
    const own = shown.scene.avatars.find(({ frame }) => frame === 1.25);
    for (const other of shown.scene.avatars.filter((avatar) => avatar !== own)) other.dispose();
    own.place({ position: [0, 0, 0], yaw: 0 });
    own.visible = true;
    const pose = shown.getPose();
    const found = await picture(shown, pose);
    const source = shown.info.numGaussians === 400 ? "avatar.mobavatar" : "small.mobavatar";
    const fresh = element({ src: source });
    const expected = await picture(fresh, pose);
    fresh.remove();
    const isDrawn = found.some((value, i) => i % 4 === 0 && Math.abs(value - 51) > 20);
    return (isDrawn && isSame(found, expected)) || `another picture of ${source}: ${found.filter((value, i) => value !== expected[i]).length} values, drawn: ${isDrawn}`;
  }

  window.soak = { cycles, losses, random, faults, element, CAMERA };
})();
