// The page of feeds: their states, a form for new ones, and buttons to change them.

import { get, request } from "../shared/api.js";
import { find, make, write } from "../shared/dom.js";
import { askToSignIn, prepareLogin, showUser } from "../shared/login.js";
import { FeedCard } from "./feed_card.js";
import { isStream, loadChoices, suggest } from "./look.js";

const PATH = "/api/feeds";
const EVERY_MS = 1000;
const cards = new Map();
let timer = 0;

/** Send a change, and show the result at once. Returns the error's text, or "". */
async function send(method, path, json) {
  try {
    await request(method, path, { json });
  } catch (error) {
    if (error.status === 401) askToSignIn();
    return `${error.message}.`;
  }
  await refresh();
  return "";
}

async function refresh() {
  clearTimeout(timer);
  try {
    show((await get(`${PATH}?limit=200`)).feeds);
    write(find("notice"), "");
  } catch (error) {
    if (error.status === 401) { askToSignIn(); return; }
    write(find("notice"), "The server cannot be reached; trying again.");
  }
  clearTimeout(timer);
  timer = setTimeout(refresh, EVERY_MS);
}

function show(feeds) {
  const ids = new Set(feeds.map(({ id }) => id));
  for (const [id, card] of cards) if (!ids.has(id)) { card.element.remove(); cards.delete(id); }
  feeds.forEach((feed, place) => {
    if (!cards.has(feed.id)) cards.set(feed.id, new FeedCard((method, json) => send(method, `${PATH}/${feed.id}`, json)));
    const card = cards.get(feed.id);
    card.show(feed);
    const list = find("feeds");
    if (list.children[place] !== card.element) list.insertBefore(card.element, list.children[place] ?? null);
  });
}

find("add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const { name, source, output, background, slate } = Object.fromEntries(new FormData(form));
  const outputs = output.trim() ? [{ address: output.trim() }] : [];
  const options = { slate, ...(background.trim() && { background: background.trim() }) };
  const problem = await send("POST", PATH, { name, source: source.trim(), outputs, options });
  write(find("add-note"), problem);
  if (!problem) form.reset();
});

/** A stream of this server is matted already: its background is "none", unless another one was written. */
find("add").source.addEventListener("input", ({ target: { value, form: { background } } }) => {
  const live = isStream(value);
  suggest(background, value);
  if (live && background.value === background.defaultValue) background.value = "none";
  if (!live && background.value === "none") background.value = background.defaultValue;
});

/** Suggest the streams that are live now. */
find("add").source.addEventListener("focus", async () => {
  const { sessions } = await get("/api/sessions").catch(() => ({ sessions: [] }));
  const live = sessions.filter(({ kind, state }) => kind === "publish" && state === "live");
  find("streams").replaceChildren(...live.map(({ name }) => make("option", { value: `live:${name}` })));
});

async function enter() {
  try {
    showUser(await get("/api/login"));
    await loadChoices();
  } catch (error) {
    if (error.status === 401) { askToSignIn(); return; }
    setTimeout(enter, 3000);
    return;
  }
  await refresh();
}

addEventListener("pageshow", ({ persisted }) => { if (persisted) enter(); });
prepareLogin({ entered: enter, leaving: async () => {} });
enter();
