// What a page looks like, small enough to be kept in the repository and coarse enough to
// be the same on another machine: where its parts lie, in which colours, and how light
// the picture is in each cell of a grid.

/** The grid's columns and rows. */
export const grid = [16, 12];
/** How light a cell is, from black to white. */
const signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/** How many parts of a page are kept. */
const most = 40;
/** By how many pixels a part may be elsewhere, or larger. */
const near = 8;
/** By how much of 64 the cells may be lighter or darker: each, and all of them on average. */
const [cellNear, allNear] = [9, 1.5];

/** The parts of the page that are in view: their names, boxes and colours. Runs in the page. */
function partsOf(most) {
  const wanted =
    "header.bar, main, #lesson, #write, #see, #why, .status-line, .places, h1, h2, h3, button, a.button, input:not([type=hidden]), select, textarea, summary, table, fieldset, progress, [role=tab], [role=status]:not(:empty), [role=alert]:not(:empty), [popover], dialog, .sandbox-state, .lead, .notice, pre, .cm-editor, .badge, .flow[aria-pressed=true]";
  const seen = new Map();
  const parts = [];
  for (const e of document.querySelectorAll(wanted)) {
    if (!e.checkVisibility({ visibilityProperty: true })) continue;
    let { left, top, right, bottom } = e.getBoundingClientRect();
    // What an ancestor scrolls out of view is not seen.
    for (let a = e.parentElement; a; a = a.parentElement) {
      if (getComputedStyle(a).overflowX === "visible") continue;
      const box = a.getBoundingClientRect();
      [left, top, right, bottom] = [Math.max(left, box.left), Math.max(top, box.top), Math.min(right, box.right), Math.min(bottom, box.bottom)];
    }
    [left, top, right, bottom] = [Math.max(left, 0), Math.max(top, 0), Math.min(right, innerWidth), Math.min(bottom, innerHeight)];
    if (right - left < 4 || bottom - top < 4) continue;
    const words = (e.ariaLabel || (e.matches("button, a, h1, h2, h3, summary, [role=tab]") ? e.textContent : "") || "").replace(/\s+/g, " ").trim().replace(/\d+/g, "#").slice(0, 24);
    const name = `${e.localName}${e.id ? `#${e.id.replace(/\d+/g, "#")}` : ""}${words ? ` ${words}` : ""}`;
    const nth = (seen.get(name) ?? 0) + 1;
    seen.set(name, nth);
    const style = getComputedStyle(e);
    parts.push({ name: nth > 1 ? `${name} (${nth})` : name, box: [left, top, right - left, bottom - top].map(Math.round), colours: `${style.color} ${style.backgroundColor} ${style.borderTopColor}`.replaceAll(/rgba?\(([^)]*)\)/g, (_, c) => c.replaceAll(", ", ",")) });
    if (parts.length === most) break;
  }
  return parts;
}

/** The picture's lightness by cell, as characters. Runs in a page of its own, for that can read pictures. */
async function lightnessOf([picture, [columns, rows], signs]) {
  const bytes = Uint8Array.from(atob(picture), (c) => c.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes]));
  const [width, height] = [columns * 8, rows * 8];
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  let cells = "";
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let y = row * 8; y < row * 8 + 8; y++) {
        for (let x = column * 8; x < column * 8 + 8; x++) {
          const i = (y * width + x) * 4;
          sum += 0.2126 * data[i] + 0.7152 * data[i + 1] + 0.0722 * data[i + 2];
        }
      }
      cells += signs[Math.min(63, Math.floor(sum / 64 / 4))];
    }
  }
  return cells;
}

/** What the page looks like now; reader is a blank page of the same browser. */
export async function lookOf(page, reader) {
  const parts = await page.evaluate(partsOf, most);
  const picture = await page.screenshot({ type: "jpeg", quality: 60, caret: "initial" });
  return { parts, picture, cells: await reader.evaluate(lightnessOf, [picture.toString("base64"), grid, signs]) };
}

/** What is kept of a look. */
function kept({ parts, cells }) {
  return { cells, parts: Object.fromEntries(parts.map((p) => [p.name, [...p.box, p.colours]])) };
}

