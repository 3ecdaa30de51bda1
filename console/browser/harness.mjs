// A server with a small real model and a headless browser, for the suites of this folder.
//   TATARA_PROGRAM  the built program          TATARA_MODELS  folder of test models
//   TATARA_SHOTS    folder for screenshots; none are made without it
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach } from 'node:test';
import { chromium } from 'playwright-core';

const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const modelFile = join(
  process.env.TATARA_MODELS ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'tatara/test-models'),
  'SmolLM2-135M-Instruct.Q4_1.gguf',
);
const browserFile = process.env.TATARA_CHROMIUM ?? '/usr/bin/chromium';

// What is not there to test with; nothing where all is.
export function missing() {
  if (!existsSync(browserFile)) return `${browserFile} (Debian's package chromium)`;
  if (!existsSync(modelFile)) return `${modelFile} (a test model: TATARA_MODELS)`;
  return undefined;
}

async function startServer(home, more = []) {
  const model = join(home, 'smollm2-135m.gguf');
  if (!existsSync(model)) symlinkSync(modelFile, model);
  const server = spawn(process.env.TATARA_PROGRAM, ['serve', '--model', model, '--port', '0', '--context', '2048', ...more], {
    env: { ...process.env, TATARA_HOME: home, LC_ALL: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  const url = await new Promise((done, failed) => {
    server.on('exit', (code) => failed(new Error(`the server ended with ${code}: ${said}`)));
    server.stdout.on('data', (bytes) => {
      said += bytes;
      const found = /http:\/\/[\d.]+:\d+/.exec(said);
      if (found && /\nmodel: .*\n/.test(said) && (more.length === 0 || /\nkey, .*\n/.test(said))) done(found[0]);
    });
  });
  return { server, url, key: /key, shown this once: (\S+)/.exec(said)?.[1] };
}

// `more`: further options of `tatara serve`; "--require-key" makes the first key.
export async function start(more = []) {
  const home = mkdtempSync(join(tmpdir(), 'tatara-browser-'));
  const { server, url, key } = await startServer(home, more);
  const browser = await chromium.launch({
    executablePath: browserFile,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
  return {
    url,
    home,
    key,
    async open({ locale = 'en-GB', width = 1280, height = 800, dark = false, sampling = { temperature: 0, max_tokens: 60 }, path = '/', offers, models } = {}) {
      const context = await browser.newContext({
        locale, viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', acceptDownloads: true, reducedMotion: 'reduce',
      });
      await context.addInitScript((text) => {
        if (localStorage.getItem('tatara.sampling') === null) localStorage.setItem('tatara.sampling', text);
      }, JSON.stringify(sampling));
      // Paths that the server is made to say it offers.
      if (offers) {
        const document = { paths: Object.fromEntries(offers.map((each) => [each, {}])) };
        await context.route('**/openapi.json', (route) => route.fulfill({ json: document }));
      }
      // And models that it is made to say it serves.
      if (models) await context.route('**/v1/models', (route) => route.fulfill({ json: { object: 'list', data: models } }));
      const page = await context.newPage();
      page.problems = [];
      page.on('pageerror', (error) => page.problems.push(String(error)));
      page.on('console', (message) => {
        if (message.type() === 'error' || /Content Security Policy/.test(message.text())) page.problems.push(message.text());
      });
      page.on('dialog', (dialog) => {
        page.problems.push(`a dialog: ${dialog.message()}`);
        void dialog.dismiss();
      });
      await page.goto(url + path);
      await page.locator('#message, .sign-in').first().waitFor();
      return page;
    },
    // As a power cut ends it: nothing is said to anybody.
    crash() {
      server.removeAllListeners('exit');
      server.kill('SIGKILL');
    },
    async stop() {
      await browser.close();
      server.removeAllListeners('exit');
      if (server.killed) return rmSync(home, { recursive: true, force: true });
      const ended = new Promise((done) => server.on('exit', done));
      server.kill('SIGTERM');
      await ended;
      rmSync(home, { recursive: true, force: true });
    },
  };
}

// The rules of WCAG 2.2 A and AA that a program can check.
export async function accessibilityProblems(page) {
  await page.evaluate(axe);
  const report = await page.evaluate(() =>
    globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
  );
  return report.violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.html.slice(0, 160)} ${node.any[0]?.message ?? ''}`));
}

export async function shot(page, name) {
  const folder = process.env.TATARA_SHOTS;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

export const focused = (page) =>
  page.evaluate(() => {
    const at = document.activeElement;
    return at?.getAttribute('aria-label') || at?.id || at?.textContent?.trim() || '';
  });

// After each test its page is closed and has had no problem (but those that `counts` passes over);
// after the last the world ends.
export function leaveTidy(world, page, counts = () => true) {
  afterEach(async () => {
    const problems = page().problems.filter(counts);
    await page().context().close();
    assert.deepEqual(problems, []);
  });
  after(() => world().stop());
}

// A claim about what the page shows: it is drawn, and the focus moves, a moment after what caused it.
export async function eventually(claim, milliseconds = 5000) {
  const end = Date.now() + milliseconds;
  for (;;) {
    try {
      return await claim();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    await new Promise((done) => setTimeout(done, 50));
  }
}

export const focusIs = (page, name) => eventually(async () => assert.equal(await focused(page), name));

// Presses a key until the control with this name has the focus.
export async function tabTo(page, name, key = 'Tab') {
  const matches = () =>
    page.evaluate((wanted) => {
      const at = document.activeElement;
      return [at?.getAttribute('aria-label'), at?.textContent?.trim(), at?.id].includes(wanted);
    }, name);
  for (let presses = 0; presses < 80; ++presses) {
    await page.keyboard.press(key);
    if (await matches()) return;
  }
  throw new Error(`'${name}' is not reached by ${key}; the focus is on '${await focused(page)}'`);
}

export async function say(page, text) {
  const message = page.locator('#message');
  // What closed just before gives the focus back to its button, perhaps in mid-word.
  await eventually(async () => {
    await message.fill(text);
    assert.ok(await message.evaluate((box) => box === document.activeElement));
  });
  await message.press('Enter');
}

export async function answered(page, n = 1) {
  await page.locator('.answer:not(.growing)').nth(n - 1).waitFor({ timeout: 60_000 });
  await page.locator('.messages[aria-busy="false"]').waitFor({ timeout: 60_000 });
}
