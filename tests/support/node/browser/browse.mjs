// Drives a browser: reads one command a line from standard input, as JSON, and answers each with one line.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TIMEOUT = 90_000;
const browser = await chromium.launch({
  executablePath: process.argv[2],
  // Root has no sandbox, and the rest keeps the browser from calling home.
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-lcd-text", "--font-render-hinting=none"],
});
let page;
let requests = [];
let messages = [];

// What the keyboard can reach, in the order of the document.
const stops = () => [...document.querySelectorAll("a[href], summary, [tabindex='0']")]
  .filter((element) => element.checkVisibility());
const describe = (element) => `${element.localName} ${element.textContent.trim().replace(/\s+/g, " ").slice(0, 60)}`;

const commands = {
  async open({ url, scheme, media, width, script }) {
    await page?.context().close();
    const context = await browser.newContext({
      viewport: { width, height: 900 }, colorScheme: scheme, javaScriptEnabled: script,
    });
    page = await context.newPage();
    page.setDefaultTimeout(TIMEOUT);
    requests = [];
    messages = [];
    page.on("request", (request) => requests.push(request.url()));
    page.on("console", (message) => messages.push(message.text()));
    page.on("pageerror", (error) => messages.push(String(error)));
    await page.emulateMedia({ media, colorScheme: scheme });
    await page.goto(url);
    return page.evaluate(() => document.title);
  },
  // Every URL that was asked for, and everything that the browser complained of.
  async noticed() {
    return { requests, messages };
  },
  async overflow() {
    return page.evaluate(() => {
      const { scrollWidth, clientWidth } = document.documentElement;
      const isClipped = (element) =>
        element !== null && (getComputedStyle(element).clipPath !== "none" || isClipped(element.parentElement));
      const wide = [...document.querySelectorAll("body *")].filter((element) => element.checkVisibility() &&
        element.getBoundingClientRect().right > clientWidth + 1 && !isClipped(element));
      return { scrollWidth, clientWidth, wide: wide.map((element) => element.outerHTML.slice(0, 120)) };
    });
  },
  async violations() {
    await page.evaluate(axe);
    const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    const violations = result.violations.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 200)}`);
    return { violations, passes: result.passes.length };
  },
  // What Tab reaches, one after the other, beside what it should reach.
  async tab() {
    const expected = await page.evaluate(`(${stops})().map(${describe})`);
    await page.evaluate(() => document.activeElement?.blur());
    const reached = [];
    const hidden = [];
    for (const _ of expected) {
      await page.keyboard.press("Tab");
      const [name, width] = await page.evaluate(
        `(() => { const element = document.activeElement; return [(${describe})(element),
          parseFloat(getComputedStyle(element).outlineWidth)]; })()`);
      reached.push(name);
      if (!(width > 0)) hidden.push(name);
    }
    return { expected, reached, hidden };
  },
  async press({ selector, key }) {
    await page.locator(selector).first().focus();
    await page.keyboard.press(key);
    return page.evaluate((of) => document.querySelector(of).closest("details")?.open ?? null, selector);
  },
  async text({ selector }) {
    return page.locator(selector).first().innerText();
  },
  // A click, then what is selected.
  async click({ selector }) {
    await page.locator(selector).first().click();
    return page.evaluate(() => String(getSelection()));
  },
  async until({ selector, text }) {
    await page.locator(selector).filter({ hasText: text, visible: true }).first().waitFor({ timeout: TIMEOUT });
    return true;
  },
  async screenshot({ path, whole }) {
    await page.screenshot({ path, fullPage: whole });
    return true;
  },
  async pdf({ path }) {
    await page.pdf({ path, format: "A4" });
    return true;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...rest } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: await commands[command](rest) };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
