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
