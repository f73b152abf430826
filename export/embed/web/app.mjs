// A bundle in a page, through onnxruntime-web: a canvas's RGBA bytes into model.onnx, nothing prepared. See README.md.
import * as ort from "../node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";

import { checkGolden, promise } from "../bundle.mjs";

ort.env.wasm.wasmPaths = new URL("../node_modules/onnxruntime-web/dist/", import.meta.url).href;
ort.env.wasm.numThreads = 1;

const PAPER = "rgb(184, 184, 184)"; // what the digits network was trained on: a faint warm pencil
const PENCIL = "rgb(176, 158, 140)";
const WIDTH = 28;
const SIDE = 320;
const STEP = 8; // of the arrow keys
const MOVES = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

const bundle = new URL(new URLSearchParams(location.search).get("bundle") ?? "../../digits-web/", location.href);
const find = (id) => document.getElementById(id);
const canvas = find("canvas");
const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
const state = { session: null, manifest: null, pen: null, down: false, keyboard: false, asked: 0, shown: 0, running: false };

async function read(name) {
  const answer = await fetch(new URL(name, bundle));
  if (!answer.ok) throw new Error(`${new URL(name, bundle).pathname}: ${answer.status} ${answer.statusText}`);
  return answer.arrayBuffer();
}

function clear() {
  canvas.width = canvas.height = SIDE;
  context.fillStyle = PAPER;
  context.fillRect(0, 0, SIDE, SIDE);
  state.pen = null;
  state.keyboard = false;
  state.shown = state.asked; // what is still being answered is not shown
  tell("answer", "–");
  delete find("answer").dataset.logits;
  find("bars").replaceChildren();
}

function stroke(x, y) {
  if (canvas.width !== SIDE || canvas.height !== SIDE) {
    const { keyboard } = state;
    clear(); // a picture was there
    state.keyboard = keyboard;
  }
  const from = state.pen ?? [x, y];
  Object.assign(context, { strokeStyle: PENCIL, lineWidth: WIDTH, lineCap: "round", lineJoin: "round" });
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(x, y);
  context.stroke();
  state.pen = [x, y];
}

/** One at a time, and always the newest. */
async function classify() {
  state.asked += 1;
  if (!state.session || state.running) return;
  state.running = true;
  try {
    for (let done = state.shown; done < state.asked; ) {
      done = state.asked;
      await answer(done);
    }
  } catch (error) {
    tell("answer", `error: ${error.message}`);
  } finally {
    state.running = false;
  }
}

async function answer(asked) {
  const { width, height } = canvas;
  const bytes = context.getImageData(0, 0, width, height).data;
  const pixels = new ort.Tensor("uint8", new Uint8Array(bytes.buffer), [1, height, width, 4]); // that is all
  const start = performance.now();
  const answers = await state.session.run({ pixels });
  const took = performance.now() - start;
  if (asked <= state.shown) return; // cleared since
  const logits = Array.from(answers[promise(state.manifest).output].data);
  show(logits);
  tell("input", `uint8, 1 x ${height} x ${width} x 4`);
  tell("latency", `${took.toFixed(1)} ms`);
}

function show(logits) {
  const most = Math.max(...logits);
  const powers = logits.map((value) => Math.exp(value - most));
  const sum = powers.reduce((total, value) => total + value, 0);
  const labels = state.manifest.contract.labels;
  const best = logits.indexOf(most);
  const bars = logits.map((_, position) => {
    const row = document.createElement("li");
    const share = powers[position] / sum;
    const [label, bar, number] = ["span", "progress", "span"].map((kind) => document.createElement(kind));
    label.textContent = labels[position] ?? position;
    bar.value = share;
    bar.setAttribute("aria-label", `${label.textContent}: ${(100 * share).toFixed(1)} %`);
    number.textContent = `${(100 * share).toFixed(1)} %`;
    row.append(label, bar, number);
    row.classList.toggle("best", position === best);
    return row;
  });
  find("bars").replaceChildren(...bars);
  tell("answer", String(labels[best] ?? best));
  find("answer").dataset.logits = JSON.stringify(logits);
}

async function open(file) {
  try {
    const picture = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    canvas.width = picture.width;
    canvas.height = picture.height;
    context.drawImage(picture, 0, 0);
    state.pen = null;
    state.keyboard = false;
    classify();
  } catch (error) {
    clear();
    tell("input", `expected a picture, got ${file.name || "something else"}`);
  }
}

function tell(id, text, kind) {
  find(id).textContent = text;
  if (kind) find(id).className = kind;
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height];
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  state.down = true;
  state.pen = null;
  stroke(...place(event));
  classify();
});
canvas.addEventListener("pointermove", (event) => {
  if (!state.down) return;
  stroke(...place(event));
  classify();
});
for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (state.down = false));

canvas.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    clear();
    return;
  }
  if (event.key === " ") {
    state.keyboard = !state.keyboard;
    if (state.keyboard) stroke(...(state.pen ?? [SIDE / 2, SIDE / 4]));
  } else if (event.key in MOVES) {
    const [x, y] = state.pen ?? [SIDE / 2, SIDE / 4];
    const next = MOVES[event.key].map((move, axis) => Math.min(SIDE, Math.max(0, [x, y][axis] + move)));
    if (state.keyboard) stroke(...next);
    else state.pen = next;
  } else {
    return;
  }
  event.preventDefault();
  canvas.setAttribute("aria-label", `Drawing area, pen ${state.keyboard ? "down" : "up"} at ${state.pen.map(Math.round).join(", ")}`);
  if (state.keyboard) classify();
});

find("clear").addEventListener("click", clear);
find("file").addEventListener("change", (event) => event.target.files.length && open(event.target.files[0]));
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
addEventListener("dragleave", () => document.body.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  if (event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
});

async function start() {
  clear();
  try {
    state.manifest = JSON.parse(new TextDecoder().decode(await read("manifest.json")));
    state.session = await ort.InferenceSession.create(await read("model.onnx"), { executionProviders: ["wasm"] });
    tell("model", `${state.manifest.contract.name}, onnxruntime-web ${ort.env.versions.web}`);
    if (state.asked > state.shown) await classify(); // drawn while it was loading
    const found = await checkGolden(ort, state.session, state.manifest, read);
    const worst = Math.max(...found.map(({ error }) => error));
    const { tolerance } = promise(state.manifest);
    const verdict = found.length > 0 && worst <= tolerance ? "passed" : "failed";
    const numbers = `error ${worst.toExponential(1)}, tolerance ${tolerance.toExponential(1)}`;
    tell("parity", `${verdict}: ${found.length} samples, ${numbers}`, verdict);
  } catch (error) {
    tell("model", `not loaded: ${error.message}`, "failed");
    tell("parity", "not checked", "failed");
  }
}

await start();
