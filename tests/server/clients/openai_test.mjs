// The `openai` package of npm against `sluice serve`: what its users do.
// usage: node openai_test.mjs PROGRAM MODEL OPENAI, the package's directory
import assert from 'node:assert/strict';
import {createRequire} from 'node:module';
import {basename, join} from 'node:path';
import {Served} from './served.mjs';

const [program, model, directory] = process.argv.slice(2);
const OpenAI = createRequire(join(directory, 'index.js'))(directory).default;
const name = basename(model);
const served = new Served(program, [model], ['--max-tokens', '10000000', '--max-sessions', '1', '--max-queue', '0']);
const address = await served.address;
const client = new OpenAI({baseURL: `${address}v1`, apiKey: 'none', maxRetries: 0, logLevel: 'off'});
const request = {model: name, prompt: 'the cat', max_tokens: 12, seed: 7};

// At once, and in pieces.
const whole = await client.completions.create(request);
assert.equal(whole.object, 'text_completion');
assert.equal(whole.choices.length, 1);
assert.equal(whole.choices[0].finish_reason, 'length');
assert.deepEqual(whole.usage, {prompt_tokens: 7, completion_tokens: 12, total_tokens: 19});
let text = '', usage = null, events = 0;
for await (const chunk of await client.completions.create({...request, stream: true, stream_options: {include_usage: true}})) {
  text += chunk.choices[0]?.text ?? '';
  usage = chunk.usage ?? usage;
  ++events;
}
assert.equal(text, whole.choices[0].text);
assert.deepEqual(usage, whole.usage);
assert.ok(events > 3);
const scored = await client.completions.create({...request, max_tokens: 0, echo: true, logprobs: 2});
assert.equal(scored.choices[0].text, 'the cat');
assert.equal(scored.choices[0].logprobs.token_logprobs.length, 7);

// Models.
assert.deepEqual((await client.models.list()).data.map(one => one.id), [name]);
assert.equal((await client.models.retrieve(name)).id, name);

// Errors as the package's classes, with their fields.
await assert.rejects(client.completions.create({...request, model: 'other'}), error => error instanceof OpenAI.NotFoundError && error.param === 'model' && error.code === 'model_not_found');
await assert.rejects(client.completions.create({...request, temperature: -1}), error => error instanceof OpenAI.BadRequestError && error.param === 'temperature');
await assert.rejects(client.completions.create({...request, suffix: 'x'}), OpenAI.BadRequestError);
await assert.rejects(client.completions.create({...request, stream: true, temperature: -1}), OpenAI.BadRequestError);

// A stream that is aborted leaves nothing behind.
const long = await client.completions.create({...request, max_tokens: 1000000, stream: true});
for await (const chunk of long) {
  assert.ok(chunk.id);
  break;
}
long.controller.abort();
await served.until(`sluice_requests_running{model="${name}"}`, 0);

// Too many at once: refused with 429, which the package tries again by itself. What is held is no
// stream, which would end when it is not read.
const holding = new AbortController();
const held = client.completions.create({...request, max_tokens: 10000000}, {signal: holding.signal});
const aborted = assert.rejects(held, OpenAI.APIUserAbortError);
await served.until(`sluice_requests_running{model="${name}"}`, 1);
await assert.rejects(client.completions.create(request), OpenAI.RateLimitError);
const retrying = new OpenAI({baseURL: `${address}v1`, apiKey: 'none', maxRetries: 200, logLevel: 'off'}).completions.create(request);
await served.reaches('sluice_http_requests_total{route="/v1/completions",status="429"}', 2);
holding.abort();
await aborted;
assert.equal((await retrying).choices[0].text, text);

assert.equal(await served.stop(), 0);
console.log('the openai package is served');
