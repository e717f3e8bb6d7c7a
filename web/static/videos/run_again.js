// A finished job, run again with other subjects.

import { request } from "../shared/api.js";
import { PICKING } from "./words.js";

const SAME = ["upload", "title", "outputs", "start_s", "end_s", "stream", "width", "height", "metadata", "priority"];

/** Let the user pick the subjects of a job's video, and make another job. dialog: a `PickDialog`. jobs: a `JobList`. */
export function pickAgain(dialog, job, jobs) {
  const { start_s, stream, media, options } = job;
  const end_s = job.end_s ?? (media ? start_s + media.duration_s : null);
  dialog.open({
    title: job.title, source: `/api/uploads/${job.upload}/source`, upload: () => job.upload, media, part: { start_s, end_s },
    options: () => options, fields: { stream }, subjects: options.subjects ?? [], action: PICKING.runAgain,
    done: async (subjects) => {
      const json = { ...Object.fromEntries(SAME.map((name) => [name, job[name]])), options: { ...options, subjects } };
      jobs.add(await (await request("POST", "/api/jobs", { json })).json());
    },
  });
}
