/* Who does nothing for long is signed out by the server: then nobody stays on the screen either.
   Typing and pointing count here, so that a form that is being filled in is not taken away. */
"use strict";

const { idleS, home } = document.currentScript.dataset;
let waiting;

function wait() {
  clearTimeout(waiting);
  waiting = setTimeout(() => location.replace(home), idleS * 1000);
}

for (const kind of ["keydown", "pointerdown"]) document.addEventListener(kind, wait, { passive: true });
wait();
