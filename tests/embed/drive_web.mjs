// Draws on the page in headless Chromium, as test_embed.py tells it, and prints what the page answers as JSON.
import { readFile } from "node:fs/promises";

const [url, chromium, playwright, plan] = process.argv.slice(2);
const { chromium: browserType } = await import(playwright);
const { strokes, picture, screenshot, keys } = JSON.parse(await readFile(plan, "utf8"));

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
const page = await browser.newPage({ viewport: { width: 900, height: 720 } });
const problems = [];
const asked = [];
page.on("pageerror", (error) => problems.push(String(error)));
page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
page.on("request", (request) => asked.push(request.url()));
await page.goto(url);
await page.waitForFunction(() => !["checking"].includes(document.getElementById("parity").textContent), null, { timeout: 60_000 });

async function settled() {
  await page.waitForTimeout(300);
  return page.evaluate(() => {
    const canvas = document.getElementById("canvas");
    const bytes = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    const text = (id) => document.getElementById(id).textContent;
    return {
      answer: text("answer"),
      logits: JSON.parse(document.getElementById("answer").dataset.logits ?? "null"),
      input: text("input"),
      latency: text("latency"),
      parity: text("parity"),
      model: text("model"),
      shape: [canvas.height, canvas.width],
      bytes: btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")),
      bars: Array.from(document.querySelectorAll("#bars li"), (row) => row.textContent),
      label: canvas.getAttribute("aria-label"),
      focused: document.activeElement.id,
    };
  });
}

const found = { first: await settled(), drawn: [] };
for (const path of strokes ?? []) {
  await page.click("#clear");
  const box = await page.locator("#canvas").boundingBox();
  const at = ([x, y]) => [box.x + (x / 320) * box.width, box.y + (y / 320) * box.height];
  await page.mouse.move(...at(path[0]));
  await page.mouse.down();
  for (const point of path) await page.mouse.move(...at(point), { steps: 6 });
  await page.mouse.up();
  found.drawn.push(await settled());
}
if (screenshot) await page.screenshot({ path: screenshot });
if (keys) {
  await page.click("#clear");
  await page.keyboard.press("Shift+Tab"); // back to the canvas
  for (const key of keys) await page.keyboard.press(key);
  found.typed = await settled();
}
if (picture) {
  await page.setInputFiles("#file", picture);
  found.opened = await settled();
}
await browser.close();
console.log(JSON.stringify({ ...found, problems, asked }));
