#!/bin/bash
# Opens a report in headless Chromium, 390 pixels wide like a phone, and fails when it overflows sideways, its script
# stumbles, a section is missing, sorting does not sort, a button is dead, or the page would fetch anything.
#   tests/report_in_browser.sh REPORT.html
set -u
report=${1:?usage: report_in_browser.sh REPORT.html}
[ -r "$report" ] || { echo "report_in_browser: cannot read $report"; exit 1; }
chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}
[ -n "$chromium" ] || { echo "report_in_browser: skipped, no Chromium here"; exit 0; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Chromium's own window is never narrower than 500 pixels, a frame is. A copy of the report in it says what its own script
# found, then opens all details, clicks every title twice and every button once, and tells the page around it.
probe='<script>(async()=>{const s=document.documentElement.dataset,say={...s};say.unsorted=0;say.dead=0;
for(const d of document.querySelectorAll("details"))d.open=true;
const heads=[...document.querySelectorAll("#rows thead button")];
heads.forEach((b,c)=>{for(const sign of[1,-1]){b.click();
const v=[...document.querySelectorAll("#rows tbody tr")].map(r=>r.cells[c]).filter(x=>x&&x.colSpan==1&&x.dataset.v!==undefined).map(x=>+x.dataset.v);
for(let i=1;i<v.length;i++)if(sign*(v[i]-v[i-1])<0)say.unsorted++}});
for(const b of document.querySelectorAll(".copy"))b.click();
await new Promise(r=>setTimeout(r,900));
for(const b of document.querySelectorAll(".copy"))if(b.textContent=="Copy")say.dead++;
const e=document.documentElement;say.opened=Math.max(0,e.scrollWidth-e.clientWidth);say.clicked=heads.length;say.errors=s.errors;
parent.postMessage(say,"*")})()</script>'
open_page() {  # WIDTH: the outer document after the frame told it what it found
  { cat "$report"; echo "$probe"; } >"$work/copy.html"
  cat >"$work/frame.html" <<HTML
<!doctype html><html><body><script>addEventListener("message",e=>Object.assign(document.documentElement.dataset,e.data))</script>
<iframe src="copy.html" width="$1" height="844" style="border:0"></iframe></body></html>
HTML
  timeout 120 "$chromium" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$work/profile" --window-size="1400,1000" \
    --virtual-time-budget=4000 --dump-dom "file://$work/frame.html" 2>"$work/stderr"
}
failures=0
fail() { echo "report_in_browser: $report: $*"; failures=$((failures + 1)); }
state() { sed -n "s/.*<html[^>]* data-$1=\"\([^\"]*\)\".*/\1/p" "$2" | head -1; }

for width in 390 1100 1280; do
  dom=$work/$width.html
  open_page $width >"$dom"
  [ "$(state ready "$dom")" = yes ] || { fail "its script did not finish at $width px"; cat "$work/stderr"; continue; }
  [ "$(state width "$dom")" = $width ] || fail "the frame is $(state width "$dom") px wide, wanted $width"
  [ "$(state overflow "$dom")" = 0 ] || fail "overflows sideways by $(state overflow "$dom") px at $width px"
  [ "$(state opened "$dom")" = 0 ] || fail "overflows by $(state opened "$dom") px at $width px with all details open"
  [ "$(state errors "$dom")" = 0 ] || fail "$(state errors "$dom") script errors at $width px"
  [ "$(state rows "$dom")" -ge 1 ] || fail "no rows"
  [ "$(state clicked "$dom")" -ge 1 ] || fail "no titles to click"
  [ "$(state unsorted "$dom")" = 0 ] || fail "$(state unsorted "$dom") cells out of order after sorting"
  [ "$(state dead "$dom")" = 0 ] || fail "$(state dead "$dom") copy buttons do nothing"
done
for section in results about machine; do
  grep -q "id=\"$section\"" "$report" || fail "section $section is missing"
done
if grep -Eq '(src|href|action)="(https?:)?//|url\(["'\'']?(https?:)?//|@import' "$report"; then fail "it names something outside"; fi

[ $failures = 0 ] && echo "report_in_browser: $report: $(state rows "$work/390.html") rows, fits 390 to 1280 px, sorts, no errors"
exit $((failures > 0))
