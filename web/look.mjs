// Looks at the page of a running Airflow in a real Chromium, and uses it; prints what it found as JSON.
// node look.mjs ADDRESS CHROMIUM FOLDER_FOR_PICTURES < token
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { chromium } from "playwright-core";

const [address, program, pictures] = process.argv.slice(2);
const token = readFileSync(0, "utf-8").trim();
const axe = readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf-8");
const PAGE = "#tradewind-desk";

const browser = await chromium.launch({
  executablePath: program,
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
const found = { errors: [], violations: [], views: [], wider_than_the_screen: [] };

async function open(theme, width) {
  const context = await browser.newContext({
    colorScheme: theme,
    viewport: { height: 900, width },
  });
  await context.addCookies([{ name: "_token", sameSite: "Lax", url: address, value: token }]);
  await context.addInitScript((chosen) => localStorage.setItem("theme", chosen), theme);
  const page = await context.newPage();
  page.on("pageerror", (error) => found.errors.push(String(error)));
  await page.goto(`${address}/plugin/desk`);
  const desk = page.locator(PAGE);
  await desk.getByRole("heading", { level: 1, name: "Desk" }).waitFor();
  await desk.getByText(/^Needs a person: /).waitFor();
  await desk.getByText("live", { exact: true }).waitFor();
  return page;
}

for (const theme of ["light", "dark"]) {
  for (const width of [1280, 390]) {
    const view = `${theme} ${width}`;
    const page = await open(theme, width);
    await page.screenshot({ fullPage: true, path: join(pictures, `desk-${theme}-${width}.png`) });
    await page.evaluate(axe);
    const { violations } = await page.evaluate((within) => globalThis.axe.run(within), PAGE);
    found.violations.push(
      ...violations.map((each) => `${view}: ${each.id}: ${each.nodes.map((node) => node.html).join(" ")}`),
    );
    const over = await page.evaluate(
      (within) => document.querySelector(within).scrollWidth - document.querySelector(within).clientWidth,
      PAGE,
    );
    if (over > 0) {
      found.wider_than_the_screen.push(`${view}: by ${over} px`);
    }
    found.views.push(view);
    await page.context().close();
  }
}

// By the keyboard alone, as somebody in a hurry does.
const [own, other] = [await open("light", 1280), await open("light", 390)];
const say = async (verb, reason) => {
  await own.getByRole("button", { name: `${verb} all accounts` }).press("Enter");
  await own.getByLabel(/^Why /).fill(reason);
  const began = Date.now();
  await own.keyboard.press("Enter");
  return began;
};
const began = await say("Halt", "a drill in a browser");
await other.locator(PAGE).getByText("All accounts: a drill in a browser").waitFor({ timeout: 20_000 });
found.told_others_ms = Date.now() - began;
await own.getByRole("button", { name: "Resume all accounts" }).waitFor();
await say("Resume", "the drill is over");
await other.locator(PAGE).getByText("All accounts: a drill").waitFor({ state: "detached", timeout: 20_000 });
await own.getByRole("button", { name: "Halt all accounts" }).waitFor();
found.resumed = true;
await browser.close();
process.stdout.write(JSON.stringify(found));
