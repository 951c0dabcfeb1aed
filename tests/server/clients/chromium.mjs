// Headless Chromium over its debugging pipe: a page that is opened, typed into and looked at.
import {spawn} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

export class Chromium {
  constructor() {
    this.profile = mkdtempSync(join(tmpdir(), 'sluice-chromium-'));
    this.process = spawn('chromium', ['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--no-first-run',
      '--remote-debugging-pipe', `--user-data-dir=${this.profile}`, 'about:blank'], {stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe']});
    this.answers = new Map();
    this.count = 0;
    this.problems = [];
    this.requests = [];
    let held = '';
    this.process.stdio[4].setEncoding('utf8').on('data', data => {
      const parts = (held + data).split('\0');
      held = parts.pop();
      for (const part of parts) this.received(JSON.parse(part));
    });
  }
  received(message) {
    if (message.id !== undefined) {
      const {resolve, reject} = this.answers.get(message.id);
      this.answers.delete(message.id);
      if (message.error) reject(new Error(message.error.message));
      else resolve(message.result);
      return;
    }
    const {method, params} = message;
    if (method === 'Runtime.exceptionThrown') this.problems.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === 'Log.entryAdded' && params.entry.level === 'error') this.problems.push(`${params.entry.text} ${params.entry.url ?? ''}`);
    if (method === 'Network.requestWillBeSent') this.requests.push(params.request.url);
  }
  send(method, params = {}) {
    const id = ++this.count;
    this.process.stdio[3].write(JSON.stringify({id, method, params, sessionId: this.session}) + '\0');
    return new Promise((resolve, reject) => this.answers.set(id, {resolve, reject}));
  }
  async open(url, {width = 1200, height = 900, dark = false} = {}) {
    if (!this.session) {
      const {targetId} = await this.send('Target.createTarget', {url: 'about:blank'});
      this.session = (await this.send('Target.attachToTarget', {targetId, flatten: true})).sessionId;
      for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await this.send(`${domain}.enable`);
    }
    await this.send('Emulation.setDeviceMetricsOverride', {width, height, deviceScaleFactor: 1, mobile: false});
    await this.send('Emulation.setEmulatedMedia', {features: [{name: 'prefers-color-scheme', value: dark ? 'dark' : 'light'}]});
    await this.send('Page.navigate', {url});
  }
  /// The value of an expression in the page; a promise is waited for.
  async value(expression) {
    const {result, exceptionDetails} = await this.send('Runtime.evaluate', {expression, returnByValue: true, awaitPromise: true});
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }
  /// Waits until an expression is true.
  async until(expression, what = expression) {
    // Minutes: beside others at work a page may wait long for its turn.
    for (const end = Date.now() + 240_000; Date.now() < end;) {
      if (await this.value(`Boolean(${expression})`).catch(() => false)) return;
      await new Promise(wake => setTimeout(wake, 15));
    }
    throw new Error(`never so: ${what}\nproblems: ${this.problems.join('\n')}`);
  }
  async type(text) { await this.send('Input.insertText', {text}); }
  async press(key, {ctrl = false, alt = false, shift = false} = {}) {
    const codes = {Enter: 13, Tab: 9, Escape: 27, ArrowLeft: 37, ArrowRight: 39, Home: 36, ' ': 32};
    const common = {key, code: key, windowsVirtualKeyCode: codes[key] ?? key.toUpperCase().charCodeAt(0), modifiers: (alt ? 1 : 0) + (ctrl ? 2 : 0) + (shift ? 8 : 0)};
    await this.send('Input.dispatchKeyEvent', {type: 'keyDown', ...common, text: key.length === 1 && !ctrl && !alt ? key : key === 'Enter' ? '\r' : undefined});
    await this.send('Input.dispatchKeyEvent', {type: 'keyUp', ...common});
  }
  async picture(file) {
    const {cssContentSize} = await this.send('Page.getLayoutMetrics');
    const {data} = await this.send('Page.captureScreenshot', {format: 'png', captureBeyondViewport: true,
      clip: {x: 0, y: 0, width: cssContentSize.width, height: cssContentSize.height, scale: 1}});
    writeFileSync(file, Buffer.from(data, 'base64'));
  }
  async close() {
    await this.send('Browser.close').catch(() => {});
    await new Promise(ended => { if (this.process.exitCode !== null) ended(); else this.process.on('exit', ended); });
    rmSync(this.profile, {recursive: true, force: true, maxRetries: 5});
  }
}
