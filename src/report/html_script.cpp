#include "report/html.h"

namespace pare {

// Sorting, copying, and lighting up a row together with its marks. The page says everything without it. At the end it
// states on <html> what tests/report_in_browser.sh asks: rows, sideways overflow in pixels, script errors.
const char* const page_script = R"js(
'use strict';
const root = document.documentElement, state = root.dataset;
state.errors = 0;
addEventListener('error', () => state.errors++);
const all = (selector, of = document) => [...of.querySelectorAll(selector)];

const body = document.querySelector('#rows tbody');
const value = (row, column) => {
  const cell = row.cells[column];
  if (!cell || cell.colSpan > 1 || cell.className === 'none') return null;
  return cell.dataset.v === undefined ? cell.textContent.trim() : Number(cell.dataset.v);
};
all('#rows thead button').forEach((button, column) => button.addEventListener('click', () => {
  const head = button.parentNode;
  const up = head.getAttribute('aria-sort') !== 'ascending';
  all('#rows thead th').forEach(th => th.removeAttribute('aria-sort'));
  head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
  all('tr', body).map(row => [value(row, column), row]).sort(([a, p], [b, q]) => {
    if (a === null || b === null) return (a === null) - (b === null) || p.dataset.row - q.dataset.row;
    const order = typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), 'en', {numeric: true});
    return (up ? order : -order) || p.dataset.row - q.dataset.row;
  }).forEach(([, row]) => body.append(row));
}));

// The old command needs no permission and works on file:// pages; where it refuses, the clipboard is asked, and where that
// does not answer, the text is left selected for the reader to copy.
const copied = text => {
  const range = document.createRange(), now = getSelection();
  range.selectNodeContents(text);
  now.removeAllRanges();
  now.addRange(range);
  try { if (document.execCommand('copy')) return Promise.resolve(true); } catch {}
  const asked = navigator.clipboard ? navigator.clipboard.writeText(text.textContent).then(() => true, () => false) : Promise.resolve(false);
  return Promise.race([asked, new Promise(done => setTimeout(() => done(false), 400))]);
};
all('.copy').forEach(button => button.addEventListener('click', async () => {
  button.textContent = await copied(button.parentNode.querySelector('code')) ? 'Copied' : 'Press Ctrl+C';
  setTimeout(() => button.textContent = 'Copy', 1600);
}));

const light = (row, on) => all(`[data-row="${row}"]`).forEach(node => node.classList.toggle('lit', on));
all('[data-row]').forEach(node => {
  node.addEventListener('mouseenter', () => light(node.dataset.row, true));
  node.addEventListener('mouseleave', () => light(node.dataset.row, false));
});

let opened = [];
addEventListener('beforeprint', () => { opened = all('details:not([open])'); opened.forEach(node => node.open = true); });
addEventListener('afterprint', () => opened.forEach(node => node.open = false));

state.rows = body ? body.rows.length : 0;
state.width = innerWidth;
state.overflow = Math.max(0, root.scrollWidth - root.clientWidth);
state.ready = 'yes';
)js";

}  // namespace pare
