// A bundle in a Node program, through onnxruntime-node: raw pixels into model.onnx, nothing prepared. See README.md.
process.env.ORT_DISABLE_TELEMETRY ??= "1"; // read when onnxruntime is loaded, below
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { checkGolden } from "../bundle.mjs";

const ort = (await import("onnxruntime-node")).default;

async function main(bundle) {
  const manifest = JSON.parse(await readFile(join(bundle, "manifest.json"), "utf8"));
  const session = await ort.InferenceSession.create(join(bundle, "model.onnx"));
  const { samples, worst, tolerance, passed } = await checkGolden(ort, session, manifest, (name) => readFile(join(bundle, name)));
  for (const { name, error, best } of samples) console.log(`${name.padEnd(20)} class ${best}, error ${error.toExponential(1)}`);
  console.log(`${samples.length} golden samples: error ${worst.toExponential(1)}, tolerance ${tolerance.toExponential(1)}`);
  return passed ? 0 : 1;
}

if (process.argv.length !== 3) {
  console.error("usage: node classify.mjs BUNDLE");
  process.exitCode = 2;
} else {
  try {
    process.exitCode = await main(process.argv[2]);
  } catch (error) {
    console.error(`error: ${error.message}`);
    process.exitCode = 1;
  }
}
