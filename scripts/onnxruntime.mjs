// Pack ONNX Runtime Web for pages that are opened from disk, for `scripts/vendor.py`:
//
//     node scripts/onnxruntime.mjs FOLDER OUTPUT
//
// FOLDER holds node_modules/ with onnxruntime-web and esbuild. A page on disk can load
// scripts, but neither modules nor WebAssembly. So the runtime becomes a script, ort.js, and
// its WebAssembly (one thread, no GPU) a text in another, wasm.js: gzip in base64.

import crypto from "node:crypto";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import zlib from "node:zlib";

const [folder, output] = process.argv.slice(2).map((name) => path.resolve(name));
const dist = path.join(folder, "node_modules", "onnxruntime-web", "dist");
const { version } = JSON.parse(fs.readFileSync(path.join(dist, "..", "package.json")));
const esbuild = createRequire(path.join(folder, "package.json"))("esbuild");
const note = (change) => `/* ONNX Runtime Web ${version}, MIT, ${change} by scripts/onnxruntime.mjs. */`;

await esbuild.build({
  entryPoints: [path.join(dist, "ort.wasm.bundle.min.mjs")],
  banner: { js: note("modified: made a script") },
  bundle: true,
  define: { "import.meta.url": "document.baseURI" },
  external: ["module", "worker_threads"], // of Node.js
  format: "iife",
  globalName: "ort",
  legalComments: "none",
  minify: true,
  outfile: path.join(output, "ort.js"),
  target: "es2022",
});

const wasm = fs.readFileSync(path.join(dist, "ort-wasm-simd-threaded.wasm"));
const packed = zlib.gzipSync(wasm, { level: 9 }).toString("base64");
const hash = crypto.createHash("sha256").update(wasm).digest("hex");
const script = `${note("packed")}\n/* SHA-256 of ort-wasm-simd-threaded.wasm: ${hash} */\nwindow.onnxruntimeWasm = "${packed}";\n`;
fs.writeFileSync(path.join(output, "wasm.js"), script);

// The package names its licence, and does not bring it along.
const licence = path.join(import.meta.dirname, "templates", "onnxruntime-license.txt");
fs.copyFileSync(licence, path.join(output, "LICENSE"));
