/* Puts a button behind each number that is typed elsewhere; without this file one click on the number
   marks all of it. */
"use strict";

for (const number of document.querySelectorAll("code.whole")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy ${number.textContent}`);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(number.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(number);
      button.textContent = "Marked";
    }
  });
  number.after(" ", button);
}
