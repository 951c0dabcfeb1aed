// Writes hugging_face.json: `npm i --ignore-scripts @huggingface/tokenizers` somewhere, and there
// `node .../tests/golden/generate_tokenizers.mjs`. The oracle is that package (0.2.0), Hugging Face's own
// for JavaScript; vocabularies are made here. See README.md here for what the file holds.

import { writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const here = `${process.cwd()}/node_modules/@huggingface/tokenizers/dist/tokenizers.mjs`;
const { Tokenizer } = await import(pathToFileURL(here).href);

const corpus = `the gate opens and closes slowly while the water runs over the stones
children played at the old mill, and the wheel was turning in 1997
naïve café straße élan; the closing gate's opening is closed
I've seen it'll don't they're we're the gates the waters the stones
日本語 の 水車 は 古い 日本 の 水`.split("\n");
const lines = [
  ...corpus, "", " ", "  two   blanks  ", "tab\tand  more", "The GATE Opens", "unseen zebra's quartz 😀",
  "日本語の水車", "e\u0301lan caf\u0065\u0301 ＡＢＣ", "12345 and 6,789.01!?", "a <|endoftext|> b", "x[SEP]y",
  "under_score-dash (paren)", "\u00a0nbsp\u3000wide",
];

// Merges of the most frequent neighbours, ties by name.
function learn(words, count, join = (a, b) => a + b) {
  const merges = [];
  words = words.map((word) => [...word]);
  for (let i = 0; i < count; i++) {
    const pairs = new Map();
    for (const word of words)
      for (let j = 0; j + 1 < word.length; j++) {
        const key = `${word[j]} ${word[j + 1]}`;
        pairs.set(key, (pairs.get(key) ?? 0) + 1);
      }
    const best = [...pairs].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0];
    if (!best || best[1] < 2) break;
    merges.push(best[0]);
    const [a, b] = best[0].split(" ");
    words = words.map((word) => {
      const out = [];
      for (const piece of word)
        if (out.length && out.at(-1) === a && piece === b && !out.merged) {
          out[out.length - 1] = join(a, b);
          out.merged = true;
        } else {
          out.push(piece);
          out.merged = false;
        }
      return [...out];
    });
  }
  return merges;
}
function vocabulary(names) {
  return Object.fromEntries([...new Set(names)].map((name, id) => [name, id]));
}
const made = (merges) => merges.map((merge) => merge.replace(" ", ""));

const levels = (() => {
  const table = [];
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    table.push(String.fromCodePoint(itself ? byte : next++));
  }
  return table;
})();
const level = (text) => [...new TextEncoder().encode(text)].map((byte) => levels[byte]).join("");
const gpt2 = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;
const levelWords = corpus.flatMap((line) => line.match(gpt2)).map(level);
const levelMerges = learn(levelWords, 90);
const added = (content, id) => ({ id, content, single_word: false, lstrip: false, rstrip: false,
                                  normalized: false, special: true });
const base = (parts) => ({ version: "1.0", truncation: null, padding: null, added_tokens: [],
                           normalizer: null, pre_tokenizer: null, post_processor: null,
                           decoder: null, ...parts });

