/* The day's page without this file is whole; with it, it stays up to date and hears single keys.
   Nothing is kept but whether the keys are wanted. */
"use strict";

const EVERY_MS = 15000;
const KEYS = "single-keys";

const links = () => [...document.querySelectorAll("tbody th a")];
const field = (node) => node.closest("input, select, textarea, [contenteditable]");
const wanted = () => localStorage.getItem(KEYS) !== "off";

/* Replace each live part that changed; who stood on a link, or had something open, still does. */
function show(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const open = [...document.querySelectorAll("[data-live] details[open]")].map((one) => one.className);
  const here = document.activeElement && document.activeElement.getAttribute("href");
  for (const part of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(part.id);
    if (now && now.innerHTML !== part.innerHTML) part.replaceChildren(...now.childNodes);
  }
  for (const name of open) {
    for (const one of document.querySelectorAll(`[data-live] details.${name}`)) one.open = true;
  }
  const there = here && links().find((one) => one.getAttribute("href") === here);
  if (there && document.activeElement !== there) there.focus({ preventScroll: true });
}

async function refresh() {
  const told = document.getElementById("updated");
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if ([401, 403].includes(answer.status)) return location.reload(); // nobody stays on the screen
    if (!answer.ok) throw new Error(answer.status);
    show(await answer.text());
    told.textContent = `Up to date at ${new Date().toLocaleTimeString()}`;
  } catch {
    told.textContent = "Not up to date: the server does not answer. It is tried again.";
  }
}

function move(step) {
  const all = links();
  if (!all.length) return;
  const place = all.indexOf(document.activeElement);
  const next = place < 0 ? (step > 0 ? 0 : all.length - 1) : place + step;
  all[Math.min(Math.max(next, 0), all.length - 1)].focus();
}

async function again() {
  const link = document.activeElement;
  if (!links().includes(link)) return;
  await fetch(`${link.getAttribute("href")}/check`, { method: "POST", redirect: "manual" });
  await refresh();
}

function help() {
  const keys = document.getElementById("keys");
  keys.open = !keys.open;
  if (keys.open) keys.querySelector("summary").focus();
}

const ACTS = {
  j: () => move(1),
  k: () => move(-1),
  r: again,
  "/": () => document.getElementById("state").focus(),
  "?": help,
};

document.addEventListener("keydown", (event) => {
  const act = Object.hasOwn(ACTS, event.key) && ACTS[event.key];
  const isChord = event.ctrlKey || event.altKey || event.metaKey;
  if (!act || isChord || field(event.target) || !wanted()) return;
  event.preventDefault();
  act();
});

const box = document.getElementById("single-keys");
box.checked = wanted();
box.addEventListener("change", () => localStorage.setItem(KEYS, box.checked ? "on" : "off"));
document.getElementById("keys").hidden = false;
setInterval(() => document.visibilityState === "visible" && refresh(), EVERY_MS);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && refresh());
