"""The vectors that every implementation passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tickwire.fields import ABSENT, FIELDS, indexes
from tickwire.update import GAP, IMAGE, Update

DIR = Path(__file__).parents[2] / "testdata"
Vector = dict[str, Any]


def read(name: str) -> Any:
    return json.loads((DIR / name).read_text())


VALID: list[Vector] = read("valid.json")
INVALID: list[Vector] = read("invalid.json")
SESSIONS: dict[str, Vector] = {path.stem: json.loads(path.read_text()) for path in sorted((DIR / "sessions").iterdir())}
REFUSED: dict[str, Vector] = {path.stem: json.loads(path.read_text()) for path in sorted((DIR / "refused").iterdir())}


def named(vectors: list[Vector], kind: str) -> dict[str, Vector]:
    return {f"{v['name']}-{v['encoding']}": v for v in vectors if v["kind"] == kind}


def content(v: Vector) -> bytes | str:
    return v.get("text", "") if v["encoding"] == "json" else bytes.fromhex(v.get("hex") or "")


def spelled(u: list[Any], implied: int = 0) -> Vector:
    """An update as the vectors spell it out."""
    key, _, flags, mask, *values = u
    history = values.pop(0) if flags & IMAGE else 0
    assert implied & ~mask == 0
    fields = {FIELDS[f]: None if v == ABSENT else v for f, v in zip(indexes(mask), values, strict=True)}
    reason = Update(None, flags, 0, 0, 0, 0).reason  # type: ignore[arg-type]
    return {"key": key, "seq": u[1], "history": history, "image": flags & IMAGE != 0, "gap": flags & GAP != 0, "conflated": reason, "fields": fields}
