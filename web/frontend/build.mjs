// Bundles the pages' scripts into static/dist, and brings the typefaces there, with the
// licences of what is in them.
import { build } from "esbuild";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const out = new URL("../../static/dist/", import.meta.url);
const here = new URL(".", import.meta.url);

// What several scripts share, and what a page loads later, is in chunks. Their names
// have a hash of their content, so those of the last build would stay beside the new.
rmSync(new URL("chunks/", out), { recursive: true, force: true });
// xterm.js writes the styles of elements as attributes, in one place. The pages' rules let
// a script set them one by one, and nothing else.
const xterm = {
  name: "xterm",
  setup(build) {
    build.onLoad({ filter: /@xterm\/xterm\/lib\/xterm\.mjs$/ }, ({ path }) => {
      const parts = readFileSync(path, "utf8").split(/\.setAttribute\("style",(`[^`]*`)\)/);
      if (parts.length !== 3) throw new Error("xterm.js sets styles otherwise than it did");
      return { contents: `${parts[0]}.style.cssText=${parts[1]}${parts[2]}` };
    });
  },
};
const result = await build({
  absWorkingDir: here.pathname,
  entryPoints: ["src/site.ts", "src/lab.ts"],
  outdir: out.pathname,
  chunkNames: "chunks/[name]-[hash]",
  bundle: true,
  splitting: true,
  loader: { ".css": "text" },
  plugins: [xterm],
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  metafile: true,
});

// The Latin letters of each are enough for pages in English.
const fonts = [
  ["@fontsource-variable/inter", "inter"],
  ["@fontsource-variable/jetbrains-mono", "jetbrains-mono"],
];
mkdirSync(new URL("fonts/", out), { recursive: true });
for (const [name, font] of fonts) {
  cpSync(new URL(`node_modules/${name}/files/${font}-latin-wght-normal.woff2`, here), new URL(`fonts/${font}.woff2`, out));
}

const packages = new Set(fonts.map(([name]) => name));
for (const input of Object.keys(result.metafile.inputs)) {
  const m = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
  if (m) packages.add(m[1]);
}
const notices = [...packages].sort().map((name) => {
  const dir = new URL(`node_modules/${name}/`, here);
  const { version } = JSON.parse(readFileSync(new URL("package.json", dir), "utf8"));
  const licence = readdirSync(dir).find((f) => /^licen[cs]e/i.test(f));
  if (!licence) throw new Error(`${name} ${version} comes without a licence text`);
  return `${name} ${version}\n\n${readFileSync(new URL(licence, dir), "utf8").trim()}\n`;
});
writeFileSync(new URL("LICENSES.txt", out), notices.join(`\n${"-".repeat(72)}\n\n`));

// How much a page loads, gzipped, and the most that it may: the script of every page,
// what a page with a lab loads besides before anything is asked for, and what the editor
// comes to when it is. The terminal is loaded by nobody who has not opened it.
const outputs = result.metafile.outputs;
const page = loaded(outputOf("src/site.ts"));
const lab = loaded(outputOf("src/lab.ts"), page);
const editor = loaded(outputOf("src/editor/editor.ts"), lab);
const problems = [
  budget("every page", page, 25),
  budget("a page with a lab, before the editor", lab, 60),
  budget("the editor", new Set([...editor].filter((name) => !lab.has(name))), 190),
].filter(Boolean);
console.log(`${packages.size} packages`);
if (problems.length > 0) throw new Error(`too much script: ${problems.join("; ")}`);

function budget(what, files, most) {
  const kB = [...files].reduce((sum, name) => sum + gzipSync(readFileSync(new URL(name, here))).length, 0) / 1000;
  console.log(`${what}: ${kB.toFixed(1)} of ${most} kB in ${files.size} files`);
  return kB > most ? `${what}: ${kB.toFixed(1)} kB, and ${most} are the most` : undefined;
}

function outputOf(source) {
  const name = Object.keys(outputs).find((name) => outputs[name].entryPoint === source);
  if (!name) throw new Error(`${source} is no script of its own any more: its weight cannot be told`);
  return name;
}

/** The script and all that it imports at once, besides what is there already. */
function loaded(name, before = new Set()) {
  const files = new Set(before);
  const add = (name) => {
    if (files.has(name)) return;
    files.add(name);
    for (const { path, kind } of outputs[name].imports) if (kind === "import-statement") add(path);
  };
  add(name);
  return files;
}
