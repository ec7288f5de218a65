// Bundle the parts of MathJax that this book uses, for `scripts/vendor.py`:
//
//     node scripts/mathjax.mjs FOLDER OUTPUT
//
// FOLDER holds node_modules/ with mathjax-full and esbuild. MathJax ships its parts
// compiled for browsers of 2015; from its TypeScript sources, compiled for those of
// 2018, they weigh 40 % less. A macro that is not among them is shown as an error.

import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [folder, output] = process.argv.slice(2).map((name) => path.resolve(name));
const mathjax = path.join(folder, "node_modules", "mathjax-full");
const { version } = JSON.parse(fs.readFileSync(path.join(mathjax, "package.json")));
const esbuild = createRequire(path.join(folder, "package.json"))("esbuild");

const EXTENSIONS = {
  ams: "Ams", bbox: "Bbox", boldsymbol: "Boldsymbol", braket: "Braket", cancel: "Cancel",
  color: "Color", configmacros: "ConfigMacros", enclose: "Enclose", newcommand: "Newcommand",
  unicode: "Unicode",
};
// In this order: `require` keeps it, where imports would all come first.
const entry = `
  require("./components/src/startup/init.js");
  const { Loader } = require("./js/components/loader.js");
  Loader.preLoad("loader", "startup", "core", "input/tex", "output/chtml",
                 "output/chtml/fonts/tex.js", "a11y/assistive-mml");
  require("./components/src/core/core.js");
  require("./components/src/input/tex-base/lib/tex-base.js");
  ${Object.entries(EXTENSIONS).map(([folder, name]) =>
    `require("./js/input/tex/${folder}/${name}Configuration.js");`).join("\n")}
  require("./components/src/input/tex/register.js")
    .registerTeX(${JSON.stringify(["base", ...Object.keys(EXTENSIONS)])});
  require("./components/src/output/chtml/chtml.js");
  require("./components/src/output/chtml/fonts/tex/tex.js");
  require("./components/src/a11y/assistive-mml/assistive-mml.js");
  require("./components/src/startup/startup.js");
`;

// Components import compiled files, js/….js: read the sources, ts/….ts, instead.
const sources = {
  name: "sources",
  setup(build) {
    build.onResolve({ filter: /^\..*\.js$/ }, ({ resolveDir, path: name }) => {
      const inside = path.relative(mathjax, path.resolve(resolveDir, name));
      const source = path.join(mathjax, inside.replace(/^js\b/, "ts").replace(/\.js$/, ".ts"));
      return fs.existsSync(source) ? { path: source } : undefined;
    });
  },
};

await esbuild.build({
  stdin: { contents: entry, resolveDir: mathjax },
  banner: { js: `/* MathJax ${version}, Apache-2.0, modified: bundled by scripts/mathjax.mjs. */` },
  bundle: true,
  define: { __dirname: '""', global: "window" },
  legalComments: "none",
  minify: true,
  outfile: path.join(output, "mathjax.js"),
  plugins: [sources],
  target: "es2018",
  // MathJax was written for this meaning of class fields.
  tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } },
});
