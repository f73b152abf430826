// Runs every case of a conformance suite (export/conformance/README.md) whose steps are in a model.onnx beside it.
process.env.ORT_DISABLE_TELEMETRY ??= "1"; // read when onnxruntime is loaded, below
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { distance, parseNpy } from "../bundle.mjs";

const ort = (await import("onnxruntime-node")).default;
const DTYPES = { Uint8Array: "uint8", Uint16Array: "uint16", Float32Array: "float32" };

async function main(suite) {
  const { cases } = JSON.parse(await readFile(join(suite, "index.json"), "utf8"));
  let ran = 0;
  let wrong = 0;
  for (const name of cases.filter((name) => existsSync(join(suite, name, "model.onnx")))) {
    const { tolerance } = JSON.parse(await readFile(join(suite, name, "spec.json"), "utf8"));
    const input = parseNpy(await readFile(join(suite, name, "input.npy")));
    const expected = parseNpy(await readFile(join(suite, name, "output.npy"))).data;
    const session = await ort.InferenceSession.create(join(suite, name, "model.onnx"));
    const feed = new ort.Tensor(DTYPES[input.data.constructor.name], input.data, input.shape);
    const answers = await session.run({ [session.inputNames[0]]: feed });
    const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
    const error = distance(answers[session.outputNames[0]].data, expected, scale);
    ran += 1;
    if (error <= tolerance) continue;
    wrong += 1;
    console.log(`${name}: error ${error.toExponential(1)}, tolerance ${tolerance.toExponential(1)}`);
  }
  console.log(`${ran} cases, ${wrong} wrong`);
  return ran > 0 && wrong === 0 ? 0 : 1;
}

if (process.argv.length !== 3) {
  console.error("usage: node conformance.mjs FOLDER");
  process.exitCode = 2;
} else {
  try {
    process.exitCode = await main(process.argv[2]);
  } catch (error) {
    console.error(`error: ${error.message}`);
    process.exitCode = 1;
  }
}
