# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The timeline as one HTML page that needs nothing else: no script, no font, no picture from anywhere."""

from __future__ import annotations

from html import escape

from ansible_collections.holdfast.k3s.plugins.module_utils.report.timeline import Entry, Timeline

STYLE = """
:root { color-scheme: light dark; --line: #8884; --ok: #4a8f5a; --acted: #2f6fb5; --waiting: #b58a1f; --bad: #c0392b; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; margin: 0; }
.sub { opacity: .7; margin: 0 0 1.2rem; }
.verdict { border-left: .4rem solid var(--ok); padding: .6rem 1rem; background: #8881; margin: 1rem 0; }
.verdict.bad { border-color: var(--bad); }
ol { list-style: none; padding: 0; }
ol > li { border-top: 1px solid var(--line); padding: .6rem 0; }
.axis { display: flex; justify-content: space-between; font-size: .8rem; font-variant-numeric: tabular-nums; opacity: .7; }
.key { font-size: .8rem; opacity: .8; }
.key i { display: inline-block; width: .8rem; height: .6rem; border-radius: .2rem; margin: 0 .3rem 0 .9rem; }
.head { display: flex; gap: 1rem; align-items: baseline; }
.phase { font-weight: 600; min-width: 9rem; }
.what { flex: 1; overflow-wrap: anywhere; }
.time { font-variant-numeric: tabular-nums; opacity: .7; min-width: 9rem; text-align: right; }
.track { height: .6rem; border-radius: .3rem; margin: .35rem 0;
  background: #8882 linear-gradient(90deg, var(--line) 1px, transparent 1px) 0 0 / 25% 100%; }
.bar { height: 100%; border-radius: .3rem; background: var(--ok); min-width: 3px; }
.acted .bar { background: var(--acted); } .waiting .bar { background: var(--waiting); } .bad .bar { background: var(--bad); }
ul { margin: .2rem 0 0; padding-left: 1.2rem; overflow-wrap: anywhere; }
code { overflow-wrap: anywhere; }
"""


KEY = "".join(
    f'<i style="background: var(--{colour})"></i>{meaning}'
    for colour, meaning in (
        ("ok", "looked, well"),
        ("acted", "acted"),
        ("waiting", "to be done"),
        ("bad", "not well"),
    )
)


def html(timeline: Timeline) -> str:
    """The whole document; everything that came from outside is escaped."""
    total = max(timeline.seconds, 0.001)
    good = timeline.verdict.startswith(("healthy", "plan"))
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in timeline.reasons)
    evidence = "".join(f"<p>Evidence: <code>{escape(path)}</code></p>" for path in timeline.evidence)
    rows = "\n".join(_row(entry, total) for entry in timeline.entries)
    axis = "".join(f"<span>{total * quarter / 4:.0f} s</span>" for quarter in range(5))
    title = escape(f"{timeline.title} on {timeline.host}")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<p class="sub">{escape(timeline.started)}, {timeline.seconds:.0f} seconds in all</p>
<div class="verdict{"" if good else " bad"}"><strong>{escape(timeline.verdict)}</strong><ul>{reasons}</ul></div>
{evidence}
<p class="key">{KEY}</p>
<div class="axis">{axis}</div>
<ol>
{rows}
</ol>
</body>
</html>
"""


def _row(entry: Entry, total: float) -> str:
    left, width = 100 * entry.at / total, 100 * entry.seconds / total
    details = "".join(f"<li>{escape(detail)}</li>" for detail in entry.details)
    return (
        f'<li class="{entry.state}"><div class="head"><span class="phase">{escape(entry.phase)}</span>'
        f'<span class="what">{escape(entry.what)}</span>'
        f'<span class="time">+{entry.at:.1f} s, {entry.seconds:.1f} s</span></div>'
        f'<div class="track"><div class="bar" style="margin-left:{min(left, 99.5):.2f}%;width:{min(width, 100 - left):.2f}%"></div></div>'
        f"<ul>{details}</ul></li>"
    )
