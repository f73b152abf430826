// A canvas to draw on, with a pointer or the keyboard, or to open a picture on. Its bytes are the model's input: nothing else is painted.

const PAPER = "rgb(184, 184, 184)"; // what the digits network was trained on: a faint warm pencil
const PENCIL = "rgb(176, 158, 140)";
const WIDTH = 28;
const SIDE = 320;
const STEP = 8; // of the arrow keys
const MOVES = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
const START = [SIDE / 2, SIDE / 4]; // of the keyboard's pen
const LARGEST = 100; // megapixels: far beyond, browsers lose a canvas without a word

export class Drawing {
  /** sheet: counts what was begun anew. blank: whether nothing is on it. */
  sheet = 0;
  blank = true;
  #picture = false; // whether it is one that was opened
  #at = null; // where the pen is
  #pointer = null; // which one is down
  #down = false; // the keyboard's pen
  #opening = 0; // counts what makes a picture that is still being decoded come too late

  /** mark: an element over the canvas that shows the keyboard's pen.  changed(): after every change.  say(text): what the pen does. */
  constructor(canvas, mark, { changed, say }) {
    Object.assign(this, { canvas, mark, changed, say });
    this.context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => event.pointerId === this.#pointer && this.#stroke(this.#place(event)));
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => event.pointerId === this.#pointer && (this.#pointer = null));
    }
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => (this.mark.hidden = true));
    this.#begin(SIDE, SIDE);
  }

  /** { width, height, data }: RGBA bytes, row by row. */
  get pixels() {
    return this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
  }

  clear() {
    this.#begin(SIDE, SIDE);
    this.blank = true;
    this.changed();
  }

  /** file: a Blob. Throws, and leaves what is there, for what is no picture; does nothing if something else was begun meanwhile. */
  async open(file) {
    const opening = (this.#opening += 1);
    try {
      const picture = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
      const { width, height } = picture;
      if (width * height > LARGEST * 1e6) throw new Error(`expected a picture of up to ${LARGEST} megapixels, got ${width} x ${height}`);
      if (opening !== this.#opening) return;
      this.#begin(width, height);
      this.context.drawImage(picture, 0, 0);
      picture.close();
    } catch (error) {
      if (opening === this.#opening) throw error;
      return;
    }
    this.blank = false;
    this.#picture = true;
    this.changed();
  }

  /** Paper below everything: the model drops alpha, and has to see what the eye sees. */
  #begin(width, height) {
    this.sheet += 1;
    this.#opening += 1;
    Object.assign(this.canvas, { width, height });
    this.context.fillStyle = PAPER;
    this.context.fillRect(0, 0, width, height);
    this.#at = null;
    this.#down = false;
    this.#pointer = null;
    this.#picture = false;
    this.mark.hidden = true;
  }

  /** A stroke is on paper of its own, not on a picture. */
  #paper() {
    if (this.#picture) this.#begin(SIDE, SIDE);
  }

  #stroke([x, y]) {
    this.#opening += 1;
    Object.assign(this.context, { strokeStyle: PENCIL, lineWidth: WIDTH, lineCap: "round", lineJoin: "round" });
    this.context.beginPath();
    this.context.moveTo(...(this.#at ?? [x, y]));
    this.context.lineTo(x, y);
    this.context.stroke();
    this.#at = [x, y];
    this.blank = false;
    this.changed();
  }

  #press(event) {
    if (event.button !== 0 || this.#pointer !== null) return;
    this.#paper();
    this.canvas.setPointerCapture(event.pointerId);
    this.mark.hidden = true;
    this.#pointer = event.pointerId;
    this.#down = false;
    this.#at = null;
    this.#stroke(this.#place(event));
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Escape") {
      this.clear();
    } else if (event.key === " ") {
      if (!event.repeat) this.#lift(!this.#down);
    } else if (event.key in MOVES) {
      const next = MOVES[event.key].map((move, axis) => Math.min(SIDE, Math.max(0, (this.#at ?? START)[axis] + move)));
      if (this.#down) this.#stroke(next);
      else this.#at = next;
    } else {
      return;
    }
    event.preventDefault();
    this.#show();
  }

  #lift(down) {
    const at = this.#at ?? START;
    this.say(`pen ${down ? "down" : "up"}`);
    if (down) this.#paper();
    this.#down = down;
    if (down) this.#stroke(at);
  }

  #show() {
    const [x, y] = this.#at ?? START;
    this.mark.hidden = false;
    this.mark.style.left = `${(100 * x) / SIDE}%`;
    this.mark.style.top = `${(100 * y) / SIDE}%`;
    this.mark.classList.toggle("down", this.#down);
  }
}
