// The server's page in headless Chromium: typed into, looked at, its buttons and keys pressed.
// usage: node page_test.mjs PROGRAM MODEL OTHER [DIRECTORY], for pictures
import assert from 'node:assert/strict';
import {basename, join} from 'node:path';
import {Chromium} from './chromium.mjs';
import {Served} from './served.mjs';

const [program, model, other, pictures] = process.argv.slice(2);
const served = new Served(program, [model, other]);
const address = await served.address;
const browser = new Chromium();
const text = () => browser.value("$('text').value");
const shaded = "$('shade').querySelectorAll('span').length";
try {
  await browser.open(address);
  await browser.until("$('model').options.length === 2");
  // By keyboard alone: the first stop is the way past the head to the text.
  await browser.press('Tab');
  assert.equal(await browser.value('document.activeElement.className'), 'skip');
  await browser.press('Enter');
  await browser.value("$('text').focus()");

  // Words are shaded, and told of at the caret.
  await browser.type('the cat sat on the mat\na zebra ran');
  await browser.until(`${shaded} === 10 && state.scored === $('text').value`);
  assert.equal(await browser.value("[...$('shade').querySelectorAll('span')].map(span => span.textContent).join('|')"), 'the|cat|sat|on|the|mat|\n|a|zebra|ran');
  assert.equal(await browser.value("$('shade').textContent.replace('\\u200b', '')"), await text());
  assert.match(await browser.value("$('whole').textContent"), /Perplexity[\d.,]+Tokens34/);
  assert.equal(await browser.value("document.querySelector('#word .chosen').textContent"), 'ran');
  await browser.press('Home');
  await browser.until("document.querySelector('#word .chosen')?.textContent === 'a'");
  await browser.press('ArrowRight');
  await browser.press('ArrowRight');
  await browser.until("document.querySelector('#word .chosen')?.textContent === 'zebra' && document.querySelectorAll('#word .bars tr').length > 1");
  assert.match(await browser.value("$('word').textContent"), /Probability.*Surprisal.*bits/);

  // A paste is scored at once.
  assert.ok(await browser.value("state.scoring = null; $('text').value = 'a dog saw'; $('text').dispatchEvent(new InputEvent('input', {inputType: 'insertFromPaste'})); state.scoring !== null"));
  await browser.until(`state.scored === 'a dog saw' && ${shaded} === 3 && state.chips.length`);

  // Chips complete and continue, by press and by key.
  await browser.value("setText('the c')");
  await browser.until("state.chips.length && $('chips').children.length === state.chips.length && [...$('chips').children].every(chip => chip.firstChild.textContent.startsWith('c'))");
  const [first] = await browser.value("state.chips.map(chip => chip.text)");
  await browser.press('1', {alt: true});
  assert.equal(await text(), `the ${first} `);
  await browser.until("state.chips.length && !state.chips.every(chip => chip.text.startsWith('c'))");
  const before = await text();
  await browser.value("$('chips').children[1].click()");
  assert.ok((await text()).startsWith(before) && (await text()).length > before.length);

  // Samples side by side stream; a token's alternatives continue from there.
  await browser.value("setText('the cat'); for (const [id, value] of [['n', 3], ['max_tokens', 20]]) { $(id).value = value; $(id).dispatchEvent(new Event('input')); }");
  await browser.press('Enter', {ctrl: true});
  await browser.until("$('status').textContent.startsWith('Continued')");
  assert.deepEqual(await browser.value("[...document.querySelectorAll('.sample')].map(card => card.querySelectorAll('.token').length)"), [20, 20, 20]);
  assert.match(await browser.value("document.querySelector('.sample h3').textContent"), /20 tokens, [\d.]+ bits each, \d+ a second/);
  await browser.value("document.querySelectorAll('.sample')[1].querySelectorAll('.token')[2].focus()");
  await browser.press('Enter');
  assert.ok(await browser.value("document.activeElement.closest('.others')") !== null);
  const begun = await browser.value("[...document.querySelectorAll('.sample')[1].querySelectorAll('.token')].slice(0, 2).map(token => token.textContent).join('')");
  await browser.press('Enter');
  await browser.until("$('status').textContent.startsWith('Continued')");
  assert.ok((await text()).startsWith(`the cat${begun}`));
  await browser.value("document.querySelector('.sample > button').click()");
  assert.ok((await text()).length > 20);

  // Stop, by button and by key.
  for (const stop of ["$('stop').click()", null]) {
    // A small model may have made all its tokens before it is told: then once more.
    for (let tries = 0; await browser.value("$('status').textContent") !== 'Stopped.' || tries === 0; ++tries) {
      assert.ok(tries < 50);
      await browser.value("$('max_tokens').max = 8000; $('max_tokens').value = 8000; $('n').value = 1; $('status').textContent = ''; $('go').click()");
      await browser.until("document.querySelectorAll('.token').length > 3");
      if (stop) await browser.value(stop);
      else await browser.press('Escape');
      await browser.until("$('status').textContent === 'Stopped.' || $('status').textContent.startsWith('Continued')");
    }
    await served.until(`sluice_requests_running{model="${basename(model)}"}`, 0);
  }

  // A stream that is all there is read in turns with the page's buttons, or none of them could stop it.
  const read = await browser.value(`(async () => {
    const fetched = window.fetch;
    window.fetch = async () => new Response('data: {}\\n\\n'.repeat(400));
    const stop = new AbortController();
    setTimeout(() => stop.abort());
    let events = 0;
    await askForStream('', {}, stop.signal, () => {
      ++events;
      for (const end = performance.now() + 1; performance.now() < end;);
    }).catch(error => { if (error.name !== 'AbortError') throw error; });
    window.fetch = fetched;
    return events;
  })()`);
  assert.ok(read > 0 && read < 400, `read ${read} of 400 events`);

  // Two models: the difference is the shade.
  await browser.value(`setText('the cat sat'); $('other').value = '${basename(other)}'; $('other').onchange()`);
  await browser.until("state.others && $('legend').textContent.includes('knows better')");
  assert.match(await browser.value("$('word').textContent"), new RegExp(`In ${basename(other)}`));
  await browser.value("$('other').value = ''; $('other').onchange()");

  // Of nothing there is no perplexity.
  await browser.value("setText('')");
  await browser.until("state.scored === '' && $('whole').textContent.startsWith('Perplexity–Tokens0')");

  // A thousand words, characters beyond UTF-16's units among them.
  await browser.value("setText('𝔘 the cat sat on a mat '.repeat(143))");
  await browser.until(`state.scored === $('text').value && ${shaded} === 1001`);

  // Everything that can be pressed has a name, nothing is wider than the window, nothing went elsewhere.
  assert.deepEqual(await browser.value("[...document.querySelectorAll('button, input, select, textarea')].filter(one => !(one.textContent.trim() || one.labels?.length || one.ariaLabel)).map(one => one.outerHTML)"), []);
  for (const [name, options] of [['light', {}], ['dark', {dark: true}], ['narrow', {width: 360, height: 800}]]) {
    await browser.open(address, options);
    await browser.until("$('model').options.length === 2");
    await browser.value("setText('the cat sat on the mat\\nwe saw a zebra and a dog')");
    await browser.until(`state.scored === $('text').value && $('chips').children.length > 2`);
    await browser.value("$('n').value = 2; $('max_tokens').value = 40; $('go').click()");
    await browser.until("$('status').textContent.startsWith('Continued')");
    assert.ok(await browser.value('document.documentElement.scrollWidth') <= (options.width ?? 1200), name);
    if (pictures) await browser.picture(join(pictures, `${name}.png`));
  }
  assert.deepEqual(browser.requests.filter(url => !url.startsWith(address) && url !== 'about:blank'), []);
  assert.deepEqual(browser.problems, []);
} finally {
  await browser.close();
}
assert.equal(await served.stop(), 0);
console.log('the page does what its buttons and keys say');
