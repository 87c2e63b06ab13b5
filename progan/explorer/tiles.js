element.addEventListener('click', event => {
  const tile = event.target.closest('button');
  if (tile) trigger('click', { seed: Number(tile.dataset.seed) });
});
element.dataset.listens = '';
