'use strict';
// Asking the server.
const $ = id => document.getElementById(id);
const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
/// A probability for people: "12 %", "0.4 %", "1 in 2,000", "1 in 3 × 10⁹".
function percent(p) {
  if (p >= 0.0995) return `${(100 * p).toFixed(0)} %`;
  if (p >= 0.000995) return `${(100 * p).toFixed(1)} %`;
  if (!(p > 0)) return '0';
  if (p > 1e-6) return `1 in ${Math.round(1 / p).toLocaleString('en')}`;
  const [digits, power] = (1 / p).toExponential(0).split('e+');
  return `1 in ${digits} × 10${[...power].map(digit => '⁰¹²³⁴⁵⁶⁷⁸⁹'[digit]).join('')}`;
}
/// Blanks and line ends as they can be seen.
const visible = text => text.replace(/\n/g, '⏎').replace(/^ /, '␣').replace(/\t/g, '⇥') || '∅';

function say(message, bad = false) {
  $('status').textContent = message;
  $('status').className = bad ? 'bad' : '';
}

function headers() {
  const key = $('key').value.trim();
  return {'Content-Type': 'application/json', ...(key ? {Authorization: `Bearer ${key}`} : {})};
}

/// The answer to a request; an error has the server's own sentence.
async function ask(path, body, signal) {
  const response = await fetch(path, body === undefined ? {headers: headers(), signal} : {method: 'POST', headers: headers(), signal, body: JSON.stringify(body)});
  if (response.status === 401) $('key-label').hidden = false;
  if (response.ok) return response;
  let message = `the server answered ${response.status}`;
  try { message = (await response.json()).error.message; } catch { /* it was no JSON */ }
  throw new Error(message);
}
const askFor = async (path, body, signal) => (await ask(path, body, signal)).json();

/// Lets the page draw and hear its buttons: what is at hand of a stream is read without a pause.
const breathe = () => new Promise(next => setTimeout(next));

/// Calls `each` for the events of a stream as they come.
async function askForStream(path, body, signal, each) {
  const reader = (await ask(path, body, signal)).body.pipeThrough(new TextDecoderStream()).getReader();
  let held = '';
  let since = performance.now();
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    const parts = (held + value).split('\n\n');
    held = parts.pop();
    for (const part of parts) {
      const data = part.replace(/^data: /, '');
      if (data === '[DONE]') continue;
      const event = JSON.parse(data);
      if (event.error) throw new Error(event.error.message);
      each(event);
      if (performance.now() - since < 12) continue;
      await breathe();
      signal.throwIfAborted();
      since = performance.now();
    }
  }
}