/** The looks of a page in several widths and schemes as a file's text, each name and each colour once. */
export function write(looks) {
  const palette = [];
  const parts = {};
  const numberOf = (colours) => (palette.includes(colours) ? palette.indexOf(colours) : palette.push(colours) - 1);
  for (const [i, look] of looks.entries()) {
    for (const p of look.parts) (parts[p.name] ??= looks.map(() => ""))[i] = `${p.box} ${numberOf(p.colours)}`;
  }
  // Both schemes have the same boxes, so the second has colours alone.
  for (const of of Object.values(parts)) for (let i = 1; i < of.length; i += 2) if (of[i].split(" ")[0] === of[i - 1].split(" ")[0]) of[i] = of[i].split(" ")[1] ?? "";
  const lines = Object.entries(parts).map(([name, of]) => `    ${JSON.stringify(name)}: ${JSON.stringify(of.join("|"))}`);
  return `{\n  "palette": ${JSON.stringify(palette)},\n  "cells": ${JSON.stringify(looks.map((l) => l.cells))},\n  "parts": {\n${lines.join(",\n")}\n  }\n}\n`;
}

/** What write has written, of each look. */
export function read(text) {
  const { palette, cells, parts } = JSON.parse(text);
  const looks = cells.map((c) => ({ cells: c, parts: {} }));
  for (const [name, joined] of Object.entries(parts)) {
    const of = joined.split("|");
    for (const [i, told] of of.entries()) {
      if (told === "") continue;
      const [box, colours] = told.includes(" ") ? told.split(" ") : [of[i - 1].split(" ")[0], told];
      looks[i].parts[name] = [...box.split(",").map(Number), palette[Number(colours)]];
    }
  }
  return looks;
}

/** What has become of the parts that were kept, a line for each difference that somebody would see. */
export function differences(before, now) {
  const out = [];
  const parts = kept(now).parts;
  for (const [name, [x, y, w, h, colours]] of Object.entries(before.parts)) {
    const is = parts[name];
    if (!is) {
      out.push(`${name} is not there any more`);
      continue;
    }
    const moved = [x, y, w, h].map((v, i) => is[i] - v);
    if (moved.some((d) => Math.abs(d) > near)) out.push(`${name} was at ${[x, y, w, h]} and is at ${is.slice(0, 4)}`);
    if (is[4] !== colours) out.push(`${name} was ${colours} and is ${is[4]}`);
  }
  for (const name of Object.keys(parts)) if (!(name in before.parts)) out.push(`${name} was not there`);
  const value = (c) => signs.indexOf(c);
  const off = [...before.cells].map((c, i) => Math.abs(value(c) - value(now.cells[i])));
  const worst = off.indexOf(Math.max(...off));
  const average = off.reduce((a, b) => a + b, 0) / off.length;
  if (off[worst] > cellNear) out.push(`cell ${worst % grid[0]}, ${Math.floor(worst / grid[0])} of ${grid} is ${off[worst]} of 64 lighter or darker`);
  if (average > allNear) out.push(`the picture is ${average.toFixed(1)} of 64 lighter or darker`);
  return out;
}

/** A picture of what was kept: the cells, and over them the parts with their names. */
export function drawn({ cells, parts }, [width, height]) {
  const text = (s) => s.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const [w, h] = [width / grid[0], height / grid[1]];
  const light = [...cells].map((c, i) => {
    const v = signs.indexOf(c) * 4 + 2;
    return `<rect x="${(i % grid[0]) * w}" y="${Math.floor(i / grid[0]) * h}" width="${w}" height="${h}" fill="rgb(${v},${v},${v})"/>`;
  });
  const boxes = Object.entries(parts).map(([name, [x, y, bw, bh]]) => `<rect x="${x}" y="${y}" width="${bw}" height="${bh}" fill="none" stroke="#d30"/><text x="${x + 2}" y="${y + 11}" font-size="10" font-family="sans-serif" fill="#06c">${text(name)}</text>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${light.join("")}${boxes.join("")}</svg>\n`;
}
