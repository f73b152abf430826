// What a JavaScript program needs of a bundle: its golden samples (NumPy's .npy files, version 1) and what the manifest promises of them.

const ARRAYS = { "|u1": Uint8Array, "<u2": Uint16Array, "<i8": BigInt64Array, "<f4": Float32Array, "<f8": Float64Array };

/** bytes: an ArrayBuffer or Uint8Array. Returns { shape, data }, data a typed array. Throws for what is no such file. */
export function parseNpy(bytes) {
  const view = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
  const text = new TextDecoder();
  if (view.length < 10 || view[0] !== 0x93 || text.decode(view.subarray(1, 6)) !== "NUMPY" || view[6] !== 1) {
    throw new Error("expected a .npy file of version 1, got something else");
  }
  const start = 10 + view[8] + 256 * view[9];
  const header = text.decode(view.subarray(10, start));
  const dtype = /'descr': '([^']+)'/.exec(header)?.[1];
  const sides = /'shape': \(([^)]*)\)/.exec(header)?.[1];
  if (!(dtype in ARRAYS) || sides === undefined || !header.includes("'fortran_order': False")) {
    throw new Error(`expected an array in C order and in one of ${Object.keys(ARRAYS).join(", ")}, got ${header.trim()}`);
  }
  const shape = sides.split(",").filter((side) => side.trim()).map(Number);
  const data = new ARRAYS[dtype](new Uint8Array(view.subarray(start)).buffer);
  if (data.length !== shape.reduce((product, side) => product * side, 1)) {
    throw new Error("expected as many values as the shape says, got another number");
  }
  return { shape, data };
}

/** Of manifest.json's object: the first output, and how far answers may be from the golden ones, relative to the largest output. */
export function promise(manifest) {
  const output = manifest.contract.outputs[0].name;
  const { scale, tolerance } = manifest.report.power;
  return { output, scale: scale[output], tolerance };
}

/** Infinite where a value is not finite or the lengths differ. */
export function distance(got, expected, scale) {
  if (got.length !== expected.length) return Infinity;
  let worst = 0;
  for (let i = 0; i < got.length; i++) {
    const difference = Math.abs(got[i] - expected[i]);
    if (!Number.isFinite(difference)) return Infinity;
    worst = Math.max(worst, difference);
  }
  return worst / scale;
}

/** ort: onnxruntime-node or onnxruntime-web; read(name): the bytes of a file of the bundle. Returns [{ name, error, best }]. */
export async function checkGolden(ort, session, manifest, read) {
  const { output, scale } = promise(manifest);
  const found = [];
  for (const name of manifest.golden) {
    const pixels = parseNpy(await read(`golden/${name}/pixels.npy`));
    const expected = parseNpy(await read(`golden/${name}/${output.replace(/[^A-Za-z0-9_-]/g, "_")}.npy`));
    const answers = await session.run({ pixels: new ort.Tensor("uint8", pixels.data, pixels.shape) }); // that is all
    const values = answers[output].data;
    found.push({ name, error: distance(values, expected.data, scale), best: values.indexOf(Math.max(...values)) });
  }
  return found;
}
