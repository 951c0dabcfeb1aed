// How long the server's page takes to shade 1,000 words that are pasted into it.
//   node bench/page_paste.mjs PROGRAM MODEL TEXT [TIMES]
// Prints milliseconds from the paste to the shaded words, in the order of the pastes.
import {readFileSync} from 'node:fs';
import {Chromium} from '../tests/server/clients/chromium.mjs';
import {Served} from '../tests/server/clients/served.mjs';

const [program, model, file, times = '6'] = process.argv.slice(2);
const words = readFileSync(file, 'utf8').split(/\s+/).filter(word => word);
const served = new Served(program, [model]);
const browser = new Chromium();
try {
  await browser.open(await served.address);
  await browser.until("$('model').options.length === 1");
  await new Promise(wake => setTimeout(wake, 2000)); // as soon as a person can have found the text
  const taken = [];
  for (let i = 0; i < Number(times); ++i) {
    const text = words.slice(1000 * i, 1000 * (i + 1)).join(' ');
    taken.push(await browser.value(`new Promise(resolve => {
      const begin = performance.now();
      $('text').value = ${JSON.stringify(text)};
      $('text').dispatchEvent(new InputEvent('input', {inputType: 'insertFromPaste'}));
      const look = () => {
        if (state.scored === $('text').value && $('shade').querySelectorAll('span').length >= 1000) resolve(Math.round(performance.now() - begin));
        else requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    })`));
  }
  console.log(`1,000 words were shaded in ${taken.join(', ')} ms`);
} finally {
  await browser.close();
  await served.stop();
}