const all = {};
{
  const vocab = vocabulary([...levels, ...made(levelMerges), "<|endoftext|>"]);
  const model = (more) => ({ type: "BPE", dropout: null, unk_token: null,
                             continuing_subword_prefix: null, end_of_word_suffix: null,
                             fuse_unk: false, byte_fallback: false, vocab, merges: levelMerges, ...more });
  const end = [added("<|endoftext|>", vocab["<|endoftext|>"])];
  const decoder = { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true };
  all.gpt2 = base({ added_tokens: end, decoder, model: model({}),
                    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true } });
  all.prefixed = base({ added_tokens: end, decoder, model: model({}),
                        pre_tokenizer: { type: "ByteLevel", add_prefix_space: true,
                                         trim_offsets: true, use_regex: true } });
  const words = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|" +
                " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  all.llama3 = base({
    added_tokens: end, decoder, model: model({ ignore_merges: true,
      merges: levelMerges.map((merge) => merge.split(" ")) }),
    pre_tokenizer: { type: "Sequence", pretokenizers: [
      { type: "Split", pattern: { Regex: words }, behavior: "Isolated", invert: false },
      { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false }] } });
}
{
  const words = corpus.flatMap((line) => ("▁" + line.replaceAll(" ", "▁")).split(/(?=▁)/u));
  const merges = learn(words, 80);
  const letters = [...new Set(words.join(""))];
  const bytes = Array.from({ length: 256 }, (_, i) =>
    `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
  const vocab = vocabulary(["<unk>", "<s>", "</s>", ...bytes, ...letters, ...made(merges)]);
  all.llama = base({
    added_tokens: [added("<unk>", 0), added("<s>", 1), added("</s>", 2)],
    normalizer: { type: "Sequence", normalizers: [
      { type: "Prepend", prepend: "▁" },
      { type: "Replace", pattern: { String: " " }, content: "▁" }] },
    decoder: { type: "Sequence", decoders: [
      { type: "Replace", pattern: { String: "▁" }, content: " " }, { type: "ByteFallback" },
      { type: "Fuse" }, { type: "Strip", content: " ", start: 1, stop: 0 }] },
    model: { type: "BPE", dropout: null, unk_token: "<unk>", continuing_subword_prefix: null,
             end_of_word_suffix: null, fuse_unk: true, byte_fallback: true, vocab, merges } });
}
{
  const words = corpus.join(" ").toLowerCase().normalize("NFD").replace(/\p{Mn}/gu, "")
    .match(/\p{L}+|\p{N}+|[^\s\p{L}\p{N}]/gu);
  const letters = [...new Set(words.join(""))];
  const ends = [...new Set(words.flatMap((word) => [word, word.slice(0, 3), "##" + word.slice(3)]))];
  const vocab = vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ...letters,
                            ...letters.map((letter) => "##" + letter),
                            ...ends.filter((name) => name && name !== "##")]);
  const model = { type: "WordPiece", unk_token: "[UNK]", continuing_subword_prefix: "##",
                  max_input_chars_per_word: 100, vocab };
  const specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map((name) =>
    added(name, vocab[name]));
  all.bert = base({
    added_tokens: specials, model, pre_tokenizer: { type: "BertPreTokenizer" },
    normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true,
                  strip_accents: null, lowercase: true },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true } });
  all.steps = base({
    added_tokens: specials, model,
    normalizer: { type: "Sequence", normalizers: [
      { type: "NFD" }, { type: "Lowercase" }, { type: "StripAccents" },
      { type: "Replace", pattern: { Regex: "[-_]+" }, content: " " },
      { type: "Strip", strip_left: true, strip_right: true }] },
    pre_tokenizer: { type: "Sequence", pretokenizers: [
      // Not Whitespace and Punctuation: the oracle has them otherwise than the original in Rust does.
      { type: "WhitespaceSplit" }, { type: "Digits", individual_digits: true },
      { type: "Split", pattern: { Regex: "[!-/:-@\\[-`{-~]" }, behavior: "Isolated",
        invert: false }] },
    decoder: { type: "WordPiece", prefix: "##", cleanup: false } });
}
{
  const words = corpus.flatMap((line) => ("▁" + line.replaceAll(" ", "▁")).split(/(?=▁)/u));
  const counts = new Map();
  for (const word of words)
    for (let i = 0; i < word.length; i++)
      for (let n = 1; n <= 6 && i + n <= word.length; n++) {
        const piece = word.slice(i, i + n);
        counts.set(piece, (counts.get(piece) ?? 0) + n);
      }
  const kept = [...counts].filter(([piece, count]) => [...piece].length === 1 || count > 2 * piece.length)
    .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 220);
  const total = kept.reduce((sum, [, count]) => sum + count, 0);
  // Scores with a place in the order, so that no two cuts are equally likely.
  const pieces = kept.map(([piece, count], i) => [piece, Math.log(count / total) - i * 1.37e-4]);
  const metaspace = { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true };
  all.t5 = base({
    added_tokens: [added("<pad>", 0), added("</s>", 1), added("<unk>", 2)],
    normalizer: { type: "NFKC" }, pre_tokenizer: metaspace, decoder: metaspace,
    model: { type: "Unigram", unk_id: 2, byte_fallback: false,
             vocab: [["<pad>", 0], ["</s>", 0], ["<unk>", 0], ...pieces] } });
}

const result = {};
for (const [name, json] of Object.entries(all)) {
  const tokenizer = new Tokenizer(json, {});
  const ids = lines.map((line) => tokenizer.encode(line, { add_special_tokens: false }).ids);
  result[name] = { tokenizer: json, ids };
}
writeFileSync(new URL("hugging_face.json", import.meta.url),
              JSON.stringify({ lines, tokenizers: result }) + "\n");
