// Putting it together.
async function loadModels() {
  try {
    const models = (await askFor('v1/models')).data.map(model => model.id);
    $('model').replaceChildren(...models.map(id => new Option(id, id)));
    $('other').replaceChildren(new Option('nothing', ''), ...models.map(id => new Option(id, id)));
    $('other-label').hidden = models.length < 2;
    changed();
  } catch (error) {
    say(error.message, true);
  }
}

makeSliders();
drawLegend();
$('go').onclick = go;
$('stop').onclick = () => running.abort?.abort();
$('model').onchange = $('other').onchange = changed;
$('key').onchange = loadModels;
$('text').addEventListener('input', changed);
$('text').addEventListener('keyup', chooseWord);
$('text').addEventListener('click', chooseWord);
$('text').addEventListener('scroll', () => { $('shade').scrollTop = $('text').scrollTop; });
addEventListener('resize', fit);
addEventListener('keydown', event => {
  if (event.ctrlKey && event.key === 'Enter') {
    event.preventDefault();
    go();
  } else if (event.altKey && event.key >= '1' && event.key <= '8') {
    event.preventDefault();
    takeWord(Number(event.key) - 1);
  } else if (event.key === 'Escape') {
    running.abort?.abort();
  }
});
fit();
loadModels();
