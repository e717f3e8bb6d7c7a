// The choice of camera, microphone, size and rate. It is remembered, and its lists follow devices that come and go.

import { find, keep, make, read, write } from "../shared/dom.js";
import { DEVICES } from "../shared/words.js";

const KEY = "mattebox.devices";
const KINDS = { camera: "videoinput", microphone: "audioinput" };
const SIZES = ["640x360", "1280x720", "1920x1080"];
const RATES = [15, 24, 30];
const DEFAULTS = { size: "1280x720", rate: 30 };

export class Devices extends EventTarget {
  /** Events, when the user has chosen another: "camera", "microphone", "format" (size or rate), "monitor". */
  constructor() {
    super();
    const known = read(KEY, {});
    this.chosen = { ...known, size: SIZES.includes(known.size) ? known.size : DEFAULTS.size,
      rate: RATES.includes(known.rate) ? known.rate : DEFAULTS.rate };
    this.used = {}; // the track of each kind that is open
    this.lists = { camera: [], microphone: [] };
    this.element = find("devices");
    this.#build();
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.refresh());
    this.refresh();
  }

  /** The constraints for `getUserMedia` of a kind, "camera" or "microphone". device: an id; "" leaves it to the browser. */
  constraints(kind, device = this.id(kind)) {
    const which = device ? { deviceId: { exact: device } } : {};
    if (kind === "microphone") return { ...which, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    const [width, height] = this.chosen.size.split("x").map(Number);
    const { rate } = this.chosen;
    return { ...which, width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: rate, max: rate } };
  }

  /** The id of the chosen device of a kind if it is connected, else "". A device whose id has changed is known by name. */
  id(kind) {
    const { id = "", label } = this.chosen[kind] ?? {};
    const list = this.lists[kind];
    if (!list.some((device) => device.deviceId)) return id; // not known before the user allows one: try it
    const found = list.find((device) => device.deviceId === id) ?? list.find((device) => label && device.label === label);
    return found?.deviceId ?? "";
  }

  /** The connected devices of a kind other than `id`. */
  others(kind, id) { return this.lists[kind].filter((device) => device.deviceId && device.deviceId !== id); }

  /** Read again which devices are connected. Their names are known once the user has allowed a device of their kind. */
  async refresh() {
    const found = await navigator.mediaDevices?.enumerateDevices?.().catch(() => null);
    if (!found) return;
    for (const [kind, name] of Object.entries(KINDS)) {
      this.lists[kind] = found.filter((device) => device.kind === name);
      this.#list(kind);
    }
  }

  /** track: the open track of a kind, or null. */
  async use(kind, track) {
    this.used[kind] = track;
    await this.refresh();
  }

  /** level: 0 to 1. */
  showLevel(level) {
    const percent = Math.round(100 * level);
    this.meter.setAttribute("aria-valuenow", percent);
    this.meter.style.setProperty("--level", level);
  }

  /** The device of a kind in use, else the chosen one. */
  #current(kind) { return this.used[kind]?.getSettings().deviceId || this.id(kind); }

  #build() {
    this.selects = Object.fromEntries(Object.keys(KINDS).map((kind) => [kind, this.#select(kind)]));
    const format = (name, values, text) => {
      const options = values.map((value) => make("option", { value }, text(value)));
      const select = make("select", { id: `device-${name}`, value: "" }, ...options);
      select.value = this.chosen[name];
      select.addEventListener("change", () => {
        this.#choose({ [name]: name === "rate" ? Number(select.value) : select.value });
        this.dispatchEvent(new Event("format"));
      });
      return field(DEVICES[name], select);
    };
    this.meter = make("div", { className: "level", role: "meter", aria: { label: DEVICES.level, valuemin: 0, valuemax: 100, valuenow: 0 } });
    this.monitor = make("input", { type: "checkbox", className: "switch", id: "device-monitor" });
    this.monitor.addEventListener("change", () => this.dispatchEvent(new Event("monitor")));
    this.current = make("span", { className: "fine" });
    this.element.replaceChildren(make("details", {},
      make("summary", {}, make("span", {}, DEVICES.title), this.current),
      make("div", { className: "device-rows" },
        field(DEVICES.camera, this.selects.camera),
        make("div", { className: "device-pair" }, format("size", SIZES, DEVICES.pixels), format("rate", RATES, DEVICES.fps)),
        field(DEVICES.microphone, this.selects.microphone), this.meter,
        make("label", { className: "device-monitor" }, make("span", {}, DEVICES.monitor, make("span", { className: "fine" }, DEVICES.headphones)), this.monitor))));
    this.element.hidden = false;
  }

  #select(kind) {
    const select = make("select", { id: `device-${kind}` });
    select.addEventListener("change", () => {
      const { deviceId: id = "", label = "" } = this.lists[kind].find((device) => device.deviceId === select.value) ?? {};
      this.#choose({ [kind]: { id, label } });
      this.dispatchEvent(new Event(kind));
    });
    return select;
  }

  #list(kind) {
    const select = this.selects[kind];
    const named = this.lists[kind].filter((device) => device.deviceId);
    const options = named.map((device, n) => [device.deviceId, device.label || DEVICES.numbered[kind](n + 1)]);
    if (!options.length) options.push(["", this.lists[kind].length ? DEVICES.unnamed : DEVICES.none[kind]]);
    const shown = [...select.options].map((option) => [option.value, option.text]);
    if (JSON.stringify(shown) !== JSON.stringify(options)) {
      select.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
    }
    select.value = this.#current(kind) || options[0][0];
    select.disabled = !named.length;
    if (kind === "camera") write(this.current, this.used.camera?.label ?? "");
  }

  #choose(part) {
    Object.assign(this.chosen, part);
    keep(KEY, this.chosen);
  }
}

function field(label, select) { return make("label", {}, label, select); }
