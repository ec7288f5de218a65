// The networks in ONNX Runtime: loaded when asked, on one thread, with no request outside.

const STATIC = new URL("..", document.currentScript.src);
const [GOES, GO] = [5, 1]; // a time is the best of so many goes of so many milliseconds

class Networks {
  // Load the scripts named (runtime, then files) and make a session of each network.
  static async load(scripts) {
    if (typeof WebAssembly !== "object") {
      throw new Error("The networks run on WebAssembly, which is off in this browser: switch it on for this page, and load it again.");
    }
    if (typeof DecompressionStream !== "function") {
      throw new Error("This browser is too old to unpack the networks: take a version of 2023 or later.");
    }
    for (const path of scripts) await loadScript(new URL(path, STATIC));
    try {
      return await Networks.start();
    } catch (error) {
      throw new Error(`The networks did not start (${error.message}): try a newer browser.`);
    }
  }

  static async start() {
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmBinary = await unpacked(onnxruntimeWasm);
    const sessions = {};
    for (const [name, file] of Object.entries(playgroundNetworks)) {
      sessions[name] = await ort.InferenceSession.create(await unpacked(file));
    }
    const networks = new Networks(sessions);
    await networks.answer(new Float32Array(784)); // the first runs are slow
    return networks;
  }

  constructor(sessions) {
    this.sessions = sessions;
  }

  // What each network says of an image of 784 pixels from 0 to 1: ten logits.
  async logits(name, pixels) {
    const session = this.sessions[name];
    const image = new ort.Tensor("float32", Float32Array.from(pixels), [1, 28, 28, 1]);
    const outputs = await session.run({ [session.inputNames[0]]: image });
    return Array.from(outputs[session.outputNames[0]].data);
  }

  // By network: ten probabilities, and the milliseconds of one image.
  async answer(pixels) {
    const answers = {};
    for (const name of Object.keys(this.sessions)) {
      let [logits, milliseconds] = [null, Infinity];
      for (let go = 0; go < GOES; go++) {
        let [runs, elapsed] = [0, 0];
        const start = performance.now(); // coarse: one run is too short to time
        while (elapsed < GO) {
          logits = await this.logits(name, pixels);
          [runs, elapsed] = [runs + 1, performance.now() - start];
        }
        milliseconds = Math.min(milliseconds, elapsed / runs);
      }
      answers[name] = { probabilities: softmax(logits), milliseconds };
    }
    return answers;
  }
}

function softmax(logits) {
  const most = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((total, power) => total + power);
  return powers.map((power) => power / sum);
}

function loadScript(url) {
  return new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src: url.href, onload: resolve });
    script.onerror = () => {
      script.remove();
      reject(new Error(`The file ${url.pathname.split("/").at(-1)} did not load: see that the book's folder is whole or the connection stands, and press the button again.`));
    };
    document.head.append(script);
  });
}

// The bytes of a text in base64 that holds a gzip file.
async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
