// A bundle in a Node program, through onnxruntime-node: raw pixels into model.onnx, nothing prepared. See README.md.
process.env.ORT_DISABLE_TELEMETRY ??= "1"; // read when onnxruntime is loaded, below
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { checkConformance, checkGolden } from "../bundle.mjs";

const ort = (await import("onnxruntime-node")).default;

async function golden(bundle) {
  const read = (name) => readFile(join(bundle, name));
  const manifest = JSON.parse(await read("manifest.json"));
  const session = await ort.InferenceSession.create(join(bundle, "model.onnx"));
  const { samples, worst, tolerance, passed } = await checkGolden(ort, session, manifest, read);
  for (const { name, error, best } of samples) console.log(`${name.padEnd(20)} class ${best}, error ${error.toExponential(1)}`);
  console.log(`${samples.length} golden samples: error ${worst.toExponential(1)}, tolerance ${tolerance.toExponential(1)}`);
  return passed;
}

async function conformance(suite) {
  const { cases, wrong } = await checkConformance(ort, (name) => readFile(join(suite, name)), console.log);
  console.log(`${cases} cases, ${wrong} wrong`);
  return cases > 0 && wrong === 0;
}

const [first, second, ...more] = process.argv.slice(2);
const suite = first === "--conformance";
if (!first || more.length > 0 || suite !== (second !== undefined)) {
  console.error("usage: node classify.mjs BUNDLE\n       node classify.mjs --conformance FOLDER");
  process.exitCode = 2;
} else {
  try {
    process.exitCode = (await (suite ? conformance(second) : golden(first))) ? 0 : 1;
  } catch (error) {
    console.error(`error: ${error.message}`);
    process.exitCode = 1;
  }
}
