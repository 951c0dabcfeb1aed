// Continuing the text: samples side by side, each token with what else could have come.
const sliders = [
  ['temperature', 'Temperature', 0, 2, 0.05, 0.8], ['top_p', 'Top p', 0.05, 1, 0.05, 1], ['top_k', 'Top k (0: all)', 0, 100, 1, 0],
  ['max_tokens', 'Tokens', 5, 400, 5, 60], ['n', 'Samples', 1, 4, 1, 1],
];
const running = {abort: null};

function makeSliders() {
  for (const [id, name, min, max, step, value] of sliders) {
    const output = element('output', {textContent: value});
    const input = element('input', {id, type: 'range', min, max, step, value});
    input.value = value;
    input.addEventListener('input', () => { output.textContent = input.value; });
    $('sliders').append(element('label', {htmlFor: id}, name, output, input));
  }
}
const setting = id => Number($(id).value);

/// One sample: a card that fills as it is made.
class Sample {
  constructor(prompt, number) {
    this.prompt = prompt;
    this.tokens = [];
    this.made = '';  // what the tokens say, kept: to join thousands for each is slow
    this.title = element('h3', {textContent: `Sample ${number + 1}`});
    this.text = element('p');
    this.others = element('div', {className: 'others', hidden: true});
    this.use = element('button', {type: 'button', textContent: 'Use', onclick: () => { setText(this.prompt + this.made); $('text').focus(); }});
    this.card = element('article', {className: 'sample'}, this.title, this.text, this.others, this.use);
    this.card.setAttribute('aria-label', `Sample ${number + 1}`);
  }
  /// What the stream has for it: text, and the tokens that begin in it.
  add(choice) {
    const {tokens, token_logprobs: logs, top_logprobs: tops} = choice.logprobs;
    const begin = this.made.length;
    tokens.forEach((name, i) => this.put({text: name.startsWith('bytes:') ? '' : name, log: logs[i], top: tops?.[i] ?? {}}));
    // Parts of characters, and text that was held back, go with the token before.
    const rest = choice.text.slice(this.made.length - begin);
    if (rest && this.tokens.length) {
      const last = this.tokens[this.tokens.length - 1];
      last.text += rest;
      last.span.textContent += rest;
      this.made += rest;
    }
  }
  put(token) {
    const at = this.tokens.length;
    const p = Math.exp(token.log);
    token.span = element('span', {className: 'token', tabIndex: 0, textContent: token.text, title: percent(p), onclick: () => this.show(at)});
    token.span.setAttribute('role', 'button');
    token.span.setAttribute('aria-label', `${visible(token.text)}, ${percent(p)}`);
    token.span.addEventListener('keydown', event => { if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); this.show(at); } });
    token.span.style.background = `rgba(var(--heat), ${Math.min(.8, Math.max(0, -token.log / Math.LN2 - 1) / 10).toFixed(3)})`;
    this.tokens.push(token);
    this.made += token.text;
    this.text.append(token.span);
  }
  /// The alternatives of a token: a press continues from there.
  show(at) {
    const before = this.tokens.slice(0, at).map(token => token.text).join('');
    const buttons = Object.entries(this.tokens[at].top).sort((a, b) => b[1] - a[1]).filter(([name]) => !name.startsWith('bytes:'))
      .map(([name, log]) => element('button', {type: 'button', onclick: () => { setText(this.prompt + before + name); go(); }}, `${visible(name)} ${percent(Math.exp(log))}`));
    this.others.replaceChildren(`Instead of ${visible(this.tokens[at].text)} (${percent(Math.exp(this.tokens[at].log))}):`, ...buttons);
    this.others.hidden = false;
    buttons[0]?.focus();
  }
  end(seconds) {
    const bits = this.tokens.reduce((sum, token) => sum - token.log / Math.LN2, 0) / Math.max(1, this.tokens.length);
    this.title.textContent += `: ${this.tokens.length} tokens, ${bits.toFixed(2)} bits each, ${Math.round(this.tokens.length / seconds)} a second`;
  }
}

async function go() {
  running.abort?.abort();
  const abort = running.abort = new AbortController();
  const prompt = $('text').value;
  const samples = Array.from({length: setting('n')}, (_, i) => new Sample(prompt, i));
  $('samples').replaceChildren(...samples.map(sample => sample.card));
  $('stop').disabled = false;
  say('Continuing …');
  const begin = performance.now();
  try {
    await askForStream('v1/completions', {
      model: $('model').value, prompt, stream: true, logprobs: 6, n: samples.length,
      temperature: setting('temperature'), top_p: setting('top_p'), top_k: setting('top_k'), max_tokens: setting('max_tokens'),
    }, abort.signal, event => { for (const choice of event.choices) samples[choice.index].add(choice); });
    say(`Continued in ${((performance.now() - begin) / 1000).toFixed(2)} s.`);
  } catch (error) {
    if (error.name === 'AbortError') say('Stopped.');
    else say(error.message, true);
  }
  if (running.abort !== abort) return;
  const seconds = (performance.now() - begin) / 1000;
  for (const sample of samples) sample.end(seconds);
  $('stop').disabled = true;
}
