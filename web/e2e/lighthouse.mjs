// What Lighthouse says of the pages, as a phone and as a desk's computer load them for the
// first time: on each at least 95 in every category that it has. A score of performance is
// of simulated networks and processors, but from how long this machine took, so it is the
// median of several runs; the others are the least of them. The reports go to out.
import { mkdirSync, writeFileSync } from "node:fs";
import lighthouse, { desktopConfig, generateReport } from "lighthouse";
import { freePort, launch } from "./browser.mjs";
import { serve } from "./server.mjs";

const goal = 95;
const runs = Number(process.env.RUNS ?? 3);
const pages = { home: "/", lesson: "/lessons/network-policies", workbench: "/workbench", quiz: "/quizzes/network-policies" };
const only = process.env.PAGES?.split(",") ?? Object.keys(pages);
const forms = { mobile: undefined, desktop: desktopConfig };
const out = new URL("out/lighthouse/", import.meta.url).pathname;

mkdirSync(out, { recursive: true });
const server = await serve();
const port = await freePort();
// Lighthouse finds the browser by its port.
const browser = await launch([`--remote-debugging-port=${port}`]);
const rows = [];
try {
  for (const page of only) for (const form of Object.keys(forms)) rows.push({ page, form, ...(await measure(page, form)) });
} finally {
  await browser.close();
  await server.stop();
}
console.table(Object.fromEntries(rows.map(({ page, form, scores, metrics }) => [`${page}, ${form}`, { ...scores, ...metrics }])));
const missed = rows.flatMap(({ page, form, scores }) => Object.entries(scores).filter(([, score]) => !(score >= goal)).map(([category, score]) => `${page}, ${form}: ${category} is ${score}`));
for (const { page, form, failed } of rows) for (const line of failed) console.log(`${page}, ${form}: ${line}`);
if (missed.length > 0) {
  console.error(`MISSED: ${goal} is the least in every category:\n${missed.join("\n")}`);
  process.exitCode = 1;
}

/** One report. A browser that is busy may begin its record too late, which is no word about the page: then it is asked again. */
async function ask(page, form, tries = 3) {
  // Nothing is told to Lighthouse's makers, whose reporting is off unless it is asked for.
  const { lhr } = await lighthouse(server.at(pages[page]), { port, logLevel: "error", enableErrorReporting: false }, forms[form]);
  if (!lhr.runtimeError) return lhr;
  if (lhr.runtimeError.code !== "NO_NAVSTART" || tries === 1) throw new Error(`${page}, ${form}: ${lhr.runtimeError.message}`);
  return ask(page, form, tries - 1);
}

/** The page's scores of 100, what its performance is made of, and what was found wrong elsewhere. */
async function measure(page, form) {
  const results = [];
  for (let n = 0; n < runs; n++) {
    results.push(await ask(page, form));
  }
  const of = (lhr, category) => Math.round(lhr.categories[category].score * 100);
  results.sort((a, b) => of(a, "performance") - of(b, "performance"));
  const median = results[Math.floor((runs - 1) / 2)];
  const scores = {};
  for (const category of Object.keys(median.categories)) scores[category] = category === "performance" ? of(median, category) : Math.min(...results.map((lhr) => of(lhr, category)));
  for (const kind of ["json", "html"]) writeFileSync(`${out}${page}-${form}.${kind}`, generateReport(median, kind));
  const value = (audit, unit = 1) => Math.round(median.audits[audit].numericValue / unit * 1000) / 1000;
  return {
    scores,
    metrics: { "FCP s": value("first-contentful-paint", 1000), "LCP s": value("largest-contentful-paint", 1000), "TBT ms": Math.round(value("total-blocking-time")), CLS: value("cumulative-layout-shift"), "kB": Math.round(value("total-byte-weight", 1000)) },
    failed: Object.values(median.categories).filter((c) => c.id !== "performance").flatMap((c) => c.auditRefs.filter((ref) => ref.weight > 0 && median.audits[ref.id].score !== null && median.audits[ref.id].score < 1).map((ref) => `${c.id}: ${median.audits[ref.id].title} (${ref.id})`)),
  };
}
