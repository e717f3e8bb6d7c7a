// Which options show the room. The server refuses them for viewers (`web/privacy.py`); a test compares the values.

export const ROOM_VIEWS = ["overlay", "side-by-side"];
export const ROOM_BACKGROUND = "none";
export const LEAST_BLUR = 0.2;

/** Whether this background would show viewers the room: the room itself, or a weak blur of it. */
export function backgroundShowsRoom(background) {
  const [kind, strength] = (background ?? "").split(":");
  return kind === ROOM_BACKGROUND || (kind === "blur" && Number(strength ?? 1) < LEAST_BLUR);
}

/** Whether these options would show viewers the room. */
export const showsRoom = ({ view, background }) => backgroundShowsRoom(background) || ROOM_VIEWS.includes(view);
