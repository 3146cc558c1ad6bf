// What scrolls sideways can be reached by the keyboard, and says what it is.
"use strict";

{
  const NAMES = [[".table-wrapper", "table"], ["pre", "code"], [".formula", "formula"]];
  const look = () => {
    for (const [selector, name] of NAMES) {
      for (const box of document.querySelectorAll(`article ${selector}`)) {
        if (box.scrollWidth > box.clientWidth + 1) {
          box.tabIndex = 0;
          box.setAttribute("role", "region");
          box.setAttribute("aria-label", `${name}, wider than the page`);
        } else {
          for (const attribute of ["tabindex", "role", "aria-label"]) box.removeAttribute(attribute);
        }
      }
    }
  };
  look();
  addEventListener("resize", look);
}
