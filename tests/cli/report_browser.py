"""Opens a page of graft report in a browser without a window, uses it as a reader does, and holds what it shows against the runs.

    report_browser.py BROWSER PAGE WIDTH light|dark RUN [RUN ...]      '-' for a run whose values are not compared

What looks and clicks is a script in a copy of the page; the copy's policy allows that one as well, and everything else in it stays as it was. The script leaves
what it saw in the title, and the browser prints the document.
"""
import base64
import hashlib
import html
import json
import os
import re
import subprocess
import sys
import tempfile

WATCH = """
const seen = { errors: [], alerts: 0 };
window.addEventListener("error", event => seen.errors.push(String(event.message)));
document.addEventListener("securitypolicyviolation", event => seen.errors.push(event.violatedDirective + " " + event.blockedURI));
window.alert = () => seen.alerts++;
"""
LOOK = """
const shows = element => getComputedStyle(element).display !== "none";
const colour = (element, property) => getComputedStyle(element)[property];
const box = element => element.getBoundingClientRect();
const hover = (plot, share) => {
  const at = box(plot);
  plot.dispatchEvent(new PointerEvent("pointermove", { clientX: at.left + share * at.width, clientY: at.top + at.height / 2, bubbles: true }));
  const tip = plot.querySelector(".tip"), rows = [...tip.children].map(row => [...row.children].map(part => part.textContent));
  const edge = box(tip);
  return { share, step: tip.firstChild.textContent, rows: rows.slice(1), dots: plot.querySelectorAll(".over .dot").length,
           inside: edge.left >= 0 && edge.right <= innerWidth };
};
seen.charts = [...document.querySelectorAll("figure")].map(figure => {
  const plots = ["linear", "log"].map(scale => figure.querySelector("." + scale)), state = () => plots.map(plot => plot !== null && shows(plot));
  const before = state(), box = figure.querySelector("input");
  const hovers = [0, 0.25, 0.5, 1].map(share => hover(plots[0], share));
  plots[0].dispatchEvent(new PointerEvent("pointerleave"));
  const left = figure.querySelectorAll(".tip, .rule, .over .dot").length;
  figure.querySelector("label").click();
  const switched = state(), logarithmic = [0, 0.5, 1].map(share => hover(plots[1], share));
  box.click();
  return { id: figure.id, before, switched, after: state(), hovers, logarithmic, left, lines: [...plots[0].querySelectorAll("polyline")].map(line => colour(line, "stroke")),
           card: colour(figure, "backgroundColor") };
});
seen.outside = [...document.querySelectorAll("article, figure")].filter(card => [...card.querySelectorAll("*")].some(part => {
  const inner = box(part), outer = box(card);
  return inner.width > 0 && (inner.right > outer.right + 1 || inner.left < outer.left - 1) && !part.closest("svg");
})).length;
seen.names = [...document.querySelectorAll(".legend .run")].map(run => run.textContent);
seen.answers = [...document.querySelectorAll("article dd")].filter(shows).map(answer => answer.textContent);
seen.differing = [...document.querySelectorAll("h2 + .scroll .facts tbody th")].filter(shows).map(key => key.textContent);
seen.scripts = document.scripts.length;
seen.requests = performance.getEntriesByType("resource").map(entry => entry.name);
seen.sideways = document.documentElement.scrollWidth - innerWidth;
seen.colours = [colour(document.body, "color"), colour(document.body, "backgroundColor"), colour(document.querySelector("small, .foot"), "color")];
document.title = JSON.stringify(seen);
"""


def with_script(text):
    """The page with WATCH in front of everything and LOOK behind it."""
    hashes = "".join(" 'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() + "'" for script in (WATCH, LOOK))
    text, policies = re.subn(r"(script-src 'sha256-[^']*')", lambda found: found.group(1) + hashes, text, count=1)
    assert policies == 1 and text.count("</head><body>") == 1 and text.endswith("</body></html>\n")
    return text.replace("</head>", f"<script>{WATCH}</script></head>").removesuffix("</body></html>\n") + f"<script>{LOOK}</script></body></html>\n"


def look(browser, text, width, scheme):
    with tempfile.TemporaryDirectory() as folder:
        page = os.path.join(folder, "page.html")
        with open(page, "w", encoding="utf-8") as file:
            file.write(with_script(text))
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND",
                   f"--user-data-dir={folder}/profile", f"--window-size={width},1200", f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}",
                   "--virtual-time-budget=5000", "--dump-dom", "file://" + page]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.S)
    assert title and title.group(1).startswith("{"), (done.stdout[:300], done.stderr[-2000:])
    return json.loads(html.unescape(title.group(1)))


def luminance(colour):
    """Of "rgb(r, g, b)": WCAG 2.2, relative luminance."""
    parts = [int(part) / 255 for part in re.match(r"rgba?\((\d+), (\d+), (\d+)", colour).groups()]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def recorded(run, key):
    unit = 1 << 30 if key == "memory_bytes" else 1
    lines = [json.loads(line) for line in open(run + "/metrics.jsonl", encoding="utf-8")]
    return {line["step"]: line[key] / unit for line in lines if isinstance(line.get(key), (int, float))}


def check_hover(hover, key, runs):
    """The row of each run says its value at the step nearest to the pointer."""
    curves = [recorded(run, key) for run in runs]
    last = max(max(curve) for curve in curves)
    assert hover["inside"] and hover["dots"] == len(runs) == len(hover["rows"]), (key, hover)
    step = int(hover["step"].removeprefix("step "))
    nearest = min(min(abs(at - hover["share"] * last) for at in curve) for curve in curves)
    assert abs(step - hover["share"] * last) <= nearest + last / 5000, (key, hover, nearest)
    for (name, value), run, curve in zip(hover["rows"], runs, curves):
        own = re.fullmatch(r"(.*?)(?:, step (\d+))?", name)
        assert own.group(1) == run, (name, run)
        expected = curve[int(own.group(2)) if own.group(2) else step]
        assert abs(float(value) - expected) <= 1e-5 * abs(expected), (key, hover, expected)


def main(browser, page, width, scheme, *runs):
    seen = look(browser, open(page, encoding="utf-8").read(), int(width), scheme)
    assert seen["errors"] == [] and seen["alerts"] == 0, seen["errors"]
    assert seen["requests"] == [], seen["requests"]
    assert seen["sideways"] <= 0, f"the page is {seen['sideways']} pixels wider than the window"
    assert seen["outside"] == 0, f"{seen['outside']} cards do not hold what is in them"
    assert len(seen["charts"]) == 6 and seen["scripts"] == 6 + 3, seen["scripts"]
    ink, back, soft = seen["colours"]
    assert (luminance(back) < 0.1) == (scheme == "dark") and min(contrast(ink, back), contrast(soft, back)) >= 4.5, seen["colours"]
    for chart in seen["charts"]:
        assert chart["before"] == [True, False] == chart["after"] and chart["switched"] == [False, True] and chart["left"] == 0, chart
        assert len(set(chart["lines"])) == len(runs) and min(contrast(line, chart["card"]) for line in chart["lines"]) >= 3, (chart["id"], chart["lines"], chart["card"])
        for hover in chart["hovers"] + chart["logarithmic"] if "-" not in runs else ():
            check_hover(hover, chart["id"], runs)
    if "-" not in runs:
        assert seen["names"] == list(runs), seen["names"]
        assert seen["differing"] == (["training.learning_rate"] if len(runs) > 1 else []) and seen["answers"] == ["said 1", "wanted 1"], (seen["differing"], seen["answers"])


main(*sys.argv[1:])
