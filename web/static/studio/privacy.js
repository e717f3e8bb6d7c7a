// Which options show the room. The server refuses them for viewers (`web/privacy.py`); a test compares the lists.

export const ROOM_VIEWS = ["overlay", "side-by-side"];
export const ROOM_BACKGROUND = "none";

/** Whether these options would show viewers the room. */
export const showsRoom = ({ view, background }) => background === ROOM_BACKGROUND || ROOM_VIEWS.includes(view);
