// The pages of `vestore view` in a browser: `make test-page`.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { stores, vestore } from "./stores.mjs";

const program = process.env.VESTORE ?? "target/release/vestore";
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const shots = process.env.SHOTS;
assert.ok(existsSync(program), `${program} is missing: run \`make build\``);

const folder = mkdtempSync(join(tmpdir(), "vestore-page-"));
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  console.log("making the stores …");
  for (const [name, store] of Object.entries(stores(program, folder))) await check(name, store);
  console.log("all pages are as they must be");
} finally {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}

/** A page of its own that records what must not happen. */
async function opened(file, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1400, height: 1000 }, acceptDownloads: true, ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on("console", (message) => wrong.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("request", (request) => {
    const address = request.url();
    if (address !== `file://${file}` && !address.startsWith("blob:")) wrong.push(`request: ${address}`);
  });
  await page.goto(`file://${file}`);
  await page.waitForFunction(() => document.getElementById("live").textContent !== "");
  const ready = await page.evaluate(() => performance.now());
  return { page, wrong, context, ready };
}

async function check(name, { root, place, more }) {
  const file = join(folder, `${name.replaceAll(" ", "-")}.html`);
  const begun = performance.now();
  vestore(program, "view", root, place, ...more, "-o", file);
  const written = (performance.now() - begun) / 1000;
  const { page, wrong, context, ready } = await opened(file);
  const rows = await sameAsQuery(page, root, place);
  const painted = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
  const frames = await zoomedFrames(page);
  const size = (statSync(file).size / 1e6).toFixed(1);
  console.log(
    `${name}: ${size} MB, written in ${written.toFixed(2)} s, ${rows} scores equal to query, first paint after ` +
      `${(painted / 1000).toFixed(2)} s, heatmap after ${(ready / 1000).toFixed(2)} s; ${frames.count} frames while zooming: median ${frames.median.toFixed(1)} ms, ` +
      `95th percentile ${frames.late.toFixed(1)} ms, longest drawing ${frames.drawing.toFixed(1)} ms`,
  );
  if (name === "200 bases") {
    await keyboard(page);
    await controls(page);
    await saved(page, context);
  }
  assert.deepEqual(wrong, [], name);
  await context.close();
  await looks(file, name);
}

/** Every score and status of the document, as the page has unpacked neither, against `query`. */
async function sameAsQuery(page, root, place) {
  const text = await page.evaluate(() => document.getElementById("vestore-data").textContent);
  const data = JSON.parse(text);
  const found = new Map();
  const sum = (list) => list.map(((at) => (step) => (at += step))(0));
  const positions = sum(data.variants.position);
  const alleles = (numbers) => numbers.map((number) => data.variants.alleles[number]);
  const [references, alternates] = [alleles(data.variants.reference), alleles(data.variants.alternate)];
  for (const track of data.tracks) {
    const codes = [];
    for (let at = 0; at < track.status.length; at += 2) {
      for (let left = track.status[at + 1]; left > 0; left--) codes.push(track.status[at]);
    }
    assert.equal(codes.length, positions.length);
    codes.forEach((code, i) => {
      if (!code) return;
      const key = `${positions[i]} ${references[i]} ${alternates[i]} ${track.name}`;
      found.set(key, [data.statuses[code], track.columns[0].values[i]]);
    });
  }
  const [head, ...lines] = vestore(program, "query", root, place, "--format", "tsv").trimEnd().split("\n");
  const at = Object.fromEntries(head.split("\t").map((column, index) => [column, index]));
  assert.equal(lines.length, found.size);
  for (const line of lines) {
    const cells = line.split("\t");
    const key = ["position", "reference", "alternate", "track"].map((column) => cells[at[column]]).join(" ");
    const [status, value] = found.get(key) ?? assert.fail(`no ${key}`);
    assert.equal(status, cells[at.status], key);
    assert.equal(value, cells[at.llr] === "" ? null : Number(cells[at.llr]), key);
  }
  return lines.length;
}

/** Zooms in and out with the wheel over the middle, and takes the time of each frame. */
async function zoomedFrames(page) {
  const box = await page.locator("#stage").boundingBox();
  await page.evaluate(() => {
    window.frames_ = [];
    window.drawing_ = 0;
    const inner = window.requestAnimationFrame.bind(window);
    window.requestAnimationFrame = (draw) =>
      inner((time) => {
        const begun = performance.now();
        draw(time);
        window.drawing_ = Math.max(window.drawing_, performance.now() - begun);
      });
    let before = performance.now();
    const tick = (time) => {
      window.frames_.push(time - before);
      before = time;
      inner(tick);
    };
    inner(tick);
    document.getElementById("stage").focus();
  });
  await page.mouse.move(box.x + box.width / 2, box.y + 200);
  for (let step = 0; step < 60; step++) await page.mouse.wheel(0, step < 30 ? -90 : 90);
  await page.waitForTimeout(300);
  return page.evaluate(() => {
    const sorted = window.frames_.slice(1).sort((a, b) => a - b);
    const at = (fraction) => sorted[Math.floor(fraction * sorted.length)];
    return { count: sorted.length, median: at(0.5), late: at(0.95), drawing: window.drawing_ };
  });
}

function live(page) {
  return page.locator("#live").textContent();
}

