// Follows the cluster: each event has the whole of what changes.
const gone = document.getElementById("gone");
const said = document.getElementById("said");
const source = new EventSource("events");
const stops = (main) => [...main.querySelectorAll("a, summary, pre")];
source.addEventListener("open", () => { gone.hidden = true; });
source.addEventListener("error", () => { gone.hidden = false; });
source.addEventListener("state", (event) => {
  const { title, verdict, origin, main } = JSON.parse(event.data);
  const parsed = new DOMParser().parseFromString(main, "text/html");
  const old = document.getElementById("main");
  const fresh = parsed.getElementById("main");
  document.querySelector(".origin").innerHTML = origin;
  if (old.isEqualNode(fresh)) return;
  // What the reader opened or closed stays so, and the keyboard stays where it is.
  for (const now of fresh.querySelectorAll("details")) {
    const before = document.getElementById(now.id);
    if (before) now.open = before.open;
  }
  const focus = stops(old).indexOf(document.activeElement);
  old.replaceWith(fresh);
  if (focus >= 0) stops(fresh)[focus]?.focus({ preventScroll: true });
  document.title = title;
  said.textContent = verdict;
});
// A command that the keyboard reaches is selected, so that it can be copied.
document.addEventListener("focusin", (event) => {
  if (event.target.matches("pre.copy")) getSelection().selectAllChildren(event.target);
});
