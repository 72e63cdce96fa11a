"""What a race gives, and how it is shown."""
import datetime
import json
import os
import pathlib
import platform
import statistics


class Result:
    """One figure: ours beside a peer's (ratio) or against a limit of its own."""

    def __init__(self, race, what, ours, peer=None, peer_name="", unit="s", goal=None, note=""):
        self.race, self.what, self.unit, self.note = race, what, unit, note
        self.ours, self.peer, self.peer_name, self.goal = list(ours), list(peer or []), peer_name, goal

    @property
    def median(self):
        return statistics.median(self.ours)

    @property
    def ratio(self):
        return self.median / statistics.median(self.peer) if self.peer else None

    def reached(self):
        """None where there is no goal."""
        if self.goal is None:
            return None
        return (self.ratio if self.peer else self.median) <= self.goal

    def spread(self):
        """Slowest against fastest of our runs: how noisy the machine was."""
        return max(self.ours) / min(self.ours) if min(self.ours) > 0 else 1.0

    def line(self):
        text = f"{self.what}: {self.median:.3g} {self.unit}"
        if self.peer:
            text += f" against {statistics.median(self.peer):.3g} of {self.peer_name}: {self.ratio:.2f} x"
        if self.goal is not None:
            text += f" (goal {self.goal}{' x' if self.peer else ' ' + self.unit}: {'reached' if self.reached() else 'MISSED'})"
        return text + (f" [{self.note}]" if self.note else "")

    def row(self):
        peer = f"{statistics.median(self.peer):.3g} {self.unit} ({self.peer_name})" if self.peer else ""
        ratio = f"{self.ratio:.2f}" if self.peer else ""
        goal = "" if self.goal is None else f"{self.goal}{' x' if self.peer else ' ' + self.unit}"
        verdict = {None: "", True: "reached", False: "**missed**"}[self.reached()]
        return (f"| {self.race} | {self.what} | {self.median:.3g} {self.unit} | {peer} | {ratio} | {goal} | {verdict} |"
                f" {self.spread():.2f} | {self.note} |")


HEAD = ("| race | what | godwit, median | peer, median | ratio | goal | | slowest/fastest | note |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")


def write(results, options):
    """Merges into bench.json, so that races may be run one at a time; then the table and the chart from all of it."""
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    store = out / "bench.json"
    kept = json.loads(store.read_text()) if store.exists() else {}
    for race in {one.race for one in results}:
        kept[race] = [vars(one) | {"runs": len(one.ours)} for one in results if one.race == race]
    store.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    every = []
    for race in sorted(kept):
        for entry in kept[race]:
            entry = {k: v for k, v in entry.items() if k != "runs"}
            every.append(Result(**entry))
    day = datetime.date.today().isoformat()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release().split('-')[0]}"
    text = (f"# Races\n\nMade by `./dev bench` ({day}; {machine}; loopback). Every figure stands beside its peer's in the\n"
            "same run; a ratio below 1 means godwit is faster or smaller. Machines are noisy: trust ratios, not times.\n\n"
            "![ratios](bench.svg)\n\n" + HEAD + "\n".join(one.row() for one in every) + "\n")
    (out / "bench.md").write_text(text)
    (out / "bench.svg").write_text(chart([one for one in every if one.peer]))


def chart(results):
    """Bars of the ratios; the line at 1.0 is the peer."""
    bar, width = 26, 420
    labels = [f"{one.what} / {one.peer_name}" for one in results]
    left = 20 + 7 * max(map(len, labels), default=0)  # a letter of this size takes 7 pixels at most on average
    top = max([1.3] + [one.ratio for one in results])
    height = 50 + bar * len(results)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{height}" '
             f'font-family="sans-serif" font-size="12">',
             f'<rect width="100%" height="100%" fill="white"/>',
             '<text x="10" y="20" font-size="14">godwit against its peers (1.0 = the peer, shorter is better)</text>']
    for index, one in enumerate(results):
        y = 34 + index * bar
        length = one.ratio / top * width
        colour = "#2c7fb8" if one.reached() is not False else "#d95f0e"
        parts.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{labels[index]}</text>')
        parts.append(f'<rect x="{left}" y="{y + 3}" width="{length:.1f}" height="16" fill="{colour}"/>')
        parts.append(f'<text x="{left + length + 5:.1f}" y="{y + 15}">{one.ratio:.2f}</text>')
        if one.goal is not None:
            x = left + one.goal / top * width
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{y + 22}" stroke="#333" stroke-dasharray="3 2"/>')
    x = left + width / top
    parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="28" y2="{height - 8}" stroke="#c00"/>')
    return "\n".join(parts) + "\n</svg>\n"
