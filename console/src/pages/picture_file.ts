// What charts show as a PNG: canvases and SVG of the panel that is marked as the page's picture, with its title and legend.
import { save_blob } from "./export";

/** The panel whose pictures are saved. */
const PICTURE = ".result";
const MARGIN = 20;
const TITLE = 30;
const LEGEND = 24;
const STYLES = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "opacity", "font-family", "font-size", "font-weight", "text-anchor"] as const;

const css = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** As an image of its own: what style sheets say of it is written into it. */
async function image_of(svg: SVGSVGElement): Promise<HTMLImageElement> {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  const from = [svg, ...svg.querySelectorAll<SVGElement>("*")], to = [copy, ...copy.querySelectorAll<SVGElement>("*")];
  from.forEach((element, i) => {
    const style = getComputedStyle(element);
    for (const name of STYLES) to[i]!.setAttribute(name, style.getPropertyValue(name));
    for (const name of ["tabindex", "role", "aria-label", "class", "style"]) to[i]!.removeAttribute(name);
  });
  const { width, height } = svg.getBoundingClientRect();
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", String(width));
  copy.setAttribute("height", String(height));
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
  await image.decode();
  return image;
}

/** Null: there is no picture on the page. */
async function picture_of_page(title: string): Promise<HTMLCanvasElement | null> {
  const panel = document.querySelector(PICTURE);
  if (!panel) return null;
  const drawn = [...panel.querySelectorAll<HTMLCanvasElement | SVGSVGElement>(".time-chart canvas, svg[data-picture]")];
  if (drawn.length === 0) return null;
  const boxes = drawn.map((each) => each.getBoundingClientRect());
  const left = Math.min(...boxes.map((box) => box.left)), top = Math.min(...boxes.map((box) => box.top));
  const width = Math.max(...boxes.map((box) => box.right)) - left, height = Math.max(...boxes.map((box) => box.bottom)) - top;
  const items = [...panel.querySelectorAll<HTMLElement>(".legend li:not(.legend-hint)")];
  const scale = Math.max(2, devicePixelRatio);
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d")!;
  const font = getComputedStyle(document.body).fontFamily;
  // Items go into rows, as wide as the picture.
  context.font = `13px ${font}`;
  const places: { x: number; row: number; text: string; colour: string }[] = [];
  let x = 0, row = 0;
  for (const item of items) {
    const text = item.textContent!.trim();
    const needed = 18 + context.measureText(text).width + 18;
    if (x > 0 && x + needed > width) {
      x = 0;
      ++row;
    }
    const swatch = item.querySelector(".swatch");
    places.push({ x, row, text, colour: swatch ? getComputedStyle(swatch).backgroundColor : css("--muted") });
    x += needed;
  }
  const legend = items.length === 0 ? 0 : (row + 1) * LEGEND;
  canvas.width = Math.ceil((width + 2 * MARGIN) * scale);
  canvas.height = Math.ceil((height + 2 * MARGIN + TITLE + legend) * scale);
  context.scale(scale, scale);
  context.fillStyle = css("--panel");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = css("--text");
  context.font = `600 15px ${font}`;
  context.textBaseline = "middle";
  context.fillText(`${title} · ${panel.querySelector("h2")?.textContent ?? ""}`, MARGIN, MARGIN + 8, width);
  for (let i = 0; i < drawn.length; ++i) {
    const each = drawn[i]!, box = boxes[i]!;
    const source = each instanceof HTMLCanvasElement ? each : await image_of(each);
    context.drawImage(source, MARGIN + box.left - left, MARGIN + TITLE + box.top - top, box.width, box.height);
  }
  context.font = `13px ${font}`;
  for (const place of places) {
    const y = MARGIN + TITLE + height + 14 + place.row * LEGEND;
    context.fillStyle = place.colour;
    context.fillRect(MARGIN + place.x, y - 5, 11, 11);
    context.fillStyle = css("--text");
    context.fillText(place.text, MARGIN + place.x + 17, y);
  }
  return canvas;
}

export async function save_picture(name: string, title: string): Promise<void> {
  const canvas = await picture_of_page(title);
  canvas?.toBlob((blob) => blob && save_blob(name, blob), "image/png");
}
