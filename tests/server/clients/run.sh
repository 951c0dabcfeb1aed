#!/usr/bin/env bash
# Clients that were written elsewhere against `sluice serve`.
# usage: run.sh PROGRAM SCRATCH openai|page|curl|metrics|hostile
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../support/clients.sh"
program=$1 client=$3
begin "$2"

# Two small models of a small language.
for i in $(seq 60); do
  printf 'the cat sat on the mat\nthe dog ran to the cat\na bird sang all day long\nwe saw a dog and a cat\nfive quick zebras jump %d\n' "$i"
done >"$scratch/text"
train() {
  "$program" train --data "$scratch/text" --out "$scratch/$1" --tokenizer char --layers '[(16,3)]*2' \
    --dim 16 --batch 8 --context 32 --steps "$2" --warmup 5 --dropout 0 >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
}

serve() { # starts the server, sets url
  : >"$scratch/out"
  "$program" serve "$@" --port 0 --log none >"$scratch/out" &
  local server=$!
  while kill -0 "$server" 2>/dev/null; do
    url=$(sed -n 's/.* at \(http.*\)/\1/p' "$scratch/out")
    [ -z "$url" ] || return 0
    sleep 0.02
  done
  echo "the server did not start" >&2
  exit 1
}

case $client in
  openai)
    has node
    openai=${SLUICE_OPENAI:-}
    [ -d "$openai" ] || missing "npm's package openai"
    train small 60
    node "$here/openai_test.mjs" "$program" "$scratch/small" "$openai" ;;
  page)
    has node
    has chromium
    train small 60
    train other 20
    node "$here/page_test.mjs" "$program" "$scratch/small" "$scratch/other" ${SLUICE_PICTURES:-} ;;
  curl)
    has curl
    train small 60
    printf 'a-key-for-curl curl\n' >"$scratch/keys"
    serve "$scratch/small" --api-key-file "$scratch/keys"
    ask() { curl -sS --fail-with-body -H 'Authorization: Bearer a-key-for-curl' "$@"; }
    ask "${url}v1/completions" -d '{"prompt":"the","max_tokens":5,"seed":1}' | grep -q '"object":"text_completion"'
    ask -N "${url}v1/completions" -d '{"prompt":"the","max_tokens":5,"stream":true}' | tail -n 2 | grep -qx 'data: \[DONE\]'
    # A body that curl asks leave for first, one in chunks, one over HTTP/1.0.
    { printf '{"max_tokens":0,"prompt":"'; printf 'the cat %.0s' $(seq 3000); printf '"}'; } >"$scratch/long"
    ask "${url}v1/completions" -H 'Expect: 100-continue' --data-binary "@$scratch/long" | grep -q '"prompt_tokens":24000'
    ask "${url}v1/completions" -H 'Transfer-Encoding: chunked' --data-binary "@$scratch/long" | grep -q '"prompt_tokens":24000'
    ask -0 "${url}completion" -d '{"prompt":"the","n_predict":3}' | grep -q '"tokens_predicted":3'
    [ "$(curl -s -o /dev/null -w '%{http_code}' "${url}v1/models")" = 401 ]
    [ "$(ask -o /dev/null -w '%{http_code}' -X DELETE "${url}v1/models" || true)" = 405 ]
    # Lines score as `sluice score` says.
    printf 'the cat sat\nzebras ran\n' >"$scratch/lines"
    "$program" score "$scratch/small" "$scratch/lines" | cut -f1 | xargs printf '%.3f\n' >"$scratch/expected"
    ask "${url}v1/score" -d '{"lines":["the cat sat","zebras ran"]}' | grep -o '"log_probability":[-.0-9]*' |
      cut -d: -f2 | xargs printf '%.3f\n' | diff - "$scratch/expected"
    echo "curl is served" ;;
  metrics)
    has promtool
    has curl
    train small 20
    serve "$scratch/small"
    for prompt in the a; do curl -sS -o /dev/null "${url}v1/completions" -d "{\"prompt\":\"$prompt\"}"; done
    curl -sS "${url}v1/nothing" -o /dev/null
    curl -sS "${url}metrics" | promtool check metrics
    echo "Prometheus reads the metrics" ;;
  hostile)
    has python3
    train small 20
    "$here/hostile.py" "$program" "$scratch/small" --minutes 0.1 --slow 50 ;;
  *) echo "unknown client $client" >&2; exit 2 ;;
esac
