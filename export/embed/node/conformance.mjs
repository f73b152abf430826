// Runs every case of a conformance suite with models (export/conformance/README.md).
process.env.ORT_DISABLE_TELEMETRY ??= "1"; // read when onnxruntime is loaded, below
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { distance, parseNpy } from "../bundle.mjs";

const ort = (await import("onnxruntime-node")).default;

async function run(file, input) {
  const session = await ort.InferenceSession.create(file);
  const answers = await session.run({ [session.inputNames[0]]: new ort.Tensor(input.type, input.data, input.shape) });
  return answers[session.outputNames[0]];
}

async function main(suite) {
  const { cases } = JSON.parse(await readFile(join(suite, "index.json"), "utf8"));
  let wrong = 0;
  for (const name of cases) {
    const { tolerance } = JSON.parse(await readFile(join(suite, name, "spec.json"), "utf8"));
    const input = parseNpy(await readFile(join(suite, name, "input.npy")));
    const expected = parseNpy(await readFile(join(suite, name, "output.npy")));
    const scale = expected.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
    let error = Infinity;
    let reason = "";
    try {
      error = distance(await run(join(suite, name, "model.onnx"), input), expected) / scale;
    } catch (problem) {
      reason = `, ${problem.message}`;
    }
    if (error <= tolerance) continue;
    wrong += 1;
    console.log(`${name}: error ${error.toExponential(1)}, tolerance ${tolerance.toExponential(1)}${reason}`);
  }
  console.log(`${cases.length} cases, ${wrong} wrong`);
  return cases.length > 0 && wrong === 0 ? 0 : 1;
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
