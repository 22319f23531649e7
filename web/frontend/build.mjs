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

// How much a page loads before anything is asked for: the entry and what it imports.
const outputs = result.metafile.outputs;
for (const entry of ["site.js", "lab.js"]) {
  const files = loaded(Object.keys(outputs).find((name) => name.endsWith(`dist/${entry}`)));
  const bytes = files.reduce((sum, name) => sum + gzipSync(readFileSync(new URL(name, here))).length, 0);
  console.log(`static/dist/${entry}: ${(bytes / 1000).toFixed(1)} kB gzipped in ${files.length} files`);
}
console.log(`${packages.size} packages`);

function loaded(name, seen = new Set()) {
  if (!name || seen.has(name)) return [...seen];
  seen.add(name);
  for (const { path, kind } of outputs[name].imports) if (kind === "import-statement") loaded(path, seen);
  return [...seen];
}
