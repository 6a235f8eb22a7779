/* Puts a button behind each number that is typed elsewhere; without this file one click on the number
   marks all of it. */
"use strict";

for (const number of document.querySelectorAll("code.whole")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  const say = (word) => {
    button.textContent = word;
    button.setAttribute("aria-label", `${word} ${number.textContent}`);
  };
  say("Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(number.textContent);
      say("Copied");
    } catch {
      getSelection().selectAllChildren(number);
      say("Marked");
    }
  });
  number.after(" ", button);
}
