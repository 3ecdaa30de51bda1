// A server that asks for a key.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { before, test } from 'node:test';
import { accessibilityProblems, answered, eventually, focusIs, leaveTidy, say, shot, start } from './harness.mjs';

let world;
let page;
before(async () => {
  world = await start(['--require-key']);
});
leaveTidy(() => world, () => page, (problem) => !problem.includes('401'));

async function signIn(key) {
  await page.locator('#sign-in-key').fill(key);
  await page.keyboard.press('Enter');
}

test('without a key the page asks for one, and says that a wrong one is wrong', async () => {
  page = await world.open({ locale: 'ja-JP' });
  await page.getByRole('heading', { name: 'サインイン' }).waitFor();
  await focusIs(page, 'sign-in-key');
  await shot(page, 'sign-in-ja');
  await eventually(async () => assert.deepEqual(await accessibilityProblems(page), []));
  await signIn(`${world.key}0`);
  await page.getByRole('alert').filter({ hasText: 'この鍵は登録されていません' }).waitFor();
  await eventually(async () => assert.deepEqual(await accessibilityProblems(page), []));
});

test('a key signs in until one signs out, and scripts can not read it', async () => {
  page = await world.open();
  await signIn(world.key);
  await page.locator('#message').waitFor();
  await say(page, 'Name a number.');
  await answered(page);
  await page.locator('.history a').waitFor();
  const cookies = await page.context().cookies();
  assert.equal(cookies.length, 1);
  assert.ok(cookies[0].httpOnly && cookies[0].sameSite === 'Strict');
  const readable = await page.evaluate(() => document.cookie + JSON.stringify(localStorage));
  assert.ok(!readable.includes(world.key) && !readable.includes(cookies[0].value));
  await page.reload();
  await page.locator('#message').waitFor();
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.reload();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
});

test('a session that ends leads back to signing in', async () => {
  page = await world.open();
  await signIn(world.key);
  await page.locator('#message').waitFor();
  await page.context().clearCookies();
  await say(page, 'Hello');
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
});

test('another tenant sees none of these conversations', async () => {
  const made = spawnSync(process.env.TATARA_PROGRAM, ['keys', 'add', 'other', '--tenant', 'other', '--json'], {
    env: { ...process.env, TATARA_HOME: world.home },
  });
  const text = String(made.stdout);
  const key = /"(tatara[-_][^"]+)"/.exec(text)?.[1];
  assert.ok(key, text);
  // The running server reads new keys in a moment.
  await eventually(async () => {
    const models = await fetch(`${world.url}/v1/models`, { headers: { Authorization: `Bearer ${key}` } });
    assert.equal(models.status, 200);
  }, 20_000);
  page = await world.open();
  await signIn(key);
  await page.locator('#message').waitFor();
  await page.getByText('No conversations yet').waitFor();
});
