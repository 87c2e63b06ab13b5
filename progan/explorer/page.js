// For the image and for its neighbours. Images are fetched one after the other: a browser has six
// connections to a server, and the next request must not wait for images that are out of date.
const done = [];  // the address that each <img> shows
const images = () => [...element.querySelectorAll('img')];

const next = () => {
  const waiting = images().find((each, place) => each.dataset.src !== done[place]);
  if (waiting) waiting.src = waiting.dataset.src;
};

const begin = () => {
  images().forEach((each, place) => {  // cancel the current fetch
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
