"""Reads a page of graft report as a browser would, and holds it against the runs it is of.

    report_page.py PAGE RUN [RUN ...]      '-' for a run whose values are not compared

Every tag and attribute must be one that the page is made of, so markup that came from a run is found whatever it is; the only script is the one whose hash the
page's policy has.
"""
import base64
import hashlib
import html.parser
import json
import re
import sys

TAGS = set("""html head meta title style body main h1 h2 h3 h4 p div span table thead tbody tr th td small figure figcaption input label svg path polyline i script
details summary section article dl dt dd b""".split())
ATTRIBUTES = set("""lang charset name http-equiv content class scope title id type for viewbox preserveaspectratio role aria-label d points style open""".split())
EMPTY = {"meta", "input", "path", "polyline"}
CHARTS = {"loss": 1, "eval_loss": 1, "grad_norm": 1, "learning_rate": 1, "tokens_per_second": 1, "memory_bytes": 1 << 30}


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.scripts, self.policy, self.figure, self.values, self.lines, self.rows = [], [], "", None, {}, {}, []
        self.feed(text)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        assert tag in TAGS, f"<{tag}>"
        assert set(given) <= ATTRIBUTES, f"<{tag} {given}>"
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        if tag == "figure":
            self.figure = given["id"]
        if tag == "polyline":
            self.lines.setdefault(self.figure, []).append([tuple(map(float, p.split(","))) for p in given["points"].split()])
        if tag == "tr":
            self.rows.append("")
        if tag not in EMPTY:
            self.open.append((tag, given))

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        assert tag in EMPTY, f"<{tag}/>"

    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, f"</{tag}> in {self.open}"
        self.open.pop()

    def handle_data(self, data):
        tag, given = self.open[-1] if self.open else ("", {})
        assert tag or not data.strip(), data
        assert not re.search(r"[\x00-\x08\x0b-\x1f]", data), f"a control in {data!r}"
        if tag == "script" and "type" in given:
            self.values[self.figure] = json.loads(data)
        elif tag == "script":
            self.scripts.append(data)
        elif self.rows and any(t == "tr" for t, _ in self.open):
            self.rows[-1] += data + " "


def recorded(run, key, unit):
    """The values of a key as metrics.jsonl has them."""
    steps, values = [], []
    for line in open(run + "/metrics.jsonl", encoding="utf-8").read().splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if key in entry:
            steps.append(entry["step"])
            values.append(entry[key] / unit)
    return steps, values


def main(path, *runs):
    text = open(path, encoding="utf-8").read()
    page = Page(text)
    assert not re.search(r"https?://|url\(|@import|\bsrc=[^x]", text), "the page names something outside it"
    assert len(page.scripts) == 1
    digest = base64.b64encode(hashlib.sha256(page.scripts[0].encode()).digest()).decode()
    assert page.policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'", page.policy
    assert set(page.values) == set(CHARTS), page.values.keys()
    for key, unit in CHARTS.items():
        shown = {run: (steps, values) for run, steps, values in page.values[key]}
        assert set(shown) == set(range(len(runs)))
        assert len(page.lines[key]) == 2 * len(runs), "linear and logarithmic"
        for lines in page.lines[key]:
            assert all(0 <= x <= 1000 and 0 <= y <= 1000 for x, y in lines)
        for i, run in enumerate(runs):
            if run == "-":
                continue
            steps, values = recorded(run, key, unit)
            assert shown[i][0] == steps
            assert all(abs(a - b) <= 1e-8 * abs(b) for a, b in zip(shown[i][1], values, strict=True)), key
            heights = [y for _, y in page.lines[key][i]]
            assert [a < b for a, b in zip(values, values[1:])] == [a > b for a, b in zip(heights, heights[1:])], f"{key}: the line does not go as the values do"
    if len(runs) == 2 and "-" not in runs:
        differing = next(row for row in page.rows if row.startswith("training.learning_rate"))
        assert differing.split()[1:] == ["1.0e-3" if run == "one" else "2.0e-3" for run in runs], differing
        same = next(row for row in page.rows if row.startswith("adapter.target_modules"))
        assert same.split("modules")[1].strip() == "[q, v]", same
        first = next(row for row in page.rows if row.split()[:2] == [runs[0], "finished"])
        assert first.split()[2:] == ["40", "0.2" if runs[0] == "one" else "0.1", "0.266667" if runs[0] == "one" else "0.133333", "30", "120.5", "3", "GiB"], first


main(*sys.argv[1:])
