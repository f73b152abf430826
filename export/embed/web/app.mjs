// A bundle in a browser, through onnxruntime-web: the canvas's RGBA bytes go into model.onnx, nothing prepared. See README.md.
import { checkGolden } from "../bundle.mjs";
import { Drawing } from "./drawing.mjs";

const RUNTIME = new URL("../node_modules/onnxruntime-web/dist/", import.meta.url).href;
const BARS = 10; // the largest, where there are more classes
const QUIET = 700; // milliseconds without a change, then the answer is read out

const find = (id) => document.getElementById(id);
const model = { ort: null, session: null, manifest: null, running: false, again: false };
let quiet = 0;

const drawing = new Drawing(find("canvas"), find("mark"), { changed: classify, say: (text) => tell("said", text) });

function tell(id, text, kind = "") {
  find(id).textContent = text;
  find(id).className = kind;
}

/** Whether an answer is still to come. */
function busy(value) {
  find("bars").setAttribute("aria-busy", String(value));
}

/** One at a time, and always the newest. */
async function classify() {
  tell("problem", "");
  if (drawing.blank) reset();
  if (model.running) model.again = true;
  if (!model.session) busy(false);
  if (!model.session || model.running || drawing.blank) return;
  model.running = true;
  busy(true);
  try {
    do {
      model.again = false;
      await answer();
    } while (model.again && !drawing.blank);
  } catch (error) {
    reset();
    tell("problem", error.message, "failed");
  } finally {
    model.running = false;
  }
}

async function answer() {
  const { sheet } = drawing;
  const { width, height, data } = drawing.pixels;
  const pixels = new model.ort.Tensor("uint8", new Uint8Array(data.buffer), [1, height, width, 4]); // that is all
  const start = performance.now();
  const answers = await model.session.run({ pixels });
  const took = performance.now() - start;
  if (sheet !== drawing.sheet) return; // cleared, or something else opened since
  show(Array.from(answers[model.manifest.contract.outputs[0].name].data));
  tell("input", `uint8, 1 × ${height} × ${width} × 4`);
  tell("latency", `${took.toFixed(1)} ms`);
}

function reset() {
  clearTimeout(quiet);
  busy(false);
  tell("answer", "?", "empty");
  delete find("answer").dataset.logits;
  tell("input", "–");
  tell("latency", "–");
  tell("said", "");
  const { manifest } = model;
  if (manifest) bars(Array.from({ length: manifest.contract.outputs[0].shape[1] }, () => 0));
}

/** Logits, or shares already. */
function softmax(values) {
  if (values.every((value) => value >= 0) && Math.abs(values.reduce((sum, value) => sum + value, 0) - 1) < 1e-3) return values;
  const most = values.reduce((largest, value) => Math.max(largest, value));
  const powers = values.map((value) => Math.exp(value - most));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => value / sum);
}

function show(logits) {
  const shares = softmax(logits);
  const best = shares.reduce((so, share, position) => (share > shares[so] ? position : so), 0);
  bars(shares, best);
  tell("answer", label(best));
  find("answer").dataset.logits = JSON.stringify(logits);
  clearTimeout(quiet);
  quiet = setTimeout(() => {
    busy(model.running);
    tell("said", `${label(best)}, ${percent(shares[best])}`);
  }, QUIET);
}

const label = (position) => String(model.manifest.contract.labels[position] ?? position);
const percent = (share) => `${(100 * share).toFixed(1)} %`;

function bars(shares, best = null) {
  let shown = [...shares.keys()];
  if (shown.length > BARS) shown = shown.sort((one, other) => shares[other] - shares[one]).slice(0, BARS);
  const rows = shown.map((position) => {
    const row = document.createElement("li");
    const [name, bar, number] = ["span", "progress", "span"].map((kind) => document.createElement(kind));
    name.textContent = label(position);
    bar.value = shares[position];
    bar.setAttribute("aria-hidden", "true"); // the number beside it says it
    number.textContent = best === null ? "" : percent(shares[position]);
    row.append(name, bar, number);
    row.classList.toggle("best", position === best);
    return row;
  });
  find("bars").replaceChildren(...rows);
}

async function open(file) {
  busy(true);
  try {
    await drawing.open(file);
  } catch (error) {
    busy(model.running);
    const known = error.message.startsWith("expected");
    tell("problem", known ? error.message : `expected a picture, got ${file?.name || "something else"}`, "failed");
  }
}

find("clear").addEventListener("click", () => drawing.clear());
find("file").addEventListener("change", async (event) => {
  if (event.target.files.length > 0) await open(event.target.files[0]);
  event.target.value = ""; // so that the same one can be opened again
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
addEventListener("dragleave", (event) => event.relatedTarget === null && document.body.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  open(event.dataTransfer.files[0]);
});

/** Raises where the page cannot feed the model. */
function checkContract({ input, outputs }) {
  const free = input.shape.length === 4 && [1, 2].every((axis) => typeof input.shape[axis] === "string");
  if (input.dtype !== "uint8" || input.layout !== "NHWC" || input.color !== "RGBA" || !free) {
    throw new Error(`expected a bundle that takes uint8 RGBA pixels of any size, NHWC, got ${input.dtype} ${input.color} ${input.shape.join(" × ")}`);
  }
  if (outputs[0].shape.length !== 2) throw new Error(`expected a classifier, got an output of shape ${outputs[0].shape.join(" × ")}`);
}

async function start() {
  try {
    const place = new URLSearchParams(location.search).get("bundle") ?? "../../digits-web";
    const bundle = new URL(`${place.replace(/\/$/, "")}/`, location.href);
    const read = async (name) => {
      const got = await fetch(new URL(name, bundle));
      if (!got.ok) throw new Error(`${new URL(name, bundle).pathname}: ${got.status} ${got.statusText}`);
      return got.arrayBuffer();
    };
    const manifest = JSON.parse(new TextDecoder().decode(await read("manifest.json")));
    checkContract(manifest.contract);
    const ort = await import(`${RUNTIME}ort.wasm.min.mjs`);
    ort.env.wasm.wasmPaths = RUNTIME;
    ort.env.wasm.numThreads = 1;
    const session = await ort.InferenceSession.create(await read("model.onnx"), { executionProviders: ["wasm"] });
    Object.assign(model, { ort, session, manifest });
    tell("model", `${manifest.contract.name}, onnxruntime-web ${ort.env.versions.web}`);
    await classify(); // what was drawn while it was loading
    const { samples, worst, tolerance, passed } = await checkGolden(ort, session, manifest, read);
    const numbers = `error ${worst.toExponential(1)}, tolerance ${tolerance.toExponential(1)}`;
    tell("parity", `${passed ? "passed" : "failed"}: ${samples.length} samples, ${numbers}`, passed ? "passed" : "failed");
  } catch (error) {
    if (!model.session) tell("model", `not loaded: ${error.message}`, "failed");
    tell("parity", model.session ? `failed: ${error.message}` : "not checked", "failed");
  }
}

await start();
