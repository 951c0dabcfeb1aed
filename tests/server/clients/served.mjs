// A server of models for clients' tests: `sluice serve` itself.
import {spawn} from 'node:child_process';

export class Served {
  constructor(program, models, more = []) {
    this.process = spawn(program, ['serve', ...models, '--port', '0', '--log', 'none', ...more], {stdio: ['ignore', 'pipe', 'inherit'], env: {...process.env, OMP_WAIT_POLICY: 'passive'}});
    process.on('exit', () => this.process.kill('SIGKILL'));
    this.ended = new Promise(resolve => this.process.on('exit', resolve));
    this.address = new Promise((resolve, reject) => {
      this.process.stdout.setEncoding('utf8').on('data', line => {
        const found = /at (http:\S+)/.exec(line);
        if (found) resolve(found[1]);
      });
      this.ended.then(() => reject(new Error('the server did not start')));
    });
  }
  async metric(name) {
    const page = await (await fetch(`${await this.address}metrics`)).text();
    return Number(page.split('\n').find(line => line.startsWith(`${name} `))?.split(' ').pop());
  }
  async until(name, value) {
    return this.eventually(name, `${value}`, found => found === value);
  }
  // For what only grows, and may have passed the value when it is asked for.
  async reaches(name, value) {
    return this.eventually(name, `${value} or more`, found => found >= value);
  }
  async eventually(name, wanted, holds) {
    for (const end = Date.now() + 240_000; Date.now() < end;) {
      if (holds(await this.metric(name))) return;
      await new Promise(wake => setTimeout(wake, 10));
    }
    throw new Error(`${name} never became ${wanted}`);
  }
  async stop() {
    this.process.kill('SIGTERM');
    return this.ended;
  }
}
