// What the vendored scripts need from the page. Runs before the deferred MathJax.

// What is too wide scrolls in a frame of its own: reachable by keyboard, too.
function makeReachable(selector) {
  for (const box of document.querySelectorAll(selector)) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
}

if (window.MathJax) {
  window.MathJax.startup = {
    ready() {
      MathJax.startup.defaultReady();
      MathJax.startup.promise.then(() => makeReachable("mjx-container[display]"));
    },
  };
}

// Search opens each page it found to quote from it: a page on disk cannot.
if (window.location.protocol === "file:" && window.DOCUMENTATION_OPTIONS) {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}

document.addEventListener("DOMContentLoaded", () => {
  for (const text of document.querySelectorAll(".bd-article .cell_output pre")) {
    if (/\S {2,}\S/.test(text.textContent)) text.classList.add("columns");
  }
  makeReachable(".bd-article pre, .bd-article .pst-scrollable-table-container, .bd-article .cell_output > .output");
});
