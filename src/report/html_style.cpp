#include "report/html.h"

namespace pare {

// Blue marks and orange warnings stay apart for every kind of colour blindness (Okabe and Ito 2008); colour never says
// anything alone. System fonts, figures of equal width.
const char* const page_style = R"css(
:root{--ink:#1a1d21;--soft:#5b636d;--line:#e1e4e8;--paper:#fff;--wash:#f5f6f8;--blue:#0068b0;--sky:#a9cdea;--orange:#b84a00;
--good:#00705a;--band:#0068b012;--grey:#b9bfc6;--pick:#0068b00d}
@media(prefers-color-scheme:dark){:root{--ink:#e7e9ec;--soft:#9aa3ad;--line:#2d333a;--paper:#14171a;--wash:#1c2024;--blue:#5cb3f0;
--sky:#2b5c82;--orange:#f5a063;--good:#4cc9a7;--band:#5cb3f01a;--grey:#4d555e;--pick:#5cb3f014}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
main{max-width:1160px;margin:0 auto;padding:56px 28px 96px}
dl div,section,header{min-width:0}
thead th{overflow-wrap:normal}
.kicker{margin:0 0 12px;font-size:13px;letter-spacing:.04em;color:var(--soft)}
h1{margin:0 0 20px;font-size:clamp(27px,4vw,42px);line-height:1.12;letter-spacing:-.02em;font-weight:700;max-width:24em}
.lede{margin:0;font-size:clamp(18px,2vw,22px);line-height:1.45;max-width:42em}
h2{margin:0 0 18px;font-size:23px;letter-spacing:-.01em;line-height:1.25}
h3{margin:28px 0 10px;font-size:15px}
section{margin-top:64px;padding-top:26px;border-top:2px solid var(--ink)}
section>p{max-width:46em}
.figures{display:flex;flex-wrap:wrap;gap:20px 56px;margin:32px 0 0;padding:0}
.figures div{display:flex;flex-direction:column}
.figures dt{order:2;font-size:14px;color:var(--soft)}
.figures b{display:block;font-size:36px;line-height:1.1;letter-spacing:-.02em;font-weight:650;color:var(--blue)}
.figures dd{display:contents}
.figures b{order:1}
.figures span{order:3;font-size:13px;color:var(--soft)}
.remarks{margin:26px 0 0;padding:0 0 0 18px;max-width:52em;font-size:15px;color:var(--soft)}
.remarks li{margin:4px 0}
.note{margin:14px 0 0;font-size:13.5px;color:var(--soft);max-width:56em}
.scroll{overflow:auto;max-width:100%;-webkit-overflow-scrolling:touch}
.scroll:focus-visible,button:focus-visible,summary:focus-visible{outline:2px solid var(--blue);outline-offset:2px}
table{border-collapse:separate;border-spacing:0;width:100%;font-size:14.5px}
th,td{padding:11px 0 11px 18px;text-align:right;vertical-align:top;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child{padding-left:10px;text-align:left}
td:last-child,thead th:last-child{padding-right:10px}
small{display:block;font-size:12px;font-weight:400;color:var(--soft);letter-spacing:0}
thead th{position:sticky;top:0;z-index:2;background:var(--paper);border-bottom:1px solid var(--ink);vertical-align:bottom;font-size:13px;padding-bottom:7px}
thead button{all:unset;cursor:pointer;font-weight:650}
thead button:hover{color:var(--blue)}
thead button::after{content:"";display:inline-block;width:.9em;text-align:right;color:var(--blue)}
th[aria-sort=ascending] button::after{content:"↑"}
th[aria-sort=descending] button::after{content:"↓"}
#rows{min-width:100%}
#rows tbody th{min-width:170px;max-width:300px;white-space:normal;font-weight:400;line-height:1.35}
#rows tbody th b{font-weight:600}
tbody small{line-height:1.35;margin-top:2px}
td i{font-style:normal;color:var(--soft);font-size:12.5px}
td.good,td.good i{color:var(--good)}
td.bad,td.bad i{color:var(--orange)}
.none{color:var(--grey)}
td s{display:block;height:4px;margin-top:6px;min-width:64px;text-decoration:none;border-radius:2px;
background:linear-gradient(var(--sky),var(--sky)) no-repeat 0 0/var(--part) 100%,var(--wash)}
.exhibit{display:grid;grid-template-columns:repeat(auto-fill,minmax(168px,1fr));gap:18px 14px}
.exhibit figure{margin:0;min-width:0}
.exhibit img{display:block;width:100%;image-rendering:pixelated;border-radius:4px;background:var(--wash)}
.exhibit figcaption{margin-top:6px;font-size:13.5px;line-height:1.35}
.exhibit figure.pick img{outline:2px solid var(--blue);outline-offset:2px}
.exhibit figure.pick figcaption{font-weight:600}
.photos{grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr));align-items:end}
.photos svg{max-width:none;border-radius:4px;overflow:hidden;background:var(--wash)}
.photos figure.pick svg{outline:2px solid var(--blue);outline-offset:2px}
.photos svg text{font-size:13px;fill:#fff}
.photos rect{fill:none;stroke-width:2.5}
.photos .truth{--box:#0068b0}.photos .right{--box:#00705a}.photos .wrong{--box:#b84a00}
.photos rect{stroke:var(--box)}.photos path{fill:var(--box)}
.photos .wrong rect{stroke-dasharray:6 4}
tr.pick th,tr.pick td{background:var(--pick)}
tr.pick td s{background:linear-gradient(var(--blue),var(--blue)) no-repeat 0 0/var(--part) 100%,var(--wash)}
tr.base td s,s.was{background:linear-gradient(var(--grey),var(--grey)) no-repeat 0 0/var(--part) 100%,var(--wash)!important}
tr.lit th,tr.lit td{background:var(--wash)}
tr.failed th,.error{color:var(--orange)}
.error{white-space:normal;text-align:left;overflow-wrap:anywhere;min-width:240px}
.error b{font-weight:650}
.error b::before{content:"✕ "}
.chip{display:inline-block;margin-left:3px;padding:0 7px;border:1px solid var(--grey);border-radius:9px;font-size:11px;line-height:17px;
vertical-align:1px;color:var(--soft);white-space:nowrap}
.chip.pick{margin-left:0;background:var(--blue);border-color:var(--blue);color:var(--paper)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:36px 44px}
figure{margin:0;min-width:0}
figcaption{font-size:14.5px;margin-bottom:8px;color:var(--soft)}
figcaption b{color:var(--ink)}
svg{display:block;width:100%;height:auto;max-width:620px;font-family:inherit;overflow:visible}
svg text{font-size:12px;fill:var(--soft)}
svg .label{fill:var(--ink);paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round;pointer-events:none}
svg .label.chosen{font-weight:650;fill:var(--blue)}
.grid,.axis,.front,.leader,.level,.bar{fill:none;stroke:var(--line);stroke-width:1}
.axis{stroke:var(--soft)}.leader{stroke:var(--grey)}
.level{stroke:var(--grey);stroke-dasharray:2 3}
.band{fill:var(--band)}
.front{stroke:var(--sky);stroke-width:2.5;stroke-linejoin:round}
.bar{stroke:var(--blue);opacity:.5}
.dot{fill:var(--blue);stroke:var(--paper);stroke-width:1.5}
.s1 .dot{fill:var(--orange)}.s2 .dot{fill:var(--good)}.s3 .dot{fill:var(--soft)}.s4 .dot{fill:var(--sky)}.s5 .dot{fill:var(--ink)}
.base .dot{fill:var(--soft)}.base .bar{stroke:var(--soft)}
.curve{fill:none;stroke:var(--blue);stroke-width:2;stroke-linejoin:round}
.curve.s1{stroke:var(--orange);stroke-dasharray:7 4}.curve.s2{stroke:var(--good);stroke-dasharray:2 3}.curve.s3{stroke:var(--soft);stroke-dasharray:10 3 2 3}
.curve.s4{stroke:var(--sky)}.curve.s5{stroke:var(--ink);stroke-dasharray:1 4}
.ring{fill:none;stroke:var(--ink);stroke-width:1.5}
.legend{display:flex;flex-wrap:wrap;gap:4px 26px;margin:18px 0 22px;padding:0;list-style:none;font-size:14px}
.legend svg{display:inline-block;width:34px;height:8px;margin-right:8px;vertical-align:2px}
.mark{cursor:default}
.mark:hover .dot,.mark.lit .dot{stroke:var(--ink)}.mark:hover .bar,.mark.lit .bar{opacity:1}
details{border-bottom:1px solid var(--line)}
summary{cursor:pointer;padding:12px 0;list-style-position:outside;margin-left:18px}
summary span{color:var(--soft);font-size:14px;margin-left:8px}
.layers{font-size:13.5px;margin:4px 0 20px}
.layers th,.layers td{padding-top:7px;padding-bottom:7px}
.layers tbody th{font-weight:500;max-width:260px;min-width:130px;white-space:normal;line-height:1.3}
.layers .time{width:24%;min-width:120px;text-align:left}
.layers td.time{padding-top:9px}
.layers .time s{margin:0 0 3px;height:6px;background:linear-gradient(var(--blue),var(--blue)) no-repeat 0 0/var(--part) 100%}
.layers .time s.was{background:linear-gradient(var(--grey),var(--grey)) no-repeat 0 0/var(--part) 100%!important}
.layers .say{text-align:left;white-space:normal;min-width:190px;padding-left:28px}
.key{display:inline-block;width:9px;height:9px;border-radius:2px;background:var(--blue);margin:0 4px 0 6px}
.key.was{background:var(--grey);margin-left:0}
article h3{margin:22px 0 8px}
article .remarks{margin-top:10px;font-size:13.5px}
.command{display:flex;gap:12px;align-items:flex-start;background:var(--wash);border-radius:6px;padding:11px 12px 11px 14px}
code{flex:1;min-width:0;font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre-wrap;overflow-wrap:anywhere}
.copy{flex:none;font:inherit;font-size:13px;line-height:1;padding:6px 10px;border:1px solid var(--grey);border-radius:5px;background:var(--paper);color:var(--ink);cursor:pointer}
.copy:hover{border-color:var(--blue);color:var(--blue)}
.facts,.columns{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,240px),1fr));gap:14px 36px;margin:0}
.columns{grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr));gap:16px 44px}
dt{font-size:13px;color:var(--soft)}
.columns dt{font-weight:650;color:var(--ink);font-size:14px}
dl dd{margin:0}
.columns dd{font-size:14px;color:var(--soft)}
#results .scroll{max-height:85vh}
@media(min-width:1100px){#results .scroll.fits{overflow:visible;max-height:none}}
@media(max-width:1099px){#rows tbody th{position:sticky;left:0;z-index:1;background:var(--paper)}
#rows thead th:first-child{left:0;z-index:3}tr.pick th{background:linear-gradient(var(--pick),var(--pick)),var(--paper)!important}}
@media(max-width:600px){main{padding:32px 18px 64px}section{margin-top:48px}.figures{gap:18px 34px}.figures b{font-size:29px}
#rows tbody th{min-width:130px;max-width:150px}.chip{margin-left:0}th,td{padding-left:14px}th:first-child{padding-left:0}
.photos{grid-template-columns:none;grid-auto-flow:column;grid-auto-columns:88%;overflow-x:auto;scroll-snap-type:x mandatory;padding:3px 3px 8px}
.photos figure{scroll-snap-align:start}.command{flex-direction:column}.copy{align-self:flex-end}svg text{font-size:13px}
.error span{display:block;position:sticky;left:150px;max-width:calc(100vw - 200px);min-width:120px}.error{min-width:0}}
@media print{body{font-size:11px}main{max-width:none;padding:0}section{margin-top:26px;padding-top:12px}.scroll{overflow:visible;max-height:none!important}
table{font-size:9.5px}th,td{padding:4px 0 4px 8px}thead th,#rows tbody th{position:static}#rows tbody th{min-width:0}.copy{display:none}
figure,tr,article{break-inside:avoid}td i{font-size:8.5px}small{font-size:8.5px}td s{min-width:30px}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
)css";

}  // namespace pare
