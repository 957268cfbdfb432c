/* What the dashboard does beyond its HTML; every page works without it. */
"use strict";

(() => {
  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => from.querySelectorAll(selector);
  const SCROLLED = ".bar, .tiles";
  let paused = false;

  /* Times are told in the zone of the browser: the server knows it by a cookie from then on. */
  function tellZone() {
    const name = one("[data-zone-cookie]")?.dataset.zoneCookie;
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const said = `${name}=${zone}`;
    if (!name || !zone || document.cookie.split("; ").includes(said)) return;
    document.cookie = `${said}; path=/; max-age=31536000; SameSite=Lax`;
    if (document.cookie.split("; ").includes(said)) window.location.reload();
  }

  /* A refresh waits while somebody selects, points at a chart or has opened a question. */
  function isBusy(live) {
    const selection = window.getSelection();
    const selecting = !selection.isCollapsed && live.contains(selection.anchorNode);
    return paused || document.hidden || selecting
      || one(".chart-step:hover, details[open], input:checked", live) !== null;
  }

  document.addEventListener("htmx:beforeRequest", (event) => {
    const live = event.target;
    if (live.id === "live" && isBusy(live)) event.preventDefault();
  });
  /* What has no live part is a login, or the page of an error: what is there stays. */
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.target.id !== "live") return;
    if (!event.detail.serverResponse.includes('id="live"')) {
      event.detail.shouldSwap = false;
      tellLost(true);
      return;
    }
    tellLost(false);
    const places = [...all(SCROLLED)].map((found) => found.scrollLeft);
    document.addEventListener("htmx:afterSwap", () => {
      all(SCROLLED).forEach((found, i) => { found.scrollLeft = places[i]; });
    }, { once: true });
  });
  document.addEventListener("htmx:sendError", () => tellLost(true));

  function tellLost(lost) {
    const note = one("[data-lost]");
    if (note) note.textContent = lost ? note.dataset.lost : "";
    one(".dot")?.classList.toggle("off", lost || paused);
  }

  document.addEventListener("visibilitychange", () => {
    const live = one("#live[hx-get]");
    if (!document.hidden && live && window.htmx) window.htmx.trigger(live, "renew");
  });

  document.addEventListener("click", (event) => {
    const pause = event.target.closest("[data-pause]");
    if (pause) {
      paused = !paused;
      pause.setAttribute("aria-pressed", String(paused));
      [pause.textContent, pause.dataset.pause] = [pause.dataset.pause, pause.textContent];
      one(".dot")?.classList.toggle("off", paused);
    }
    const copy = event.target.closest("[data-copy]");
    if (copy && navigator.clipboard) {
      navigator.clipboard.writeText(copy.dataset.copy).then(() => {
        copy.classList.add("done");
        window.setTimeout(() => copy.classList.remove("done"), 1500);
      });
    }
  });

  document.addEventListener("change", (event) => {
    const target = event.target;
    if (target.matches("[data-submit]")) target.form.requestSubmit();
    if (target.matches("[data-check-all]")) {
      all(target.dataset.checkAll).forEach((box) => { box.checked = target.checked; });
    }
  });

  document.addEventListener("DOMContentLoaded", () => {
    document.documentElement.classList.add("scripted");
    all("[data-pause], [data-copy], [data-check-all]").forEach((found) => { found.hidden = false; });
    tellZone();
  });
})();
