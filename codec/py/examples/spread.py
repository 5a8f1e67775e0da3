# %% [markdown]
# # How wide is the market?
#
# Records some seconds of a few symbols, and says how wide their spreads were on average, each weighted by how long it stood.
# It needs `pip install 'PATH/codec/py[plot]'`, and a node: `tickwire up` has one, with a simulated market.

# %%
import os
import time

try:
    import matplotlib as mpl
    import numpy as np
    import pandas as pd
except ModuleNotFoundError as e:
    raise SystemExit(f"{e.name} is not installed: pip install 'PATH/codec/py[plot]'") from None

import tickwire

URL = os.environ.get("TICKWIRE_URL", "ws://localhost:8080/v1/stream")
SYMBOLS = os.environ.get("SPREAD_SYMBOLS", "sim:*").split(",")
SECONDS = float(os.environ.get("SPREAD_SECONDS", "20"))
PLOT = os.environ.get("SPREAD_PLOT", "spread.png")

# %% Record: updates gather while this waits; what does not come is counted.
updates: list[tickwire.Update] = []
with tickwire.connect(URL, fields=["bid", "ask", "status"]) as client:
    end = time.monotonic() + SECONDS
    for batch in client.subscribe(SYMBOLS).batches(seconds=min(1.0, SECONDS / 4)):
        updates += batch
        if time.monotonic() >= end:
            break
print(f"{len(updates)} updates; {client.conflated} were not sent, most of them of other fields; {client.gaps} gaps")

# %% Spreads: the prices are exact until here, and floats for the statistic alone.
frame = tickwire.Batch(updates).to_pandas()
frame = frame[(frame["status"] == "live") & frame["bid"].notna() & frame["ask"].notna()]
spread = frame["ask"] - frame["bid"]  # of Decimals
middle = (frame["ask"] + frame["bid"]) / 2
frame["bps"] = (10_000 * spread / middle).astype(float)

# Each stood until the next of its symbol came, and the last until the end.
until = frame.groupby("symbol", observed=True)["received_at"].shift(-1).fillna(frame["received_at"].max())
frame["stood"] = (until - frame["received_at"]).dt.total_seconds()


def statistics(rows: pd.DataFrame) -> dict[str, object]:
    weights = rows["stood"] if rows["stood"].sum() > 0 else None
    bps = rows["bps"]
    return {"updates": len(rows), "mean bps": np.average(bps, weights=weights), "least": bps.min(), "most": bps.max(), "bid": rows["bid"].iloc[-1]}


by_symbol = {str(symbol): statistics(rows) for symbol, rows in frame.groupby("symbol", observed=True)}
table = pd.DataFrame.from_dict(by_symbol, orient="index").sort_values("mean bps")
print(table.to_string(float_format=lambda x: f"{x:.2f}"))

# %% A plot: how the widest, the narrowest and some between went.
mpl.use("Agg")  # in a notebook leave this out
import matplotlib.pyplot as plt  # noqa: E402

figure, (over_time, mean) = plt.subplots(1, 2, figsize=(12, 4.5), width_ratios=[3, 2], layout="constrained")
chosen = table.index[np.unique(np.linspace(0, len(table) - 1, 4).astype(int))]
began = frame["received_at"].min()
for symbol in chosen:
    rows = frame[frame["symbol"] == symbol]
    over_time.step((rows["received_at"] - began).dt.total_seconds(), rows["bps"], where="post", label=symbol, linewidth=1)
over_time.set(xlabel="seconds", ylabel="spread, bps", title="Spread")
over_time.legend(frameon=False, fontsize=8, ncols=len(chosen), loc="upper center", bbox_to_anchor=(0.5, -0.14))
mean.barh(table.index, table["mean bps"], color="0.6")
mean.set(xlabel="bps", title="Mean, weighted by time")
mean.tick_params(axis="y", labelsize=8)
for axes in (over_time, mean):
    axes.spines[["top", "right"]].set_visible(False)
figure.savefig(PLOT, dpi=120)
print(f"{PLOT} has the plot")
