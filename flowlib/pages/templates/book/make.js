// An element with its properties, its role and its children: what the other scripts of a page build with.
"use strict";

function make(tag, { role, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  if (role) element.setAttribute("role", role);
  element.append(...children);
  return element;
}
