// Signing in and out.

import { request } from "./api.js";
import { find, write } from "./dom.js";

/** entered(): called after signing in. leaving(): called before signing out. */
export function prepareLogin({ entered, leaving }) {
  const dialog = find("login");
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await request("POST", "/api/login", { json: { token: find("token").value } });
    } catch (error) {
      write(dialog.querySelector(".note"), `${error.message}.`);
      return;
    }
    find("token").value = "";
    write(dialog.querySelector(".note"), "");
    dialog.close();
    await entered();
  });
  find("sign-out").addEventListener("click", async () => {
    await leaving();
    await request("DELETE", "/api/login").catch(() => {});
    location.reload();
  });
}

export function askToSignIn() {
  if (!find("login").open) find("login").showModal();
}

export function showUser({ user, tokens }) {
  find("user").hidden = !tokens;
  write(find("user").querySelector("span"), user);
}
