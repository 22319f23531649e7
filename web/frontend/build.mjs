// Bundles the lab's script into static/dist, with the licences of what is in it.
import { build } from "esbuild";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const out = new URL("../../static/dist/", import.meta.url);

const result = await build({
  absWorkingDir: new URL(".", import.meta.url).pathname,
  entryPoints: ["src/lab.ts"],
  outfile: new URL("lab.js", out).pathname,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  metafile: true,
});

const packages = new Set();
for (const input of Object.keys(result.metafile.inputs)) {
  const m = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
  if (m) packages.add(m[1]);
}
const notices = [...packages].sort().map((name) => {
  const dir = new URL(`node_modules/${name}/`, import.meta.url);
  const { version } = JSON.parse(readFileSync(new URL("package.json", dir), "utf8"));
  const licence = readdirSync(dir).find((f) => /^licen[cs]e/i.test(f));
  if (!licence) throw new Error(`${name} ${version} comes without a licence text`);
  return `${name} ${version}\n\n${readFileSync(new URL(licence, dir), "utf8").trim()}\n`;
});
writeFileSync(new URL("LICENSES.txt", out), notices.join(`\n${"-".repeat(72)}\n\n`));

const script = readFileSync(new URL("lab.js", out));
console.log(`static/dist/lab.js: ${kB(script)} kB, ${kB(gzipSync(script))} kB gzipped, ${packages.size} packages`);

function kB(bytes) {
  return (bytes.length / 1000).toFixed(1);
}
