// What a JavaScript program needs of a bundle: its golden samples (NumPy's .npy files, version 1), what the manifest promises of them, and
// the comparison.

const ARRAYS = { "|u1": Uint8Array, "<u2": Uint16Array, "<f4": Float32Array, "<f8": Float64Array };
const TYPES = { "|u1": "uint8", "<u2": "uint16", "<f4": "float32", "<f8": "float64" };

/** bytes: an ArrayBuffer or Uint8Array. Returns { type, shape, data }, data a typed array. Throws for what is no such file. */
export function parseNpy(bytes) {
  const view = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
  const text = new TextDecoder();
  if (view.length < 10 || view[0] !== 0x93 || text.decode(view.subarray(1, 6)) !== "NUMPY" || view[6] !== 1) {
    throw new Error("expected a .npy file of version 1, got something else");
  }
  const start = 10 + view[8] + 256 * view[9];
  const header = text.decode(view.subarray(10, start));
  const dtype = /'descr': '([^']+)'/.exec(header)?.[1];
  const sides = /'shape': \(([\d, ]*)\)/.exec(header)?.[1];
  if (!(dtype in ARRAYS) || sides === undefined || !header.includes("'fortran_order': False")) {
    throw new Error(`expected an array in C order and in one of ${Object.values(TYPES).join(", ")}, got ${header.trim()}`);
  }
  const shape = sides.split(",").filter((side) => side.trim()).map(Number);
  const width = ARRAYS[dtype].BYTES_PER_ELEMENT;
  if (view.length - start !== shape.reduce((product, side) => product * side, width)) {
    throw new Error("expected as many bytes as the shape says, got another number");
  }
  return { type: TYPES[dtype], shape, data: new ARRAYS[dtype](new Uint8Array(view.subarray(start)).buffer) };
}

/** Of manifest.json's object: [name, scale] of each output, and how far answers may be from the golden ones, relative to the scale. */
function promise(manifest) {
  const { scale, tolerance } = manifest.report.power;
  const outputs = manifest.contract.outputs.map(({ name }) => [name, scale[name]]);
  for (const [name, value] of outputs) if (!(value > 0)) throw new Error(`expected a scale above 0 of ${name}, got ${value}`);
  return { outputs, tolerance };
}

/** got: a Tensor of onnxruntime; expected: of parseNpy. Infinite where a value is not finite, or the shape is another. */
export function distance(got, expected) {
  const same = got.dims.length === expected.shape.length && got.dims.every((side, axis) => side === expected.shape[axis]);
  if (!same || got.data.length === 0) return Infinity;
  let worst = 0;
  for (let i = 0; i < got.data.length; i++) {
    const difference = Math.abs(got.data[i] - expected.data[i]);
    if (!Number.isFinite(difference)) return Infinity;
    worst = Math.max(worst, difference);
  }
  return worst;
}

/** ort: onnxruntime-node or onnxruntime-web; read(name): the bytes of a file of the bundle. Returns { samples: [{ name, error, best }],
 *  worst, tolerance, passed }. best: the class of the first picture, by the first output. */
export async function checkGolden(ort, session, manifest, read) {
  const { outputs, tolerance } = promise(manifest);
  const [other] = manifest.contract.other_inputs;
  if (other) throw new Error(`expected a model that takes pixels alone, got one that takes ${other.name}, too`);
  const samples = [];
  for (const name of manifest.golden) {
    const pixels = parseNpy(await read(`golden/${name}/pixels.npy`));
    const answers = await session.run({ pixels: new ort.Tensor(pixels.type, pixels.data, pixels.shape) }); // that is all
    let error = 0;
    for (const [output, scale] of outputs) {
      const expected = parseNpy(await read(`golden/${name}/${manifest.golden_files[output]}`));
      error = Math.max(error, distance(answers[output], expected) / scale);
    }
    const { data } = answers[outputs[0][0]];
    const first = data.subarray(0, data.length / (pixels.shape[0] || 1));
    samples.push({ name, error, best: first.indexOf(first.reduce((most, value) => Math.max(most, value), -Infinity)) });
  }
  if (samples.length === 0) throw new Error("expected golden samples in the manifest, got none");
  const worst = Math.max(...samples.map(({ error }) => error));
  return { samples, worst, tolerance, passed: worst <= tolerance };
}

/** Runs every case of a conformance suite with models (export/conformance/README.md). read(name): the bytes of a file of it; say(text): one
 *  that is wrong. Returns { cases, wrong }, how many. */
export async function checkConformance(ort, read, say) {
  const json = async (name) => JSON.parse(new TextDecoder().decode(await read(name)));
  const { cases } = await json("index.json");
  await read(`${cases[0]}/model.onnx`).catch(() => {
    throw new Error("expected a suite with models, as python -m tests.conformance --models FOLDER writes it");
  });
  let wrong = 0;
  for (const name of cases) {
    const { tolerance } = await json(`${name}/spec.json`);
    const [input, expected] = [parseNpy(await read(`${name}/input.npy`)), parseNpy(await read(`${name}/output.npy`))];
    const scale = expected.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
    let error = Infinity;
    let reason = "";
    try {
      const session = await ort.InferenceSession.create(await read(`${name}/model.onnx`));
      const answers = await session.run({ [session.inputNames[0]]: new ort.Tensor(input.type, input.data, input.shape) });
      error = distance(answers[session.outputNames[0]], expected) / scale;
    } catch (problem) {
      reason = `, ${problem.message}`;
    }
    if (error <= tolerance) continue;
    wrong += 1;
    say(`${name}: error ${error.toExponential(1)}, tolerance ${tolerance.toExponential(1)}${reason}`);
  }
  return { cases: cases.length, wrong };
}
