"""Why channels are never cut, in few words."""


def in_short(fixed, most=3):
    """Causes as a short text: each reason once, with the first layers that give it."""
    layers = {}
    for name, (layer, reason) in fixed.items():
        layers.setdefault(reason, {})[name if layer == "it" else layer] = None
    parts = []
    for reason, names in layers.items():
        more = len(names) - most
        some = ", ".join(list(names)[:most]) + (f" and {more} more" if more > 0 else "")
        parts.append(f"{reason}: {some}")
    return "; ".join(parts)
