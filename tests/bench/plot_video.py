"""NV12 in the table of a run on the CPU."""

TITLE = "NV12 to logits"


def lines(document: dict) -> list[str]:
    """The page's lines, in Markdown; none in a run from before it was measured."""
    found = {title.removeprefix(f"{TITLE}: "): title for title in document["tables"] if title.startswith(TITLE)}
    if not found:
        return []
    tables, figures = ([document[section][title] for title in found.values()] for section in ("tables", "figures"))
    rows = dict.fromkeys(name for table in tables for name in table)
    told = [
        "",
        f"| {TITLE}, one picture, time over that from RGB |" + "".join(f" {name} |" for name in found),
        "|---|" + "--:|" * len(found),
    ]
    told += [f"| {name} |" + "".join(f" {_ratio(table.get(name))} |" for table in tables) for name in rows]
    for what, title in (("multiplications", "multiplications of the first layer, for a number it makes"), ("bytes", "bytes of a request")):
        pairs = [f" {each[f'{what} of NV12']:,} for {each[f'{what} of RGB']:,} |" for each in figures]
        told.append(f"| {title} |" + "".join(pairs))
    return told


def _ratio(row: dict | None) -> str:
    """With its time."""
    return "" if row is None else f"{row['median']:.2f} [{row['low']:.2f}, {row['high']:.2f}], {row['seconds'] * 1e3:.2f} ms"
