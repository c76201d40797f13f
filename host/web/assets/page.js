// Follows a run without loading the page again. Without scripts the page loads itself again.
const run = document.querySelector("[data-events]");
if (run) {
  const events = new EventSource(run.dataset.events);
  for (const name of ["phase", "amount", "pace", "waiting", "did", "trouble"]) {
    const place = run.querySelector(`[data-told="${name}"]`);
    events.addEventListener(name, (event) => {
      if (place.textContent !== event.data) place.textContent = event.data;
    });
  }
  const bar = run.querySelector("progress");
  events.addEventListener("part", (event) => {
    if (event.data === "") bar.removeAttribute("value");
    else bar.value = Number(event.data);
  });
  // A browser tries again by itself, but where it is refused: then the page says why.
  const look = () => {
    events.close();
    location.reload();
  };
  events.addEventListener("end", look);
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) look();
  });
}

// Lines to type have a button that copies them. Without scripts, or where a browser keeps the clipboard from pages, they are marked and copied by hand.
if (navigator.clipboard) {
  for (const line of document.querySelectorAll("[data-copy]")) {
    const button = document.createElement("button");
    const said = document.createElement("span");
    said.setAttribute("role", "status");
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy ${line.dataset.copy}`);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(line.textContent);
        said.textContent = "Copied.";
      } catch {
        said.textContent = "The browser refused: mark the line and copy it.";
      }
    });
    const bar = document.createElement("p");
    bar.className = "bar";
    bar.append(button, said);
    line.after(bar);
  }
}
