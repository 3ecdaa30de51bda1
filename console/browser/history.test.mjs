// The history: found, renamed, exported, deleted.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, test } from 'node:test';
import { answered, eventually, focusIs, leaveTidy, say, start, tabTo } from './harness.mjs';

let world;
let page;
before(async () => {
  world = await start();
});
leaveTidy(() => world, () => page);

async function post(path, body) {
  const response = await fetch(world.url + path, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
  });
  assert.equal(response.status, 200);
  return response.json();
}

async function store(title, question, answer) {
  const { id } = await post('/v1/conversations', { title });
  await post(`/v1/conversations/${id}/messages`, { id: 'q', role: 'user', content: question });
  await post(`/v1/conversations/${id}/messages`, { id: 'a', parent: 'q', role: 'assistant', content: answer, model: 'm' });
  return id;
}

const titles = () => page.locator('.history .entry-title').allInnerTexts();

test('words are found in Japanese and in English, in any width, and a match opens', async () => {
  await store('旋盤の点検', '主軸の温度は何度までですか？', '**80 ℃** までです。センサーで測ります。');
  await store('Lockout', 'How long are tags kept?', 'Twelve months in the office.');
  page = await world.open();
  const search = page.getByRole('searchbox');
  for (const [query, found] of [['温度', '旋盤の点検'], ['せんさー', '旋盤の点検'], ['ＴＡＧＳ', 'Lockout'], ['months office', 'Lockout']]) {
    await search.fill(query);
    await page.waitForFunction((title) => {
      const shown = [...document.querySelectorAll('.history .entry-title')].map((each) => each.textContent);
      return shown.length === 1 && shown[0] === title;
    }, found);
  }
  await search.fill('nothing like it');
  await page.getByText('Nothing found').waitFor();
  await search.fill('主軸');
  await page.locator('.entry-snippet', { hasText: '主軸の温度' }).waitFor();
  await search.focus();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.locator('.answer strong', { hasText: '80 ℃' }).waitFor();
});

test('a conversation is renamed, exported and deleted by keyboard', async () => {
  page = await world.open();
  await say(page, 'Name a city.');
  await answered(page);
  await page.locator('.chat-header .actions').waitFor();
  await page.locator('#open-sampling').focus();
  await page.keyboard.press('Tab');
  await focusIs(page, 'Actions for this conversation');
  await page.keyboard.press('Enter');
  await tabTo(page, 'Rename');
  await page.keyboard.press('Enter');
  await page.locator('#conversation-title').waitFor();
  await page.locator('#conversation-title').focus();
  await page.keyboard.press('Control+A');
  await page.keyboard.type('都市の名前');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: '都市の名前' }).waitFor();
  await page.waitForFunction(() => document.querySelector('.history [aria-current] .entry-title')?.textContent === '都市の名前');

  for (const [name, check] of [
    ['Export as Markdown', (content) => assert.match(content, /^# 都市の名前\n[\s\S]*## Question\n\nName a city\./)],
    ['Export as JSON', (content) => assert.equal(JSON.parse(content).messages.length, 2)],
  ]) {
    await page.getByRole('button', { name: 'Actions for this conversation' }).focus();
    await page.keyboard.press('Enter');
    const download = page.waitForEvent('download');
    await tabTo(page, name);
    await page.keyboard.press('Enter');
    check(readFileSync(await (await download).path(), 'utf8'));
  }

  await page.getByRole('button', { name: 'Actions for this conversation' }).focus();
  await page.keyboard.press('Enter');
  await tabTo(page, 'Delete');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Delete “都市の名前”?' }).waitFor();
  await page.keyboard.press('Escape');
  await eventually(async () => assert.ok((await titles()).includes('都市の名前')));
  await page.getByRole('button', { name: 'Actions for this conversation' }).focus();
  await page.keyboard.press('Enter');
  await tabTo(page, 'Delete');
  await page.keyboard.press('Enter');
  await page.locator('dialog').waitFor();
  await tabTo(page, 'Delete');
  await page.keyboard.press('Enter');
  await page.getByText('The conversation was deleted').waitFor();
  await eventually(async () => assert.ok(!(await titles()).includes('都市の名前')));
});

test('an address of a conversation that is gone says so', async () => {
  page = await world.open({ path: '/#/chat/conv_00000000000000000000000000000000' });
  await page.getByText('This conversation does not exist any more').waitFor();
  page.problems = page.problems.filter((problem) => !problem.includes('404'));
});

test('everything is exported in one file, then deleted', async () => {
  page = await world.open();
  await page.getByRole('button', { name: 'Settings' }).click();
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Export all conversations' }).click();
  const all = JSON.parse(readFileSync(await (await download).path(), 'utf8'));
  assert.equal(all.format, 'tatara-conversations-1');
  assert.deepEqual(all.conversations.map((each) => each.title).sort(), ['Lockout', '旋盤の点検']);
  await page.getByRole('button', { name: 'Delete all conversations' }).click();
  await page.locator('dialog dialog, dialog').last().getByRole('button', { name: 'Delete all conversations' }).last().click();
  await page.getByText('All conversations were deleted').waitFor();
  await page.keyboard.press('Escape');
  await page.getByText('No conversations yet').waitFor();
  const list = await (await fetch(`${world.url}/v1/conversations`)).json();
  assert.deepEqual(list.data, []);
});