/** Everything that the mouse does, with keys alone. */
async function keyboard(page) {
  await page.evaluate(() => document.activeElement.blur());
  const visited = [];
  for (let step = 0; step < 80; step++) {
    await page.keyboard.press("Tab");
    const id = await page.evaluate(() => document.activeElement.id);
    visited.push(id);
    if (id === "stage") break;
  }
  for (const id of ["left", "out", "in", "right", "whole", "place", "scale", "minuend", "subtrahend", "copy", "tsv", "svg", "png", "theme", "stage"]) {
    assert.ok(visited.includes(id), `${id} is not reached with Tab: ${visited}`);
  }
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(outline, "solid", "the focus is visible");
  await page.keyboard.press("0");
  await page.keyboard.press("Home");
  assert.match(await live(page), /^17:1,001/);
  for (const key of ["+", "+", "+", "+", "+"]) await page.keyboard.press(key);
  await page.keyboard.press("ArrowRight");
  assert.match(await live(page), /^17:1,002/);
  await page.keyboard.press("End");
  assert.match(await live(page), /^17:1,200/);
  const before = await live(page);
  await page.keyboard.press("ArrowDown");
  assert.notEqual(await live(page), before);
  await page.keyboard.press("p");
  assert.match(await live(page), /^17:[\d,]+ [ACGT]+>[ACGT]+: full · llr −?[\d.]+, percentile 9/);
  await page.keyboard.press("Enter");
  assert.match(await page.locator("#panel").textContent(), /press Esc/);
  await page.keyboard.press("Escape");
  assert.doesNotMatch(await page.locator("#panel").textContent(), /press Esc/);
  for (const text of ["1,050-1,090", "ALPHA", "17:1100"]) {
    await page.fill("#place", text);
    await page.press("#place", "Enter");
    assert.doesNotMatch(await live(page), /Not on this page/, text);
  }
  await page.fill("#place", "nowhere");
  await page.press("#place", "Enter");
  assert.match(await live(page), /Not on this page: nowhere/);
}

/** Names and roles as a screen reader has them. */
async function controls(page) {
  for (const button of ["Move left", "Zoom out", "Zoom in", "Move right", "Whole region", "Go", "Copy", "TSV", "SVG", "PNG"]) {
    assert.equal(await page.getByRole("button", { name: button, exact: true }).count(), 1, button);
  }
  assert.equal(await page.getByRole("textbox", { name: "Go to" }).count(), 1);
  for (const select of ["Colour", "Difference", "minus"]) {
    assert.equal(await page.getByRole("combobox", { name: select, exact: true }).count(), 1, select);
  }
  assert.equal(await page.getByRole("application", { name: /^Heatmap of 17:1001-1200/ }).count(), 1);
  assert.equal(await page.getByRole("status").count(), 1);
  await page.locator("summary").click();
  assert.equal(await page.getByRole("checkbox").count(), 3);
  await page.locator("summary").click();
  for (const heading of ["Most extreme of what is seen", "How to read it", "Where the scores come from"]) {
    assert.equal(await page.getByRole("heading", { name: heading }).count(), 1, heading);
  }
  const unnamed = await page.evaluate(() =>
    [...document.querySelectorAll("button, input, select")].filter(
      (control) => !control.textContent && !control.labels?.length && !control.getAttribute("aria-label"),
    ).length,
  );
  assert.equal(unnamed, 0, "controls without a name");
}

/** Files of what is seen: all rows, and a picture of the same. */
async function saved(page, context) {
  const download = async (id) => {
    const [file] = await Promise.all([page.waitForEvent("download"), page.click(`#${id}`)]);
    return { name: file.suggestedFilename(), bytes: readFileSync(await file.path()) };
  };
  await page.click("#whole");
  const table = await download("tsv");
  assert.equal(table.name, "17_1001-1200.tsv");
  const [head, ...lines] = table.bytes.toString().trimEnd().split("\n");
  assert.equal(head, "contig\tposition\treference\talternate\tfull.llr\thalf.llr\tother.llr\tfull.status\thalf.status\tother.status\tlabel");
  const shown = await page.evaluate(() => JSON.parse(document.getElementById("vestore-data").textContent).variants.position.length);
  assert.equal(lines.length, shown);
  await page.selectOption("#minuend", "0");
  await page.selectOption("#scale", "value");
  const picture = (await download("svg")).bytes.toString();
  for (const text of ["full · llr − half · llr", "other · llr", "ALPHA", "<rect"]) assert.ok(picture.includes(text), text);
  const drawn = await context.newPage();
  await drawn.setContent(picture);
  assert.equal(await drawn.evaluate(() => document.querySelectorAll("parsererror").length), 0);
  await drawn.close();
  const png = await download("png");
  assert.equal(png.bytes.subarray(1, 4).toString(), "PNG");
  await context.grantPermissions(["clipboard-read", "clipboard-write"]).catch(() => {});
  await page.click("#copy");
  await page.waitForFunction(() => document.getElementById("live").textContent.startsWith("Copied"));
  await page.click("#theme");
  await page.click("#theme");
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
}

/** Light and dark, wide and narrow, with fingers: nothing is wider than the screen. SHOTS=folder keeps pictures. */
async function looks(file, name) {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [390, 1400]) {
      const touch = width === 390;
      const { page, wrong, context } = await opened(file, { colorScheme, viewport: { width, height: 900 }, hasTouch: touch, isMobile: touch });
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(wider <= 0, `${name}, ${width} pixels: ${wider} pixels too wide`);
      const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const [red] = ground.match(/\d+/g);
      assert.equal(Number(red) < 128, colorScheme === "dark", ground);
      if (touch) {
        const box = await page.locator("#stage").boundingBox();
        const before = await live(page);
        const y = box.y + 240;
        await page.touchscreen.tap(box.x + box.width / 3, y);
        assert.notEqual(await live(page), before, "a tap moves the cell");
      }
      if (shots) await page.screenshot({ path: join(shots, `${name.replaceAll(" ", "-")}-${colorScheme}-${width}.png`), fullPage: true });
      assert.deepEqual(wrong, [], `${name}, ${colorScheme}, ${width} pixels`);
      await context.close();
    }
  }
}
