// What a model, a title or a stored conversation says never becomes markup or a script.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { answered, eventually, leaveTidy, say, start } from './harness.mjs';

let world;
let page;
before(async () => {
  world = await start();
});
leaveTidy(() => world, () => page);

const attacks = [
  '<script>globalThis.hit=1</script>',
  '<img src=x onerror="globalThis.hit=1">',
  '<svg onload=globalThis.hit=1><a xlink:href="javascript:globalThis.hit=1">x</a></svg>',
  '[link](javascript:globalThis.hit=1)',
  '[link](JAVASCRIPT&colon;globalThis.hit=1)',
  '[link](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)',
  '![picture](https://tracker.example/pixel.png?who=me)',
  '<iframe srcdoc="<script>parent.hit=1</script>"></iframe>',
  '<form action="/v1/conversations"><button>go</button></form>',
  '<style>body{display:none}</style><link rel=stylesheet href=//evil.example/x.css>',
  '<meta http-equiv=refresh content="0;url=//evil.example">',
  '```html\n<script>globalThis.hit=1</script>\n```',
  '```"><img src=x onerror=globalThis.hit=1>\ncode\n```',
  '<a href="#" onclick="globalThis.hit=1">x</a>',
  '| <b onmouseover=globalThis.hit=1>a</b> | b |\n|---|---|\n| <script>1</script> | c |',
];

function stream(text) {
  const chunk = (delta, finish = null) =>
    `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
  return `${chunk({ content: text })}${chunk({}, 'stop')}data: [DONE]\n\n`;
}

async function checkHarmless() {
  assert.equal(await page.evaluate(() => globalThis.hit), undefined);
  const inside = '.messages script, .messages img, .messages iframe, .messages form, .messages style, .messages link, .messages meta, .messages svg:not(.icon)';
  assert.equal(await page.locator(inside).count(), 0);
  const hrefs = await page.locator('.messages a').evaluateAll((links) => links.map((link) => link.href));
  for (const href of hrefs) assert.match(href, /^https?:|^mailto:/);
  assert.equal(await page.evaluate(() => [...document.querySelectorAll('.messages *')].flatMap((each) => each.getAttributeNames()).filter((name) => name.startsWith('on')).length), 0);
}

test('attacks in an answer are shown as text, and nothing is asked of other hosts', async () => {
  page = await world.open();
  const others = [];
  page.on('request', (request) => {
    if (!request.url().startsWith(world.url) && !request.url().startsWith('data:')) others.push(request.url());
  });
  for (const [index, attack] of attacks.entries()) {
    await page.route('**/v1/chat/completions', (route) =>
      route.fulfill({ status: 200, contentType: 'text/event-stream', headers: { 'x-tatara-receipt': '"><script>1' }, body: stream(attack) }),
    );
    await say(page, attack);
    await answered(page, index + 1);
    await page.unroute('**/v1/chat/completions');
  }
  await page.waitForTimeout(300);
  await checkHarmless();
  assert.deepEqual(others, []);
});

test('attacks in titles and in what is stored are shown as text', async () => {
  const post = async (path, body) => {
    const response = await fetch(world.url + path, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
    });
    assert.equal(response.status, 200, await response.clone().text());
    return response.json();
  };
  const title = '<img src=x onerror="globalThis.hit=1"><script>globalThis.hit=1</script>';
  const { id } = await post('/v1/conversations', { title });
  await post(`/v1/conversations/${id}/messages`, { id: '__proto__', role: 'user', content: title });
  await post(`/v1/conversations/${id}/messages`, {
    id: 'constructor', parent: '__proto__', role: 'assistant', content: attacks.join('\n\n'), reasoning: title,
    model: title.slice(0, 200), receipt: '../../v1/models', finish: 'failed',
    details: { error: title, seconds: 'x', completion_tokens: { a: 1 }, citations: 7 },
  });
  page = await world.open({ path: `/#/chat/${id}` });
  await page.locator('.answer').waitFor();
  await page.waitForTimeout(300);
  await checkHarmless();
  await page.getByRole('searchbox').fill('onerror');
  await page.locator('.entry-snippet').first().waitFor();
  assert.equal(await page.locator('.history img, .history script, .chat-header img').count(), 0);
  assert.equal(await page.evaluate(() => globalThis.hit), undefined);
  await eventually(async () => assert.ok((await page.title()).includes('<img')));
});

test('the policy refuses scripts and markup that a fault would let through', async () => {
  page = await world.open();
  const refused = await page.evaluate(async () => {
    const results = [];
    try {
      document.createElement('div').innerHTML = '<b>x</b>';
    } catch (error) {
      results.push(error.name);
    }
    const script = document.createElement('script');
    try {
      script.textContent = 'globalThis.hit = 1';
      document.body.append(script);
    } catch (error) {
      results.push(error.name);
    }
    const image = new Image();
    image.src = 'https://tracker.example/x.png';
    await new Promise((done) => setTimeout(done, 200));
    results.push(globalThis.hit ?? 'not run');
    return results;
  });
  assert.deepEqual(refused, ['TypeError', 'TypeError', 'not run']);
  assert.ok(page.problems.length > 0); // the browser says that it refused
  page.problems = [];
});
