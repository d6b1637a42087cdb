// Two surfaces to draw on: the canvas of the page, and an SVG to save. What is saved is what is seen.

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif';
const MONO = 'ui-monospace, "SF Mono", Menlo, Consolas, monospace';

class CanvasSurface {
  constructor(context) {
    this.context = context;
  }

  rect(x, y, width, height, fill) {
    this.context.fillStyle = fill;
    this.context.fillRect(x, y, width, height);
  }

  outline(x, y, width, height, stroke, thickness) {
    this.context.strokeStyle = stroke;
    this.context.lineWidth = thickness;
    this.context.strokeRect(x, y, width, height);
  }

  /** Lines through points, closed and filled where `fill` is given. */
  path(points, stroke, fill, thickness = 1) {
    const { context } = this;
    context.beginPath();
    points.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
    if (fill) {
      context.closePath();
      context.fillStyle = fill;
      context.fill();
    }
    if (stroke) {
      context.strokeStyle = stroke;
      context.lineWidth = thickness;
      context.stroke();
    }
  }

  disc(x, y, radius, fill, stroke) {
    const { context } = this;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    if (fill) {
      context.fillStyle = fill;
      context.fill();
    }
    if (stroke) {
      context.strokeStyle = stroke;
      context.lineWidth = 1.3;
      context.stroke();
    }
  }

  text(text, x, y, { fill, size = 12, weight = 400, anchor = "start", mono = false, stretch = 0 }) {
    const { context } = this;
    context.fillStyle = fill;
    context.font = `${weight} ${size}px ${mono ? MONO : FONT}`;
    context.textAlign = anchor === "middle" ? "center" : anchor;
    if (!stretch) {
      context.fillText(text, x, y);
      return;
    }
    context.save();
    context.translate(x, y);
    context.scale(1, stretch);
    context.fillText(text, 0, 0);
    context.restore();
  }

  width(text, size, weight = 400) {
    this.context.font = `${weight} ${size}px ${FONT}`;
    return this.context.measureText(text).width;
  }
}

const escapeXml = (text) =>
  text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, "\ufffd");
const rounded = (number) => Number(number.toFixed(2));

class SvgSurface {
  constructor(width, height, measure) {
    this.parts = [];
    this.size = [width, height];
    this.width = measure;
  }

  rect(x, y, width, height, fill) {
    // Neighbours of one colour are one element.
    const last = this.last;
    if (last && last.fill === fill && last.y === y && last.height === height && Math.abs(last.x + last.width - x) < 0.01) {
      last.width += width;
      return;
    }
    this.flush();
    this.last = { x, y, width, height, fill };
  }

  flush() {
    if (!this.last) return;
    const { x, y, width, height, fill } = this.last;
    this.last = null;
    this.parts.push(
      `<rect x="${rounded(x)}" y="${rounded(y)}" width="${rounded(width)}" height="${rounded(height)}" fill="${fill}"/>`,
    );
  }

  outline(x, y, width, height, stroke, thickness) {
    this.flush();
    this.parts.push(
      `<rect x="${rounded(x)}" y="${rounded(y)}" width="${rounded(width)}" height="${rounded(height)}" fill="none" ` +
        `stroke="${stroke}" stroke-width="${thickness}"/>`,
    );
  }

  path(points, stroke, fill, thickness = 1) {
    this.flush();
    const places = points.map(([x, y]) => `${rounded(x)} ${rounded(y)}`).join("L");
    this.parts.push(
      `<path d="M${places}${fill ? "Z" : ""}" fill="${fill ?? "none"}"` +
        `${stroke ? ` stroke="${stroke}" stroke-width="${thickness}"` : ""}/>`,
    );
  }

  disc(x, y, radius, fill, stroke) {
    this.flush();
    const edge = stroke ? ` stroke="${stroke}" stroke-width="1.3"` : "";
    this.parts.push(`<circle cx="${rounded(x)}" cy="${rounded(y)}" r="${radius}" fill="${fill ?? "none"}"${edge}/>`);
  }

  text(text, x, y, { fill, size = 12, weight = 400, anchor = "start", mono = false, stretch = 0 }) {
    this.flush();
    const place = stretch
      ? `transform="translate(${rounded(x)} ${rounded(y)}) scale(1 ${rounded(stretch)})"`
      : `x="${rounded(x)}" y="${rounded(y)}"`;
    const end = { start: "start", middle: "middle", end: "end" }[anchor];
    this.parts.push(
      `<text ${place} fill="${fill}" font-size="${size}" font-weight="${weight}" text-anchor="${end}"` +
        `${mono ? ` font-family="${escapeXml(MONO)}"` : ""}>${escapeXml(text)}</text>`,
    );
  }

  toString() {
    this.flush();
    const [width, height] = this.size;
    return (
      `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
      `font-family="${escapeXml(FONT)}">\n<title>${escapeXml(page.title)}</title>\n${this.parts.join("\n")}\n</svg>\n`
    );
  }
}
