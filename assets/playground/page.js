// The page: what is drawn or chosen goes to the networks, and their answers to the tables.

const NAMES = { dense: "dense LeNet-5", small: "the small network" };
const find = (name) => document.getElementById(`playground-${name}`);
const root = document.getElementById("playground");

let networks = null;
let latest = 0; // the number of the latest question: older answers are dropped
const board = new Board(find("board"), ask);

async function ask() {
  const question = ++latest;
  const { pixels, problem } = board.read();
  paintImage(find("seen"), pixels ?? new Float32Array(784));
  if (problem || !networks) {
    showAnswers(null);
    say(problem ?? "To see what the networks say of it, press “Load the networks”.");
    return;
  }
  const answers = await networks.answer(pixels);
  if (question === latest) showAnswers(answers);
}

function say(text) {
  find("answer").textContent = text;
}

function showAnswers(answers) {
  Object.keys(NAMES).forEach((name, column) => {
    const probabilities = answers?.[name].probabilities;
    const best = answers && bestOf(probabilities);
    [...find("probabilities").rows].forEach((row, digit) => {
      const cell = row.cells[column + 1];
      cell.textContent = answers ? percent(probabilities[digit]) : "";
      cell.style.setProperty("--share", answers ? probabilities[digit] : 0);
      cell.className = digit === best ? "best" : "";
    });
    find("time").cells[column + 1].textContent = answers ? answers[name].milliseconds.toFixed(2) : "–";
  });
  if (answers) say(sentence(answers));
}

function sentence(answers) {
  const [dense, small] = Object.keys(NAMES).map((name) => {
    const best = bestOf(answers[name].probabilities);
    return { best, says: `${NAMES[name]} with ${percent(answers[name].probabilities[best])}` };
  });
  return dense.best === small.best
    ? `Both say ${dense.best}: ${dense.says}, ${small.says}.`
    : `They differ: ${dense.says} says ${dense.best}, ${small.says} says ${small.best}.`;
}

const bestOf = (numbers) => numbers.indexOf(Math.max(...numbers));
const percent = (share) => (share > 0.9995 ? "> 99.9 %" : `${(100 * share).toFixed(1)} %`);

async function load() {
  const button = find("load");
  const label = button.textContent;
  button.disabled = true;
  button.textContent = "Loading the networks …";
  try {
    networks = await Networks.load(root.dataset.scripts.split(" "));
  } catch (error) {
    [button.disabled, button.textContent] = [false, label];
    say(error.message);
    return;
  }
  const focused = document.activeElement === button || document.activeElement === document.body;
  button.hidden = true;
  find("time").hidden = false;
  if (focused) root.querySelector(".playground-samples button").focus({ preventScroll: true });
  ask();
}

function addSamples() {
  root.dataset.samples.split(" ").forEach((text, digit) => {
    const pixels = Float32Array.from(atob(text), (character) => character.charCodeAt(0) / 255);
    const canvas = Object.assign(document.createElement("canvas"), { width: 28, height: 28 });
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.setAttribute("aria-label", `Choose a ${digit}`);
    button.append(canvas);
    button.addEventListener("click", () => {
      board.choose(pixels);
      ask();
    });
    root.querySelector(".playground-samples").append(button);
    button.paint = () => paintImage(canvas, pixels);
  });
}

// Everything in the ink of the page's theme, light or dark.
function paint() {
  board.paint();
  for (const button of root.querySelectorAll(".playground-samples button")) button.paint();
  paintImage(find("seen"), board.read().pixels ?? new Float32Array(784));
}

document.getElementById("fig-playground").hidden = true;
root.hidden = false;
addSamples();
paint();
new MutationObserver(paint).observe(document.documentElement, { attributeFilter: ["data-theme"] });
find("load").addEventListener("click", load);
find("clear").addEventListener("click", () => {
  board.clear();
  ask();
});
