// The view on screen as one SVG, of shapes, images and text, and as PNG.

import { svg } from "./dom.js";

const MARGIN = 16; // pixels around the view
const SCALE = 2; // pixels of the PNG per pixel on screen
const COPIED = [
  "fill",
  "fill-opacity",
  "stroke",
  "stroke-width",
  "stroke-dasharray",
  "opacity",
  "vector-effect",
  "shape-rendering",
  "display",
];

let measuring = null;

export async function viewAsSvg(view, caption) {
  const bounds = view.getBoundingClientRect();
  const [width, height] = [
    Math.ceil(bounds.width) + 2 * MARGIN,
    Math.ceil(view.scrollHeight) + 2 * MARGIN + 20,
  ];
  const page = getComputedStyle(document.body);
  const drawn = svg("svg", {
    xmlns: "http://www.w3.org/2000/svg",
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
  });
  drawn.append(svg("rect", { width, height, fill: page.backgroundColor }));
  const offset = { x: MARGIN - bounds.left, y: MARGIN - bounds.top };
  drawElement(view, drawn, offset);
  const foot = svg("text", {
    x: MARGIN,
    y: height - 12,
    fill: page.color,
    "font-family": page.fontFamily,
    "font-size": 11,
  });
  foot.textContent = caption;
  drawn.append(foot);
  return drawn;
}

export function svgText(drawn) {
  return new XMLSerializer().serializeToString(drawn);
}

export async function svgAsPng(drawn) {
  const address = URL.createObjectURL(new Blob([svgText(drawn)], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = SCALE * drawn.width.baseVal.value;
    canvas.height = SCALE * drawn.height.baseVal.value;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve, reject) =>
      canvas.toBlob(
        (blob) =>
          blob ? resolve(blob) : reject(new Error("the view is too large for a PNG; save it as SVG")),
        "image/png",
      ),
    );
  } finally {
    URL.revokeObjectURL(address);
  }
}

function drawElement(node, drawn, offset) {
  if (node.classList?.contains("no-export")) return;
  const style = getComputedStyle(node);
  if (style.display === "none" || style.visibility === "hidden" || node.hidden) return;
  const box = node.getBoundingClientRect();
  const [x, y] = [box.left + offset.x, box.top + offset.y];
  if (node instanceof SVGSVGElement) {
    drawn.append(copiedSvg(node, x, y, box));
    return;
  }
  if (box.width && box.height) drawBox(style, x, y, box, drawn);
  if (node instanceof HTMLImageElement) {
    if (node.complete && node.naturalWidth)
      drawn.append(
        svg("image", {
          x,
          y,
          width: box.width,
          height: box.height,
          preserveAspectRatio: "none",
          href: embedded(node),
        }),
      );
    return;
  }
  if (node instanceof HTMLSelectElement) {
    drawn.append(line(node.selectedOptions[0]?.text ?? "", style, x + 8, y + box.height / 2 + 4));
    return;
  }
  for (const child of node.childNodes) {
    if (child.nodeType === Node.TEXT_NODE) drawText(child, node, style, drawn, offset);
    else if (child.nodeType === Node.ELEMENT_NODE) drawElement(child, drawn, offset);
  }
}

function drawBox(style, x, y, box, drawn) {
  const border = Number.parseFloat(style.borderTopWidth);
  const all =
    border > 0 &&
    ["Right", "Bottom", "Left"].every((edge) => style[`border${edge}Width`] === style.borderTopWidth);
  const filled = !/rgba\(.*, 0\)|transparent/.test(style.backgroundColor);
  if (!filled && !all) return;
  drawn.append(
    svg("rect", {
      x: x + border / 2,
      y: y + border / 2,
      width: Math.max(0, box.width - border),
      height: Math.max(0, box.height - border),
      rx: Number.parseFloat(style.borderTopLeftRadius) || 0,
      fill: filled ? style.backgroundColor : "none",
      stroke: all ? style.borderTopColor : "none",
      "stroke-width": border,
    }),
  );
}

function copiedSvg(node, x, y, box) {
  const copy = node.cloneNode(true);
  for (const attribute of [...copy.attributes])
    if (!["viewBox", "preserveAspectRatio"].includes(attribute.name)) copy.removeAttribute(attribute.name);
  for (const [name, value] of Object.entries({ x, y, width: box.width, height: box.height }))
    copy.setAttribute(name, value);
  const copies = copy.querySelectorAll("*");
  node.querySelectorAll("*").forEach((original, i) => {
    const style = getComputedStyle(original);
    for (const attribute of [...copies[i].attributes])
      if (!["x", "y", "width", "height"].includes(attribute.name)) copies[i].removeAttribute(attribute.name);
    for (const name of COPIED) copies[i].setAttribute(name, style.getPropertyValue(name));
  });
  return copy;
}

// The image's bytes: a data: address as it is, one from the server drawn again.
function embedded(image) {
  const address = image.getAttribute("src");
  if (address.startsWith("data:")) return address;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL("image/png");
}

// Each line of a text node, cut where the page cuts it.
function drawText(node, parent, style, drawn, offset) {
  const text = node.data;
  if (!text.trim()) return;
  const range = document.createRange();
  const box = parent.getBoundingClientRect();
  const cut = style.textOverflow === "ellipsis" && parent.scrollWidth > parent.clientWidth + 1;
  measuring ??= document.createElement("canvas").getContext("2d");
  measuring.font = `${style.fontStyle} ${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  const ascent = measuring.measureText(text).fontBoundingBoxAscent;
  let part = null;
  const finish = () => {
    if (part?.text.trim())
      drawn.append(line(part.text, style, part.left + offset.x, part.top + ascent + offset.y));
  };
  for (let at = 0; at < text.length; at++) {
    range.setStart(node, at);
    range.setEnd(node, at + 1);
    const place = range.getClientRects()[0];
    if (!place) continue;
    if (cut && place.right > box.right - Number.parseFloat(style.fontSize) * 0.6) {
      if (part) part.text += "…";
      break;
    }
    if (!part || Math.abs(place.top - part.top) > 2) {
      finish();
      part = { left: place.left, top: place.top, text: "" };
    }
    part.text += text[at];
  }
  finish();
}

function line(text, style, x, y) {
  const label = svg("text", {
    x,
    y,
    fill: style.color,
    "font-family": style.fontFamily,
    "font-size": style.fontSize,
    "font-weight": style.fontWeight,
    "font-style": style.fontStyle,
    "xml:space": "preserve",
  });
  label.textContent = text.replace(/\s/g, " ");
  return label;
}
