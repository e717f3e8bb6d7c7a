// Tabs as ARIA describes them: the arrow keys, Home and End select a tab; Tab moves into its panel.

/** tabs: the element with the role tablist. selected(id): called with the id of a panel when it is shown. */
export function makeTabs(tabs, selected = () => {}) {
  const all = [...tabs.querySelectorAll("[role=tab]")];
  const panelOf = (tab) => document.getElementById(tab.getAttribute("aria-controls"));
  const select = (tab) => {
    for (const each of all) {
      each.setAttribute("aria-selected", String(each === tab));
      each.tabIndex = each === tab ? 0 : -1;
      panelOf(each).inert = each !== tab; // not `hidden`: all panels keep their room, so that the dialog keeps its size
    }
    selected(panelOf(tab).id);
  };
  tabs.addEventListener("click", ({ target }) => { if (target.closest("[role=tab]")) select(target.closest("[role=tab]")); });
  tabs.addEventListener("keydown", (event) => {
    const at = all.indexOf(document.activeElement);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const tab = all[(to + all.length) % all.length];
    tab.focus();
    select(tab);
  });
  return { select: (id) => select(all.find((tab) => panelOf(tab).id === id)) };
}
