// The videos page: upload files, process them as jobs, play and download the results.

import { get } from "../shared/api.js";
import { find } from "../shared/dom.js";
import { askToSignIn, prepareLogin, showUser } from "../shared/login.js";
import { Taps } from "../shared/taps.js";
import { Drafts } from "./drafts.js";
import { JobOptions } from "./job_options.js";
import { JobList } from "./joblist.js";
import { PickDialog } from "./pick_dialog.js";
import { Player } from "./player.js";
import { pickAgain } from "./run_again.js";
import { serverOptions } from "./server_options.js";

const jobOptions = new JobOptions();
const player = new Player();
const picking = new PickDialog();
const jobs = new JobList({
  play: (job, result, name) => player.open(job, result, name),
  pick: (job) => pickAgain(picking, job, jobs),
  denied: askToSignIn,
});
const drafts = new Drafts({ jobOptions, jobs, picking, onDenied: askToSignIn });

find("files").addEventListener("change", ({ target }) => { drafts.add([...target.files]); target.value = ""; });
const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => { if (holdsFiles(event)) { event.preventDefault(); find("drop").classList.add("over"); } });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) find("drop").classList.remove("over"); });
addEventListener("drop", (event) => {
  find("drop").classList.remove("over");
  if (!holdsFiles(event)) return;
  event.preventDefault();
  const files = [...event.dataTransfer.files];
  if (event.target.closest?.("#look")) jobOptions.backgrounds.add(files); else drafts.add(files);
});

async function enter() {
  try {
    showUser(await get("/api/login"));
  } catch (error) {
    if (error.status === 401) { askToSignIn(); return; }
    setTimeout(enter, 3000);
    return;
  }
  serverOptions.load();
  await jobOptions.load().catch(() => {});
  jobs.listen();
  await drafts.restore();
}

addEventListener("pageshow", ({ persisted }) => { if (persisted) enter(); }); // connections do not survive the back/forward cache

new Taps().listen();
prepareLogin({ entered: enter, leaving: async () => {} });
enter();
