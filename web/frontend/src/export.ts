// Saves a picture that is on the page as a file of its own.

/** What an element of a picture looks like, as attributes. */
const looks = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "opacity", "font-family", "font-size", "font-weight"] as const;

/** A copy of the picture that needs no style sheet: its colours and fonts as they are at the moment, on a ground. */
export function resolved(svg: SVGSVGElement, ground: string, title: string): SVGSVGElement {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  const [from, to] = [[svg, ...svg.querySelectorAll("*")], [copy, ...copy.querySelectorAll("*")]];
  for (const [i, element] of from.entries()) {
    const twin = to[i]!;
    const style = getComputedStyle(element);
    if (style.display === "none" || style.visibility === "hidden" || element.classList.contains("pic-hit")) {
      twin.remove();
      continue;
    }
    for (const { name } of [...twin.attributes]) if (/^(class|role|tabindex|aria-.*|data-.*)$/.test(name)) twin.removeAttribute(name);
    if (element instanceof SVGGElement) {
      if (style.opacity !== "1") twin.setAttribute("opacity", style.opacity);
      continue;
    }
    if (element === svg) continue;
    for (const look of looks) {
      const value = style.getPropertyValue(look);
      const needless = value === "" || (look.startsWith("font-") && element.tagName !== "text") || (look.startsWith("stroke-") && style.stroke === "none");
      if (!needless) twin.setAttribute(look, value);
    }
  }
  const size = svg.viewBox.baseVal;
  copy.setAttribute("width", String(size.width));
  copy.setAttribute("height", String(size.height));
  const sheet = document.createElementNS(svg.namespaceURI, "rect") as SVGRectElement;
  for (const [name, value] of Object.entries({ x: 0, y: 0, width: size.width, height: size.height, fill: ground })) sheet.setAttribute(name, String(value));
  const name = document.createElementNS(svg.namespaceURI, "title");
  name.textContent = title;
  copy.prepend(name, sheet);
  return copy;
}

/**
 * The picture as PNG, so many times its size. It is drawn here, element by element: to
 * load an SVG as an image would need a page that lets in images of its own making.
 */
export async function png(svg: SVGSVGElement, scale: number): Promise<Blob> {
  const canvas = document.createElement("canvas");
  canvas.width = Number(svg.getAttribute("width")) * scale;
  canvas.height = Number(svg.getAttribute("height")) * scale;
  const on = canvas.getContext("2d")!;
  on.scale(scale, scale);
  paint(on, svg, 1);
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the picture is too large"))), "image/png"));
}

function paint(on: CanvasRenderingContext2D, element: Element, opacity: number): void {
  const get = (name: string): string => element.getAttribute(name) ?? "";
  const number = (name: string): number => parseFloat(get(name)) || 0;
  const through = opacity * (get("opacity") === "" ? 1 : number("opacity"));
  for (const child of element.children) paint(on, child, through);
  on.globalAlpha = through;
  if (element.tagName === "text") {
    on.font = `${get("font-weight")} ${get("font-size")} ${get("font-family")}`;
    on.fillStyle = get("fill");
    on.fillText(element.textContent ?? "", number("x"), number("y"));
    return;
  }
  const shape = new Path2D(element.tagName === "path" ? get("d") : "");
  if (element.tagName === "rect") shape.roundRect(number("x"), number("y"), number("width"), number("height"), number("rx"));
  else if (element.tagName !== "path") return;
  if (get("fill") !== "none") {
    on.fillStyle = get("fill");
    on.fill(shape);
  }
  const stroke = get("stroke");
  if (stroke === "" || stroke === "none") return;
  on.strokeStyle = stroke;
  on.lineWidth = number("stroke-width");
  on.lineCap = (get("stroke-linecap") || "butt") as CanvasLineCap;
  const dashes = get("stroke-dasharray");
  on.setLineDash(dashes === "none" || dashes === "" ? [] : dashes.split(/[\s,]+/).map(parseFloat));
  on.stroke(shape);
}

/** Has the browser keep the file. */
export function download(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  // The download has its own hold on the file from here on.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
