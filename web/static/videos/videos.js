// The videos page: upload files, process them as jobs, play and download the results.

import { get } from "../shared/api.js";
import { find, make, write } from "../shared/dom.js";
import { askToSignIn, prepareLogin, showUser } from "../shared/login.js";
import { Drafts } from "./drafts.js";
import { isTransparent, JobOptions } from "./job_options.js";
import { JobList } from "./joblist.js";
import { serverOptions } from "./server_options.js";

const jobOptions = new JobOptions();
const drafts = new Drafts(jobOptions, askToSignIn);
const jobs = new JobList({ play, denied: askToSignIn });
const player = find("player");

function play(job, result) {
  write(find("player-title"), job.title || "Video");
  const picture = result.mime.startsWith("image/");
  const shown = picture ? make("img", { src: result.url, alt: job.title })
    : make("video", { src: result.url, controls: true, autoplay: true, loop: true, playsInline: true });
  shown.addEventListener("error", () => write(find("player-note"), "Your browser cannot play this format. Download it instead."));
  write(find("player-note"), "");
  find("player-stage").replaceChildren(shown);
  find("player-stage").classList.toggle("checkered", isTransparent(job.options));
  player.showModal();
}

find("player-close").addEventListener("click", () => player.close());
player.addEventListener("click", ({ target }) => { if (target === player) player.close(); });
player.addEventListener("close", () => find("player-stage").replaceChildren());

find("files").addEventListener("change", ({ target }) => { drafts.add([...target.files]); target.value = ""; });
const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => { if (holdsFiles(event)) { event.preventDefault(); find("drop").classList.add("over"); } });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) find("drop").classList.remove("over"); });
addEventListener("drop", (event) => {
  find("drop").classList.remove("over");
  if (!holdsFiles(event)) return;
  event.preventDefault();
  drafts.add([...event.dataTransfer.files]);
});

let restored = false;

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
  if (!restored) { restored = true; await drafts.restore(); }
}

prepareLogin({ entered: enter, leaving: async () => {} });
enter();
