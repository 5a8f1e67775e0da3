"""Draws clients.svg of what `go test ./cmd/tickwire -run xxx -bench Clients` prints: on stdin. It needs matplotlib."""

import re
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

INKS = {"Go": "#0b5fd7", "TypeScript": "#d95f02", "Python": "#7f8a96"}
NAME = re.compile(r"Clients/(\w+)/(\w+)/(\d+)\S*\s.*?([\d.e+]+) updates/core-s")

took = {(lang, encoding, int(n)): float(v) for lang, encoding, n, v in NAME.findall(sys.stdin.read())}
if len(took) != 18:
    sys.exit(f"{len(took)} figures, of 18: give it all that the benchmark prints")
plt.rcParams.update({"font.size": 11, "svg.fonttype": "none", "svg.hashsalt": "clients"})
figure, axes = plt.subplots(1, 2, figsize=(8.2, 3.4), sharey=True)
for ax, encoding in zip(axes, ("msgpack", "json")):
    for i, (lang, ink) in enumerate(INKS.items()):
        for k, n in enumerate((1, 20, 200)):
            v, x = took[lang, encoding, n], k + (i - 1) * 0.26
            ax.bar(x, v, 0.24, color=ink, label=lang if k == 0 else None)
            ax.text(x, v * 1.08, f"{v / 1e6:.1f}M" if v >= 1e6 else f"{v / 1000:.0f}k", ha="center", va="bottom", fontsize=8.5, color="#57606a")
    ax.set(yscale="log", ylim=(3e4, 2e7), xticks=range(3), xticklabels=["1", "20", "200"], xlabel="updates in a message", axisbelow=True)
    ax.set_title(encoding, fontsize=11)
    ax.set_yticks([1e5, 1e6, 1e7], ["100k", "1M", "10M"])
    ax.minorticks_off()
    ax.grid(axis="y", color="#e4e8ec")
    ax.spines[["top", "right", "left"]].set_visible(False)
axes[0].set_ylabel("updates a second and core")
axes[0].legend(frameon=False, ncol=3, loc="upper left", fontsize=9, borderaxespad=0.1)
figure.tight_layout()
figure.savefig(Path(__file__).with_suffix(".svg"), metadata={"Date": None})
