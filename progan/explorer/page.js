// For the picture, and for its neighbours. Pictures are fetched one after the other: a browser has
// six ways to a server, and what people do next must not wait for pictures that nobody wants now.
const done = [];  // the address that each place shows
const images = () => [...element.querySelectorAll('img')];

const next = () => {
  const waiting = images().find((each, place) => each.dataset.src !== done[place]);
  if (waiting) waiting.src = waiting.dataset.src;
};

const begin = () => {
  images().forEach((each, place) => {  // what was being fetched is given up
    if (done[place]) each.src = done[place];
    each.toggleAttribute('data-waiting', each.dataset.src !== done[place]);
  });
  next();
};

const end = event => {
  const image = event.target;
  if (image.getAttribute('src') !== image.dataset.src) return;
  done[images().indexOf(image)] = image.dataset.src;
  image.removeAttribute('data-waiting');
  next();
};

for (const kind of ['load', 'error']) element.addEventListener(kind, end, true);
watch('value', begin);
begin();
element.addEventListener('click', event => {
  const tile = event.target.closest('button');
  if (tile) trigger('click', { seed: Number(tile.dataset.seed) });
});
element.dataset.listens = '';
