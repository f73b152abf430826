// Uses the page in headless Chromium, as test_embed.py's plan tells it, and prints the page's state after each action as JSON.
import { readFile } from "node:fs/promises";
import { basename } from "node:path";

const [url, chromium, playwright, plan] = process.argv.slice(2);
const { chromium: browserType } = await import(playwright);
const { actions, width = 900, height = 720 } = JSON.parse(await readFile(plan, "utf8"));

const browser = await browserType.launch({
  executablePath: chromium,
  headless: true,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
  ],
});
const page = await browser.newPage({ viewport: { width, height } });
const problems = [];
const asked = [];
page.on("pageerror", (error) => problems.push(String(error)));
page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
page.on("request", (request) => asked.push(request.url()));
await page.goto(url);
await page.waitForFunction(() => document.getElementById("parity").textContent !== "checking", null, { timeout: 60_000 });

const ACTIONS = {
  look: () => {},
  clear: () => page.click("#clear"),
  async draw(path) {
    const box = await page.locator("#canvas").boundingBox();
    const at = ([x, y]) => [box.x + (x / 320) * box.width, box.y + (y / 320) * box.height];
    await page.mouse.move(...at(path[0]));
    await page.mouse.down();
    for (const point of path) await page.mouse.move(...at(point), { steps: 6 });
    await page.mouse.up();
  },
  async type(keys) {
    await page.focus("#clear");
    await page.keyboard.press("Shift+Tab"); // back to the canvas
    for (const key of keys) await page.keyboard.press(key);
  },
  open: (file) => page.setInputFiles("#file", file),
  async drop(file) {
    const bytes = [...(await readFile(file))];
    await page.evaluate(
      ([bytes, name]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(bytes)], name));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
      },
      [bytes, basename(file)],
    );
  },
  screenshot: (path) => page.screenshot({ path, fullPage: true }),
};

/** Once no answer is to come any more. */
async function settled() {
  await page.waitForTimeout(200);
  await page.waitForFunction(() => document.getElementById("bars").ariaBusy !== "true", null, { timeout: 60_000 });
  return page.evaluate(() => {
    const canvas = document.getElementById("canvas");
    const bytes = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    const text = (id) => document.getElementById(id).textContent;
    let binary = "";
    for (const byte of bytes) binary += String.fromCharCode(byte);
    return {
      ...Object.fromEntries(["answer", "said", "problem", "input", "latency", "parity", "model"].map((id) => [id, text(id)])),
      logits: JSON.parse(document.getElementById("answer").dataset.logits ?? "null"),
      shape: [canvas.height, canvas.width],
      bytes: btoa(binary),
      bars: Array.from(document.querySelectorAll("#bars li"), (row) => row.textContent),
      focused: document.activeElement.id,
      overflows: document.documentElement.scrollWidth > innerWidth,
    };
  });
}

const states = [];
for (const [action, argument] of actions) {
  await ACTIONS[action](argument);
  states.push(await settled());
}
await browser.close();
console.log(JSON.stringify({ states, problems, asked }));
