// The board: strokes by finger, pen or mouse, turned into an image as MNIST's were made.

const SIDE = 28; // pixels of an image
const BOX = 20; // the digit's longer side in it
const PEN = 2.6; // the width of its lines
const FINE = 4; // lines are drawn finer, then averaged
const SMALLEST = 0.06; // of the board: less than that is a dot
const FULLEST = 1 / 3; // share of ink: hardly a digit of MNIST has as much

class Board {
  // `changed` is called after each stroke.
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.clear();
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      canvas.setPointerCapture(event.pointerId);
      if (this.sample) this.clear();
      this.pen = event.pointerId;
      this.strokes.push([this.point(event)]);
      this.paint();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerId !== this.pen) return;
      const passed = event.getCoalescedEvents?.() ?? [];
      const points = (passed.length ? passed : [event]).map((each) => this.point(each));
      this.strokes.at(-1).push(...points);
      this.paint();
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => {
        if (event.pointerId !== this.pen) return;
        this.pen = null;
        changed();
      });
    }
  }

  // Where an event is, as shares of the board.
  point(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  clear() {
    [this.strokes, this.sample, this.pen] = [[], null, null];
    this.paint();
  }

  // Put an image of MNIST on the board, in place of strokes.
  choose(pixels) {
    this.clear();
    this.sample = pixels;
    this.paint();
  }

  paint() {
    const context = this.canvas.getContext("2d");
    const { width, height } = this.canvas;
    context.clearRect(0, 0, width, height);
    if (this.sample) paintImage(this.canvas, this.sample);
    context.strokeStyle = getComputedStyle(this.canvas).color;
    drawStrokes(context, this.strokes, width, 0, 0, 0.07 * width);
  }

  // The image that the networks get, or why there is none: {pixels} or {problem}.
  read() {
    if (this.sample) return { pixels: this.sample };
    if (!this.strokes.length) {
      return { problem: "Nothing is drawn: draw a digit on the board, or choose one below it." };
    }
    const pixels = imageOf(this.strokes);
    if (!pixels) {
      return { problem: "This is a dot: draw a digit that fills the board." };
    }
    if (pixels.reduce((sum, ink) => sum + ink) > FULLEST * pixels.length) {
      return { problem: "This is a blot and no digit: press Clear, and draw with single lines." };
    }
    return { pixels };
  }
}

// The digit's longer side becomes BOX pixels, and its centre of mass the image's middle.
function imageOf(strokes) {
  const [xs, ys] = [0, 1].map((axis) => strokes.flat().map((point) => point[axis]));
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const [width, height] = [Math.max(...xs) - left, Math.max(...ys) - top];
  const longest = Math.max(width, height);
  if (longest < SMALLEST) return null;
  const scale = (BOX - PEN) / longest;
  const start = [SIDE / 2 - scale * (left + width / 2), SIDE / 2 - scale * (top + height / 2)];
  const draft = render(strokes, scale, start);
  const moved = start.map((from, axis) => from + SIDE / 2 - centreOfMass(draft, axis));
  return render(strokes, scale, moved);
}

function render(strokes, scale, [x, y]) {
  const side = SIDE * FINE;
  const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  drawStrokes(context, strokes, scale * FINE, x * FINE, y * FINE, PEN * FINE);
  const { data } = context.getImageData(0, 0, side, side);
  const pixels = new Float32Array(SIDE * SIDE);
  for (let n = 0; n < side * side; n++) {
    const [row, column] = [Math.floor(n / side / FINE), Math.floor((n % side) / FINE)];
    pixels[row * SIDE + column] += data[4 * n + 3] / 255 / FINE ** 2;
  }
  return pixels;
}

function drawStrokes(context, strokes, scale, x, y, width) {
  Object.assign(context, { lineWidth: width, lineCap: "round", lineJoin: "round" });
  for (const stroke of strokes) {
    context.beginPath();
    // A point alone is a line, too: of no length.
    for (const [px, py] of [stroke[0], ...stroke]) context.lineTo(x + scale * px, y + scale * py);
    context.stroke();
  }
}

function centreOfMass(pixels, axis) {
  let [moment, mass] = [0, 0];
  pixels.forEach((ink, n) => {
    moment += ink * ((axis ? Math.floor(n / SIDE) : n % SIDE) + 0.5);
    mass += ink;
  });
  return moment / mass;
}

// Ink where the image has it, in the canvas' own colour.
function paintImage(canvas, pixels) {
  const small = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
  const context = small.getContext("2d");
  context.fillStyle = getComputedStyle(canvas).color;
  pixels.forEach((ink, n) => {
    context.globalAlpha = ink;
    context.fillRect(n % SIDE, Math.floor(n / SIDE), 1, 1);
  });
  const target = canvas.getContext("2d");
  target.imageSmoothingEnabled = false;
  target.clearRect(0, 0, canvas.width, canvas.height);
  target.drawImage(small, 0, 0, canvas.width, canvas.height);
}
