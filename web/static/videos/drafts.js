// New videos: each is uploaded at once, can be trimmed and previewed, and becomes a job when it is started. A file is
// listed once, however often it is chosen.

import { get } from "../shared/api.js";
import { find, write } from "../shared/dom.js";
import { Draft } from "./draft.js";
import { fingerprint, forget, GONE, KEY, remembered } from "./tus.js";
import { WORDS } from "./words.js";

export class Drafts {
  /** jobs: the list in which a draft continues when it is started. picking: the dialog in which subjects are picked.
   * onDenied(): called when the user has to sign in. */
  constructor({ jobOptions, jobs, picking, onDenied }) {
    Object.assign(this, { jobOptions, jobs, picking, onDenied, list: find("drafts"), drafts: new Set() });
    find("start-all").addEventListener("click", () => { for (const draft of [...this.drafts]) draft.start(); });
    jobOptions.addEventListener("change", () => { for (const draft of this.drafts) draft.showLook(); });
    jobs.addEventListener("job", ({ detail }) => this.#started(detail));
    addEventListener("storage", ({ key }) => key === KEY && this.#forgottenElsewhere());
  }

  /** Shows the uploads from before the page was loaded that are not listed yet, and continues those that were refused
   * because the user was not signed in. Incomplete ones need their file again. */
  async restore() {
    for (const draft of this.drafts) if (draft.denied) draft.begin();
    for (const [address, { name, size: bytes, fingerprint: mark, look = null, subjects = [] }] of Object.entries(remembered())) {
      const known = await get(address).catch((error) => ({ gone: GONE.includes(error.status), state: "" }));
      if (known.gone || (known.state && this.jobs.hasUpload(known.id))) forget(address);
      else if (known.state && !this.#listed(mark, address)) this.#show(new Draft(this, { name, bytes, address, known, mark, look, subjects }));
    }
  }

  /** Adds the files that are not listed yet; an interrupted upload continues with its file. */
  add(files) {
    const twice = [];
    for (const file of files) {
      const mark = fingerprint(file);
      const old = this.#listed(mark) ?? [...this.drafts].find((draft) => draft.isPartOf(file));
      if (old && !old.failed && !old.needsFile) { twice.push(old); continue; }
      this.#show(new Draft(this, { file, name: file.name, bytes: file.size, mark, look: old?.look ?? null, subjects: old?.subjects }), old);
      old?.remove(!old.failed && old.mark !== mark); // a file that was changed since cannot continue its upload
    }
    write(find("drafts-note"), twice.length ? WORDS.twice(twice.map(({ name }) => name)) : "");
    twice.at(-1)?.point();
  }

  /** The draft of the file with this fingerprint, or of this upload. */
  #listed(mark, address = "") {
    return [...this.drafts].find((draft) => draft.mark === mark || (address && draft.uploadAddress === address));
  }

  /** before: the draft in whose place it is shown, if any. */
  #show(draft, before = null) {
    this.drafts.add(draft);
    if (before) before.card.before(draft.card); else this.list.append(draft.card);
    draft.adopt();
    this.update();
    draft.begin();
  }

  drop(draft) {
    this.drafts.delete(draft);
    draft.close();
    this.jobOptions.leave(draft);
    draft.card.remove();
    this.update();
  }

  /** A draft has become a job: its card continues in the list of jobs. */
  become(draft, job) {
    this.jobs.add(job);
    if (this.drafts.has(draft)) this.#started(job);
  }

  /** There is a job of an upload: started here, in another tab, or here without hearing the reply. */
  #started({ id, upload }) {
    if (!upload) return;
    const isIt = (address) => address.endsWith(`/${upload}`);
    for (const address of Object.keys(remembered())) if (isIt(address)) forget(address);
    for (const draft of [...this.drafts].filter((each) => isIt(each.uploadAddress))) {
      const focused = draft.hasFocus;
      this.drop(draft);
      if (focused) this.jobs.focus(id);
    }
  }

  /** Another tab has started or removed uploads. */
  #forgottenElsewhere() {
    const known = remembered();
    for (const draft of [...this.drafts]) {
      if (draft.uploadAddress && !draft.failed && !(draft.uploadAddress in known)) draft.remove(false);
    }
  }

  update() {
    find("drafts-part").hidden = this.drafts.size === 0;
    find("start-all").hidden = [...this.drafts].filter((draft) => draft.startable).length < 2;
  }
}
